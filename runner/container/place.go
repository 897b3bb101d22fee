// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ElsewhereError is a container whose state lies in another runtime directory: what runs
// there is not seen from here, and must not be taken for something that does not run.
type ElsewhereError struct {
	Name   string // of the container
	RunDir string // podunit's own, where it was made
}

func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("container %s belongs to the runtime directory %s", e.Name, e.RunDir)
}

// Hint is the way out.
func (e *ElsewhereError) Hint() string {
	return fmt.Sprintf("XDG_RUNTIME_DIR=%s in front of the command acts on it", filepath.Dir(e.RunDir))
}

// here returns an *ElsewhereError for a container that was made in this boot with another
// runtime directory, unless that is gone, and with it all that could run.
func (e *Engine) here(r Record) error {
	if r.BootID != BootID() || !e.elsewhere(r.RunDir, r.ID) {
		return nil
	}
	return &ElsewhereError{Name: r.Name, RunDir: r.RunDir}
}

// elsewhere reports whether dir is another runtime directory of podunit's that has the
// container.
func (e *Engine) elsewhere(dir, id string) bool {
	if dir == "" || dir == e.RunDir {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "containers", id))
	return !errors.Is(err, fs.ErrNotExist)
}

// markedElsewhere reports whether a container is being made with another runtime directory.
func (e *Engine) markedElsewhere(id string) bool {
	dir, err := os.ReadFile(e.marker(id))
	return err == nil && e.elsewhere(string(dir), id)
}
