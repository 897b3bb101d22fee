// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/step"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// process is a handle on a running process that cannot come to mean another one.
type process struct{ fd int }

// openProcess returns nil without an error if the process has ended.
func openProcess(pid int, ticks uint64) (*process, error) {
	if pid <= 0 {
		return nil, nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	if now := StartTicks(pid); now == 0 || ticks != 0 && now != ticks {
		unix.Close(fd)
		return nil, nil
	}
	return &process{fd}, nil
}

func (p *process) close() { unix.Close(p.fd) }

func (p *process) signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(p.fd, sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// wait returns true when the process has ended, false when d has passed before.
func (p *process) wait(ctx context.Context, d time.Duration) bool {
	deadline := time.Now().Add(d)
	for {
		left := time.Until(deadline)
		if left < 0 {
			left = 0
		}
		// Short enough to notice that ctx has ended.
		ms := min(left, 200*time.Millisecond).Milliseconds()
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, int(ms))
		if n > 0 {
			return true
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
		if left == 0 || ctx.Err() != nil {
			return false
		}
	}
}

// killWait is how long a process may take to die of SIGKILL before we give up on it:
// it may be in the middle of slow input or output.
const killWait = 10 * time.Second

// Stop sends the container its stop signal, waits timeout, and then kills it. One that
// is not running is no error. It returns when the first process has ended.
func (e *Engine) Stop(ctx context.Context, r Record, timeout time.Duration) error {
	s, err := e.Status(r.ID)
	if err != nil {
		return err
	}
	p, err := openProcess(s.PID, s.StartTicks)
	if p == nil || err != nil {
		return err
	}
	defer p.close()
	if err := e.thaw(s.Cgroup); err != nil {
		return err
	}
	if timeout > 0 {
		awaitProgram(ctx, s.PID)
		if err := p.signal(r.StopSignal()); err != nil {
			return fmt.Errorf("signal container %s: %w", r.Name, err)
		}
		if p.wait(ctx, timeout) {
			return nil
		}
	}
	if err := p.signal(unix.SIGKILL); err != nil {
		return fmt.Errorf("kill container %s: %w", r.Name, err)
	}
	if !p.wait(context.WithoutCancel(ctx), killWait) {
		return fmt.Errorf("container %s: its first process (%d) does not die of SIGKILL", r.Name, s.PID)
	}
	return nil
}

// Kill sends a signal to the container's first process.
func (e *Engine) Kill(r Record, sig unix.Signal) error {
	s, err := e.Status(r.ID)
	if err != nil {
		return err
	}
	p, err := openProcess(s.PID, s.StartTicks)
	if err != nil {
		return err
	}
	if p == nil {
		return fmt.Errorf("container %s is not running", r.Name)
	}
	defer p.close()
	if sig != unix.SIGKILL {
		awaitProgram(context.Background(), s.PID)
	}
	return p.signal(sig)
}

// programWait is how long a container may take from being ready to executing its program.
const programWait = 2 * time.Second

// awaitProgram waits until the first process is the container's own program: for a moment after the unit has become
// active it is still runc's, to which a signal means nothing. Source: runc's libcontainer/nsenter, PR_SET_NAME.
func awaitProgram(ctx context.Context, pid int) {
	comm := fmt.Sprintf("/proc/%d/comm", pid)
	for begun := time.Now(); ctx.Err() == nil && time.Since(begun) < programWait; time.Sleep(time.Millisecond) {
		if name, err := os.ReadFile(comm); err != nil || string(name) != "runc:[2:INIT]\n" {
			return
		}
	}
}

// StopSignal is what was asked for, else the image's, else SIGTERM.
func (r Record) StopSignal() unix.Signal {
	if r.Spec.StopSignal != 0 {
		return unix.Signal(r.Spec.StopSignal)
	}
	if sig, ok := parseSignal(r.Config.StopSignal); ok {
		return sig
	}
	return unix.SIGTERM
}

// StopTimeout is how long the container may take to end by itself; otherwise is the
// configured time.
func (r Record) StopTimeout(otherwise time.Duration) time.Duration {
	if r.Spec.StopTimeout != nil {
		return *r.Spec.StopTimeout
	}
	return otherwise
}

// thaw lets a paused container act on signals again.
func (e *Engine) thaw(cgroup string) error {
	if cgroup == "" {
		return nil
	}
	path := filepath.Join(cgroupMount, cgroup, "cgroup.freeze")
	err := os.WriteFile(path, []byte("0"), 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

const cgroupMount = "/sys/fs/cgroup"

// Remove takes the container away: stopped if force is set and it runs, its layer, its
// runtime files and, if volumes is set or it was made with --rm, its anonymous
// volumes. The caller holds the lock of its name, and drops it unless the name gets another
// container at once.
func (e *Engine) Remove(ctx context.Context, r Record, force, volumes bool, timeout time.Duration) error {
	s, err := e.Status(r.ID)
	if err != nil {
		return err
	}
	if s.PID != 0 && !force {
		return fmt.Errorf("container %s is running: stop it first, or use --force", r.Name)
	}
	if err := e.Stop(ctx, r, timeout); err != nil {
		return err
	}
	step.Crash("stopped")
	return e.remove(ctx, r, volumes || r.Spec.Remove)
}

// drainWait is how long a log copier may take to hand the last lines to the journal.
const drainWait = 5 * time.Second

func (e *Engine) release(ctx context.Context, r Record) error {
	s, err := e.Status(r.ID)
	if err != nil {
		return err
	}
	var errs []error
	if s.StartTicks != 0 && s.PID == 0 && s.Cgroup != "" {
		errs = append(errs, clearCgroup(ctx, s.Cgroup), e.Runtime.Forget(r.ID))
	} else {
		// Something may be alive, or a start was cut short in the runtime's hands.
		errs = append(errs, e.Runtime.Delete(ctx, r.ID))
	}
	step.Crash("runtime deleted")
	if p, err := openProcess(s.LogPID, 0); err == nil && p != nil {
		p.wait(ctx, drainWait)
		p.close()
	}
	// In the process that mounted it; elsewhere it is a directory like any other.
	_ = unix.Unmount(filepath.Join(e.dir(r.ID), "sys"), unix.MNT_DETACH)
	_ = secret.Remove(e.secretDir(r.ID))
	errs = append(errs, network.Release(e.dir(r.ID)))
	step.Crash("network released")
	if s.Cgroup != "" {
		errs = append(errs, clearCgroup(ctx, s.Cgroup))
	}
	return errors.Join(errs...)
}

// Alive reports whether the process runs and, unless ticks is 0, is the one that
// started then.
func Alive(pid int, ticks uint64) bool {
	now := StartTicks(pid)
	return now != 0 && (ticks == 0 || ticks == now)
}

// EndProcess sends a signal and waits; after grace it kills.
func EndProcess(pid int, ticks uint64, sig unix.Signal, grace time.Duration) error {
	p, err := openProcess(pid, ticks)
	if p == nil || err != nil {
		return err
	}
	defer p.close()
	if err := p.signal(sig); err != nil {
		return err
	}
	if p.wait(context.Background(), grace) {
		return nil
	}
	if err := p.signal(unix.SIGKILL); err != nil {
		return err
	}
	if !p.wait(context.Background(), killWait) {
		return fmt.Errorf("process %d does not die of SIGKILL", pid)
	}
	return nil
}

// Release frees what only a running container needs, and what a start that was cut
// short has left. Safe to repeat.
func (e *Engine) Release(ctx context.Context, r Record) error { return e.release(ctx, r) }

// clearCgroup kills what has outlived a container's first process, which can only be
// where the container has no PID namespace of its own, and removes the cgroup. systemd
// removes the unit's own when the unit has ended.
func clearCgroup(ctx context.Context, cgroup string) error {
	dir := filepath.Join(cgroupMount, cgroup)
	for deadline := time.Now().Add(killWait); ; {
		err := removeCgroup(dir)
		switch {
		case err == nil, errors.Is(err, unix.ENOENT):
			return nil
		case !errors.Is(err, unix.EBUSY):
			return fmt.Errorf("cgroup %s: %w", cgroup, err)
		case ctx.Err() != nil || time.Now().After(deadline):
			return fmt.Errorf("cgroup %s: its processes do not die of SIGKILL", cgroup)
		}
		// Linux 5.14; before that the unit's end must do.
		if err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// removeCgroup removes a cgroup and those below it: a check that was cut short leaves one, and so does a systemd inside.
func removeCgroup(dir string) error {
	err := unix.Rmdir(dir)
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	below, rerr := os.ReadDir(dir)
	if rerr != nil {
		return err
	}
	for _, entry := range below {
		if entry.IsDir() {
			_ = removeCgroup(filepath.Join(dir, entry.Name())) // what stays keeps this one busy
		}
	}
	return unix.Rmdir(dir)
}

func (e *Engine) remove(ctx context.Context, r Record, volumes bool) error {
	if err := e.release(ctx, r); err != nil {
		return err
	}
	var errs []error
	// Before the container: nobody but its record knows them.
	if volumes {
		for _, v := range r.AnonymousVolumes {
			errs = append(errs, e.Volumes.Remove(v))
		}
	}
	step.Crash("volumes removed")
	if err := e.Store.DeleteContainer(r.ID); err != nil && !errors.Is(err, storage.ErrContainerUnknown) && !errors.Is(err, storage.ErrNotAContainer) {
		errs = append(errs, fmt.Errorf("remove container %s: %w", r.Name, err))
	}
	step.Crash("container removed")
	errs = append(errs, os.RemoveAll(e.dir(r.ID)))
	step.Crash("directory removed")
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return errors.Join(removeFile(e.namePath(r.Name)), removeFile(e.marker(r.ID)))
}

// removeFile removes a file; that there is none is no error.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
