// SPDX-License-Identifier: Apache-2.0

package dump

import (
	"testing"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/kube/play"
)

// TestDocumented: the document of a CronJob's run is the CronJob's, which is found by its own name,
// too.
func TestDocumented(t *testing.T) {
	tv := &play.State{Name: "tv.service", Plan: &kube.Plan{Pods: []*kube.Pod{{Name: "web"}, {Name: "tick-pod", Cron: &kube.Cron{Name: "tick"}}}}}
	run := &play.State{Name: "cron tick-7", Of: "tv.service", Cron: "tick", Plan: &kube.Plan{Pods: []*kube.Pod{{Name: "tick-7-pod"}}}}
	lost := &play.State{Name: "cron tock-7", Of: "gone.service", Cron: "tock", Plan: &kube.Plan{Pods: []*kube.Pod{{Name: "tock-7-pod"}}}}
	all := []*play.State{run, lost, tv}
	for name, want := range map[string]string{"web": "web", "tick-7-pod": "tick-pod"} {
		if st, got := documented(all, name); st != tv || got != want {
			t.Errorf("%s: %v %s", name, st, got)
		}
	}
	for _, name := range []string{"tock-7-pod", "none"} {
		if st, got := documented(all, name); st != nil {
			t.Errorf("%s: %v %s", name, st, got)
		}
	}
	for _, name := range []string{"tick", "tick-pod"} {
		if st, got := cronJob(all, name); st != tv || got != "tick-pod" {
			t.Errorf("%s: %v %s", name, st, got)
		}
	}
	if st, _ := cronJob(all, "web"); st != nil {
		t.Error("a pod is no CronJob")
	}
}
