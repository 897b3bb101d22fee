// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/unit"
)

// lastChance is the time that a container gets to end after a preStop hook that has used up all of
// its time. Source: kubernetes.io, Container Lifecycle Hooks.
const lastChance = 2 * time.Second

// begun does what comes between the start of a container and its readiness: the postStart hook and
// the startup and readiness probes.
func (p *Player) begun(st *State, r pod.Record, one *kube.Pod, c *kube.Container) func(context.Context, runner.Record, runner.Status) error {
	if c.PostStart == nil && c.Startup == nil && c.Readiness == nil && c.Liveness == nil {
		return nil
	}
	begun := func(ctx context.Context, made runner.Record, s runner.Status) (err error) {
		defer func() { err = errors.Join(err, p.endStart(c, made)) }()
		if c.PostStart != nil {
			if err := p.act(ctx, r, made, *c.PostStart, "postStart"); err != nil {
				return fmt.Errorf("container %s: postStart: %w", c.Name, err)
			}
		}
		if c.Startup != nil {
			if err := p.await(ctx, r, made, s, c.Startup, true); err != nil {
				return fmt.Errorf("container %s: startupProbe: %w", c.Name, err)
			}
		}
		if err := p.watch(ctx, st, r, one, c, made, s.StartedAt); err != nil {
			return err
		}
		if c.Readiness != nil {
			if err := p.await(ctx, r, made, s, c.Readiness, false); err != nil {
				return fmt.Errorf("container %s: readinessProbe: %w", c.Name, err)
			}
		}
		return nil
	}
	if !restarted(one, c) {
		return begun
	}
	return p.beginsNoted(st.Name, one.Name, c.Name, begun)
}

// endStart ends what has stayed in a container for the probes of its start.
func (p *Player) endStart(c *kube.Container, made runner.Record) error {
	for _, probe := range []*kube.Probe{c.Startup, c.Readiness} {
		if probe != nil && probe.Exec != nil {
			return p.EndCheck(made, "-"+atStart)
		}
	}
	return nil
}

// atStart is the name of a probe that its container's start waits for.
const atStart = "start"

// await probes until the verdict is good. With strict it is an error if as many probes fail in a
// row as the probe's failureThreshold says.
func (p *Player) await(ctx context.Context, r pod.Record, made runner.Record, s runner.Status, probe *kube.Probe, strict bool) error {
	if err := pause(ctx, time.Until(s.StartedAt.Add(probe.Delay))); err != nil {
		return err
	}
	for good, bad := 0, 0; ; {
		err := p.probe(ctx, r, made, probe, atStart)
		if err == nil {
			good, bad = good+1, 0
		} else {
			good, bad = 0, bad+1
		}
		if good >= max(probe.Success, 1) {
			return nil
		}
		if strict && bad >= max(probe.Failure, 1) {
			return fmt.Errorf("it failed %d times: %w", bad, err)
		}
		if now, serr := p.Containers.Status(made.ID); serr != nil || now.PID != s.PID {
			return errors.Join(errors.New("the container has ended"), serr)
		}
		if perr := pause(ctx, probe.Period); perr != nil {
			return errors.Join(perr, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// probe runs a probe once. Only one probe of a name runs at a time.
func (p *Player) probe(ctx context.Context, r pod.Record, made runner.Record, probe *kube.Probe, name string) error {
	ctx, cancel := context.WithTimeout(ctx, probe.Timeout)
	defer cancel()
	return p.act(ctx, r, made, probe.Handler, name)
}

// maxHookOutput is how much of a hook's output is logged, in bytes.
const maxHookOutput = 64 << 10

// execute runs a command in a container until it ends or ctx does: then it is killed, with all that
// it has started.
func (p *Player) execute(ctx context.Context, made runner.Record, command []string, name string) error {
	got, err := p.Check(ctx, made, runner.Check{Command: command, MaxOutput: maxHookOutput, Name: "-" + name, Repeats: !isHook(name)})
	if isHook(name) {
		_, _ = os.Stdout.WriteString(got.Output) // the log of the unit
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: its time was over, and it was killed", command[0])
	case err == nil && got.Code != 0:
		return fmt.Errorf("%s: exit status %d", command[0], got.Code)
	}
	return err
}

// isHook tells whether it is a hook that acts, and no probe.
func isHook(name string) bool { return name == "postStart" || name == "preStop" }

// act does what a probe or a hook says. For a hook any answer of a server will do.
func (p *Player) act(ctx context.Context, r pod.Record, made runner.Record, h kube.Handler, name string) error {
	switch {
	case h.Exec != nil:
		return p.execute(ctx, made, h.Exec, name)
	case h.HTTP != nil:
		return p.get(ctx, r, h.HTTP, isHook(name))
	case h.TCP != nil:
		conn, err := p.dial(ctx, r, h.TCP.Host, h.TCP.Port)
		if err != nil {
			return err
		}
		return conn.Close()
	case h.GRPC != nil:
		return p.ask(ctx, r, h.GRPC)
	}
	return pause(ctx, h.Sleep)
}

// StopContainer is what the service of a container executes to stop it, if it has a hook for that or
// a probe with a time of its own: hook, signal, wait and kill, all within the container's time.
func (p *Player) StopContainer(ctx context.Context, play, podName, name string) error {
	st, _, c, err := p.find(play, podName, name)
	if err != nil {
		return err
	}
	made, err := p.Containers.LookupExact(c.Spec.Name)
	if errors.Is(err, runner.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	grace := c.Grace
	if own, ok := p.store.graceOf(st.Name, podName, name); ok {
		grace = own
	}
	end := time.Now().Add(grace)
	if s, err := p.Containers.Status(made.ID); err == nil && s.PID != 0 && c.PreStop != nil && grace > 0 {
		r, err := p.Pods.LookupExact(podName)
		if err != nil {
			return err
		}
		hook, cancel := context.WithDeadline(ctx, end)
		err = p.act(hook, r, made, *c.PreStop, "preStop")
		cancel()
		if err != nil {
			p.Warn(fmt.Sprintf("container %s: preStop: %v", name, err)) // the stop goes on
		}
		grace = max(time.Until(end), lastChance)
	}
	return p.Remove(ctx, made, service.Removal{Force: true, Volumes: true, Timeout: grace})
}

// watch starts the timers of a container's liveness and readiness probes, which end with its unit.
func (p *Player) watch(ctx context.Context, st *State, r pod.Record, one *kube.Pod, c *kube.Container, made runner.Record, started time.Time) error {
	for kind, probe := range map[string]*kube.Probe{liveness: c.Liveness, readiness: c.Readiness} {
		if probe == nil {
			continue
		}
		if err := p.store.setVerdict(st.Name, verdict{ID: made.ID}, one.Name, c.Name, kind); err != nil {
			return err
		}
		if err := p.note(st.Name, r, c, made, probe, kind); err != nil {
			return err
		}
		name := fmt.Sprintf("podunit-probe-%s-%s-%x.timer", made.ID[:12], kind, time.Now().UnixNano())
		err := p.StartTimer(ctx, name, unit.Timer{
			Description: "The " + kind + "Probe of container " + c.Name + " of pod " + one.Name,
			First:       max(time.Until(started.Add(probe.Delay)), 0),
			Pause:       probe.Period,
			Command:     p.command(one.Runtime, "kube", "probe", st.Name, one.Name, c.Name, kind, made.ID),
			Environment: service.OneThread(p.ServiceEnvironment(c.Unit)),
			Limit:       probe.Timeout + stopMargin,
			BoundTo:     c.Unit,
			Waits:       true,
		})
		if err != nil {
			return err
		}
	}
	return nil
}
