// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"math"
	"path"
	"strings"

	escape "github.com/coreos/go-systemd/v22/unit"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/unit"
)

// All units of a play are in a slice of its own: systemctl status shows them as one tree there, and
// limits of the play hold for all of them together.

// sliceName is the slice of a play: app-kube-tv.slice for tv.service, below the slice that the
// service is in; app-pod-tv.slice for a play from a shell, below that of all services.
func sliceName(own unit.Own, play string, rootless bool) string {
	base := "system"
	if rootless {
		base = "app"
	}
	name, shell := strings.CutPrefix(play, "pod ")
	if shell {
		return base + "-pod-" + escape.UnitNameEscape(name) + ".slice"
	}
	if own.Service() && own.User == rootless {
		// The root slice has no name of its own here.
		base, _ = strings.CutSuffix(path.Base(path.Dir(own.Cgroup)), ".slice")
		if strings.ContainsAny(base, "/@.") {
			base = ""
		}
	}
	return strings.TrimPrefix(base+"-kube-"+escape.UnitNameEscape(strings.TrimSuffix(play, ".service"))+".slice", "-")
}

// podSlice is the slice of a pod's units: one of its own if the pod has limits.
func podSlice(st *State, one *kube.Pod) string {
	if one.Limits.MemoryMax == 0 && one.Limits.CPUQuota == 0 && one.Limits.CPUWeight == 0 && one.Limits.MemoryLow == 0 {
		return st.Slice
	}
	return sliceBelow(st.Slice, one.Name)
}

// sliceBelow is the name of a slice in another slice.
func sliceBelow(slice, name string) string {
	return strings.TrimSuffix(slice, ".slice") + "-" + escape.UnitNameEscape(name) + ".slice"
}

// startSlice starts the slice of the play, with the limits of the .kube file's [Service] section.
func (w *work) startSlice(ctx context.Context) error {
	s := unit.Slice{Description: "Pods of " + strings.TrimPrefix(w.st.Name, "pod ")}
	if w.Service {
		var err error
		if s.Settings, err = w.Limits(ctx); err != nil {
			return err
		}
	}
	return w.StartSlice(ctx, w.st.Slice, s)
}

// startPodSlice starts the slice of a pod that has limits.
func (w *work) startPodSlice(ctx context.Context, one *kube.Pod) error {
	name := podSlice(w.st, one)
	if name == w.st.Slice {
		return nil
	}
	return w.StartSlice(ctx, name, unit.Slice{Description: "Pod " + one.Name, Settings: sliceSettings(one.Limits)})
}

// sliceSettings are limits as settings of a slice. A limit that a pod does not have is written as
// well, as unlimited: a slice that is up may have it from the last play.
func sliceSettings(r kube.Resources) map[string]any {
	const none = uint64(math.MaxUint64)
	set := map[string]any{"MemoryMax": none, "MemoryLow": uint64(0), "CPUQuotaPerSecUSec": none, "CPUWeight": none}
	resources(set, r)
	if r.MemoryMax > 0 {
		set["MemoryMax"] = uint64(r.MemoryMax)
	}
	if r.MemoryLow > 0 {
		set["MemoryLow"] = uint64(r.MemoryLow)
	}
	if r.CPUQuota > 0 {
		set["CPUQuotaPerSecUSec"] = uint64(r.CPUQuota) * 1000 // thousandths of a core
	}
	return set
}

// stopSlices stops the slices of a play that has ended, with whatever is still in them.
func (p *Player) stopSlices(ctx context.Context, st *State) error {
	if st.Slice == "" {
		return nil // of an older version
	}
	return p.StopUnit(ctx, st.Slice)
}
