// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/safe"
)

// bootUnit starts, after a boot, the containers whose restart policy asks for it. Source: units/.
const bootUnit = "podunit-restart.service"

// bootNote is the path of a file whose presence tells bootUnit that there is something to start:
// users without such containers do not wait for it at boot. The unit's ConditionPathExists= names
// the same file.
func (e *Engine) bootNote() string {
	home := e.home
	if home == "" { // as the manager of the unit has it, whatever sudo(8) left us
		home = bundle.FindAccount(e.User.UID, e.User.GID, e.Lookup).Home
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".local", "share", "podunit", "start-at-boot")
}

// startsAtBoot reports whether podunit has to start a container after a boot, since its transient
// service is gone then. A container that a unit made is that unit's business.
func (e *Engine) startsAtBoot(r container.Record) (bool, error) {
	if r.Unit != "" || r.Spec.Remove {
		return false, nil
	}
	switch r.Spec.Restart.Policy {
	case "always":
		return true, nil
	case "unless-stopped":
		stopped, err := e.Containers.Stopped(r.ID)
		return !stopped, err
	}
	return false, nil
}

// noteIfAtBoot is NoteForBoot for a container, if that is to be started after a boot.
func (e *Engine) noteIfAtBoot(ctx context.Context, r container.Record) {
	starts, err := e.startsAtBoot(r)
	switch {
	case err != nil:
		e.warnOfBoot("container "+r.Name, err)
	case starts:
		e.NoteForBoot(ctx, "container "+r.Name)
	}
}

// NoteForBoot writes bootNote for what is to be started after a boot, and warns if the unit that
// would start it is not installed or is masked.
func (e *Engine) NoteForBoot(ctx context.Context, what string) {
	if err := e.writeBootNote(ctx); err != nil {
		e.warnOfBoot(what, err)
	}
}

func (e *Engine) warnOfBoot(what string, err error) {
	e.Warn(fmt.Sprintf("%s is not started again after a reboot: %v", what, err))
}

func (e *Engine) writeBootNote(ctx context.Context) error {
	path := e.bootNote()
	if path == "" {
		return errors.New("$HOME is not set")
	}
	p, err := e.Unit(ctx, bootUnit)
	if err != nil {
		return err
	}
	if p.LoadState != "loaded" {
		return fmt.Errorf("%s is not installed, or masked", bootUnit)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return safe.Write(path, []byte("Containers with --restart always or unless-stopped, and pods of podunit kube play, start at boot: see "+bootUnit+".\n"), 0o600)
}

// Boot starts the containers that are to run after a boot, in the order in which they were made. A
// container whose start fails is left to its service, which tries again. If there is no such
// container, and more does not say that the caller has something of that kind, Boot removes
// bootNote, so that the next boot does not ask.
func (e *Engine) Boot(ctx context.Context, more bool) error {
	all, err := e.Containers.List()
	if err != nil {
		return err
	}
	var errs []error
	some := more
	for _, r := range all {
		starts, err := e.startsAtBoot(r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		some = some || r.Unit == "" && (r.Spec.Restart.Policy == "always" || r.Spec.Restart.Policy == "unless-stopped")
		if s, err := e.Containers.Status(r.ID); !starts || err != nil || s.PID != 0 {
			errs = append(errs, err)
			continue
		}
		if err := e.startService(ctx, r, Transient{retry: true}); err != nil {
			errs = append(errs, fmt.Errorf("container %s: %w", r.Name, err))
		}
	}
	if path := e.bootNote(); !some && path != "" {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// warnOfSession warns, once in a login, that a container that was started by hand ends with the
// user's last session.
func (e *Engine) warnOfSession(what string) {
	if !e.User.Rootless() || e.InService() {
		return
	}
	name := bundle.FindAccount(e.User.UID, e.User.GID, e.Lookup).Name
	if name == "" || e.lingers(name) {
		return
	}
	told := filepath.Join(e.Containers.RunDir, "told-of-session")
	f, err := os.OpenFile(told, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	f.Close()
	e.Warn(fmt.Sprintf("%s ends with the last session of %s, and does not start at boot; loginctl enable-linger %s changes that", what, name, name))
}
