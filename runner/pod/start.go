// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/helper"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/step"
	"golang.org/x/sys/unix"
)

// A start is one start of a pod under way: what its steps have made by now.
type start struct {
	*Engine
	pod     Record
	dir     string // the runtime directory
	files   string // that of the files that are bound into its containers
	network *network.Network
	infra   *helper.Running
	status  Status
}

// Start starts the infra process and connects the pod's network. One that runs is left
// alone. The process ID file is written last: it says that all is ready.
func (e *Engine) Start(ctx context.Context, r Record, unit string) (s Status, err error) {
	err = e.Containers.WithLock(ctx, "pod "+r.Name, func(*container.Lock) error {
		s, err = e.start(ctx, r, unit)
		return err
	})
	return s, err
}

func (e *Engine) start(ctx context.Context, r Record, unit string) (Status, error) {
	if s := e.Status(r); s.InfraPID != 0 {
		return s, nil
	}
	s := &start{Engine: e, pod: r, dir: e.Dir(r.ID), files: e.Containers.Files(r.ID), status: Status{Unit: unit}}
	// What a start that was cut short has left, pasta above all.
	if err := network.Release(s.dir); err != nil {
		return s.status, err
	}
	err := step.Run(ctx, undoGrace, []step.Step{
		{Name: "pod directory", Do: s.makeDir, Undo: s.removeDir},
		{Name: "pod network", Do: s.beginNetwork, Undo: s.closeNetwork},
		{Name: "infra", Do: s.beginInfra, Undo: s.endInfra},
		{Name: "pod connected", Do: s.connect},
		{Name: "pid file", Do: s.writePIDFile},
	})
	if err == nil {
		e.Tell(r, "start")
	}
	return s.status, err
}

func (s *start) makeDir(context.Context) error {
	if err := errors.Join(os.RemoveAll(s.dir), os.MkdirAll(s.dir, 0o700), os.MkdirAll(s.files, 0o700)); err != nil {
		return err
	}
	return s.mountShm(s.pod, filepath.Join(s.dir, "shm"))
}

func (s *start) removeDir(context.Context) error {
	_ = unix.Unmount(filepath.Join(s.dir, "shm"), unix.MNT_DETACH) // not there if it failed
	return errors.Join(os.RemoveAll(s.dir), os.RemoveAll(s.files))
}

func (s *start) beginNetwork(ctx context.Context) error {
	if err := os.WriteFile(filepath.Join(s.files, "hostname"), []byte(s.pod.Hostname()+"\n"), 0o644); err != nil {
		return err
	}
	req, err := s.Network(ctx, s.pod)
	if err != nil {
		return err
	}
	req.Dir, req.Files = s.dir, s.files
	if s.network, err = network.Start(ctx, req); err != nil {
		return err
	}
	s.network.Connect(ctx, "") // while the infra process starts
	return nil
}

func (s *start) closeNetwork(context.Context) error { return s.network.Close() }

func (s *start) beginInfra(ctx context.Context) error {
	err := s.network.Made()
	if err == nil && s.pod.Spec.UserNS.Mode == spec.UserAuto {
		err = s.Containers.HoldIDs(ctx, s.pod.ID, s.pod.Name, s.pod.Spec.IDMapping) // who made the pod may have been killed before
	}
	if err != nil {
		return err
	}
	if s.infra, err = s.startInfra(s.pod, s.network.Open); err != nil {
		return fmt.Errorf("start the infra process of pod %s: %w", s.pod.Name, err)
	}
	s.status.InfraPID, s.status.StartTicks, s.status.StartedAt = s.infra.PID, process.StartTicks(s.infra.PID), time.Now().UTC()
	if err := s.Containers.User.Keep(s.infra.PID); err != nil {
		return errors.Join(err, s.endInfra(ctx))
	}
	return nil
}

func (s *start) endInfra(context.Context) error {
	return errors.Join(s.infra.Close(), s.stopInfra(s.status))
}

func (s *start) connect(ctx context.Context) error {
	n, err := s.network.Wait(ctx, "")
	if err != nil {
		return err
	}
	s.status.PastaPID, s.status.NetworkMode, s.status.IPs, s.status.Ports = n.PastaPID, n.Mode, n.Addresses(), n.Ports
	if err := s.infra.WatchNetwork(n.PastaPID); err != nil {
		return err
	}
	if err := container.WriteJSON(s.statusPath(s.pod), s.status); err != nil {
		return err
	}
	return s.network.Rejoin(ctx)
}

// writePIDFile writes the file that says, to systemd as well, that all is ready.
func (s *start) writePIDFile(context.Context) error {
	path := s.pod.Spec.MainPIDFile
	if path == "" {
		return nil
	}
	return safe.Replace(path, fmt.Appendln(nil, s.status.InfraPID), 0o644)
}
