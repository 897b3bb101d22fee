// SPDX-License-Identifier: Apache-2.0

package play

import (
	"testing"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/service"
)

// TestFailures: the first rule that fits says what an exit status means, and only what counts uses up
// the job's tries.
func TestFailures(t *testing.T) {
	j := &kube.Job{BackoffLimit: 1, Rules: []kube.FailureRule{
		{Action: failJob, Container: "a", Codes: []int32{42}},
		{Action: ignoreFail, Codes: []int32{137, 143}},
		{Action: failJob, Container: "b", Not: true, Codes: []int32{1, 2}},
	}}
	for _, c := range []struct {
		name string
		code int
		want string
	}{
		{"a", 42, failJob}, {"c", 42, countFail}, {"a", 137, ignoreFail}, {"b", 143, ignoreFail}, {"b", 3, failJob}, {"b", 1, countFail}, {"a", 1, countFail},
	} {
		if got := failure(j, c.name, c.code); got != c.want {
			t.Errorf("%s with %d: %s", c.name, c.code, got)
		}
	}
	run := ""
	p := &Player{Engine: &service.Engine{Config: service.Config{Lookup: func(string) (string, bool) { return run, run != "" }}}, store: store{run: t.TempDir()}}
	st, one, a := &State{Name: "p"}, &kube.Pod{Name: "web", Job: j}, &kube.Container{Name: "a", Role: kube.Ordinary}
	for i, c := range []struct {
		code int
		over bool
	}{{1, false}, {137, false}, {0, false}, {1, true}} {
		if over, err := p.judged(st, one, a, c.code); over != c.over || err != nil {
			t.Errorf("%d: status %d: %t, %v", i, c.code, over, err)
		}
	}
	if err := p.store.setFailures("p", 0, "", "web", "a"); err != nil {
		t.Error(err)
	}
	if n, run := p.store.failures("p", "web", "a"); n != 0 || run != "" {
		t.Errorf("it does not begin anew: %d, %q", n, run)
	}
	if over, err := p.judged(st, one, a, 42); !over || err != nil {
		t.Errorf("FailJob: %t, %v", over, err)
	}
	// Of one run of the unit, a failure counts once.
	for _, c := range []struct {
		run  string
		over bool
	}{{"r1", false}, {"r1", false}, {"r2", true}, {"r2", true}} {
		run = c.run
		if over, err := p.judged(st, one, a, 1); over != c.over || err != nil {
			t.Errorf("run %s: %t, %v", c.run, over, err)
		}
	}
}
