// SPDX-License-Identifier: Apache-2.0

package main

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
func (e *env) proxySignals(x *engines, r container.Record) (pass, stop func()) {
	if !r.Spec.SigProxy {
		return func() {}, func() {}
	}
	wanted := []os.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}
	if !term.IsTerminal(int(e.stdin.Fd())) {
		wanted = append(wanted, unix.SIGINT)
	}
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
				if s == unix.SIGHUP && r.Spec.TTY {
					// The terminal is gone, and with it the way to the container.
					if err := x.Stop(ctx, r, r.StopTimeout(x.stopTimeout())); err != nil {
						fmt.Fprintf(e.stderr, "podunit: warning: stop container %s: %v\n", r.Name, err)
					}
					continue
				}
				if err := x.Kill(r, s.(unix.Signal)); err != nil {
					fmt.Fprintf(e.stderr, "podunit: warning: pass %s on: %v\n", s, err)
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
