// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"

	"github.com/podunit/podunit/runner/container"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// proxySignals hands the signals we get to an attached container, until stop is called: those
// that came before pass was called, too. Ctrl-C on a terminal goes to the whole process
// group: the runtime in front of us has it already and passes it on.
func (e *Engine) proxySignals(r container.Record) (pass, stop func()) {
	if !r.Spec.SigProxy {
		return func() {}, func() {}
	}
	wanted := []os.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}
	if !e.atTerminal() {
		wanted = append(wanted, unix.SIGINT)
	}
	return e.passSignals(r, wanted, r.Spec.TTY)
}

// atTerminal tells whether our input is a terminal.
func (e *Engine) atTerminal() bool { return e.Stdin != nil && term.IsTerminal(int(e.Stdin.Fd())) }

// passSignals hands signals of a kind that we get to a container, until stop is called: those that
// came before pass was called, too. If terminal is set, the terminal is the only way to the
// container, and its end stops the container.
func (e *Engine) passSignals(r container.Record, wanted []os.Signal, terminal bool) (pass, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, wanted...)
	there, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
			return
		case <-there:
		}
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				if s == unix.SIGHUP && terminal {
					// The terminal is gone, and with it the way to the container.
					if err := e.Containers.Stop(ctx, r, e.StopTimeoutOf(r)); err != nil {
						e.Warn(fmt.Sprintf("stop container %s: %v", r.Name, err))
					}
					continue
				}
				if err := e.Containers.Kill(r, s.(unix.Signal)); err != nil {
					e.Warn(fmt.Sprintf("pass %s on: %v", s, err))
				}
			}
		}
	}()
	return sync.OnceFunc(func() { close(there) }), func() {
		signal.Stop(signals)
		cancel()
		<-done
	}
}
