// SPDX-License-Identifier: Apache-2.0

package play

import (
	"maps"
	"math"
	"testing"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/unit"
)

// TestSliceNames: a play's slice lies below that of its service, and no name of a play makes another
// level of it.
func TestSliceNames(t *testing.T) {
	const users = "/user.slice/user-1000.slice/user@1000.service/app.slice/"
	for _, c := range []struct {
		own      unit.Own
		play     string
		rootless bool
		want     string
	}{
		{unit.Own{}, "pod web", true, "app-pod-web.slice"},
		{unit.Own{}, "pod web-shop", false, `system-pod-web\x2dshop.slice`},
		{unit.Own{}, "configmap a", true, `app-kube-configmap\x20a.slice`},
		{unit.Own{Name: "tv.service", User: true, Cgroup: users + "tv.service"}, "tv.service", true, "app-kube-tv.slice"},
		{unit.Own{Name: "tv.service", Cgroup: "/system.slice/tv.service"}, "tv.service", false, "system-kube-tv.slice"},
		{unit.Own{Name: "tv.service", Cgroup: "/system.slice/tv.service"}, "tv.service", true, "app-kube-tv.slice"}, // User=
		{unit.Own{Name: "tv@a.service", User: true, Cgroup: users + `app-tv.slice/tv@a.service`}, "tv@a.service", true, `app-tv-kube-tv\x40a.slice`},
		{unit.Own{Name: "tv.service", Cgroup: "/tv.service"}, "tv.service", false, "kube-tv.slice"},
		{unit.Own{Name: "podunit-1.scope", User: true, Cgroup: users + "podunit-1.scope"}, "pod tv", true, "app-pod-tv.slice"},
	} {
		if got := sliceName(c.own, c.play, c.rootless); got != c.want {
			t.Errorf("%s in %s: %s", c.play, c.own.Cgroup, got)
		}
	}
	st := &State{Slice: "app-kube-tv.slice"}
	if got := podSlice(st, &kube.Pod{Name: "web-shop", Limits: kube.Resources{MemoryMax: 1}}); got != `app-kube-tv-web\x2dshop.slice` {
		t.Error(got)
	}
	if got := podSlice(st, &kube.Pod{Name: "web"}); got != st.Slice {
		t.Error(got)
	}
}

// TestSliceLosesLimits: a limit that a pod has no more is taken off its slice, which may be up.
func TestSliceLosesLimits(t *testing.T) {
	const none = uint64(math.MaxUint64)
	for _, c := range []struct {
		limits kube.Resources
		want   map[string]any
	}{
		{kube.Resources{MemoryMax: 1 << 20}, map[string]any{"MemoryMax": uint64(1 << 20), "MemoryLow": uint64(0), "CPUQuotaPerSecUSec": none, "CPUWeight": none}},
		{kube.Resources{CPUQuota: 500, CPUWeight: 20}, map[string]any{"MemoryMax": none, "MemoryLow": uint64(0), "CPUQuotaPerSecUSec": uint64(500000), "CPUWeight": uint64(20)}},
		{kube.Resources{MemoryLow: 4096}, map[string]any{"MemoryMax": none, "MemoryLow": uint64(4096), "CPUQuotaPerSecUSec": none, "CPUWeight": none}},
	} {
		if got := sliceSettings(c.limits); !maps.Equal(got, c.want) {
			t.Errorf("%+v: %v", c.limits, got)
		}
	}
}
