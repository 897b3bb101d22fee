// SPDX-License-Identifier: Apache-2.0

package service

import (
	"strconv"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/spec"
)

// exposed are the ports that --publish-all publishes: those the image and the command line expose
// and that are not published already, each on any free port. sctp tells whether the network can
// forward SCTP; an image that exposes such a port runs without it where it cannot.
func exposed(r *container.Record, sctp bool) []spec.PortMapping {
	if !r.Spec.PublishAll || !r.Spec.Publishes() {
		return nil
	}
	ranges := append([]spec.PortRange{}, r.Spec.Expose...)
	for port := range r.Config.ExposedPorts {
		if p, err := spec.ParsePortRange(port); err == nil && (sctp || p.Protocol != "sctp") {
			ranges = append(ranges, p)
		}
	}
	var out []spec.PortMapping
	seen := map[string]bool{}
	for _, m := range r.Spec.Publish {
		for i := range m.Range {
			seen[strconv.Itoa(int(m.ContainerPort+i))+"/"+m.Protocol] = true
		}
	}
	for _, p := range ranges {
		for i := range p.Range {
			key := strconv.Itoa(int(p.First+i)) + "/" + p.Protocol
			if seen[key] {
				continue
			}
			seen[key] = true
			out = append(out, spec.PortMapping{ContainerPort: p.First + i, Range: 1, Protocol: p.Protocol})
		}
	}
	return out
}
