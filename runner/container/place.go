// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/podunit/podunit/runner/rootless"
)

// ElsewhereError says that a container's state lies in another runtime directory. What runs there
// cannot be seen from here, and must not be taken for stopped.
type ElsewhereError struct {
	Name   string // of the container
	RunDir string // podunit's own, where it was made
	Here   string // podunit's own now
}

func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("container %s belongs to the runtime directory %s", e.Name, e.RunDir)
}

// Hint is the way out.
func (e *ElsewhereError) Hint() string {
	if strings.HasPrefix(e.Here, rootless.UnitsDir+"/") && strings.HasPrefix(e.RunDir, "/run/user/") {
		uid := strings.Split(e.RunDir, "/")[3]
		return fmt.Sprintf("a system unit with User= has run since, and %s is where this user's containers are from now on: "+
			"systemctl --user restart of its unit moves it there, systemctl restart user@%s.service as root all of the user's", filepath.Dir(e.Here), uid)
	}
	return fmt.Sprintf("XDG_RUNTIME_DIR=%s in front of the command acts on it", filepath.Dir(e.RunDir))
}

// here returns an *ElsewhereError for a container that was made in this boot with another
// runtime directory, unless that is gone, and with it all that could run.
func (e *Engine) here(r Record) error {
	if r.BootID != BootID() || !e.elsewhere(r.RunDir, r.ID) {
		return nil
	}
	return &ElsewhereError{Name: r.Name, RunDir: r.RunDir, Here: e.RunDir}
}

// StatusOf is Status for showing: it also reads the status of a container in another runtime
// directory, which cannot be acted on from here.
func (e *Engine) StatusOf(r Record) (Status, error) {
	if e.here(r) != nil {
		return (&Engine{RunDir: r.RunDir}).Status(r.ID)
	}
	return e.Status(r.ID)
}

// elsewhere reports whether dir is another runtime directory of podunit's that has the
// container.
func (e *Engine) elsewhere(dir, id string) bool {
	if dir == "" || dir == e.RunDir {
		return false
	}
	there := &Engine{RunDir: dir}
	if _, err := os.Stat(there.Dir(id)); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	// A user's directory changes once, when the first system unit with User= is started: see
	// find_run_dir. A container that has ended in the old directory since then belongs to this one.
	s, err := there.Status(id)
	return err != nil || s.StartedAt.IsZero() || s.PID != 0
}

// markedElsewhere reports whether a container is being made with another runtime directory.
func (e *Engine) markedElsewhere(id string) bool {
	dir, err := os.ReadFile(e.marker(id))
	return err == nil && e.elsewhere(string(dir), id)
}
