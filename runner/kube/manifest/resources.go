// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/spec"
)

// deviceResource asks for a device of the machine by its path.
const deviceResource = "podman.io/device="

// resources reads limits and requests. c is nil for those of a pod as a whole.
func (p *planner) resources(in corev1.ResourceRequirements, at place, c *kube.Container) kube.Resources {
	out := kube.Resources{}
	show := func(kind string, list corev1.ResourceList) {
		for name, q := range list {
			if out.Shown == nil {
				out.Shown = map[string]string{}
			}
			out.Shown[kind+"."+string(name)] = q.String()
		}
	}
	show("limits", in.Limits)
	show("requests", in.Requests)
	for _, name := range slices.Sorted(maps.Keys(in.Limits)) {
		q, one := in.Limits[name], at.in("limits", string(name))
		if !p.amount(q, one) {
			continue
		}
		switch {
		case name == corev1.ResourceCPU:
			out.CPUQuota = max(q.MilliValue(), 1)
		case name == corev1.ResourceMemory:
			p.memory(q, one)
			out.MemoryMax = q.Value()
		case strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
			one.note("kube-resources", "vm.nr_hugepages of sysctl(8) says how many the machine has", "systemd sets no limit for huge pages: the machine's are there for all")
		case name == corev1.ResourceEphemeralStorage:
		default:
			p.device(string(name), one, c)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Requests)) {
		q, one := in.Requests[name], at.in("requests", string(name))
		if !p.amount(q, one) {
			continue
		}
		if limit, ok := in.Limits[name]; ok && q.Cmp(limit) > 0 {
			one.fault("kube-resources", "", "%s is asked for, which is more than the limit of %s", q.String(), limit.String())
		}
		switch {
		case name == corev1.ResourceCPU:
			out.CPUWeight = weight(q)
		case name == corev1.ResourceMemory:
			p.memory(q, one)
			out.MemoryLow = q.Value()
		case name == corev1.ResourceEphemeralStorage, strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
		default:
			if _, both := in.Limits[name]; !both {
				p.device(string(name), one, c)
			}
		}
	}
	// A missing request is the limit. That sets the weight; as a reserve of memory it would be
	// meant by nobody.
	if limit, ok := in.Limits[corev1.ResourceCPU]; ok && out.CPUWeight == 0 {
		out.CPUWeight = weight(limit)
	}
	if c != nil {
		limits(&c.Spec.Limits, out)
	}
	return out
}

// limits sets what run would be asked.
func limits(to *spec.Limits, r kube.Resources) {
	if r.CPUQuota > 0 {
		cpus := float64(r.CPUQuota) / 1000
		to.CPUs = &cpus
	}
	if r.MemoryMax > 0 {
		to.Memory = &r.MemoryMax
	}
	if r.MemoryLow > 0 {
		to.MemoryReservation = &r.MemoryLow
	}
}

// weight is CPUWeight= of a request: 100 for each core, 1 to 10000.
func weight(q resource.Quantity) uint64 {
	return uint64(min(max(q.MilliValue()/10, 1), 10000))
}

func (p *planner) amount(q resource.Quantity, at place) bool {
	if q.Sign() < 0 {
		at.fault("kube-resources", "", "%s is less than nothing", q.String())
		return false
	}
	return true
}

// memory notes the slip of 400m, which is less than a byte.
func (p *planner) memory(q resource.Quantity, at place) {
	if q.Sign() > 0 && q.MilliValue()%1000 != 0 {
		at.note("kube-resources", "400Mi are 400 megabytes", "%s are thousandths of a byte", q.String())
	}
}

// device reads a resource that is a device: VENDOR/CLASS=NAME of the container device interface,
// or a path.
func (p *planner) device(name string, at place, c *kube.Container) {
	dev, isPath := strings.CutPrefix(name, deviceResource)
	switch {
	case c == nil:
		at.note("kube-resources", "", "a pod as a whole has no resource %s here", name)
	case isPath:
		if !path.IsAbs(dev) {
			at.fault("kube-resources", "such as podman.io/device=/dev/dri: 1", "%q is not an absolute path", dev)
			return
		}
		d, err := spec.ParseDevice(dev)
		if err != nil {
			at.fault("kube-resources", "such as podman.io/device=/dev/dri: 1", "%v", err)
		}
		c.Spec.Devices = append(c.Spec.Devices, d)
	case strings.Contains(name, "=") && strings.Contains(name, "/"):
		c.Spec.Devices = append(c.Spec.Devices, spec.Device{Host: name, CDI: true})
	default:
		at.note("kube-resources", "name a device: VENDOR/CLASS=NAME: 1 of the container device interface, or podman.io/device=PATH: 1",
			"no device plugin serves %s here", name)
	}
}
