// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/step"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// Stop sends the container its stop signal, waits timeout, and then kills it. It returns when the
// first process has ended, all that was written is with the journal, and pasta has ended: systemd
// kills whatever is left in the unit when the command that stops it has ended, and says so. One
// that is not running is no error, and gets the same end.
func (e *Engine) Stop(ctx context.Context, r Record, timeout time.Duration) error {
	if err := e.here(r); err != nil {
		return err
	}
	s, err := e.Status(r.ID)
	if err != nil {
		return err
	}
	first, err := process.Open(s.PID, s.StartTicks)
	if err != nil {
		return err
	}
	if first != nil {
		defer first.Close()
	}
	if err := e.stopProcess(ctx, r, s, first, timeout); err != nil || s.StartTicks == 0 {
		return err
	}
	// The process that holds the lock starts the container again, or removes it with all that is
	// left.
	lock, err := e.tryLock(r.Name)
	if err != nil || lock == nil {
		return err
	}
	defer lock.Release()
	if now, err := e.Status(r.ID); err != nil || now.StartTicks != s.StartTicks {
		return err // it has been started again
	}
	// If the container has no PID namespace of its own, processes of it may live on and keep the
	// copier waiting.
	if !e.inherited(r.ID, s) {
		if err := cgroup.Kill(s.Cgroup); err != nil {
			return err
		}
	}
	drain(ctx, s)
	return network.Release(e.dir(r.ID))
}

// drainWait is how long a log copier may take to hand the last lines to the journal.
const drainWait = 5 * time.Second

// drain waits for the log copier of a container that has ended.
func drain(ctx context.Context, s Status) {
	if p, err := process.Open(s.LogPID, s.LogTicks); err == nil && p != nil {
		p.Wait(ctx, drainWait)
		p.Close()
	}
}

// stopProcess ends the first process of a container; p is nil where it has ended.
func (e *Engine) stopProcess(ctx context.Context, r Record, s Status, p *process.Process, timeout time.Duration) error {
	if p == nil {
		return nil
	}
	if err := e.noteStopping(r.ID, s.StartTicks); err != nil {
		return err
	}
	if err := cgroup.Thaw(s.Cgroup); err != nil {
		return err
	}
	if timeout > 0 {
		process.AwaitProgram(ctx, s.PID)
		if err := p.Signal(r.StopSignal()); err != nil {
			return fmt.Errorf("signal container %s: %w", r.Name, err)
		}
		if p.Wait(ctx, timeout) {
			e.Tell(r, "stop")
			return nil
		}
		if ctx.Err() == nil && e.Warn != nil {
			e.Warn(LateWarning(r, timeout))
		}
	}
	if err := p.Kill(); err != nil {
		return fmt.Errorf("kill container %s, first process %d: %w", r.Name, s.PID, err)
	}
	e.Tell(r, "stop")
	return nil
}

// LateWarning says that a container did not end in the time that it had, and is killed.
func LateWarning(r Record, d time.Duration) string {
	return fmt.Sprintf("container %s did not end within %s of %s, and gets SIGKILL", r.Name, d, SignalName(r.StopSignal()))
}

// Kill sends a signal to the container's first process.
func (e *Engine) Kill(r Record, sig unix.Signal) error {
	if err := e.here(r); err != nil {
		return err
	}
	s, err := e.Status(r.ID)
	if err != nil {
		return err
	}
	p, err := process.Open(s.PID, s.StartTicks)
	if err != nil {
		return err
	}
	if p == nil {
		return e.notRunning(r, "can only kill running containers")
	}
	defer p.Close()
	if sig != unix.SIGKILL {
		process.AwaitProgram(context.Background(), s.PID)
	}
	if err := p.Signal(sig); err != nil {
		return err
	}
	e.Tell(r, "kill")
	return nil
}

// notRunning is the error of what needs a container that runs, in podman's words.
func (e *Engine) notRunning(r Record, why string) error {
	state := Created
	if exit, err := e.Exit(r.ID); err == nil && exit != nil {
		state = Exited
	}
	return fmt.Errorf("%s. %s is in state %s: %w", why, r.ID, state, ErrState)
}

// The real-time signals, which the C library has left. Source: signal(7).
const (
	sigRTMin = unix.Signal(34)
	sigRTMax = unix.Signal(64)
)

// sigHalt has systemd end all services and then itself. On SIGTERM it would begin anew. Source:
// systemd(1), SIGNALS.
const sigHalt = sigRTMin + 3

// StopSignal is what was asked for, else the image's, else what systemd wants where that is the
// first process, else SIGTERM.
func (r Record) StopSignal() unix.Signal {
	if r.Spec.StopSignal != 0 {
		return unix.Signal(r.Spec.StopSignal)
	}
	if sig, ok := parseSignal(r.Config.StopSignal); ok {
		return sig
	}
	if bundle.IsSystemd(r.Spec.Systemd, r.Command()) {
		return sigHalt
	}
	return unix.SIGTERM
}

// SignalName is how people write a signal: SIGTERM, SIGRTMIN+3.
func SignalName(s unix.Signal) string {
	switch {
	case s == sigRTMin:
		return "SIGRTMIN"
	case s > sigRTMin && s <= sigRTMax:
		return fmt.Sprintf("SIGRTMIN+%d", s-sigRTMin)
	}
	return unix.SignalName(s)
}

// StopTimeout is how long the container may take to end by itself; otherwise is the
// configured time.
func (r Record) StopTimeout(otherwise time.Duration) time.Duration {
	if r.Spec.StopTimeout != nil {
		return *r.Spec.StopTimeout
	}
	return otherwise
}

// ErrRunning says that a container which is to be removed runs.
var ErrRunning = errors.New("running or paused containers cannot be removed without force")

// Remove takes the container away: stopped if force is set and it runs, its layer, its runtime
// files and, if volumes is set or it was made with --rm, its anonymous volumes. The caller holds
// the lock of its name, and drops the lock file afterwards unless another container gets the name
// at once.
func (e *Engine) Remove(ctx context.Context, r Record, force, volumes bool, timeout time.Duration) error {
	if err := e.here(r); err != nil {
		return err
	}
	s, err := e.Status(r.ID)
	if err != nil {
		return err
	}
	if s.PID != 0 && !force {
		return hint.With(fmt.Errorf("cannot remove container %s as it is running - %w: %w", r.ID, ErrRunning, ErrState), "podunit stop %s, or --force", r.Name)
	}
	first, err := process.Open(s.PID, s.StartTicks)
	if err != nil {
		return err
	}
	if first != nil {
		defer first.Close()
	}
	// What else Stop does for a container that ends, remove does, too.
	if err := e.stopProcess(ctx, r, s, first, timeout); err != nil {
		return err
	}
	step.Crash("stopped")
	e.quickenNext()
	told := e.tellLateEnd(r, s, first)
	err = e.remove(ctx, r, volumes || r.Spec.Remove)
	told()
	e.quickenNext()
	if err != nil {
		return err
	}
	e.Tell(r, "remove")
	return nil
}

// quickenNext has the manager not wait for the move of what it executes next, ExecStopPost=. The
// first time gains time for the second.
func (e *Engine) quickenNext() {
	if e.Unit != "" {
		cgroup.QuickenMoves()
	}
}

// Release frees what only a running container needs, and what a start that was cut short has left.
// Safe to repeat.
func (e *Engine) Release(ctx context.Context, r Record) error {
	s, err := e.Status(r.ID)
	if err != nil {
		return err
	}
	var errs []error
	switch {
	case e.inherited(r.ID, s):
		s.Cgroup = ""
		errs = append(errs, e.Runtime.Forget(r.ID))
	case s.StartTicks != 0 && s.PID == 0 && s.Cgroup != "":
		errs = append(errs, cgroup.Clear(ctx, s.Cgroup, process.KillWait), e.Runtime.Forget(r.ID))
	default:
		// Something may be alive, or a start was cut short in the runtime's hands.
		errs = append(errs, e.Runtime.Delete(ctx, r.ID))
	}
	step.Crash("runtime deleted")
	drain(ctx, s)
	// In the process that mounted it; elsewhere it is a directory like any other.
	_ = unix.Unmount(filepath.Join(e.dir(r.ID), "sys"), unix.MNT_DETACH)
	_ = secret.Remove(e.secretDir(r.ID))
	errs = append(errs, network.Release(e.dir(r.ID)))
	step.Crash("network released")
	if s.Cgroup != "" {
		errs = append(errs, cgroup.Clear(ctx, s.Cgroup, process.KillWait))
	}
	return errors.Join(errs...)
}

// inherited reports whether another container runs in the cgroup of one that has ended: one that was
// renamed while it ran keeps its service, and that may be made anew for who has the old name.
func (e *Engine) inherited(id string, s Status) bool {
	if s.PID != 0 || s.Cgroup == "" {
		return false
	}
	if !cgroup.Populated(s.Cgroup) {
		return false
	}
	all, err := e.List()
	return err == nil && slices.ContainsFunc(all, func(other Record) bool {
		now, err := e.Status(other.ID)
		return err == nil && other.ID != id && now.PID != 0 && now.Cgroup == s.Cgroup
	})
}

func (e *Engine) remove(ctx context.Context, r Record, volumes bool) error {
	if err := e.Release(ctx, r); err != nil {
		return err
	}
	var errs []error
	// Before the container: nobody but its record knows them.
	if volumes {
		for _, v := range r.AnonymousVolumes {
			errs = append(errs, e.Volumes.Remove(ctx, v, nil))
		}
	}
	step.Crash("volumes removed")
	if err := e.deleteContainer(r.ID); err != nil && !errors.Is(err, storage.ErrContainerUnknown) && !errors.Is(err, storage.ErrNotAContainer) {
		errs = append(errs, fmt.Errorf("remove container %s: %w", r.Name, err))
	}
	step.Crash("container removed")
	errs = append(errs, os.RemoveAll(e.dir(r.ID)), os.RemoveAll(e.Files(r.ID)))
	step.Crash("directory removed")
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return errors.Join(removeFile(e.namePath(r.Name)), removeFile(e.marker(r.ID)))
}

// deleteContainer takes the container out of the storage, which writes its lists before it
// removes anything. Where the disk is full it cannot: then what is going away makes room.
func (e *Engine) deleteContainer(id string) error {
	err := e.Store.DeleteContainer(id)
	if !isFull(err) {
		return err
	}
	c, cerr := e.Store.Container(id)
	if cerr != nil {
		return err
	}
	if eerr := e.makeRoom(*c); eerr != nil {
		return errors.Join(err, eerr)
	}
	return e.Store.DeleteContainer(id)
}

// isFull reports whether there was no room on a disk, for bytes, for files, or in a quota.
func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// makeRoom removes the files of a container that is to be removed, all that it has but its places
// in the storage's lists: to remove it, the storage makes up to seven files, for which there may be
// no room even where the container has written nothing. Source: go.podman.io/storage,
// drivers/overlay, drivers/vfs and internal/tempdir.
func (e *Engine) makeRoom(c storage.Container) error {
	for _, name := range []string{c.ID, c.LayerID} {
		if !single(name) { // else it would be all containers, or all layers
			return fmt.Errorf("%q is no name of a container or layer", name)
		}
	}
	root, driver := e.Store.GraphRoot(), e.Store.GraphDriverName()
	gone := []string{e.Files(c.ID), e.kept(c.ID)}
	if driver == "vfs" {
		gone = append(gone, filepath.Join(root, "vfs", "dir", c.LayerID))
	} else {
		layer := filepath.Join(root, "overlay", c.LayerID)
		gone = append(gone, filepath.Join(layer, "diff"))
		if short, err := safe.ReadSmall(filepath.Join(layer, "link")); err == nil && single(string(short)) {
			gone = append(gone, filepath.Join(root, "overlay", "l", string(short)))
		}
		gone = append(gone, layer)
	}
	var errs []error
	for _, path := range gone {
		errs = append(errs, os.RemoveAll(path)) // which follows no link
	}
	return errors.Join(errs...)
}

// single tells whether a name is that of one entry of a directory.
func single(name string) bool {
	return name != "." && filepath.IsLocal(name) && filepath.Base(name) == name
}

// removeFile removes a file; that there is none is no error.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
