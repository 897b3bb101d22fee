// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/process"
	"golang.org/x/sys/unix"
)

// run runs a container that is attached to us until it ends.
func (s *start) run(ctx context.Context) error {
	r, streams := s.ask.Record, *s.ask.Foreground
	streams.Files = s.ask.Sockets.Files
	out := &output{}
	if !r.Spec.TTY && (isSocket(streams.Stdout) || isSocket(streams.Stderr)) {
		var err error
		if out, err = openOutput(*r); err != nil {
			return err
		}
		defer out.close()
		streams.Stdout, streams.Stderr = out.Stdout, out.Stderr
	}
	defer s.closeStreams()
	if out.stdout != nil || s.notify != nil || s.status.PastaPID != 0 {
		if err := s.startHelper(out.stdout, out.stderr); err != nil {
			return err
		}
		defer s.helper.Close()
	}
	there, failed := false, error(nil)
	code, err := s.Runtime.Foreground(ctx, r.ID, s.dir(r.ID), s.config, streams, func(pid int) {
		there = true
		if failed = s.began(pid); failed == nil {
			failed = s.watch()
		}
		if failed == nil && s.ask.Ready != nil {
			failed = s.ask.Ready(s.status, func() error { return nil })
		}
		if failed != nil && s.status.StartTicks != 0 { // else it has ended
			failed = errors.Join(failed, process.End(pid, s.status.StartTicks, unix.SIGKILL, process.KillWait))
		}
	})
	if !there && err == nil {
		// Its status is none of the container's. At a terminal it gets the signal that we got.
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
