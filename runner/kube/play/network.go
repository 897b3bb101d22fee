// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/spec"
)

// DefaultNetwork is the network of pods whose documents and command line name none. It is made when
// it is missing and never removed. Source: podman-kube-play(1).
const DefaultNetwork = "podman-default-kube-network"

// networking is what a pod asks for as its network, with its names and addresses there. default is
// false if there is no default network: then each pod has a pasta of its own.
func networking(p *kube.Pod, withDefault bool) (spec.Networking, error) {
	n := p.Spec.Networking
	if p.Network.Default && withDefault {
		n.Networks = []spec.Network{{Mode: spec.NetNamed, Name: DefaultNetwork}}
	}
	n.FullName, n.OwnDNS = p.Network.FQDN, p.Network.HostDNS || p.Network.DNSOnly
	if p.Network.DNSOnly && len(n.DNSSearch) == 0 {
		n.DNSSearch = []string{"."} // none, and not the machine's
	}
	for _, f := range []struct{ name, text string }{{"--ip", p.Network.IP}, {"--mac-address", p.Network.MAC}} {
		if f.text != "" && (!n.Named() || len(n.Networks) > 1) {
			return n, hint.With(fmt.Errorf("pod %s: %s %s needs one network with a name", p.Name, f.name, f.text), "with several, write --network NAME:ip=IP,mac=MAC")
		}
	}
	if p.Network.IP != "" {
		ip, err := netip.ParseAddr(p.Network.IP)
		if err != nil || ip.Zone() != "" {
			return n, fmt.Errorf("pod %s: --ip %q is not an IP address", p.Name, p.Network.IP)
		}
		if ip = ip.Unmap(); ip.Is4() {
			n.IP = ip
		} else {
			n.IP6 = ip
		}
	}
	if p.Network.MAC != "" {
		mac, err := net.ParseMAC(p.Network.MAC)
		if err != nil || len(mac) != 6 {
			return n, fmt.Errorf("pod %s: --mac-address %q is not a MAC address", p.Name, p.Network.MAC)
		}
		n.MAC = mac
	}
	if n.Named() {
		n.Aliases = p.Network.Aliases
	}
	return n, nil
}

// networks looks at what the pods of a play need of networks, before anything is made, and whether
// there is a default network to put them on: a machine without the programs of named networks
// plays all the same, and says what is missing.
func (w *work) networks() error {
	var errs []error
	wanted := false
	for _, p := range w.st.Plan.Pods {
		wanted = wanted || p.Network.Default
	}
	if wanted {
		for _, name := range []string{"netavark", "aardvark-dns"} {
			_, err := w.Networks().Program(name)
			if missing := (netavark.MissingError{}); errors.As(err, &missing) {
				w.alone = true
				w.Warn(fmt.Sprintf("the pods have no common network and do not find each other by name: %v (%s)", err, missing.Hint()))
				break
			}
		}
	}
	for _, p := range w.st.Plan.Pods {
		n, err := networking(p, !w.alone)
		errs = append(errs, err)
		for _, one := range n.Networks {
			if one.Mode == spec.NetNamed && one.Name != DefaultNetwork {
				if _, err := w.Networks().Get(one.Name); err != nil {
					errs = append(errs, fmt.Errorf("pod %s: %w", p.Name, err))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// defaultNetwork makes the network that pods are on by default.
func (w *work) defaultNetwork(ctx context.Context) error {
	for _, p := range w.st.Plan.Pods {
		if !p.Network.Default || w.alone {
			continue
		}
		_, err := w.Networks().Create(ctx, netavark.New{Name: DefaultNetwork})
		if exists := (netavark.ExistsError{}); err != nil && !errors.As(err, &exists) {
			return err
		}
		return nil
	}
	return nil
}
