// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/runc"
	"golang.org/x/sys/unix"
)

// run runs a container that is attached to us until it ends.
func (s *start) run(ctx context.Context) error {
	r, streams := s.ask.Record, *s.ask.Foreground
	streams.Files = s.ask.Sockets.Files
	streams.TTY = r.Spec.TTY
	out, err := s.attachLog(&streams)
	if err != nil {
		return err
	}
	defer out.close()
	if err := out.give(s.owner); err != nil {
		return err
	}
	defer func() { _ = s.closeStreams() }() // only our copies
	if out.stdout != nil || s.notify != nil || s.status.PastaPID != 0 {
		if err := s.startHelper(out.stdout, out.stderr); err != nil {
			return err
		}
		defer s.helper.Close()
	}
	if streams.AlsoStdout != nil {
		// Or a reader of ours that goes away would end us, too. Source: os/signal.
		broken := make(chan os.Signal, 1)
		signal.Notify(broken, unix.SIGPIPE)
		defer signal.Stop(broken)
	}
	there, failed := false, error(nil)
	code, err := s.runtime().Foreground(ctx, r.ID, s.dir(r.ID), s.config, streams, func(pid int) {
		there = true
		if failed = s.began(pid); failed == nil && s.network != nil {
			failed = s.network.Rejoin(ctx)
		}
		if failed == nil {
			failed = s.watch()
		}
		if failed == nil && s.ask.Ready != nil {
			failed = s.ask.Ready(s.status, func() error { return nil })
		}
		if failed == nil {
			s.tellStart()
			s.Tell(*r, "attach")
		}
		if failed != nil && s.status.StartTicks != 0 { // else it has ended
			failed = errors.Join(failed, process.End(pid, s.status.StartTicks, unix.SIGKILL, process.KillWait))
		}
	})
	if !there && err == nil {
		// There was no container, so the status is the runtime's own. At a terminal the runtime
		// gets the same signals as we do.
		if failed = ctx.Err(); failed == nil {
			failed = fmt.Errorf("the runtime ended with status %d before there was a container", code)
		}
	}
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	s.code = code
	return s.Ended(*r, code)
}

// attachLog has what an attached container writes go to the journal: instead of to our streams
// in a unit, whose files would become the container's user's, and where a program that opens
// /dev/stdout could not have them; else besides. A container on a terminal is not logged, nor is
// one made with --rm, whose log nobody could ask for after its end.
func (s *start) attachLog(streams *runc.Streams) (*output, error) {
	r := *s.ask.Record
	instead := s.ask.Unit != "" || isSocket(streams.Stdout) || isSocket(streams.Stderr)
	if r.Spec.TTY || r.Spec.Remove && !instead && s.logFile.Path == "" {
		return &output{}, nil
	}
	out, err := openOutput(r)
	if err != nil {
		return nil, err
	}
	switch {
	case instead:
		streams.Stdout, streams.Stderr = out.Stdout, out.Stderr
	case out.stdout != nil && streams.Stdout != nil && streams.Stderr != nil:
		streams.AlsoStdout, streams.AlsoStderr = out.Stdout, out.Stderr
	}
	return out, nil
}
