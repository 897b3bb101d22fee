// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/podunit/podunit/runner/safe"
)

// stoppingName is a file in the runtime directory that Stop makes: its content is the StartTicks of
// the process that it ends.
const stoppingName = "stopping"

func (e *Engine) noteStopping(id string, ticks uint64) error {
	return safe.Replace(filepath.Join(e.dir(id), stoppingName), strconv.AppendUint(nil, ticks, 10), 0o600)
}

// Stopping reports whether the process of a status was asked to stop; it may have ended since.
func (e *Engine) Stopping(id string, s Status) bool {
	b, err := os.ReadFile(filepath.Join(e.dir(id), stoppingName))
	return err == nil && s.StartTicks != 0 && strings.TrimSpace(string(b)) == strconv.FormatUint(s.StartTicks, 10)
}

// stoppedPath is a file in the storage's directory for the container that says that somebody
// stopped it. It survives a reboot: a container with the restart policy unless-stopped is not
// started then.
func (e *Engine) stoppedPath(id string) (string, error) {
	dir, err := e.ownDir(id)
	return filepath.Join(dir, "podunit-stopped"), err
}

// NoteStopped notes that somebody, and not a unit or the end of the machine, stops a container; one
// that is removed meanwhile needs no note. A disk that is full is an error of its own, ErrNoRoom: the
// container can be stopped all the same.
func (e *Engine) NoteStopped(r Record) error {
	path, err := e.stoppedPath(r.ID)
	if isFull(err) {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	if err != nil {
		return nil //nolint:nilerr // removed
	}
	write := safe.Replace
	if r.Spec.Restart.Policy == "unless-stopped" {
		write = safe.Write // a power cut must not take it
	}
	err = write(path, nil, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if isFull(err) {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return err
}

// ErrNoRoom says that a full disk did not take the note of a stop.
var ErrNoRoom = errors.New("it is not noted that the container was stopped")

// forgetStopped takes the note back at a start.
func (e *Engine) forgetStopped(id string) error {
	path, err := e.stoppedPath(id)
	if err != nil && !isFull(err) {
		return err
	}
	return removeFile(path)
}

// Stopped reports whether somebody has stopped a container since its last start.
func (e *Engine) Stopped(id string) (bool, error) {
	path, err := e.stoppedPath(id)
	if err != nil && !isFull(err) {
		return false, err
	}
	if _, err = os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
