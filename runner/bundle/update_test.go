// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/spec"
)

// TestUpdate: the runtime is told of what was asked for and of nothing else.
func TestUpdate(t *testing.T) {
	all := Cgroup{Path: "/x", Controllers: []string{"cpu", "cpuset", "io", "memory", "pids"}, Swap: true}
	memory, cpus, none := int64(64<<20), 1.5, int64(-1)
	for name, c := range map[string]struct {
		limits spec.Limits
		cgroup Cgroup
		want   string
		warned string
	}{
		"nothing":       {spec.Limits{}, all, "null", ""},
		"a processor":   {spec.Limits{CPUs: &cpus}, all, `{"cpu":{"quota":150000,"period":100000}}`, ""},
		"its set":       {spec.Limits{CpusetCPUs: "0-1"}, all, `{"cpu":{"cpus":"0-1"}}`, ""},
		"no pids limit": {spec.Limits{PidsLimit: &none}, all, `{"pids":{"limit":-1}}`, ""},
		"no controller": {spec.Limits{Memory: &memory}, Cgroup{Path: "/x"}, "null", "--memory has no effect"},
		"no cgroup":     {spec.Limits{Memory: &memory}, Cgroup{}, "null", "no cgroup of its own"},
	} {
		r, warnings, err := Update(c.limits, c.cgroup)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := json.Marshal(r)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, want %s; %v", name, got, c.want, err)
		}
		if said := strings.Join(warnings, "\n"); (said == "") != (c.warned == "") || !strings.Contains(said, c.warned) {
			t.Errorf("%s: %q", name, said)
		}
	}
	r, _, err := Update(spec.Limits{Memory: &memory}, all)
	if err != nil || r.Memory == nil || *r.Memory.Limit != memory || r.Pids != nil {
		t.Errorf("memory: %+v, %v", r, err)
	}
}
