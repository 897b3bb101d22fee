// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"golang.org/x/sys/unix"
)

// checksOf makes the checks of a container whose first process is a sleep, and whose runtime is a script.
func checksOf(t *testing.T, config health.Config, script string) (*Checks, *fakeManager, *exec.Cmd) {
	t.Helper()
	first := exec.Command("sleep", "1000")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Process.Kill(); _ = first.Wait() })
	e := &container.Engine{RunDir: t.TempDir()}
	id := strings.Repeat("a", 64)
	dir := e.Dir(id)
	status := container.Status{PID: first.Process.Pid, StartTicks: process.StartTicks(first.Process.Pid), StartedAt: time.Now()}
	command := filepath.Join(t.TempDir(), "runc")
	err := errors.Join(os.MkdirAll(dir, 0o700), container.WriteJSON(filepath.Join(dir, "status.json"), status),
		os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"process":{}}`), 0o600),
		os.WriteFile(command, []byte("#!/bin/sh\n"+script), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	plan := health.Plan{Config: config, ID: id, Name: "web", Unit: "web.service", Runtime: command, Waits: true}
	m := &fakeManager{}
	c := &Checks{
		plan: plan, files: e.HealthFiles(id), containers: e, program: "/usr/bin/podunit",
		connect: func(context.Context) (Manager, error) { return m, nil },
	}
	if err := c.files.Begin(plan, status.StartedAt); err != nil {
		t.Fatal(err)
	}
	e.Runtime = runc.Runtime{Command: command, Root: t.TempDir()}
	return c, m, first
}

func (c *Checks) mustRun(t *testing.T, want health.Status) health.State {
	t.Helper()
	outcome, err := c.Run(context.Background(), true)
	if err != nil || outcome != want {
		t.Errorf("%s, %v; want %s", outcome, err, want)
	}
	s, err := c.files.State()
	if err != nil || s == nil {
		t.Fatal(err)
	}
	return *s
}

func oneCheck(onFailure string) health.Config {
	return health.Config{Regular: health.Check{Test: []string{spec.TestExec, "x"}, Interval: time.Second, Timeout: time.Minute, Retries: 1}, OnFailure: onFailure, LogDestination: health.LogLocal}
}

func TestChecksAct(t *testing.T) {
	for action, want := range map[string][]string{"": nil, "restart": {"ask restart web.service"}, "stop": {"ask stop web.service"}} {
		c, m, _ := checksOf(t, oneCheck(action), "echo ill; exit 3")
		s := c.mustRun(t, health.Unhealthy)
		if s.Status != health.Unhealthy || s.Log[0].Output != "ill\n" || s.Log[0].ExitCode != health.CodeFailure || !slices.Equal(m.calls, want) {
			t.Errorf("%s: %+v, asked %v, want %v", action, s, m.calls, want)
		}
	}
	c, m, first := checksOf(t, oneCheck("kill"), "exit 3")
	c.mustRun(t, health.Unhealthy)
	if err := first.Wait(); err == nil || err.Error() != "signal: killed" || m.calls != nil {
		t.Errorf("%v, asked %v", err, m.calls)
	}
	if _, err := c.Run(context.Background(), true); !errors.Is(err, health.ErrStopped) {
		t.Errorf("a check of what has ended: %v", err)
	}
}

// TestChecksOfNobodysManager acts where the unit's manager takes no orders from us.
func TestChecksOfNobodysManager(t *testing.T) {
	c, m, first := checksOf(t, oneCheck("restart"), "exit 3")
	c.plan.Unit, c.plan.Stop, c.plan.StopSignal = "", 10*time.Second, int(unix.SIGINT)
	done := make(chan error, 1)
	go func() { done <- first.Wait() }()
	c.mustRun(t, health.Unhealthy)
	if err := <-done; err == nil || err.Error() != "signal: interrupt" || m.calls != nil {
		t.Errorf("%v, asked %v", err, m.calls)
	}
}

func TestChecksStoppedUnderACheck(t *testing.T) {
	c, m, first := checksOf(t, oneCheck("restart"), "")
	if err := os.WriteFile(c.containers.Runtime.Command, []byte("#!/bin/sh\nkill -9 "+strconv.Itoa(first.Process.Pid)+"; exit 137"), 0o755); err != nil {
		t.Fatal(err)
	}
	outcome, err := c.Run(context.Background(), true)
	if outcome != health.Stopped || !errors.Is(err, health.ErrStopped) || m.calls != nil {
		t.Errorf("%s, %v, asked %v", outcome, err, m.calls)
	}
}

func TestChecksHandOver(t *testing.T) {
	config := oneCheck("")
	config.Startup = &health.Check{Test: []string{spec.TestExec, "s"}, Interval: time.Minute, Timeout: time.Minute, Successes: 1}
	c, m, _ := checksOf(t, config, "exit 0")
	if err := c.repeat(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	started := c.plan.Timer
	c.mustRun(t, health.Healthy)
	if want := []string{"timer podunit-health-aaaaaaaaaaaa", "timer podunit-health-aaaaaaaaaaaa", "ask stop " + started}; !slices.Equal(m.calls, want) {
		t.Fatalf("asked %v, want %v", m.calls, want)
	}
	if first, then := m.timers[0], m.timers[1]; first.Pause != time.Minute || then.Pause != time.Second || then.First != 0 || then.BoundTo != "web.service" || !then.Waits {
		t.Errorf("%+v, %+v", first, then)
	}
	if plan, err := c.files.Plan(); err != nil || plan.Timer == started || plan.Timer == "" {
		t.Errorf("%+v, %v", plan, err)
	}
}

// TestChecksHandOverBesideAnUpdate: what was changed while the start-up check ran stays.
func TestChecksHandOverBesideAnUpdate(t *testing.T) {
	c, m, _ := checksOf(t, oneCheck(""), "exit 0")
	if err := c.repeat(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	plan, err := c.files.Plan()
	plan.OnFailure, plan.Regular.Interval, plan.Timer = "kill", time.Hour, "other.timer"
	if err := errors.Join(err, c.files.Replan(plan), c.handOver(context.Background())); err != nil {
		t.Fatal(err)
	}
	after, err := c.files.Plan()
	if err != nil || after.OnFailure != "kill" || after.Regular.Interval != time.Hour || m.timers[1].Pause != time.Hour || !m.asked("ask stop other.timer") {
		t.Errorf("%+v, %v, timers %+v, asked %v", after, err, m.timers, m.calls)
	}
}

func TestChecksWithoutAnInterval(t *testing.T) {
	config := oneCheck("")
	config.Regular.Interval = 0
	c, m, _ := checksOf(t, config, "exit 0")
	if err := c.repeat(context.Background(), 0); err != nil || m.calls != nil {
		t.Errorf("%v, asked %v", err, m.calls)
	}
	if _, again := c.pause(); again {
		t.Error("a clock would come again")
	}
}

// TestClock has the checks run by podunit-clock where there is no manager to ask. What they have to
// say goes to the stream of the unit, which a run knows by its environment.
func TestClock(t *testing.T) {
	c, m, _ := checksOf(t, oneCheck(""), "exit 0")
	dir := t.TempDir()
	c.plan.Unit, c.program, c.environ = "", filepath.Join(dir, "podunit"), []string{"PATH=" + os.Getenv("PATH"), "JOURNAL_STREAM=8:47", "OTHER=x"}
	script := `#!/bin/sh
echo "$* $JOURNAL_STREAM $OTHER" >>` + dir + `/runs
[ $(wc -l <` + dir + `/runs) -ge 2 ] && mv ` + dir + `/runs ` + dir + `/ran || echo 1
`
	if err := os.WriteFile(c.program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.repeat(context.Background(), 0); err != nil || m.calls != nil {
		t.Fatalf("%v, asked %v", err, m.calls)
	}
	var got []byte
	for deadline := time.Now().Add(time.Minute); got == nil && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		got, _ = os.ReadFile(filepath.Join(dir, "ran"))
	}
	plan, err := c.files.Plan()
	if err != nil || plan.Clock == "" {
		t.Fatalf("the plan's clock: %q, %v", plan.Clock, err)
	}
	line := "healthcheck run --clock " + c.plan.ID + "." + plan.Clock + " 8:47 \n"
	if string(got) != line+line {
		t.Errorf("it executed\n%s, want this twice\n%s", got, line)
	}
}

// TestOneClock: a clock that another one has taken the place of checks nothing more, and ends.
func TestOneClock(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	w.running(r, "")
	config := w.Config
	config.User = w.Containers.User
	files := w.Containers.HealthFiles(r.ID)
	if err := files.Begin(health.Plan{Config: oneCheck(""), ID: r.ID, Name: "web", Clock: "2"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for clock, runs := range map[string]int{"1": 0, "2": 1} {
		var said strings.Builder
		if err := RunForClock(context.Background(), config, r.ID+"."+clock, &said); err != nil || (said.Len() > 0) != (runs > 0) {
			t.Errorf("clock %s: said %q, %v", clock, &said, err)
		}
	}
	if s, err := files.State(); err != nil || len(s.Log) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestAwaitReady fails twice and then passes; the timer is started then, and not before.
func TestAwaitReady(t *testing.T) {
	config := oneCheck("")
	config.Regular.Interval, config.Regular.Retries = time.Millisecond, 9
	c, m, _ := checksOf(t, config, `cd $(dirname "$0"); echo x >>n; [ $(wc -l <n) -ge 3 ] || { echo not yet; exit 1; }`)
	if err := c.awaitReady(context.Background(), notify.Socket{}); err != nil {
		t.Fatal(err)
	}
	s, err := c.files.State()
	if err != nil || s.Status != health.Healthy || len(s.Log) != 3 || len(m.timers) != 1 || m.timers[0].First != time.Millisecond {
		t.Errorf("%+v, %v, timers %+v", s, err, m.timers)
	}
}

func TestAwaitReadyOfWhatEnds(t *testing.T) {
	c, m, first := checksOf(t, oneCheck(""), "echo no table; exit 1")
	c.plan.Regular.Interval = 0
	c.mustRun(t, health.Unhealthy)
	_ = first.Process.Kill()
	_ = first.Wait()
	err := c.awaitReady(context.Background(), notify.Socket{})
	if err == nil || err.Error() != "container web ended before it was healthy; the last check failed: no table" || m.timers != nil {
		t.Errorf("%v, timers %v", err, m.timers)
	}
}

// TestAwaitReadyOfAStartThatIsGivenUp: the manager stops the unit, and the container does not listen to its SIGTERM.
func TestAwaitReadyOfAStartThatIsGivenUp(t *testing.T) {
	c, m, first := checksOf(t, oneCheck(""), "echo no table; exit 1")
	c.plan.Stop, c.plan.StopSignal = 10*time.Second, int(unix.SIGINT)
	m.units = map[string]unit.Properties{"web.service": {ActiveState: "deactivating"}}
	done := make(chan error, 1)
	go func() { done <- first.Wait() }()
	err := c.awaitReady(context.Background(), notify.Socket{})
	if err == nil || err.Error() != "container web was stopped before it was healthy; the last check failed: no table" {
		t.Errorf("%v", err)
	}
	if err := <-done; err == nil || err.Error() != "signal: interrupt" {
		t.Errorf("the container: %v", err)
	}
}

func TestHealthOfAContainer(t *testing.T) {
	c, _, first := checksOf(t, oneCheck(""), "exit 0")
	e := &Engine{Config: Config{User: rootless.Identity{}}, Containers: c.containers}
	r := container.Record{ID: c.plan.ID, Name: "web", Health: &c.plan.Config}
	if _, err := c.Run(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	if h, err := e.Health(r); err != nil || h.Status != health.Healthy {
		t.Errorf("%+v, %v", h, err)
	}
	_ = first.Process.Kill()
	_ = first.Wait()
	if h, err := e.Health(r); err != nil || h.Status != health.Stopped {
		t.Errorf("of one that has ended: %+v, %v", h, err)
	}
	r.Health = nil
	if h, err := e.Health(r); err != nil || h != nil {
		t.Errorf("of one without a check: %+v, %v", h, err)
	}
}

func TestCanLog(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(canLog(health.LogLocal), canLog(health.LogEvents), canLog(dir)); err != nil {
		t.Error(err)
	}
	for _, d := range []string{file, filepath.Join(dir, "none")} {
		if err := canLog(d); err == nil || !strings.Contains(err.Error(), "--health-log-destination "+d) {
			t.Errorf("%s: %v", d, err)
		}
	}
	config := oneCheck("")
	config.LogDestination = dir
	c, _, _ := checksOf(t, config, "echo in the file")
	c.mustRun(t, health.Healthy)
	if b, err := os.ReadFile(filepath.Join(dir, c.plan.ID+"-healthcheck.log")); err != nil || !strings.Contains(string(b), `"Output":"in the file\n"`) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestLastWords(t *testing.T) {
	for want, e := range map[string]health.Entry{
		"":                           {Output: "x"},
		"; the last check failed: a": {ExitCode: health.CodeFailure, Output: "\na\nb\n"},
		"; the last check failed":    {ExitCode: health.CodeFailure},
		"; the last check was killed at its time limit":                {ExitCode: health.CodeTimeout},
		"; the last check could not be run: no":                        {ExitCode: health.CodeFault, Output: "no"},
		"; the last check failed: " + strings.Repeat("x", 120) + "...": {ExitCode: health.CodeFailure, Output: strings.Repeat("x", 130)},
	} {
		if got := lastWords(health.State{Log: []health.Entry{e}}); got != want {
			t.Errorf("%+v: %q, want %q", e, got, want)
		}
	}
}
