// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/podunit/podunit/runner/safe"
	"go.podman.io/common/libnetwork/types"
)

// In the namespace of a user's networks, netavark's rules of a firewall are those of the networks:
// the first container on a network has them made, the last one has them removed, and each one
// between only has nft look at them, four times, which is most of netavark's time. Ports of a
// user's container are no matter of rules. So the networks whose rules are there are noted, in the
// namespace's directory, which goes with it; a container on such networks only is connected without
// a firewall.

// noFirewall is the driver with which netavark leaves rules alone. Source: seen with 1.14 and 1.17;
// 1.4 does not know it.
const noFirewall = "none"

var noFirewallSince = version{1, 14}

// noteOf is the file that says that the rules of a network are in a namespace. It has both as they
// were then.
func (c *Connection) noteOf(h Shared, n *types.Network) (path string, text []byte, err error) {
	same := *n
	same.NetworkDNSServers = nil // they change while the network is in use, and no rule has them
	text, err = json.Marshal(struct {
		PID     int // of the namespace's holder
		Ticks   uint64
		Network types.Network
	}{h.PID, h.Ticks, same})
	return filepath.Join(c.Shared, "rules", n.ID), text, err
}

// firewall is the driver for a setup in a namespace: none where the rules of all networks are
// there. The caller has the lock.
func (c *Connection) firewall(h Shared) string {
	if !c.Rootless || len(c.Ports) > 0 || h.PID == 0 {
		return c.Firewall
	}
	for _, e := range c.Networks {
		path, text, err := c.noteOf(h, c.Info[e.Name])
		if err != nil {
			return c.Firewall
		}
		if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, text) {
			return c.Firewall
		}
	}
	return noFirewall
}

// noteRules notes that netavark has made the rules of the connection's networks in a namespace. Where
// that fails, or netavark is too old, the next container has netavark look at them.
func (c *Connection) noteRules(h Shared) {
	// Empty is what netavark was built for: nftables, where this was seen. Its rules for iptables
	// are those of networks, too, and not of containers; as that was not tried, whoever asks for
	// iptables has all looked at.
	if !c.Rootless || h.PID == 0 || c.Firewall != "" && c.Firewall != "nftables" {
		return
	}
	if v, err := askVersion(c.Netavark); err != nil || v.less(noFirewallSince) {
		return
	}
	for _, e := range c.Networks {
		path, text, err := c.noteOf(h, c.Info[e.Name])
		if err == nil {
			_ = errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), safe.Replace(path, text, 0o600))
		}
	}
}

// forgetRules is called before netavark may remove the rules of networks.
func (c *Connection) forgetRules(networks map[string]*types.Network) error {
	if !c.Rootless {
		return nil
	}
	var errs []error
	for _, n := range networks {
		if err := os.Remove(filepath.Join(c.Shared, "rules", n.ID)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
