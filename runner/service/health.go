// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	journald "github.com/coreos/go-systemd/v22/journal"
	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"golang.org/x/sys/unix"
)

// Checks are the health checks of one container that runs. They need no storage: a check is over in
// less time than it takes to open one.
type Checks struct {
	plan       health.Plan
	files      health.Files
	containers *container.Engine
	connect    func(context.Context) (Manager, error)
	// program is what a timer executes, environ its environment.
	program string
	environ []string
	handed  bool // the start-up check has passed in this process
	silent  bool // our standard error is not the container's unit's: a clock may not have it
	event   func(journal.Event)
}

// OpenChecks gives access to the checks of a container by its whole ID; health.ErrNone says that it
// has none, or has not been started since the machine was.
func OpenChecks(c Config, id string) (*Checks, error) {
	containers := running(c)
	files := containers.HealthFiles(id)
	plan, err := files.Plan()
	if err != nil {
		return nil, err
	}
	containers.Secrets.Store = secret.At(plan.SecretDir)
	containers.Runtime.Command = plan.Runtime
	return &Checks{
		plan: plan, files: files, containers: containers, program: c.Program, environ: c.Environ, event: c.Event,
		connect: func(ctx context.Context) (Manager, error) { return Connect(ctx, c.User, c.Lookup) },
	}, nil
}

// planChecks notes how a container that is about to begin is checked.
func (e *Engine) planChecks(r *container.Record, l container.Launch, s container.Status) (*Checks, error) {
	files := e.Containers.HealthFiles(r.ID)
	if r.Health == nil {
		return &Checks{}, files.Remove()
	}
	c := e.checksOf(*r)
	c.plan.Journal, c.plan.Waits = l.JournalFields, l.Foreground == nil
	// The system's manager takes no orders from the user of a system unit with User=.
	own, err := unit.CurrentUnit(e.Lookup)
	if err != nil {
		return nil, err
	}
	if l.Cgroup != "" && (own.User || !e.User.Rootless()) {
		c.plan.Unit = own.Name
	}
	return c, files.WithLock(func() error { return files.Begin(c.plan, s.StartedAt) })
}

// checksOf returns the checks of a container that is about to begin; nothing of them is on disk
// yet.
func (e *Engine) checksOf(r container.Record) *Checks {
	plan := health.Plan{
		Config: *r.Health, ID: r.ID, Name: r.Name, Image: r.ImageName, PodID: r.PodID, Labels: r.Labels(), Runtime: e.Containers.Runtime.Command,
		StopSignal: int(r.StopSignal()), Stop: e.StopTimeoutOf(r), Secrets: r.Spec.Secrets, SecretDir: e.Containers.Secrets.Store.Dir(),
		NoEvents: e.Containers.Config != nil && (!journal.Wanted(e.Containers.Config.Engine.EventsLogger) || !e.Containers.Config.Engine.HealthcheckEvents),
	}
	return &Checks{plan: plan, files: e.Containers.HealthFiles(r.ID), containers: e.Containers, connect: e.Connect, program: e.Program, environ: e.Environ, event: e.Event}
}

// lastWords is the result of the last check in words for people.
func lastWords(s health.State) string {
	if len(s.Log) == 0 {
		return ""
	}
	last := s.Log[len(s.Log)-1]
	var how string
	switch last.ExitCode {
	case health.CodeSuccess:
		return ""
	case health.CodeTimeout:
		how = "; the last check was killed at its time limit"
	case health.CodeFault:
		how = "; the last check could not be run"
	default:
		how = "; the last check failed"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(last.Output), "\n")
	if line = strings.ToValidUTF8(line, "?"); len(line) > 120 {
		line = strings.ToValidUTF8(line[:120], "") + "..."
	}
	if line != "" {
		how += ": " + line
	}
	return how
}

func (c *Checks) running() (bool, error) {
	s, err := c.containers.Status(c.plan.ID)
	return s.PID != 0, err
}

// Run runs the check whose turn it is and does what follows from its result, which is outcome. With
// quiet, it is no error if no check is to run now: before the first one is due, or while the
// container is paused. The error is health.ErrStopped if the container does not run, or ended under
// the check.
func (c *Checks) Run(ctx context.Context, quiet bool) (outcome health.Status, err error) {
	var after health.State
	var action health.Action
	err = c.files.WithLock(func() error {
		before, err := c.files.State()
		if err != nil {
			return err
		}
		if before == nil {
			return health.ErrNone
		}
		after = *before
		s, err := c.containers.Status(c.plan.ID)
		switch {
		case err != nil:
			return err
		case s.PID == 0:
			return health.ErrStopped
		case cgroup.Frozen(s.Cgroup) && quiet:
			after = before.Resumed()
			return c.files.Save(after)
		case cgroup.Frozen(s.Cgroup):
			return errors.New("container is paused")
		case before.Waits(c.plan.Config, time.Now()) && quiet:
			return nil
		}
		result, err := c.once(ctx, before.Current(c.plan.Config))
		if err != nil {
			return err
		}
		after, action = before.After(c.plan.Config, result)
		if err := c.files.Save(after); err != nil {
			return err
		}
		outcome = health.Outcome(*before, after)
		c.tell(*before, after)
		return c.log(after)
	})
	if err == nil && after.Status == health.Stopped {
		err = health.ErrStopped
	}
	return outcome, errors.Join(err, c.act(ctx, action))
}

// once runs one check. An error says that there is no result.
func (c *Checks) once(ctx context.Context, check health.Check) (health.Result, error) {
	result := health.Result{Entry: health.Entry{Start: time.Now()}}
	got, err := c.containers.Check(ctx, c.record(), container.Check{
		Command: check.Command(), Limit: check.Timeout, MaxOutput: c.plan.MaxLogSize, Repeats: true,
	})
	if ctx.Err() != nil {
		return result, context.Cause(ctx)
	}
	result.End, result.Output = time.Now(), got.Output
	switch {
	case errors.Is(err, runc.ErrNotFound), errors.Is(err, runc.ErrNotExecutable), errors.Is(err, runc.ErrNoDirectory):
		result.ExitCode, result.Output = health.CodeFailure, err.Error()
	case err != nil:
		result.ExitCode, result.Output = health.CodeFault, err.Error()
	case got.TimedOut:
		result.ExitCode = health.CodeTimeout
	case got.Code != 0:
		result.ExitCode = health.CodeFailure
	}
	if result.ExitCode == health.CodeSuccess {
		return result, nil
	}
	// The end of a container ends a running check, too, and the container's own process may be the
	// last to go.
	wait := time.Duration(0)
	if got.Code == 128+int(unix.SIGKILL) && !got.TimedOut {
		wait = endWait
	}
	result.Stopped, err = c.containers.EndsWithin(ctx, c.plan.ID, wait)
	return result, err
}

// endWait is how long a container may take to be gone after its processes were killed.
const endWait = time.Second

// tell writes a line to the journal if the status has changed: one of the container's unit.
func (c *Checks) tell(before, after health.State) {
	if before.Status == after.Status {
		return
	}
	// Without CONTAINER_ID_FULL, by which podunit logs asks: journalctl would count this entry
	// among the last lines.
	fields := map[string]string{"CONTAINER_NAME": c.plan.Name}
	for k, v := range c.plan.Journal {
		fields[k] = v
	}
	event := c.happened(after)
	if !c.plan.NoEvents {
		maps.Copy(fields, event.Fields())
	}
	priority, text := journald.PriNotice, fmt.Sprintf("container %s is %s", c.plan.Name, after.Status)
	if after.Status == health.Unhealthy {
		priority = journald.PriWarning
		text += fmt.Sprintf(" after %d failures in a row", after.FailingStreak)
	}
	text += lastWords(after)
	if stream, _ := journald.StderrIsJournalStream(); stream && c.plan.Unit == "" {
		// journald cannot find out the unit of a process that has gone by the time it reads the
		// line, and what follows may end this process. This stream is the unit's. Source:
		// sd-daemon(3), the prefix.
		fmt.Fprintf(os.Stderr, "<%d>%s\n", priority, text)
		if c.event != nil && !c.plan.NoEvents {
			c.event(event)
		}
		return
	}
	_ = journald.Send(text, priority, fields) // who listens to no journal asks inspect
}

// happened is the event of a change of the status.
func (c *Checks) happened(after health.State) journal.Event {
	event := journal.Event{
		Type: "container", Status: "health_status", Time: time.Now(), ID: c.plan.ID, Name: c.plan.Name, Image: c.plan.Image,
		PodID: c.plan.PodID, Labels: c.plan.Labels, Health: &journal.Health{Status: string(after.Status), FailingStreak: after.FailingStreak},
	}
	if c.plan.LogDestination == health.LogEvents && len(after.Log) > 0 {
		event.Health.Log = after.Log[len(after.Log)-1].Output
	}
	return event
}

// log writes the log of the checks to a directory, if --health-log-destination names one.
func (c *Checks) log(s health.State) error {
	if d := c.plan.LogDestination; d != health.LogLocal && d != health.LogEvents {
		return health.WriteLog(filepath.Join(d, c.plan.ID+"-healthcheck.log"), s)
	}
	return nil
}

// record is what the plan knows of the container's record.
func (c *Checks) record() container.Record {
	return container.Record{ID: c.plan.ID, Name: c.plan.Name, Spec: spec.Container{Secrets: c.plan.Secrets, StopSignal: c.plan.StopSignal}}
}

// act does what follows from a check's result: the regular check takes the place of the start-up
// check, or the container is restarted, stopped or killed, as --health-on-failure says.
func (c *Checks) act(ctx context.Context, action health.Action) error {
	verb := ""
	switch action {
	case health.Nothing:
		return nil
	case health.Regular:
		return c.handOver(ctx)
	case health.Restart:
		verb = "restart"
	case health.Failed:
		verb = c.plan.OnFailure
	}
	switch verb {
	case "":
		return nil
	case "kill":
		return c.containers.Kill(c.record(), unix.SIGKILL)
	}
	if c.plan.Unit == "" {
		// The unit's Restart= says what comes then.
		return c.containers.Stop(ctx, c.record(), c.plan.Stop)
	}
	m, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.Ask(ctx, verb, c.plan.Unit)
}

// Health is the health of a container; nil if it has no check.
func (e *Engine) Health(r container.Record) (*health.State, error) {
	if r.Health == nil {
		return nil, nil
	}
	s, err := e.Containers.HealthFiles(r.ID).State()
	if err != nil || s == nil {
		return &health.State{Status: health.Reset}, err
	}
	status, err := e.Containers.Status(r.ID)
	if err == nil && status.PID == 0 {
		s.Status = health.Stopped
	}
	return s, err
}

// CheckByHand runs the check of a container for a user who asks. From a shell it moves to a scope
// of the user's manager first, as Exec does.
func (e *Engine) CheckByHand(ctx context.Context, r container.Record) (health.Status, error) {
	if r.Health == nil {
		return "", fmt.Errorf("container %s: %w", r.Name, health.ErrNone)
	}
	c, err := OpenChecks(e.Config, r.ID)
	if err == nil {
		if running, rerr := c.running(); rerr != nil || !running {
			err = errors.Join(rerr, health.ErrStopped)
		}
	} else if errors.Is(err, health.ErrNone) {
		err = health.ErrStopped
	}
	if err != nil {
		return "", fmt.Errorf("container %s: %w", r.Name, err)
	}
	e.leaveShell(ctx, r)
	return c.Run(ctx, false)
}

// canLog returns an error if the log of the checks cannot be written to its destination.
func canLog(destination string) error {
	if destination == health.LogLocal || destination == health.LogEvents {
		return nil
	}
	st, err := os.Stat(destination)
	if err == nil && !st.IsDir() {
		err = unix.ENOTDIR
	}
	if err != nil {
		return fmt.Errorf("--health-log-destination %s: %w", destination, err)
	}
	return nil
}
