// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
)

// Timer is a transient timer and the service that it starts again and again. Both go with the unit
// that they are bound to.
type Timer struct {
	Description string
	// First is when the first run begins, and Pause the time from the end of one run to the
	// beginning of the next one. Without Pause there is one run, and then the timer is gone.
	First, Pause time.Duration
	// Calendar are times of the calendar, in place of First and Pause: systemd.time(7). One that
	// passes while the machine is off is made up when the timer is started again.
	Calendar []string
	// Command is what the service executes; the first word is an absolute path.
	Command []string
	// Environment is all that the command gets besides what the manager has.
	Environment []string
	// Limit is how long one run may take before systemd ends it; negative for no limit.
	Limit time.Duration
	// BoundTo is the unit without which there is no timer; empty for none.
	BoundTo string
	// Slice is the slice of the service. Loud has the manager log its starts and ends.
	Slice string
	Loud  bool
	// Waits says that the timer does not begin before BoundTo is up, and is stopped before it.
	Waits bool
}

// StartTimer starts a timer in one call, and does not wait until it runs: with Waits, that may be
// after the caller's own end. name is the timer's, and new. The unit that it is bound to is not
// started, should it have ended by now.
func (m *Manager) StartTimer(ctx context.Context, name string, t Timer) error {
	service, ok := strings.CutSuffix(name, ".timer")
	if !ok {
		return fmt.Errorf("%s is not the name of a timer", name)
	}
	if len(t.Command) == 0 || !filepath.IsAbs(t.Command[0]) {
		return errors.New("the service of a timer needs a command with an absolute path")
	}
	aux := []systemd.PropertyCollection{{Name: service + ".service", Properties: append(t.work(), t.both()...)}}
	if _, err := m.conn.StartTransientUnitAux(ctx, name, "ignore-requirements", append(t.timer(), t.both()...), aux, nil); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return nil
}

// both are the properties that timer and service have in common.
func (t Timer) both() []systemd.Property {
	props := []systemd.Property{
		prop("Description", t.Description),
		prop("CollectMode", "inactive-or-failed"),
	}
	if t.BoundTo != "" {
		// Unlike BindsTo=, which would start the unit again if it has ended just now.
		props = append(props, prop("StopPropagatedFrom", []string{t.BoundTo}))
	}
	if t.Waits {
		props = append(props, prop("After", []string{t.BoundTo}))
	}
	return props
}

// timer are the properties of the timer alone.
func (t Timer) timer() []systemd.Property {
	props := []systemd.Property{prop("AccuracyUSec", usec(accuracy))}
	switch {
	case len(t.Calendar) > 0:
		var at []calendar
		for _, c := range t.Calendar {
			at = append(at, calendar{"OnCalendar", c})
		}
		props = append(props, prop("TimersCalendar", at), prop("Persistent", true))
	case t.Pause > 0:
		props = append(props, prop("TimersMonotonic", []trigger{{"OnActiveSec", usec(t.First)}, {"OnUnitInactiveSec", usec(t.Pause)}}))
	default:
		props = append(props, prop("TimersMonotonic", []trigger{{"OnActiveSec", usec(t.First)}}), prop("RemainAfterElapse", false))
	}
	if t.BoundTo != "" {
		// A timer that is started after its unit has failed to start ends at once.
		props = append(props, prop("BindsTo", []string{t.BoundTo}))
	}
	return props
}

// work are the properties of the service alone.
func (t Timer) work() []systemd.Property {
	props := []systemd.Property{
		prop("Type", "oneshot"),
		prop("ExecStart", []command{{Path: t.Command[0], Args: t.Command}}),
		prop("Environment", t.Environment),
		prop("TimeoutStartUSec", usec(t.Limit)),
		prop("TimeoutStopUSec", usec(stopGrace)),
	}
	if t.Pause == 0 {
		// The next run would come late or never, so one that was killed begins anew. If each one is
		// killed, as without memory, the manager gives up. A calendar of each minute is below that;
		// who starts the service by hand may be above it, so each run has the manager count anew.
		props = append(props, prop("Restart", "on-abnormal"), prop("RestartUSec", usec(time.Second)),
			prop("StartLimitIntervalUSec", usec(killedWithin)), prop("StartLimitBurst", uint32(killedMost)))
	} else {
		props = append(props, prop("StartLimitIntervalUSec", uint64(0)))
	}
	if !t.Loud {
		// Nobody wants to read that it starts and ends.
		props = append(props, prop("LogLevelMax", int32(logNotice)))
	}
	if t.Slice != "" {
		props = append(props, prop("Slice", t.Slice))
	}
	return props
}

// killedMost is how often the service of a timer starts within killedWithin, if each run is killed.
const (
	killedMost   = 10
	killedWithin = 5 * time.Minute
)

// accuracy is how late a timer may be, so that the manager can wake up for several at once.
const accuracy = time.Second

// logNotice is a level of syslog(3).
const logNotice = 5

// trigger is one of the times of a timer, signature (st). Source: org.freedesktop.systemd1(5),
// TimersMonotonic.
type trigger struct {
	Base string
	USec uint64
}

// calendar is a time of the calendar, signature (ss). Source: org.freedesktop.systemd1(5),
// TimersCalendar.
type calendar struct{ Base, Spec string }

// Ask queues a job and does not wait for its end, which may be the caller's own. verb is stop or
// restart. A unit that does not exist is stopped already.
func (m *Manager) Ask(ctx context.Context, verb, name string) error {
	do := m.conn.StopUnitContext
	if verb == "restart" {
		do = m.conn.RestartUnitContext
	}
	_, err := do(ctx, name, "replace", nil)
	if err == nil || verb == "stop" && isError(err, "org.freedesktop.systemd1.NoSuchUnit") {
		return nil
	}
	return fmt.Errorf("%s %s: %w", verb, name, err)
}
