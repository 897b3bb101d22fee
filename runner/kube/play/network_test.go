// SPDX-License-Identifier: Apache-2.0

package play

import (
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/spec"
)

// TestNetworking: what a pod's documents and the command line say becomes what its network is asked
// for.
func TestNetworking(t *testing.T) {
	p := &kube.Pod{Name: "web", Network: kube.Network{Default: true, Aliases: []string{"a", "db"}, IP: "10.89.0.7", MAC: "92:d0:c6:0a:29:33", FQDN: "web.sub.default.svc.cluster.local"}}
	n, err := networking(p, true)
	if err != nil || n.Networks[0].Name != DefaultNetwork || n.IP.String() != "10.89.0.7" || n.MAC.String() != "92:d0:c6:0a:29:33" || n.FullName != p.Network.FQDN || len(n.Aliases) != 2 || n.OwnDNS {
		t.Errorf("%+v, %v", n, err)
	}
	for _, c := range []struct {
		name string
		pod  kube.Pod
		both bool
		want string
	}{
		{"an address without a network", kube.Pod{Name: "web", Network: kube.Network{Default: true, IP: "10.89.0.7"}}, false, "--ip 10.89.0.7 needs one network with a name"},
		{"an address that is none", kube.Pod{Name: "web", Network: kube.Network{Default: true, IP: "10.89"}}, true, "is not an IP address"},
		{"a MAC address that is none", kube.Pod{Name: "web", Network: kube.Network{Default: true, MAC: "1"}}, true, "is not a MAC address"},
		{"the host's network", kube.Pod{Name: "web", Spec: spec.Pod{Networking: spec.Networking{Networks: []spec.Network{{Mode: spec.NetHost}}}}, Network: kube.Network{MAC: "92:d0:c6:0a:29:33"}}, true, "--mac-address"},
	} {
		if _, err := networking(&c.pod, c.both); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// dnsPolicy: None takes nothing of the machine's, ClusterFirst the network's, Default the
	// machine's.
	if n, _ = networking(&kube.Pod{Network: kube.Network{Default: true, DNSOnly: true}}, true); !n.OwnDNS || strings.Join(n.DNSSearch, " ") != "." {
		t.Errorf("None: %+v", n)
	}
	if n, _ = networking(&kube.Pod{Network: kube.Network{Default: true, HostDNS: true}}, true); !n.OwnDNS || len(n.DNSSearch) != 0 {
		t.Errorf("Default: %+v", n)
	}
}
