// SPDX-License-Identifier: Apache-2.0

package health

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// The files in a container's runtime directory. All are gone after a reboot, like the container's
// processes.
const (
	stateName = "health.json"
	planName  = "health-plan.json"
	lockName  = "health.lock"
)

// A Plan is what a check needs to know of its container, so that it need not open the storage.
type Plan struct {
	Config
	ID, Name string
	Image    string `json:",omitempty"` // the name of the container's image
	// PodID and Labels are the container's, for events.
	PodID   string            `json:",omitempty"`
	Labels  map[string]string `json:",omitempty"`
	Runtime string            // path of the OCI runtime
	// Unit is the unit of the container; empty if its manager takes no orders from us.
	Unit string `json:",omitempty"`
	// Waits says that the timer begins when the unit is up; without it, at once.
	Waits bool `json:",omitempty"`
	// Timer is the transient timer that repeats the check whose turn it is; empty if there is none.
	Timer string `json:",omitempty"`
	// Clock is the number of the podunit-clock that repeats the check where there is no timer;
	// empty if there is none.
	Clock string `json:",omitempty"`
	// StopSignal is what ends the container, and Stop the time between it and SIGKILL.
	StopSignal int
	Stop       time.Duration
	// Journal are the fields that make an entry one of the container's unit.
	Journal map[string]string `json:",omitempty"`
	// Secrets are those that the container has as variables. Their values are not in this file.
	Secrets []spec.Secret `json:",omitempty"`
	// NoEvents says that a change of the status is no event.
	NoEvents bool `json:",omitempty"`
	// SecretDir is the store of the secrets.
	SecretDir string `json:",omitempty"`
}

// Files are those of one container.
type Files struct{ Dir string }

// State reads the health of the container; nil if it has no check, or has not been started since
// the machine was.
func (f Files) State() (*State, error) {
	var s State
	if ok, err := f.read(stateName, &s); !ok || err != nil {
		return nil, err
	}
	return &s, nil
}

// Plan reads the plan; ErrNone if there is none.
func (f Files) Plan() (Plan, error) {
	var p Plan
	ok, err := f.read(planName, &p)
	if err == nil && !ok {
		err = ErrNone
	}
	return p, err
}

// Begin writes the plan and the state of a container that starts.
func (f Files) Begin(p Plan, started time.Time) error {
	return errors.Join(f.write(planName, p), f.write(stateName, Begin(p.Config, started)))
}

// Replan writes a plan that has changed.
func (f Files) Replan(p Plan) error { return f.write(planName, p) }

// Save writes the state. The caller holds the lock.
func (f Files) Save(s State) error { return f.write(stateName, s) }

// Remove removes the files of an earlier start, for a container that has no check any more.
func (f Files) Remove() error {
	var errs []error
	for _, name := range []string{stateName, planName} {
		if err := os.Remove(filepath.Join(f.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (f Files) read(name string, v any) (bool, error) {
	b, err := os.ReadFile(filepath.Join(f.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return false, fmt.Errorf("%s: %w", filepath.Join(f.Dir, name), err)
	}
	return true, nil
}

// write replaces a file in one step: who reads it needs no lock.
func (f Files) write(name string, v any) error { return replace(filepath.Join(f.Dir, name), v) }

func replace(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return safe.Replace(path, b, 0o600)
}

// WithLock calls do while no other process of this container's checks is in WithLock. The kernel
// gives the lock back when the process dies.
func (f Files) WithLock(do func() error) error {
	path := filepath.Join(f.Dir, lockName)
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX)
		if err == nil {
			return do()
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock %s: %w", path, err)
		}
	}
}

// WriteLog replaces a file with a state in the form that podman gives it.
func WriteLog(path string, s State) error {
	return replace(path, struct {
		Status        Status
		FailingStreak int
		Log           []Entry
	}{s.Status, s.FailingStreak, s.Log})
}
