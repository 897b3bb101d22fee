// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/step"
)

// beginRuntime has the runtime start to create a container that runs on its own. It waits for
// its configuration.
func (s *start) beginRuntime(ctx context.Context) (err error) {
	r := *s.ask.Record
	streams := runc.Streams{Console: consoleName}
	if r.Spec.TTY {
		if d := r.Spec.Log.Driver; d == logNone || d == logPassthrough {
			return fmt.Errorf("--tty with --detach and --log-driver=%s: nobody would hold the terminal; leave one of them out", d)
		}
		if s.console, err = s.listenConsole(r.ID); err != nil {
			return err
		}
	} else {
		if s.output, err = openOutput(r); err != nil {
			return err
		}
		streams = s.output.Streams
	}
	streams.Files = s.ask.Sockets.Files
	if s.creation, err = s.runtime().Create(ctx, r.ID, s.dir(r.ID), streams, r.Spec.UserNS.Joins()); err != nil {
		return errors.Join(err, s.closeStreams())
	}
	return nil
}

// discardRuntime undoes beginRuntime: the runtime ends without having created a container.
func (s *start) discardRuntime(context.Context) error {
	return errors.Join(s.creation.Discard(), s.closeStreams())
}

// closeStreams drops our copies of what the container and the log copier have. Safe to repeat.
func (s *start) closeStreams() error {
	var errs []error
	if s.console != nil {
		errs = append(errs, s.console.close())
		s.console = nil
	}
	if s.output != nil {
		errs = append(errs, s.output.close())
	}
	if s.notify != nil {
		errs = append(errs, s.notify.Close())
		s.notify = nil
	}
	return errors.Join(errs...)
}

// create has the runtime create the container, up to where its first process waits to begin.
func (s *start) create(ctx context.Context) error {
	err := s.created(ctx)
	if err != nil {
		err = errors.Join(err, s.deleteCreated(context.WithoutCancel(ctx)))
	}
	return errors.Join(err, s.closeStreams())
}

func (s *start) created(ctx context.Context) error {
	if s.network != nil {
		if err := s.network.Made(); err != nil {
			return err
		}
	}
	if s.output != nil {
		if err := s.output.give(s.owner); err != nil {
			return err
		}
	}
	cgroup.QuickenMoves() // the runtime will move the container
	if err := s.creation.Configure(s.config); err != nil {
		return err
	}
	// From here on the runtime is at work, and what is done beside it is not in its way. The helper
	// is first: it ends the network of a start that is killed.
	err := s.keepGate()
	if err == nil && s.network != nil {
		s.network.Connect(ctx, s.rootfs)
	}
	pid, werr := s.creation.Wait()
	if err := errors.Join(err, werr); err != nil {
		return err
	}
	if s.console != nil {
		if err := s.holdTerminal(); err != nil {
			return err
		}
	}
	step.Crash("launched")
	return s.began(pid)
}

// keepGate starts the process that will let the container begin: the helper, if there is one
// and the runtime is runc. For a terminal it is started when the terminal has arrived.
func (s *start) keepGate() error {
	s.stays = s.console != nil || s.output.stdout != nil || s.notify != nil || s.network != nil && s.network.MayHavePasta()
	helped := s.stays || s.ask.Slow
	if helped && s.console == nil {
		if err := s.startHelper(s.output.stdout, s.output.stderr); err != nil {
			return err
		}
	}
	if !s.stays {
		s.status.LogPID, s.status.LogTicks = 0, 0 // nobody is to start another one when it has ended
	}
	if fifo, _ := s.creation.Gate(); fifo != "" && helped {
		return nil
	}
	return s.creation.KeepGate()
}

// deleteCreated undoes create.
func (s *start) deleteCreated(ctx context.Context) error {
	return errors.Join(s.creation.Discard(), s.helper.Close(), s.deleteFromRuntime(ctx))
}

// letBegin calls Ready, which tells the manager of the container, and lets it begin.
func (s *start) letBegin(context.Context) error {
	// The manager takes no notice of the end of a process that is not its child.
	if err := errors.Join(s.creation.Close(), s.watch()); err != nil {
		return err
	}
	if s.ask.Ready == nil {
		return s.begin()
	}
	if err := s.ask.Ready(s.status, s.begin); err != nil {
		return err
	}
	return s.helper.Started(s.stays)
}

// begin lets the container begin, and notes that it has; no caller waits for the note.
func (s *start) begin() error {
	err := s.creation.Open()
	if err == nil {
		s.tellStart()
	}
	return err
}
