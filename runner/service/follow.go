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
// container's output, and returns soon after ended tells it that no more will come. With proxy,
// signals that this process gets go to the container; without, a signal ends Follow, which then
// returns status 0 and no error.
func (e *Engine) Follow(ctx context.Context, r container.Record, proxy bool, read func(ctx context.Context, ended func() bool) error) (int, error) {
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
		code, werr = e.Wait(leave, r, []string{"exited", "stopped"}, time.Second)
	}()
	err = read(leave, func() bool {
		select {
		case <-over:
			return s.LogPID == 0 || !process.Alive(s.LogPID, s.LogTicks)
		default:
			return false
		}
	})
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
