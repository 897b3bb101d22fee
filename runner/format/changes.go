// SPDX-License-Identifier: Apache-2.0

package format

import (
	"fmt"
	"io"

	"github.com/podunit/podunit/runner/terminal"
	"go.podman.io/storage/pkg/archive"
)

// Changes draws what differs in a layer: C, A or D and the path, a line each, or JSON.
func Changes(w io.Writer, format string, changes []archive.Change) error {
	switch {
	case format == "":
		for _, c := range changes {
			if _, err := fmt.Fprintf(w, "%s %s\n", c.Kind, terminal.Line(c.Path)); err != nil {
				return err
			}
		}
		return nil
	case !IsJSON(format):
		return fmt.Errorf("--format %q: only json is known", format)
	}
	var all struct {
		Changed []string `json:"changed,omitempty"`
		Added   []string `json:"added,omitempty"`
		Deleted []string `json:"deleted,omitempty"`
	}
	for _, c := range changes {
		switch c.Kind {
		case archive.ChangeModify:
			all.Changed = append(all.Changed, c.Path)
		case archive.ChangeAdd:
			all.Added = append(all.Added, c.Path)
		case archive.ChangeDelete:
			all.Deleted = append(all.Deleted, c.Path)
		}
	}
	return JSON(w, all)
}
