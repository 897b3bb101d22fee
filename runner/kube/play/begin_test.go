// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"strings"
	"testing"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/unit"
)

const probed = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostNetwork: true
  containers:
  - {name: a, image: quay.io/x/a:1, startupProbe: {exec: {command: [never]}}}
`

// A container whose startup probe fails at its first start is left to the manager, which starts it
// again, until it has begun. At a shell that is waited for some tries, and a start that fails
// otherwise is not left to anybody.
func TestStartupProbeFailsAtFirst(t *testing.T) {
	for name, c := range map[string]struct {
		service  bool
		failures int // of the probe; then it is well
		want     string
	}{
		"it gets well":              {true, 3, ""},
		"somebody at a shell waits": {false, 2, ""},
		"but not for ever":          {false, 100, "did not begin 5 times, at last: probe"},
		"there is no image":         {true, 0, "start-limit"},
	} {
		t.Run(name, func(t *testing.T) {
			world := newWorld(t)
			st := world.playing(t, probed)
			w := world.replacing(t, st, probed)
			w.Service = c.service
			one := w.plan.Pods[0]
			begins := world.beginsNoted(st.Name, "web", "a", func(context.Context, runner.Record, runner.Status) error { return errors.New("probe") })
			fail := func() {
				if err := begins(t.Context(), runner.Record{ID: "1"}, runner.Status{}); err == nil {
					t.Error("the probe has not failed")
				}
			}
			world.manager.does = func(call string) {
				if call == "start web-a.service" && c.failures > 0 {
					fail()
				}
			}
			world.manager.fails["start web-a.service"] = unit.JobError{Unit: "web-a.service", Verb: "start", Job: "failed", Result: "start-limit"}
			looks := 0
			world.manager.state = func(name string) string {
				if name != "web-a.service" || c.failures == 0 {
					return ""
				}
				if looks++; looks > c.failures {
					return "active"
				}
				fail()
				return "activating"
			}
			err := w.startContainer(t.Context(), one, one.Containers[0])
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
			if stopped := len(world.manager.asked("stop")) > 0; stopped != (err != nil) {
				t.Errorf("its unit is stopped: %v", stopped)
			}
		})
	}
}
