// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	escape "github.com/coreos/go-systemd/v22/unit"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
)

// The limits of a pod are those of a slice that all its units are in: each container has a unit of
// its own, and the manager lets no unit reach into the cgroup of another. The slice is below the
// one where the pod's unit would be without limits, and its name ends with that of the pod. The
// generator writes the same name.

// PodSlice is the slice of a pod with limits: of a user's, below the slice of all his services,
// else below the system's.
func PodSlice(name string, user bool) string {
	base := "system"
	if user {
		base = "app"
	}
	return base + "-" + podSliceEnd(name)
}

// podSliceEnd is the end of the name of a pod's slice.
func podSliceEnd(name string) string { return "pods-" + escape.UnitNameEscape(name) + ".slice" }

// limitPod sets the limits of a pod on its slice: the service that starts the pod is in it. A limit
// whose controller is not there stands in the slice and has no effect.
func (e *Engine) limitPod(ctx context.Context, p pod.Record) error {
	if !p.Spec.Limits.Any() {
		return nil
	}
	above := path.Dir(e.Own.Cgroup)
	name := path.Base(above)
	if name != podSliceEnd(p.Name) && !strings.HasSuffix(name, "-"+podSliceEnd(p.Name)) {
		return hint.With(fmt.Errorf("the limits of pod %s are those of a slice of its own, and %s is in %s", p.Name, e.Own.Name, name),
			"Slice=%s in the [Service] section of %s and of the units of its containers", PodSlice(p.Name, e.User.Rootless()), e.Own.Name)
	}
	var err error
	if p.Unit != "" || e.Own.Name != podServiceName(p) { // else it has been started with them
		err = e.ofOwn(ctx, func(m Manager) error { return m.StartSlice(ctx, name, limitedSlice(p)) })
	}
	if err != nil && !e.Own.User && e.User.UID != 0 {
		return hint.With(fmt.Errorf("limits of pod %s: the manager of the system takes none from a user: %w", p.Name, err),
			"leave them out of the pod, and put Slice=NAME.slice into the [Service] sections of the pod and its containers, and the limits into NAME.slice")
	}
	if err != nil {
		return fmt.Errorf("limits of pod %s: %w", p.Name, err)
	}
	missing, err := e.missing(ctx, above, p.Spec.Limits)
	for _, w := range missing {
		e.Warn(w)
	}
	return err
}

// missing says which limits have no effect in a cgroup. The manager answers before it turns on the
// controllers of a slice that is up, so missing looks again until realized has passed.
func (e *Engine) missing(ctx context.Context, in string, l spec.Limits) ([]string, error) {
	for deadline := time.Now().Add(realized); ; {
		there, err := e.controllers(in)
		if err != nil {
			return nil, err
		}
		missing := without(l, there)
		if len(missing) == 0 || time.Now().After(deadline) {
			return missing, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// realized is how long a manager may need to change a cgroup.
const realized = time.Second

// limitedSlice is the slice of a pod, with its limits.
func limitedSlice(p pod.Record) unit.Slice {
	return unit.Slice{Description: "Pod " + p.Name, Settings: podSettings(p.Spec.Limits)}
}

// sliceOf is the slice for the unit of a container that we make in a pod; empty if the pod has no
// limits, or is none.
func (e *Engine) sliceOf(p pod.Record) (string, error) {
	above, err := e.podCgroup(p)
	if err != nil || above == "" {
		return "", err
	}
	return path.Base(above), nil
}

// podCgroup is the cgroup of a pod's slice; empty if the pod has no limits.
func (e *Engine) podCgroup(p pod.Record) (string, error) {
	if !p.Spec.Limits.Any() {
		return "", nil
	}
	pid := e.Pods.Status(p).InfraPID
	if pid == 0 {
		return "", fmt.Errorf("pod %s is not running", p.Name)
	}
	first, err := e.unitOf(pid)
	if err != nil {
		return "", err
	}
	return path.Dir(first.Cgroup), nil
}

// withinLimits is an error if the unit that a container of a pod is to start in is not one that the
// pod's limits hold for.
func (e *Engine) withinLimits(p pod.Record, own unit.Own) error {
	above, err := e.podCgroup(p)
	if err != nil || above == "" || strings.HasPrefix(own.Cgroup, above+"/") {
		return err
	}
	return hint.With(fmt.Errorf("pod %s has limits, which do not hold for %s", p.Name, own.Name), "Slice=%s in its [Service] section", path.Base(above))
}

// podSettings are limits as settings of a slice. One that a pod has not is written as well: a slice
// that is up may have it from an earlier start. Source: org.freedesktop.systemd1(5), of slices.
func podSettings(l spec.Limits) map[string]any {
	const none = uint64(math.MaxUint64)
	set := map[string]any{
		"MemoryMax": none, "MemorySwapMax": none, "CPUQuotaPerSecUSec": none, "CPUWeight": none, "IOWeight": none,
		"AllowedCPUs": numbers(l.CpusetCPUs), "AllowedMemoryNodes": numbers(l.CpusetMems),
		"IODeviceWeight": []unit.OfDevice{}, "IOReadBandwidthMax": ofDevices(l.DeviceReadBPS), "IOWriteBandwidthMax": ofDevices(l.DeviceWriteBPS),
	}
	if l.Memory != nil {
		set["MemoryMax"] = uint64(*l.Memory)
		set["MemorySwapMax"] = uint64(*l.Memory) // podman-pod-create(1), --memory-swap: twice as much together
		switch {
		case l.MemorySwap != nil && *l.MemorySwap < 0:
			set["MemorySwapMax"] = none
		case l.MemorySwap != nil:
			set["MemorySwapMax"] = uint64(*l.MemorySwap - *l.Memory)
		}
	}
	if l.CPUs != nil {
		set["CPUQuotaPerSecUSec"] = uint64(*l.CPUs * 1e6)
	}
	if l.CPUShares != nil {
		shares := min(max(*l.CPUShares, 2), 262144)
		set["CPUWeight"] = 1 + (shares-2)*9999/262142 // as the runtimes do
	}
	if l.BlkioWeight != nil {
		set["IOWeight"] = ioWeight(*l.BlkioWeight)
	}
	var weights []unit.OfDevice
	for _, w := range l.BlkioWeightDevice {
		weights = append(weights, unit.OfDevice{Path: w.Path, Value: ioWeight(w.Weight)})
	}
	if len(weights) > 0 {
		set["IODeviceWeight"] = weights
	}
	return set
}

// ioWeight makes of 10 to 1000 a weight from 1 to 10000, as the runtimes do.
func ioWeight(w uint16) uint64 { return 1 + (uint64(w)-10)*9999/990 }

func ofDevices(rates []spec.DeviceRate) []unit.OfDevice {
	all := []unit.OfDevice{}
	for _, r := range rates {
		all = append(all, unit.OfDevice{Path: r.Path, Value: r.Rate})
	}
	return all
}

// numbers makes of 0-2,4 the bits that the manager takes, eight of them in a byte and the lowest
// first.
func numbers(list string) []byte {
	bits := []byte{}
	if list == "" {
		return bits
	}
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, err := strconv.ParseUint(from, 10, 13) // more processors no kernel has
		last := first
		if isRange && err == nil {
			last, err = strconv.ParseUint(to, 10, 13)
		}
		if err != nil {
			continue // spec has judged it: too large a number is no processor of this machine
		}
		for n := first; n <= last; n++ {
			for len(bits) <= int(n/8) {
				bits = append(bits, 0)
			}
			bits[n/8] |= 1 << (n % 8)
		}
	}
	return bits
}

// without says which limits have no effect for want of a controller.
func without(l spec.Limits, there []string) []string {
	var all []string
	for _, f := range []struct {
		asked            bool
		flag, controller string
	}{
		{l.Memory != nil, "memory", "memory"}, {l.MemorySwap != nil, "memory-swap", "memory"},
		{l.CPUs != nil, "cpus", "cpu"}, {l.CPUShares != nil, "cpu-shares", "cpu"},
		{l.CpusetCPUs != "", "cpuset-cpus", "cpuset"}, {l.CpusetMems != "", "cpuset-mems", "cpuset"},
		{l.BlkioWeight != nil, "blkio-weight", "io"}, {len(l.BlkioWeightDevice) > 0, "blkio-weight-device", "io"},
		{len(l.DeviceReadBPS) > 0, "device-read-bps", "io"}, {len(l.DeviceWriteBPS) > 0, "device-write-bps", "io"},
	} {
		if f.asked && !slices.Contains(there, f.controller) {
			all = append(all, fmt.Sprintf("--%s has no effect: the cgroup has no %s controller; is it delegated? see Delegate= in systemd.resource-control(5)", f.flag, f.controller))
		}
	}
	return all
}

// endSlice stops the slice of a pod that was started by hand and is gone now. A service of that
// slice would be stopped with it.
func (e *Engine) endSlice(ctx context.Context, p pod.Record) error {
	slice := PodSlice(p.Name, e.User.Rootless())
	if !p.Spec.Limits.Any() || p.Unit != "" || slices.Contains(strings.Split(e.Own.Cgroup, "/"), slice) {
		return nil
	}
	err := e.StopUnit(ctx, slice)
	if errors.As(err, new(unit.NoManagerError)) {
		return nil // then there is no slice
	}
	return err
}
