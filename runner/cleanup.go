// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strconv"

	"github.com/podunit/podunit/runner/container"
	"github.com/spf13/cobra"
	"go.podman.io/common/pkg/signal"
)

// newCleanupCommand is the ExecStopPost= of a container started by hand: it notes how
// the container ended and frees what only a running one needs.
func newCleanupCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:    "cleanup CONTAINER",
		Short:  "Tidy up after a container that ended",
		Hidden: true,
		Args:   wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			x, err := e.openToRun(ctx)
			if err != nil {
				return err
			}
			r, err := x.Lookup(args[0])
			if errors.Is(err, container.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			lock, err := x.Lock(ctx, r.Name)
			if err != nil {
				return err
			}
			defer lock.Release()
			if r, err = x.Lookup(r.ID); errors.Is(err, container.ErrNotFound) {
				return lock.Drop() // while we waited
			} else if err != nil {
				return err
			}
			code, known := e.exitCode()
			if known {
				err = x.Ended(r, code)
			}
			err = errors.Join(err, x.Release(ctx, r))
			if err != nil || r.PodID == "" || e.restarts(ctx, x) {
				return err
			}
			return x.pods.Settle(ctx, r.PodID)
		},
	}
}

// exitCode is how the main process of the unit ended, as systemd tells ExecStopPost=.
// Source: systemd.exec(5), $EXIT_CODE and $EXIT_STATUS.
func (e *env) exitCode() (code int, known bool) {
	how, _ := e.lookup("EXIT_CODE")
	status, _ := e.lookup("EXIT_STATUS")
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
