// SPDX-License-Identifier: Apache-2.0

package service

import (
	"fmt"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/spec"
)

func TestPublishAllLeavesOutWhatIsPublished(t *testing.T) {
	r := &container.Record{}
	r.Spec.PublishAll = true
	r.Spec.Publish = []spec.PortMapping{{HostPort: 8080, ContainerPort: 80, Range: 1, Protocol: "tcp"}}
	r.Config.ExposedPorts = map[string]struct{}{"80/tcp": {}, "53/udp": {}, "36412/sctp": {}}
	r.Spec.Expose = []spec.PortRange{{First: 90, Range: 2, Protocol: "tcp"}}
	got := map[string]bool{}
	for _, m := range exposed(r, false) {
		if m.HostPort != 0 {
			t.Errorf("%+v has a host port of its own", m)
		}
		got[fmt.Sprintf("%d/%s", m.ContainerPort, m.Protocol)] = true
	}
	if len(got) != 3 || got["80/tcp"] {
		t.Errorf("got %v", got)
	}
	if all := exposed(r, true); len(all) != 4 {
		t.Errorf("where SCTP can be forwarded: got %v", all)
	}
}
