// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/podunit/podunit/runner/safe"
	"github.com/vishvananda/netlink/nl"
	"go.podman.io/common/libnetwork/types"
	"golang.org/x/sys/unix"
)

// netavark's rules of a firewall are those of the networks, ports apart: the first container on a
// network has them made, the last one has them removed, and each one between only has nft look at
// them, four times, which is most of netavark's time. Ports of a user's container are no matter of
// rules. So the networks whose rules are there are noted, a user's in the directory of the
// namespace, which goes with it; a container on such networks only is connected without a firewall.
// Root's rules are in the machine's namespace, where others may remove them: the kernel is asked
// whether they are there.

// noFirewall is the driver with which netavark leaves rules alone. Source: seen with 1.14 and 1.17;
// 1.4 does not know it.
const noFirewall = "none"

var noFirewallSince = version{1, 14}

// notes is the directory of the notes.
func (c *Connection) notes() string {
	if c.Rootless {
		return filepath.Join(c.Shared, "rules")
	}
	return filepath.Join(filepath.Dir(c.Records), "rules")
}

// noteOf is the file that says that the rules of a network are in a namespace. It has both as they
// were then; the holder of root's is nobody.
func (c *Connection) noteOf(h Shared, n *types.Network) (path string, text []byte, err error) {
	same := *n
	same.NetworkDNSServers = nil // they change while the network is in use, and no rule has them
	text, err = json.Marshal(struct {
		PID     int // of the namespace's holder
		Ticks   uint64
		Network types.Network
	}{h.PID, h.Ticks, same})
	return filepath.Join(c.notes(), n.ID), text, err
}

// mayNote reports whether rules are of a kind that is noted. Empty is what netavark was built for:
// nftables, where this was seen. Its rules for iptables are those of networks, too, and not of
// containers; as that was not tried, whoever asks for iptables has all looked at.
func (c *Connection) mayNote(h Shared) bool {
	return (!c.Rootless || h.PID != 0) && (c.Firewall == "" || c.Firewall == "nftables")
}

// noted reports whether the rules of all networks are noted as they are to be.
func (c *Connection) noted(h Shared) bool {
	for _, e := range c.Networks {
		path, text, err := c.noteOf(h, c.Info[e.Name])
		if err != nil {
			return false
		}
		if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, text) {
			return false
		}
	}
	return true
}

// firewall is the driver for a setup in a namespace: none where the rules of all networks are
// there. The caller has the lock.
func (c *Connection) firewall(h Shared) string {
	if len(c.Ports) == 0 && c.mayNote(h) && c.noted(h) && (c.Rootless || c.haveChains()) {
		return noFirewall
	}
	return c.Firewall
}

// haveChains reports whether the kernel has the chains of all networks, by which netavark, too, knows
// whether it has made the rules of a subnet. Source: src/firewall/nft.rs of netavark 1.14 to 2.0.
func (c *Connection) haveChains() bool {
	for _, n := range c.Info {
		if n.Driver != Bridge || n.Internal || len(n.Subnets) == 0 {
			return false
		}
		for _, s := range n.Subnets {
			if hasChain("netavark", chainOf(n.ID, s.Subnet.String())) != nil {
				return false
			}
		}
	}
	return true
}

// chainOf is the name of the chain of a subnet of a network.
func chainOf(network, subnet string) string {
	return fmt.Sprintf("nv_%.8s_%s", network, strings.NewReplacer(".", "_", ":", "-", "/", "_nm").Replace(subnet))
}

// hasChain returns an error where a table of family inet has no such chain.
func hasChain(table, chain string) error {
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETCHAIN, 0)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.NFPROTO_INET})
	req.AddData(nl.NewRtAttr(unix.NFTA_CHAIN_TABLE, nl.ZeroTerminated(table)))
	req.AddData(nl.NewRtAttr(unix.NFTA_CHAIN_NAME, nl.ZeroTerminated(chain)))
	found, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	if err == nil && len(found) == 0 {
		err = unix.ENOENT
	}
	return err
}

// noteRules notes that netavark has made the rules of the connection's networks in a namespace. Where
// that fails, or netavark is too old, the next container has netavark look at them. installed is its
// version.
func (c *Connection) noteRules(h Shared, installed func() (version, error)) {
	if !c.mayNote(h) || c.noted(h) {
		return
	}
	if v, err := installed(); err != nil || v.less(noFirewallSince) {
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
	var errs []error
	for _, n := range networks {
		if err := os.Remove(filepath.Join(c.notes(), n.ID)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
