// SPDX-License-Identifier: Apache-2.0

package play

import (
	"testing"

	"github.com/podunit/podunit/runner/kube"
)

func TestWhatOfAPlayStartsAtBoot(t *testing.T) {
	always := kube.Pod{Start: true, Restart: "Always"}
	for name, c := range map[string]struct {
		st   State
		pod  kube.Pod
		want bool
	}{
		"a pod":                    {State{}, always, true},
		"a pod that runs once":     {State{}, kube.Pod{Start: true, Restart: "Never"}, false},
		"a job's pod":              {State{}, kube.Pod{Start: true, Restart: "OnFailure", Job: &kube.Job{}}, false},
		"a Deployment without any": {State{}, kube.Pod{Restart: "Always"}, false},
		"a CronJob":                {State{}, kube.Pod{Start: true, Restart: "Never", Cron: &kube.Cron{}}, true},
		"a suspended CronJob":      {State{}, kube.Pod{Start: true, Cron: &kube.Cron{Suspended: true}}, false},
		"one of a .kube file":      {State{Unit: "tv.service"}, always, false},
		"a run of a CronJob":       {State{Of: "cronjob nightly"}, always, false},
		"one that somebody awaits": {State{Once: true}, always, false},
	} {
		if got := startsAtBoot(&c.st, &c.pod); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
