// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/process"
	"golang.org/x/sys/unix"
)

// Follow waits until a running container ends and returns its exit status. read shows the
// container's output, and returns soon after ended is closed: then no more will come. With proxy,
// signals that this process gets go to the container; without, a signal ends Follow, which then
// returns status 0 and no error.
func (e *Engine) Follow(ctx context.Context, r container.Record, proxy bool, read func(ctx context.Context, ended <-chan struct{}) error) (int, error) {
	s, err := e.Containers.Status(r.ID)
	if err != nil {
		return 0, err
	}
	if s.PID == 0 {
		return 0, hint.With(errors.New("you can only attach to running containers"), "container %s does not run: podunit start --attach %s", r.Name, r.Name)
	}
	leave := ctx
	if proxy {
		wanted := []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}
		if e.atTerminal() {
			// Its end is ours alone.
			var stop context.CancelFunc
			leave, stop = signal.NotifyContext(context.WithoutCancel(ctx), unix.SIGHUP)
			defer stop()
		} else {
			wanted = append(wanted, unix.SIGHUP)
			leave = context.WithoutCancel(ctx)
		}
		pass, stop := e.passSignals(r, wanted, false)
		defer stop()
		pass()
	}
	leave, cancel := context.WithCancel(leave)
	defer cancel()
	e.Containers.Tell(r, "attach")
	code, werr := 0, error(nil)
	over := make(chan struct{})
	go func() {
		defer close(over)
		if code, werr = e.Wait(leave, r, []string{"exited", "stopped"}, time.Second); werr == nil {
			awaitLog(leave, s)
		}
	}()
	err = read(leave, over)
	if err != nil {
		cancel()
		<-over
		return 0, err
	}
	<-over
	if leave.Err() != nil {
		return 0, nil
	}
	return code, werr
}

// awaitLog waits until the log copier of a container that has ended has passed everything on.
func awaitLog(ctx context.Context, s container.Status) {
	p, err := process.Open(s.LogPID, s.LogTicks)
	if p == nil || err != nil {
		return
	}
	defer p.Close()
	for ctx.Err() == nil && !p.Wait(ctx, time.Second) {
	}
}
