// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/spf13/cobra"
	"go.podman.io/storage/pkg/archive"
)

// NewDiff makes podunit diff.
func NewDiff(e *cli.Env) *cobra.Command {
	var latest bool
	var out string
	cmd := &cobra.Command{
		Use:               "diff [flags] CONTAINER",
		Short:             "Show in which files a container differs from its image",
		ValidArgsFunction: cli.CompleteContainers(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			r, rest, err := one(x, latest, args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return fmt.Errorf("diff takes one container: %q", rest[0])
			}
			changes, err := x.Containers.Changes(r)
			if err != nil {
				return err
			}
			return PrintChanges(e, out, changes)
		},
	}
	latestFlag(cmd, &latest)
	cmd.Flags().StringVar(&out, "format", "", "json, or nothing for a line per file")
	cli.Complete(cmd, "format", "json")
	return cmd
}

// PrintChanges prints what differs in a layer: C, A or D and the path, or JSON.
func PrintChanges(e *cli.Env, out string, changes []archive.Change) error {
	switch {
	case out == "":
		for _, c := range changes {
			fmt.Fprintf(e.Stdout, "%s %s\n", c.Kind, c.Path)
		}
		return nil
	case !format.IsJSON(out):
		return fmt.Errorf("--format %q: only json is known", out)
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
	return format.JSON(e.Stdout, all)
}
