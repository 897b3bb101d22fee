// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"slices"
	"strings"

	systemd "github.com/coreos/go-systemd/v22/unit"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/unitfile"
)

// PodLimits are the flags of pod create that limit all containers of the pod together. A test ties
// them to the runner's.
var PodLimits = []string{
	"--memory", "-m", "--memory-swap", "--cpus", "--cpu-shares", "-c", "--cpuset-cpus", "--cpuset-mems",
	"--blkio-weight", "--blkio-weight-device", "--device-read-bps", "--device-write-bps",
}

// limited is the line of PodmanArgs= that gives a pod limits, nil if none does.
func limited(pod *quadlet.Unit) *unitfile.Line {
	for _, l := range pod.Lines("PodmanArgs") {
		words, err := unitfile.SplitArgs(l.Value)
		if err != nil {
			continue // left out, which its own conversion tells
		}
		for _, w := range words {
			name, _, _ := strings.Cut(w.Text, "=")
			if len(name) > 2 && !strings.HasPrefix(name, "--") {
				name = name[:2] // -m512m is -m 512m
			}
			if slices.Contains(PodLimits, name) {
				return l
			}
		}
	}
	return nil
}

// podSlice is the slice of the units of a pod with limits, which the runner gives to it: one for
// the pod, below that where its unit would be without. Its end is made from the pod's name, as the
// runner makes it.
func (c *converter) podSlice(pod *quadlet.Unit) string {
	base := "system"
	if c.opt.User {
		base = "app"
	}
	if l, ok := pod.ServiceKey("Slice"); ok && l.Value != "" {
		base = strings.TrimSuffix(strings.TrimSuffix(l.Value, ".slice"), "-") // -.slice is that of all others
	}
	return strings.TrimPrefix(base+"-pods-"+systemd.UnitNameEscape(pod.Resource)+".slice", "-")
}

// limitPod puts the service of a pod with limits into the slice that has them.
func (c *converter) limitPod() {
	l := limited(c.Unit)
	if l == nil {
		return
	}
	slice := c.podSlice(c.Unit)
	switch {
	case strings.Contains(slice+c.Unit.Resource, "%"): // the slice has the name escaped
		c.FaultAt(l, "pod-limits", "the limits of a pod are those of the slice "+slice+", whose name must not have specifiers",
			"give each pod a file of its own, or the limits to its containers")
	case c.runsAs() != "":
		c.FaultAt(l, "pod-limits", "the limits of a pod are those of a slice, and the manager of the system takes none from a user",
			"put Slice=NAME.slice into the [Service] sections of the pod and its containers, and the limits into NAME.slice")
	default:
		c.service.Set("Slice", slice)
	}
}

// limitMember puts the service of a container into the slice of its pod, if that has limits.
func (c *converter) limitMember(pod *quadlet.Unit) {
	if limited(pod) == nil {
		return
	}
	slice := c.podSlice(pod)
	if l, ok := c.ServiceKey("Slice"); ok && l.Value != "" {
		if own := strings.TrimSuffix(l.Value, ".slice"); own+".slice" != slice && !strings.HasPrefix(own, strings.TrimSuffix(slice, ".slice")+"-") {
			c.FaultAt(l, "pod-limits", pod.Base+" has limits, which hold below "+slice+" only", "leave Slice= out, or put it into "+pod.Base)
		}
		return
	}
	c.service.Set("Slice", slice)
}
