// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
)

const gib = int64(1 << 30)

// limited makes a pod with a memory limit, as a shell does, or a unit.
func (w *world) limited(name string) pod.Record {
	w.t.Helper()
	n := gib
	p, err := w.CreatePod(context.Background(), spec.Pod{Name: name, Limits: spec.Limits{Memory: &n}}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// up gives a pod a first process that is in a unit.
func (w *world) up(p pod.Record, in unit.Own) {
	w.t.Helper()
	infra := w.running(container.Record{ID: "../pods/" + p.ID}, "")
	s := pod.Status{InfraPID: infra.Process.Pid, StartTicks: process.StartTicks(infra.Process.Pid), Unit: in.Name}
	if err := container.WriteJSON(w.Pods.Dir(p.ID)+"/status.json", s); err != nil {
		w.t.Fatal(err)
	}
	w.unitOf = func(int) (unit.Own, error) { return in, nil }
}

// TestAPodWithLimitsHasASlice: started by hand it and its containers are in it, and it goes with
// the pod.
func TestAPodWithLimitsHasASlice(t *testing.T) {
	w := newWorld(t)
	p := w.limited("media")
	const slice = "system-pods-media.slice"
	if err := w.StartPodService(context.Background(), p, Transient{}); err != nil {
		t.Fatal(err)
	}
	if s := w.manager.services["media-pod.service"]; s.Slice != slice || w.manager.slice.Settings["MemoryMax"] != uint64(gib) {
		t.Errorf("%+v; %+v", s, w.manager.slice)
	}
	if first := slices.Index(w.manager.calls, "start slice "+slice); first < 0 || first > slices.Index(w.manager.calls, "start media-pod.service") {
		t.Errorf("%q", w.manager.calls)
	}
	w.up(p, unit.Own{Name: "media-pod.service", Cgroup: "/system.slice/" + slice + "/media-pod.service"})
	r := w.made("tv", func(r *container.Record) { r.PodID = p.ID })
	if err := w.startService(context.Background(), r, Transient{}); err != nil {
		t.Fatal(err)
	}
	if s := w.manager.services["tv.service"]; s.Slice != slice {
		t.Errorf("%+v", s)
	}
	var in string
	w.divide = func(unitCgroup string) (cgroup.Payload, error) { in = unitCgroup; return cgroup.Payload{}, nil }
	w.unitOf = func(int) (unit.Own, error) {
		return unit.Own{Name: "media-pod.service", Cgroup: "/" + slice + "/media-pod.service"}, nil
	}
	if err := w.cgroup(context.Background(), &r, p, &container.Launch{}); err != nil || !strings.HasPrefix(in, "/"+slice+"/") {
		t.Errorf("attached: %q, %v", in, err)
	}
	if err := w.RemovePod(context.Background(), p, true, 0); err != nil || !w.manager.asked("stop "+slice) {
		t.Errorf("%v; %q", err, w.manager.calls)
	}
}

// TestASliceGoesWithItsPodInAService: unless the service itself is in it.
func TestASliceGoesWithItsPodInAService(t *testing.T) {
	const slice = "system-pods-media.slice"
	for cgroup, stops := range map[string]bool{"/system.slice/script.service": true, "/system.slice/system-pods.slice/" + slice + "/media-pod.service": false} {
		w := newWorld(t)
		p := w.limited("media")
		w.inService("script.service")
		w.Own.Cgroup = cgroup
		if err := w.RemovePod(context.Background(), p, true, 0); err != nil || w.manager.asked("stop "+slice) != stops {
			t.Errorf("%s: %v; %q", cgroup, err, w.manager.calls)
		}
	}
}

// TestAPodWithoutLimitsHasNoSlice of its own, and nobody asks the manager for one.
func TestAPodWithoutLimitsHasNoSlice(t *testing.T) {
	w := newWorld(t)
	p, _ := w.podWith("web")
	r, err := w.Containers.Lookup("web")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.startService(context.Background(), r, Transient{}); err != nil || w.manager.services["web.service"].Slice != "" {
		t.Errorf("%v, %+v", err, w.manager.services)
	}
	if err := errors.Join(w.limitPod(context.Background(), p), w.withinLimits(p, unit.Own{}), w.RemovePod(context.Background(), p, true, 0)); err != nil {
		t.Error(err)
	}
	for _, c := range w.manager.calls {
		if strings.Contains(c, "slice") {
			t.Errorf("%q", w.manager.calls)
		}
	}
}

// TestUnitsOfAPodWithLimits have to be in its slice: else the limits would not hold.
func TestUnitsOfAPodWithLimits(t *testing.T) {
	w := newWorld(t)
	w.inService("media-pod.service")
	p := w.limited("media-box")
	there := []string{"memory", "pids"}
	w.controllers = func(string) ([]string, error) { return there, nil }
	if err := w.limitPod(context.Background(), p); err == nil || !strings.Contains(hint.Of(err), `Slice=system-pods-media\x2dbox.slice`) {
		t.Errorf("outside: %v", err)
	}
	w.Own.Cgroup = `/home.slice/home-pods.slice/home-pods-media\x2dbox.slice/media-pod.service`
	if err := w.limitPod(context.Background(), p); err != nil || !w.manager.asked(`start slice home-pods-media\x2dbox.slice`) || len(w.warnings) > 0 {
		t.Errorf("inside: %v, %q, %q", err, w.manager.calls, w.warnings)
	}
	looks := 0
	w.controllers = func(string) ([]string, error) {
		if looks++; looks < 3 {
			return nil, nil // the manager is still at it
		}
		return there, nil
	}
	if err := w.limitPod(context.Background(), p); err != nil || len(w.warnings) > 0 {
		t.Errorf("a controller that comes late: %v, %q", err, w.warnings)
	}
	there = nil
	if err := w.limitPod(context.Background(), p); err != nil || len(w.warnings) != 1 || !strings.HasPrefix(w.warnings[0], "--memory has no effect: the cgroup has no memory controller") {
		t.Errorf("without the controller: %v, %q", err, w.warnings)
	}
	w.up(p, w.Own)
	if err := w.withinLimits(p, unit.Own{Name: "tv.service", Cgroup: "/home.slice/tv.service"}); err == nil || !strings.Contains(hint.Of(err), `Slice=home-pods-media\x2dbox.slice`) {
		t.Errorf("a container outside: %v", err)
	}
	for _, in := range []string{"/tv.service", "/x.slice/tv.service"} {
		if err := w.withinLimits(p, unit.Own{Name: "tv.service", Cgroup: `/home.slice/home-pods.slice/home-pods-media\x2dbox.slice` + in}); err != nil {
			t.Error(err)
		}
	}
}

// TestSettingsOfLimits: what a pod has not asked for takes back what an earlier start has set.
func TestSettingsOfLimits(t *testing.T) {
	const none = uint64(math.MaxUint64)
	memory, swap, endless, shares, weight := gib, 3*gib, int64(-1), uint64(512), uint16(500)
	cpus := 1.5
	got := podSettings(spec.Limits{
		Memory: &memory, MemorySwap: &swap, CPUs: &cpus, CPUShares: &shares, CpusetCPUs: "0-1,9", CpusetMems: "0", BlkioWeight: &weight,
		BlkioWeightDevice: []spec.DeviceWeight{{Path: "/dev/sda", Weight: 1000}}, DeviceReadBPS: []spec.DeviceRate{{Path: "/dev/sda", Rate: 5}},
	})
	want := map[string]any{
		"MemoryMax": uint64(gib), "MemorySwapMax": uint64(2 * gib), "CPUQuotaPerSecUSec": uint64(1_500_000), "CPUWeight": uint64(20),
		"AllowedCPUs": []byte{3, 2}, "AllowedMemoryNodes": []byte{1}, "IOWeight": uint64(4950), "IODeviceWeight": []unit.OfDevice{{Path: "/dev/sda", Value: 10000}},
		"IOReadBandwidthMax": []unit.OfDevice{{Path: "/dev/sda", Value: 5}}, "IOWriteBandwidthMax": []unit.OfDevice{},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	got = podSettings(spec.Limits{Memory: &memory})
	if got["MemorySwapMax"] != uint64(gib) || got["CPUWeight"] != none || got["CPUQuotaPerSecUSec"] != none || len(got) != len(want) {
		t.Errorf("memory alone: %v", got)
	}
	if got := podSettings(spec.Limits{Memory: &memory, MemorySwap: &endless})["MemorySwapMax"]; got != none {
		t.Errorf("endless swap: %v", got)
	}
}
