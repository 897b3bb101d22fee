// SPDX-License-Identifier: Apache-2.0

package health

import (
	"slices"
	"time"
	"unicode/utf8"
)

// Status is the word that ps and inspect show.
type Status string

// The statuses. Source: podman-inspect(1), State.Health.
const (
	Reset     Status = "reset"     // not started yet, or paused until now
	Starting  Status = "starting"  // no check has decided yet
	Healthy   Status = "healthy"   // the last check that decided succeeded
	Unhealthy Status = "unhealthy" // too many failures in a row
	Stopped   Status = "stopped"   // the container ended under a check
)

// The exit statuses that the log knows, whatever the command's was. Source: podman,
// define.HealthCheckContainerStopped and its neighbours.
const (
	CodeSuccess = 0
	CodeFailure = 1   // any status but zero, and a command that cannot be executed
	CodeTimeout = -1  // killed at the time limit
	CodeFault   = 125 // the check could not be run
)

// An Entry is the result of one run. The names of the fields are podman's and docker's.
type Entry struct {
	Start, End time.Time
	ExitCode   int
	Output     string // stdout and stderr, cut
}

// State is the health of a container since its start.
type State struct {
	Status        Status
	FailingStreak int
	Log           []Entry // oldest first
	StartedAt     time.Time
	// Startup is the progress of the start-up check; nil if there is none, or no more.
	Startup *Progress `json:",omitempty"`
}

// Progress counts the runs of a start-up check.
type Progress struct{ Successes, Failures int }

// Begin is the state of a container that has just started.
func Begin(c Config, started time.Time) State {
	s := State{Status: Starting, StartedAt: started}
	if c.Startup != nil {
		s.Startup = &Progress{}
	}
	return s
}

// Resumed is the state of a container that goes on after it was paused.
func (s State) Resumed() State {
	s.Status = Reset
	return s
}

// A Result is the outcome of one run of a check.
type Result struct {
	Entry
	// Stopped says that the container ended under the check.
	Stopped bool
}

// An Action is what is to be done after a run.
type Action int

// The actions.
const (
	Nothing Action = iota
	// Regular says that the start-up check has passed: the regular one takes over, and runs at once.
	Regular
	// Failed says that the container was found unhealthy: OnFailure tells what to do.
	Failed
	// Restart says that the start-up check has failed too often.
	Restart
)

// Outcome is the result of one run as podunit healthcheck run tells it: a failure that does not
// count is "starting".
func Outcome(before, after State) Status {
	switch {
	case after.Status == Stopped:
		return Stopped
	case len(after.Log) > 0 && after.Log[len(after.Log)-1].ExitCode == CodeSuccess:
		return Healthy
	case after.FailingStreak == before.FailingStreak:
		return Starting
	}
	return Unhealthy
}

// Current is the check whose turn it is.
func (s State) Current(c Config) Check {
	if s.Startup != nil && c.Startup != nil {
		return *c.Startup
	}
	return c.Regular
}

// Waits reports whether no check is to run yet.
func (s State) Waits(c Config, now time.Time) bool {
	return c.Delayed && now.Before(s.StartedAt.Add(c.Regular.StartPeriod))
}

// After is the state after a run, and what is to be done then.
func (s State) After(c Config, r Result) (State, Action) {
	s.Log = appendEntry(s.Log, r.Entry, c)
	switch {
	case r.Stopped:
		s.Status = Stopped
		return s, Nothing
	case s.Startup != nil && c.Startup != nil:
		return s.afterStartup(*c.Startup, r.ExitCode == CodeSuccess)
	case r.ExitCode == CodeSuccess:
		s.Status, s.FailingStreak = Healthy, 0
		return s, Nothing
	case r.Start.Before(s.StartedAt.Add(c.Regular.StartPeriod)):
		return s, Nothing
	}
	s.FailingStreak++
	if s.FailingStreak < max(c.Regular.Retries, 1) {
		return s, Nothing
	}
	s.Status = Unhealthy
	return s, Failed
}

// afterStartup counts a run of the start-up check.
func (s State) afterStartup(c Check, success bool) (State, Action) {
	p := *s.Startup
	s.Startup = &p
	if success {
		if p.Successes++; p.Successes < max(c.Successes, 1) {
			return s, Nothing
		}
		s.Startup, s.Status, s.FailingStreak = nil, Healthy, 0
		return s, Regular
	}
	if p.Failures++; c.Retries > 0 && p.Failures >= c.Retries {
		return s, Restart
	}
	return s, Nothing
}

// appendEntry returns a copy of the log with one more entry; the oldest are dropped.
func appendEntry(log []Entry, e Entry, c Config) []Entry {
	if c.MaxLogSize > 0 && len(e.Output) > c.MaxLogSize {
		e.Output = cut(e.Output, c.MaxLogSize)
	}
	log = append(slices.Clone(log), e)
	if c.MaxLogCount > 0 && len(log) > c.MaxLogCount {
		log = log[len(log)-c.MaxLogCount:]
	}
	return log
}

// cut keeps the first n bytes of a text, less what would be the first half of a letter.
func cut(s string, n int) string {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
