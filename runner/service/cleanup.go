// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/podunit/podunit/runner/container"
	"go.podman.io/common/pkg/signal"
)

// Cleanup is what the ExecStopPost= of a container's transient service does: it notes how the
// container ended and frees what only a running container needs. For a container that was removed
// there is nothing to do.
func (e *Engine) Cleanup(ctx context.Context, name string) error {
	r, err := e.Containers.Lookup(name)
	if errors.Is(err, container.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	e.tellPodOfEnd(ctx, r)
	gone := false
	err = e.withLock(ctx, 0, r.Name, func(lock *container.Lock) error {
		if r, err = e.Containers.Lookup(r.ID); errors.Is(err, container.ErrNotFound) {
			gone = true // while we waited
			return lock.Drop()
		}
		if err != nil {
			return err
		}
		if code, known := e.exitCode(); known {
			err = e.Containers.Ended(r, code)
		}
		return errors.Join(err, e.Containers.Release(ctx, r))
	})
	if err != nil || gone {
		return err
	}
	return e.settlePod(ctx, r)
}

// howEnded tells how the first process of a container, the main process of our unit, has ended.
// That process is no child of podunit, so only the manager knows: it tells ExecStopPost= in its
// environment, and ExecStop= has to ask it.
func (e *Engine) howEnded(s container.Status) (code int, known bool) {
	if !e.InService() || s.Unit != e.Own.Name {
		return 0, false
	}
	if code, known = e.exitCode(); known {
		return code, true
	}
	ctx, cancel := context.WithTimeout(context.Background(), askWait)
	defer cancel()
	pid := 0
	err := e.ofOwn(ctx, func(m Manager) (err error) {
		pid, code, err = m.Ended(ctx, e.Own.Name)
		return err
	})
	return code, err == nil && pid != 0
}

// askWait is how long a manager may take to say how a process has ended.
const askWait = time.Second

// exitCode is how the main process of the unit ended, as systemd tells ExecStopPost=.
// Source: systemd.exec(5), $EXIT_CODE and $EXIT_STATUS.
func (e *Engine) exitCode() (code int, known bool) {
	how, _ := e.Lookup("EXIT_CODE")
	status, _ := e.Lookup("EXIT_STATUS")
	switch how {
	case "exited":
		n, err := strconv.Atoi(status)
		return n, err == nil
	case "killed", "dumped":
		sig, err := signal.ParseSignalNameOrNumber(status)
		return 128 + int(sig), err == nil
	}
	return 0, false
}
