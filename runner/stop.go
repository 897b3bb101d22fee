// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/unit"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.podman.io/common/pkg/signal"
	"golang.org/x/sys/unix"
)

// lockWait is how long a verb waits for another runner that works on the same
// container, such as a start in its last steps.
const lockWait = 15 * time.Second

// selection is how stop, kill and rm say which containers are meant.
type selection struct {
	all, latest, ignore bool
	cidfiles            []string
}

func (s *selection) flags(cmd *cobra.Command, verb string) {
	cmd.Flags().BoolVarP(&s.all, "all", "a", false, verb+" all containers")
	cmd.Flags().BoolVarP(&s.latest, "latest", "l", false, verb+" the container made last")
	cmd.Flags().BoolVarP(&s.ignore, "ignore", "i", false, "a container that does not exist is no error")
	cmd.Flags().StringArrayVar(&s.cidfiles, "cidfile", nil, "read the ID of a container from `FILE`")
}

// resolve finds the containers meant; faults are reported together.
func (s *selection) resolve(x *engines, args []string) ([]container.Record, error) {
	switch {
	case s.all && s.latest, (s.all || s.latest) && len(args)+len(s.cidfiles) > 0:
		return nil, errors.New("--all, --latest and names exclude each other")
	case !s.all && !s.latest && len(args)+len(s.cidfiles) == 0:
		return nil, errors.New("which container? give a name or ID, --all or --latest")
	}
	if s.all || s.latest {
		all, err := x.List()
		if err != nil || s.all || len(all) == 0 {
			return all, err
		}
		last := all[0]
		for _, r := range all {
			if r.Created.After(last.Created) {
				last = r
			}
		}
		return []container.Record{last}, nil
	}
	var errs []error
	for _, path := range s.cidfiles {
		b, err := os.ReadFile(path)
		if err != nil {
			if !s.ignore || !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
			continue
		}
		args = append(args, strings.TrimSpace(string(b)))
	}
	var out []container.Record
	for _, name := range args {
		r, err := x.Lookup(name)
		switch {
		case err == nil:
			out = append(out, r)
		case s.ignore && errors.Is(err, container.ErrNotFound):
		default:
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
}

// seconds reads a stop timeout; negative waits for ever. Source: podman-stop(1).
func seconds(n int) time.Duration {
	if n < 0 {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Second
}

// patience is --time, how long to wait between the stop signal and SIGKILL.
type patience struct {
	set     *pflag.Flag
	seconds int
}

func (p *patience) flag(cmd *cobra.Command) {
	cmd.Flags().IntVarP(&p.seconds, "time", "t", 10, "`SECONDS` between the stop signal and SIGKILL; -1 waits for ever")
	p.set = cmd.Flags().Lookup("time")
}

// or is what was asked for, else d.
func (p *patience) or(d time.Duration) time.Duration {
	if p.set.Changed {
		return seconds(p.seconds)
	}
	return d
}

func nameOf(r container.Record) string { return r.Name }

// forEach does something to each of what a command line means, and prints the names of
// those it was done to. Faults, err among them, come back together.
func forEach[T any](e *env, all []T, err error, name func(T) string, do func(T) error) error {
	errs := []error{err}
	for _, one := range all {
		if err := do(one); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(e.stdout, name(one))
	}
	return errors.Join(errs...)
}

func newStopCommand(e *env) *cobra.Command {
	var sel selection
	var patience patience
	cmd := &cobra.Command{
		Use:   "stop [flags] CONTAINER...",
		Short: "Stop containers",
		Long: `Stop containers: the stop signal, some time, then SIGKILL.

A container that belongs to a systemd unit is stopped through its unit, so that
Restart= does not start it again.`,
		ValidArgsFunction: completeContainers(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.open(cmd.Context())
			if err != nil {
				return err
			}
			records, err := sel.resolve(x, args)
			return forEach(e, records, err, nameOf, func(r container.Record) error {
				return e.stop(cmd.Context(), x, r, patience.or(r.StopTimeout(x.stopTimeout())))
			})
		},
	}
	sel.flags(cmd, "Stop")
	patience.flag(cmd)
	return cmd
}

// stop stops through the unit that watches the container, unless that unit is asking.
func (e *env) stop(ctx context.Context, x *engines, r container.Record, d time.Duration) error {
	s, err := x.Status(r.ID)
	if err != nil {
		return err
	}
	if s.Unit == "" || s.Unit == x.own.Name || s.PID == 0 && !e.comesBack(ctx, s.Unit, x.runs(r)) {
		return x.Stop(ctx, r, d)
	}
	if err := e.stopWatched(ctx, x, r, s.Unit, d); err == nil {
		return nil
	}
	return x.Stop(ctx, r, d)
}

// runs looks whether the container runs.
func (x *engines) runs(r container.Record) func() bool {
	return func() bool {
		s, err := x.Status(r.ID)
		return err == nil && s.PID != 0
	}
}

// comesBack reports whether the unit of what does not run is about to start it, or has by now,
// as runs tells: between two restarts there is nothing but the unit to stop.
func (e *env) comesBack(ctx context.Context, name string, runs func() bool) bool {
	m, err := e.manager(ctx)
	if err != nil {
		return false
	}
	defer m.Close()
	p, err := settled(ctx, m, name)
	return err == nil && (starts(p) || runs())
}

// starts reports whether a unit is about to start something, or may be: it takes long to end.
func starts(p unit.Properties) bool {
	switch p.ActiveState {
	case "activating":
		return true
	case "inactive", "failed":
		return p.HasJob // to start, or to restart
	}
	return ending(p)
}

// stopWatched stops the unit that watches a container.
func (e *env) stopWatched(ctx context.Context, x *engines, r container.Record, unit string, d time.Duration) error {
	return e.within(ctx, x, r, d, func() error { return e.stopUnit(ctx, unit) })
}

// within does something that waits for the end of a container. The unit knows how long the
// container was to have when it was made; if that is more than d, d holds.
func (e *env) within(ctx context.Context, x *engines, r container.Record, d time.Duration, do func() error) error {
	s, err := x.Status(r.ID)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(d):
	}
	// What the unit waits for, and nothing that it has started since.
	err = process.End(s.PID, s.StartTicks, unix.SIGKILL, lockWait)
	return errors.Join(<-done, err)
}

func newKillCommand(e *env) *cobra.Command {
	var sel selection
	var name string
	cmd := &cobra.Command{
		Use:               "kill [flags] CONTAINER...",
		Short:             "Send a signal to the first process of containers",
		ValidArgsFunction: completeContainers(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			sig, err := signal.ParseSignalNameOrNumber(name)
			if err != nil {
				return fmt.Errorf("--signal %q is no signal; write a name or a number, such as --signal HUP", name)
			}
			x, err := e.open(cmd.Context())
			if err != nil {
				return err
			}
			records, err := sel.resolve(x, args)
			return forEach(e, records, err, nameOf, func(r container.Record) error { return x.Kill(r, sig) })
		},
	}
	sel.flags(cmd, "Signal")
	cmd.Flags().StringVarP(&name, "signal", "s", "KILL", "`SIGNAL` to send, by name or number")
	_ = cmd.Flags().MarkHidden("ignore")
	return cmd
}

func newRmCommand(e *env) *cobra.Command {
	var sel selection
	var force, volumes bool
	var patience patience
	cmd := &cobra.Command{
		Use:               "rm [flags] CONTAINER...",
		Short:             "Remove containers",
		ValidArgsFunction: completeContainers(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			x, err := e.openToRun(ctx)
			if err != nil {
				return err
			}
			sel.ignore = sel.ignore || force
			records, err := sel.resolve(x, args)
			return forEach(e, records, err, nameOf, func(r container.Record) error {
				return e.remove(ctx, x, r, force, volumes, patience.or(r.StopTimeout(x.stopTimeout())))
			})
		},
	}
	sel.flags(cmd, "Remove")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "stop a running container first")
	cmd.Flags().BoolVarP(&volumes, "volumes", "v", false, "remove its anonymous volumes as well")
	patience.flag(cmd)
	return cmd
}

// remove stops the unit that watches a running container, if that is not who asks,
// removes what is left and ends the pod if it was the last of it.
func (e *env) remove(ctx context.Context, x *engines, r container.Record, force, volumes bool, d time.Duration) (err error) {
	s, err := x.Status(r.ID)
	if err != nil {
		return err
	}
	if s.Unit == serviceName(r) && !x.inService() {
		defer func() {
			if err == nil {
				e.forgetUnit(ctx, s.Unit)
			}
		}()
	}
	watched := s.Unit != "" && s.Unit != x.own.Name && (s.PID != 0 || e.comesBack(ctx, s.Unit, x.runs(r)))
	if watched && s.PID == 0 && !force {
		return fmt.Errorf("container %s is about to be started again by %s: stop it first, or use --force", r.Name, s.Unit)
	}
	if watched && force {
		// A unit whose ExecStop removes the container has done all there is to do.
		if err := e.stopWatched(ctx, x, r, s.Unit, d); err == nil {
			if _, err := x.Lookup(r.ID); errors.Is(err, container.ErrNotFound) {
				return nil
			}
		}
	}
	wait, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	lock, err := x.Lock(wait, r.Name)
	if err != nil {
		return err
	}
	defer lock.Release()
	if r, err = x.Lookup(r.ID); errors.Is(err, container.ErrNotFound) {
		return lock.Drop()
	} else if err != nil {
		return err
	}
	if err := x.Remove(ctx, r, force, volumes, d); err != nil {
		return err
	}
	if err := lock.Drop(); err != nil {
		return err
	}
	if r.PodID == "" || e.restarts(ctx, x) {
		return nil
	}
	return x.pods.Settle(ctx, r.PodID)
}

// restarts reports whether we clean up in a unit which systemd is about to start again:
// then a pod is not at its end although its last container is gone. During
// ExecStopPost= the unit has a job only if somebody asked for the stop.
// Source: systemd.exec(5), $SERVICE_RESULT; systemd.service(5), Restart=.
func (e *env) restarts(ctx context.Context, x *engines) bool {
	result, stopping := e.lookup("SERVICE_RESULT")
	if !stopping || !x.own.Service() {
		return false
	}
	asked, policy, err := e.stopJob(ctx, x.own.Name)
	if err != nil || asked {
		return false
	}
	code, _ := e.lookup("EXIT_CODE")
	return willRestart(policy, result, code)
}

// willRestart is the table of systemd.service(5), Restart=.
func willRestart(policy, result, exitCode string) bool {
	signaled := exitCode == "killed" || exitCode == "dumped"
	switch policy {
	case "always":
		return true
	case "on-success":
		return result == "success"
	case "on-failure":
		return result != "success"
	case "on-abnormal":
		return result != "success" && (signaled || exitCode == "")
	case "on-watchdog":
		return result == "watchdog"
	case "on-abort":
		return result != "success" && signaled
	}
	return false
}

// removeContainer stops and removes a container that is in the way of an image.
func (e *env) removeContainer(ctx context.Context, id string) error {
	x, err := e.open(ctx)
	if err != nil {
		return err
	}
	r, err := x.Lookup(id)
	if err != nil {
		return err
	}
	return e.remove(ctx, x, r, true, true, r.StopTimeout(x.stopTimeout()))
}
