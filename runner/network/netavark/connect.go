// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"github.com/vishvananda/netlink"
	"go.etcd.io/bbolt"
	"go.podman.io/common/libnetwork/types"
	"golang.org/x/sys/unix"
)

// Network is the configuration of a network.
type Network = types.Network

// Endpoint is one network of a container, with what it wants there.
type Endpoint = types.NamedPerNetworkOptions

// Connection is a container or pod on named networks. It is noted in a file of its runtime directory,
// and has all that is needed to take it back in another process.
type Connection struct {
	ID, Name, Hostname string
	// Networks in their order. Once connected, each has its addresses and the name of its interface.
	Networks []Endpoint
	// Ports that netavark publishes, which only root's can.
	Ports []types.PortMapping `json:",omitempty"`
	// Forward is how ports come to a user's container without a pasta of its own; nil if they do not.
	Forward *Forward `json:",omitempty"`
	// DNS are the name servers that aardvark-dns asks for this container.
	DNS []string `json:",omitempty"`
	// Routed tells that the default route leads over another device than a bridge.
	Routed bool `json:",omitempty"`
	// Plain tells that names are to be asked for without the domain of the name server: see
	// plainNames.
	Plain bool `json:",omitempty"`

	// What Connect fills in.
	Info   map[string]*types.Network    // the networks as they were
	Answer map[string]types.StatusBlock `json:",omitempty"` // what netavark made; nil until it is there
	Peers  map[string]int               `json:",omitempty"` // the index of the link on the side of the host, by network
	Begun  bool                         `json:",omitempty"` // netavark may have done something

	// What takes it back needs of the Store.
	LockFile, Run, Records string
	Shared                 string `json:",omitempty"` // the directory of the user's namespace; empty as root
	Netavark               string
	Rootless               bool
	Firewall               string `json:",omitempty"`
	DNSPort                uint16 `json:",omitempty"`

	// started waits for the start of the user's namespace that Begin has asked for; nil if it has
	// not.
	started func() error
	// giveUp ends the wait of started for that.
	giveUp context.CancelFunc
	// read tells that it comes from its file, so that the container may run already.
	read bool
	// made is the user's namespace in which the links were made.
	made Shared
}

// recordFile is the name of a Connection's file in a runtime directory.
const recordFile = "networks.json"

// Prepare makes a Connection to networks. It changes nothing, and finds what cannot be: a network
// that is not there, an option that the installed netavark lacks, an address outside.
func (s *Store) Prepare(c Connection) (*Connection, error) {
	var err error
	if c.Netavark, err = s.Program("netavark"); err != nil {
		return nil, err
	}
	c.Info = map[string]*types.Network{}
	networks := slices.Clone(c.Networks)
	taken := map[string]bool{}
	for _, e := range networks {
		taken[e.InterfaceName] = true
	}
	for i := range networks {
		e := &networks[i]
		n, err := s.Get(e.Name)
		if err != nil {
			return nil, err
		}
		e.Name = n.Name
		if c.Info[n.Name] != nil {
			return nil, fmt.Errorf("network %s is given twice", n.Name)
		}
		c.Info[n.Name] = &n
		if s.Rootless && n.Driver != Bridge {
			return nil, fmt.Errorf("network %s: only root can connect containers to a device of the host (driver %s)", n.Name, n.Driver)
		}
		for _, ip := range e.StaticIPs {
			if !leased(n) {
				return nil, fmt.Errorf("network %s: ipam driver %s gives no fixed addresses", n.Name, n.IPAMOptions[types.Driver])
			}
			if !contains(n, ip) {
				return nil, fmt.Errorf("requested static ip %s not in any subnet on network %s", ip, n.Name)
			}
		}
		if e.InterfaceName == "" {
			e.InterfaceName = s.deviceOn(n, func(name string) bool { return taken[name] })
			taken[e.InterfaceName] = true
		}
		err = errors.Join(checkEndpoint(n, *e), s.supported(n, *e), s.served(n))
		if err != nil {
			return nil, fmt.Errorf("network %s: %w", n.Name, err)
		}
	}
	c.Networks = networks
	if c.Plain, err = s.plainNames(c.Info); err != nil {
		return nil, err
	}
	c.LockFile, c.Run, c.Records, c.Rootless = s.LockFile, s.Run, s.Records, s.Rootless
	c.Firewall, c.DNSPort = s.Config.Network.FirewallDriver, s.Config.Network.DNSBindPort
	return &c, nil
}

// deviceOn is the name of a container's device on a network if the container has not asked for one:
// the first ethN that is not taken, or the name of the network's own device. Source:
// containers.conf(5), interface_name.
func (s *Store) deviceOn(n types.Network, taken func(name string) bool) string {
	if s.Config.Containers.InterfaceName == "device" && n.NetworkInterface != "" && !taken(n.NetworkInterface) {
		return n.NetworkInterface
	}
	for k := 0; ; k++ {
		if name := "eth" + strconv.Itoa(k); !taken(name) {
			return name
		}
	}
}

// Internal tells whether all networks of the connection are without a way out.
func (c *Connection) Internal() bool {
	for _, n := range c.Info {
		if !n.Internal {
			return false
		}
	}
	return true
}

// HasDNS tells whether a network of the connection has a name server.
func (c *Connection) HasDNS() bool {
	for _, n := range c.Info {
		if n.DNSEnabled {
			return true
		}
	}
	return false
}

// Servers are what starts the units that networks need.
type Servers struct {
	// Start returns when a unit is up.
	Start func(ctx context.Context, unit string) error
	// Namespace is the unit of the user's network namespace.
	Namespace string
	// Names returns when the name server answers and knows the names that there were. Root's takes
	// our lock before it reads them, so that it can start meanwhile. A user's takes none.
	Names func(ctx context.Context) error
	// Limit is how long links and names may take, once it is their turn; then the error is a
	// SlowError. 0 is holdTime.
	Limit time.Duration
}

func (s Servers) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.Limit == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, s.Limit, SlowError{s.Limit})
}

// SlowError says that a connection has taken longer than its limit.
type SlowError struct{ Limit time.Duration }

func (e SlowError) Error() string {
	return fmt.Sprintf("it takes more than %v", e.Limit.Round(100*time.Millisecond))
}

// Begin notes the connection in dir, the runtime directory, and starts the user's namespace if it
// is not there. That takes as long as the rest of a container's start, and goes on beside it.
// Disconnect takes it back, once Settle has returned.
func (c *Connection) Begin(ctx context.Context, dir string, servers Servers) error {
	if err := c.note(dir); err != nil {
		return err
	}
	if _, ok, err := c.host(); ok || err != nil {
		return err
	}
	ctx, c.giveUp = context.WithCancel(ctx)
	c.started = sync.OnceValue(func() error {
		defer c.giveUp()
		return servers.Start(ctx, servers.Namespace)
	})
	go func() { _ = c.started() }() // Connect tells
	return nil
}

// Settle gives up what Begin has begun, and waits until nothing of it goes on any more. It does not
// wait for the user's namespace: if that comes up nonetheless, it ends when it finds no connection,
// see EndUnused.
func (c *Connection) Settle() {
	if c.started != nil {
		c.giveUp()
		_ = c.started() // Connect has told
	}
}

// note writes down that this container or pod is connected, or about to be.
func (c *Connection) note(dir string) error {
	if err := errors.Join(c.save(dir), os.MkdirAll(c.Records, 0o700)); err != nil {
		return err
	}
	// From now on the link says that the user's namespace is needed.
	if err := os.Symlink(filepath.Join(dir, recordFile), c.link()); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Connect makes the links of the connection in the container's network namespace ns, and notes it in
// dir, the runtime directory. What a failure leaves, Disconnect takes back. Of a connection that was
// read, the remains of the old links are removed first.
func (c *Connection) Connect(ctx context.Context, dir string, ns *os.File, servers Servers) error {
	if !c.read {
		if err := c.note(dir); err != nil {
			return err
		}
	}
	if c.started != nil {
		if err := c.started(); err != nil {
			return fmt.Errorf("networks of this user: %w", err)
		}
	}
	names := func() error { return nil } // has root's name server started, and waits for it
	lost := false                        // links were made in a namespace that has ended
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		missing := false
		err := c.store().withLock(ctx, func(held context.Context) error {
			held, cancel := servers.limited(held)
			defer cancel()
			if c.read {
				// Somebody else may have connected it again since, or disconnected it.
				now, err := Read(dir)
				if now == nil || err != nil {
					return err
				}
				*c = *now
			}
			var first Shared
			if c.Rootless {
				first, _ = ReadShared(c.Shared)
			}
			within, ok, err := c.host()
			if err != nil {
				return err
			}
			if missing = !ok; missing {
				return nil
			}
			before := c.dnsPID()
			if c.HasDNS() && before == 0 && !c.Rootless {
				// The name server's unit does everything else meanwhile, and waits for our lock
				// only before it reads the names.
				names = sync.OnceValue(func() error { return servers.Names(ctx) })
				go func() { _ = names() }() // what it says is asked below
			}
			if lost || c.read {
				c.Peers = nil // in a new namespace their indexes may be another container's
				if err := c.Unlink(ns); err != nil {
					return err
				}
			}
			err = c.setup(held, dir, ns, within)
			if err == nil {
				err = c.serve(held, before, servers)
			}
			// The unit that makes the namespace again connects only containers that have a process.
			if missing = c.Rootless && !first.current(); missing {
				lost, began = true, time.Now()
				return nil
			}
			return err
		})
		if err != nil {
			_ = names() // without names it ends
			return err
		}
		if !missing {
			break
		}
		if time.Since(began) > NoticeTime {
			return hint.With(fmt.Errorf("the network namespace of %s is not there although the unit is", servers.Namespace), "systemctl --user restart %s", servers.Namespace)
		}
		if err := servers.Start(ctx, servers.Namespace); err != nil {
			return fmt.Errorf("networks of this user: %w", err)
		}
	}
	if err := names(); err != nil {
		return namesError(err)
	}
	return nil
}

func namesError(err error) error { return fmt.Errorf("names on networks: %w", err) }

// Lost reports whether the user's namespace in which this process made the links is not there any
// more.
func (c *Connection) Lost() bool { return c.made.PID != 0 && !c.made.current() }

// serve has a user's name server started, once netavark has written names. A server that runs is
// told of them by netavark; if it has been started while netavark was at work, we tell it: it may
// have read the names before they were all there, and netavark may not have found it. The caller
// has the lock: a server that starts must not read a file that netavark is writing.
func (c *Connection) serve(ctx context.Context, before int, servers Servers) error {
	if !c.Rootless || !c.HasDNS() {
		return nil
	}
	if now := c.dnsPID(); now != 0 && now == before {
		return nil
	}
	if err := servers.Names(ctx); err != nil {
		return namesError(err)
	}
	return nil
}

// NoticeTime is how long the manager may take to notice that the process of a unit has ended: until
// then the unit is up, and its namespace is not there.
const NoticeTime = 10 * time.Second

// setup leases the addresses and calls netavark.
func (c *Connection) setup(ctx context.Context, dir string, ns *os.File, within func(func() error) error) error {
	err := c.store().leases(func(tx *bbolt.Tx) error {
		for i := range c.Networks {
			e := &c.Networks[i]
			n := *c.Info[e.Name]
			if !leased(n) {
				continue
			}
			var err error
			if e.StaticIPs, err = lease(tx, n, c.ID, e.StaticIPs); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if c.Begun {
		// netavark adds lines to the files of names, and looks for none of an earlier setup.
		if err := c.forgetNames(); err != nil {
			return err
		}
	}
	// Without its ports, a container that runs is connected all the same.
	forwarded := c.forward(ctx, dir)
	if forwarded != nil && !c.read {
		return forwarded
	}
	c.Begun = true
	if err := c.save(dir); err != nil {
		return errors.Join(forwarded, err)
	}
	if err := c.make(ctx, ns, within); err != nil {
		return errors.Join(forwarded, err)
	}
	return errors.Join(forwarded, c.save(dir))
}

// make calls netavark, which makes the links, and reads its answer.
func (c *Connection) make(ctx context.Context, ns *os.File, within func(func() error) error) error {
	var h Shared
	if c.Rootless {
		h, _ = ReadShared(c.Shared)
	}
	caller := *c
	caller.Firewall = c.firewall(h)
	out, err := caller.call(ctx, "setup", c.request(), ns, within)
	if err != nil {
		return err
	}
	c.made = h
	if caller.Firewall != noFirewall {
		c.noteRules(h)
	}
	c.Answer = nil
	if err := json.Unmarshal(out, &c.Answer); err != nil {
		return fmt.Errorf("netavark setup: its answer: %w", err)
	}
	return c.look(ns)
}

// look notes the other ends of the links, and removes default routes of the bridges where another
// device has the default route.
func (c *Connection) look(ns *os.File) error {
	c.Peers = map[string]int{}
	return netns.Do(ns, func() error {
		for _, e := range c.Networks {
			link, err := netlink.LinkByName(e.InterfaceName)
			if err != nil {
				return fmt.Errorf("interface %s: %w", e.InterfaceName, err)
			}
			if link.Type() == "veth" {
				c.Peers[e.Name] = link.Attrs().ParentIndex
			}
			if !c.Routed {
				continue
			}
			routes, err := netlink.RouteList(link, netlink.FAMILY_ALL)
			if err != nil {
				return fmt.Errorf("routes of %s: %w", e.InterfaceName, err)
			}
			for _, r := range routes {
				if r.Gw == nil {
					continue
				}
				if r.Dst != nil {
					if ones, _ := r.Dst.Mask.Size(); ones > 0 {
						continue
					}
				}
				if err := netlink.RouteDel(&r); err != nil {
					return fmt.Errorf("default route of %s: %w", e.InterfaceName, err)
				}
			}
		}
		return nil
	})
}

func (c *Connection) request() request {
	r := request{
		ContainerID: c.ID, ContainerName: c.Name, Hostname: c.Hostname, Ports: c.Ports, DNS: c.DNS,
		Networks: map[string]types.PerNetworkOptions{}, Info: c.Info,
	}
	for _, e := range c.Networks {
		r.Networks[e.Name] = e.PerNetworkOptions
	}
	return r
}

// store is a Store with what the connection has noted of it.
func (c *Connection) store() *Store {
	return &Store{LockFile: c.LockFile, Run: c.Run, Records: c.Records, Rootless: c.Rootless}
}

func (c *Connection) link() string { return filepath.Join(c.Records, c.ID) }

func (c *Connection) save(dir string) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return safe.Replace(filepath.Join(dir, recordFile), data, 0o600)
}

// Read reads the connection of a runtime directory; nil if there is none.
func Read(dir string) (*Connection, error) {
	data, err := os.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := &Connection{read: true}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, recordFile), err)
	}
	return c, nil
}

// Disconnect takes back what Connect did for the runtime directory dir. Nothing there is no error.
// The last one that leaves ends the user's network namespace, and with it the name server.
func Disconnect(dir string) error {
	c, err := Read(dir)
	if c == nil || err != nil {
		return err
	}
	return c.store().withLock(context.Background(), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, teardownTime)
		defer cancel()
		kept := c.unforward()
		last := c.Rootless && c.last()
		if last {
			kept = nil // the pasta ends with the namespace, and its ports with it
		}
		if kept == nil {
			if err := os.Remove(c.link()); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		errs := []error{kept}
		within, ok, err := c.host()
		switch {
		case err != nil:
			errs = append(errs, err)
		case last:
			errs = append(errs, c.endShared())
		case ok && c.Begun:
			errs = append(errs, c.teardown(ctx, within))
		}
		if kept != nil {
			// The ports lead to the addresses: nobody else may get them. The link stays, and with
			// it the namespace.
			return errors.Join(errs...)
		}
		errs = append(errs, c.store().leases(func(tx *bbolt.Tx) error {
			var errs []error
			for _, e := range c.Networks {
				errs = append(errs, release(tx, e.Name, c.ID))
			}
			return errors.Join(errs...)
		}))
		if err := errors.Join(errs...); err != nil {
			return err
		}
		return os.Remove(filepath.Join(dir, recordFile))
	})
}

// teardownTime is how long netavark may take to take something back.
const teardownTime = 30 * time.Second

// teardown calls netavark to take back its work. The container's namespace is gone or about to go,
// so netavark gets another one with devices of the same names: only the side of the host matters.
func (c *Connection) teardown(ctx context.Context, within func(func() error) error) error {
	noted := sync.OnceValue(c.others) // where the links tell it all, nobody reads the records
	onlyNames := false
	err := within(func() error {
		if err := c.removePeers(); err != nil {
			return err
		}
		var err error
		onlyNames, err = c.othersStay(noted)
		return err
	})
	if err != nil {
		return err
	}
	if onlyNames {
		return c.leaveNames(ctx)
	}
	err = c.takeBackBeside(ctx, noted(), within)
	if isHeld(err) {
		// Of whom we know nothing: a container of Podman's whose process has ended as well.
		all := map[string]bool{}
		for _, e := range c.Networks {
			all[e.Name] = true
		}
		err = c.takeBackBeside(ctx, all, within)
	}
	return err
}

// takeBackBeside is takeBack where others are on the networks noted.
func (c *Connection) takeBackBeside(ctx context.Context, noted map[string]bool, within func(func() error) error) error {
	var dropLinks func() error
	stands := false
	err := within(func() (err error) {
		if stands, err = c.standIn(); err == nil {
			dropLinks, err = c.keepBridges(noted)
		}
		return err
	})
	if err == nil {
		err = c.takeBack(ctx, within)
	}
	if dropLinks == nil {
		return err
	}
	return errors.Join(err, within(func() error {
		if err := dropLinks(); err != nil || !stands {
			return err
		}
		// netavark would take a bridge that is there for one that has its addresses.
		return c.sweep()
	}))
}

// takeBack calls netavark, and waits for a name server that has no names any more.
func (c *Connection) takeBack(ctx context.Context, within func(func() error) error) error {
	ns, err := netns.Anonymous()
	if err != nil {
		return err
	}
	defer ns.Close()
	err = netns.Do(ns, func() error {
		for _, e := range c.Networks {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = e.InterfaceName
			// The DHCP client finds its lease by this address.
			attrs.HardwareAddr = net.HardwareAddr(c.Answer[e.Name].Interfaces[e.InterfaceName].MacAddress)
			if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	server, _ := c.server()
	if server == nil {
		// netavark would look for its process to tell it, and fail.
		if err := c.forgetNames(); err != nil {
			return err
		}
	} else {
		defer server.Close()
	}
	r := c.request()
	r.Info = map[string]*types.Network{}
	for name, n := range c.Info {
		plain := *n
		plain.Routes = nil // the namespace that had them is gone
		// netavark complains of names that are not there: of a setup that failed before it wrote
		// them, or of a directory that somebody emptied.
		plain.DNSEnabled = n.DNSEnabled && server != nil && c.served(name)
		r.Info[name] = &plain
	}
	if _, err := c.call(ctx, "teardown", r, ns, within); isGone(err) {
		if err := within(c.sweep); err != nil {
			return err
		}
		return c.leaveNames(ctx)
	} else if err != nil {
		return err
	}
	// aardvark-dns ends by itself when it has no name any more. Wait for that, so that the next
	// container does not take it for one that runs.
	if server != nil && len(c.namesServed()) == 0 {
		server.Wait(ctx, serverEnd)
	}
	return nil
}

// removePeers removes what is left of the links on the side of the host, also of an earlier teardown
// that was killed.
func (c *Connection) removePeers() error {
	for i := range c.Networks {
		if l, err := netlink.LinkByName(c.keeper(i)); err == nil {
			if err := netlink.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
				return fmt.Errorf("remove link %s: %w", l.Attrs().Name, err)
			}
		}
	}
	for name, index := range c.Peers {
		link, err := netlink.LinkByIndex(index)
		if err != nil {
			continue // it went with the namespace
		}
		bridge, err := netlink.LinkByName(c.Info[name].NetworkInterface)
		if err != nil || link.Type() != "veth" || link.Attrs().MasterIndex != bridge.Attrs().Index {
			continue
		}
		if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("remove link %s: %w", link.Attrs().Name, err)
		}
	}
	return nil
}

// othersStay reports whether all that netavark would take back are the connection's names: it
// publishes no ports by rules and has no lease of a DHCP server, and others are on the bridges of
// all its networks. netavark itself looks for their links, and Podman, whose containers may be on
// root's networks, calls it under the lock that we have. A setup that was not finished may have left
// a link of ours, which we would take for another's. Whose process has ended has no link any more,
// and is on the network until its own teardown.
func (c *Connection) othersStay(noted func() map[string]bool) (bool, error) {
	if len(c.Ports) > 0 {
		return false, nil
	}
	links, err := netlink.LinkList()
	if err != nil {
		return false, fmt.Errorf("links: %w", err)
	}
	for _, e := range c.Networks {
		n := c.Info[e.Name]
		if _, known := c.Peers[e.Name]; !known || n.Driver != Bridge || n.Options["mode"] == "unmanaged" || n.IPAMOptions[types.Driver] == types.DHCPIPAMDriver {
			return false, nil
		}
		bridge := find(links, n.NetworkInterface)
		if bridge == nil || !slices.ContainsFunc(links, on(bridge)) && !noted()[e.Name] {
			return false, nil
		}
	}
	return true, nil
}

// find is the link of a name; nil if there is none.
func find(links []netlink.Link, name string) netlink.Link {
	i := slices.IndexFunc(links, func(l netlink.Link) bool { return l.Attrs().Name == name })
	if i < 0 {
		return nil
	}
	return links[i]
}

// on tells which links are on a bridge.
func on(bridge netlink.Link) func(netlink.Link) bool {
	return func(l netlink.Link) bool { return l.Attrs().MasterIndex == bridge.Attrs().Index }
}

// others are the networks of the connection that another one of ours is on.
func (c *Connection) others() map[string]bool {
	noted := map[string]bool{}
	for _, other := range (&Store{Records: c.Records}).connections() {
		if other.ID == c.ID || !other.Begun {
			continue
		}
		for name := range other.Info {
			noted[name] = true
		}
	}
	return noted
}

// keeper is the name of the link without use for the network of that number.
func (c *Connection) keeper(network int) string { return fmt.Sprintf("pu%.8s-%d", c.ID, network) }

// keepBridges puts a link without use on the bridges of those networks that others are on, where they
// have no link any more because their process has ended. netavark takes down the bridge and the
// chains of a network with its last link; with nftables it fails where a rule leads to such a chain,
// as the rules do of others whose ports are still to be taken down. The bridges must be there. The
// function returned removes the links; it is nil if there are none.
func (c *Connection) keepBridges(noted map[string]bool) (drop func() error, err error) {
	var made []netlink.Link
	remove := func() error {
		var errs []error
		for _, l := range made {
			if err := netlink.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
				errs = append(errs, fmt.Errorf("remove link %s: %w", l.Attrs().Name, err))
			}
		}
		return errors.Join(errs...)
	}
	links, err := netlink.LinkList()
	if err != nil {
		return drop, fmt.Errorf("links: %w", err)
	}
	for i, e := range c.Networks {
		n := c.Info[e.Name]
		bridge := find(links, n.NetworkInterface)
		if !noted[e.Name] || n.Driver != Bridge || bridge == nil || slices.ContainsFunc(links, on(bridge)) {
			continue
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MasterIndex = c.keeper(i), bridge.Attrs().Index
		l := &netlink.Veth{LinkAttrs: attrs, PeerName: "x" + c.keeper(i)}
		if err := netlink.LinkAdd(l); err != nil {
			return drop, fmt.Errorf("link on %s: %w", n.NetworkInterface, err)
		}
		made, drop = append(made, l), remove
	}
	return drop, nil
}

// leaveNames takes the connection's names back without netavark, and what netavark notes of it.
func (c *Connection) leaveNames(ctx context.Context) error {
	if err := errors.Join(c.forgetNames(), c.forgetNote()); err != nil {
		return err
	}
	server, _ := c.server()
	if server == nil {
		return nil
	}
	defer server.Close()
	_ = server.Signal(unix.SIGHUP) // it reads the names again; an error says that it has ended
	if len(c.namesServed()) == 0 {
		server.Wait(ctx, serverEnd) // as below
	}
	return nil
}

// isGone reports whether netavark complains that rules of a network are gone already. When several
// containers leave at the same moment, netavark with iptables removes the rules with the first one
// if the kernel has removed the links of the others by then, and fails for those.
func isGone(err error) bool {
	var e Error
	return errors.As(err, &e) && e.Verb == "teardown" && strings.Contains(e.Said, "iptables: No chain/target/match by that name")
}

// isHeld reports whether netavark could not remove the chains of a network, since rules lead to them.
func isHeld(err error) bool {
	var e Error
	return errors.As(err, &e) && e.Verb == "teardown" && strings.Contains(e.Said, "nft did not return successfully")
}

// sweep removes those bridges of the connection that no container is on: netavark leaves them when
// it fails.
func (c *Connection) sweep() error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("links: %w", err)
	}
	for _, n := range c.Info {
		bridge := find(links, n.NetworkInterface)
		if bridge == nil || n.Driver != Bridge || n.Options["mode"] == "unmanaged" || slices.ContainsFunc(links, on(bridge)) {
			continue
		}
		if err := netlink.LinkDel(bridge); err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("remove bridge %s: %w", n.NetworkInterface, err)
		}
	}
	return nil
}

// standIn makes bridges that are gone. When two containers leave at the same moment, the kernel may
// have removed the link of the second one when netavark looks whether the first one was the last:
// then it removes the bridge. Without a bridge it would refuse the teardown of the second, and keep
// its rules. It reports whether it has made any.
func (c *Connection) standIn() (made bool, err error) {
	for _, e := range c.Networks {
		n := c.Info[e.Name]
		if n.Driver != Bridge || n.Options["mode"] == "unmanaged" {
			continue
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = n.NetworkInterface
		err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return made, fmt.Errorf("bridge %s: %w", attrs.Name, err)
		}
		made = made || err == nil
	}
	return made, nil
}

// forgetNote removes netavark's notes of root's container, from which it makes rules again when
// firewalld has lost them. Source: src/firewall/state.rs of netavark 1.14; 1.4 makes none.
func (c *Connection) forgetNote() error {
	if c.Rootless {
		return nil
	}
	var errs []error
	for _, n := range c.Info {
		if err := os.Remove(filepath.Join(c.Run, "firewall", "ports", n.ID+"_"+c.ID)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// serverEnd is how long aardvark-dns may take to end.
const serverEnd = 2 * time.Second

// dnsDir is where aardvark-dns has its files.
func (c *Connection) dnsDir() string { return filepath.Join(c.Run, "aardvark-dns") }

// Names is the directory of the names that aardvark-dns serves.
func (s *Store) Names() string { return (&Connection{Run: s.Run}).dnsDir() }

// server is aardvark-dns and its process ID, nil and 0 if it does not run.
func (c *Connection) server() (*process.Process, int) {
	data, err := os.ReadFile(filepath.Join(c.dnsDir(), "aardvark.pid"))
	if err != nil {
		return nil, 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return nil, 0
	}
	p, err := process.Open(pid, 0)
	if err != nil || p == nil {
		return nil, 0
	}
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err != nil || !strings.HasPrefix(string(comm), "aardvark") {
		p.Close()
		return nil, 0
	}
	return p, pid
}

// dnsPID is the process ID of aardvark-dns, 0 if it does not run.
func (c *Connection) dnsPID() int {
	p, pid := c.server()
	if p != nil {
		p.Close()
	}
	return pid
}

// served tells whether aardvark-dns has a file for a network. In newer versions the file of an
// internal network has a suffix.
func (c *Connection) served(network string) bool {
	for _, suffix := range []string{"", "%int"} {
		if _, err := os.Stat(filepath.Join(c.dnsDir(), network+suffix)); err == nil {
			return true
		}
	}
	return false
}

// WithNames calls do with the directory of the names of containers, while no other process changes
// them; if there are no names, it calls without.
func (s *Store) WithNames(ctx context.Context, do func(ctx context.Context, dir string) error, without func() error) error {
	c := &Connection{Run: s.Run}
	return s.withLock(ctx, func(ctx context.Context) error {
		if len(c.namesServed()) == 0 {
			return without()
		}
		return do(ctx, c.dnsDir())
	})
}

// namesServed are the files of networks that aardvark-dns reads.
func (c *Connection) namesServed() []string {
	entries, err := os.ReadDir(c.dnsDir())
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "aardvark.pid" {
			names = append(names, e.Name())
		}
	}
	return names
}

// forgetNames takes the names of the container out of the files that aardvark-dns reads. The caller
// has the lock. Each file is replaced as a whole; the new one is made elsewhere, since aardvark-dns
// takes all files of its directory for networks.
func (c *Connection) forgetNames() error {
	for _, name := range c.namesServed() {
		path := filepath.Join(c.dnsDir(), name)
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var rest strings.Builder
		for line := range strings.Lines(string(data)) {
			if !strings.HasPrefix(line, c.ID+" ") {
				rest.WriteString(line)
			}
		}
		if rest.Len() == len(data) {
			continue
		}
		if strings.Count(rest.String(), "\n") <= 1 {
			// The first line is about the network. netavark writes it again for the next container.
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		made := filepath.Join(c.Run, ".names-"+c.ID)
		if err := os.WriteFile(made, []byte(rest.String()), 0o644); err != nil {
			return err
		}
		if err := os.Rename(made, path); err != nil {
			return err
		}
	}
	return nil
}

// Connected are all connections that are made, or are about to be.
func (s *Store) Connected() []*Connection { return slices.Collect(maps.Values(s.connections())) }

// connections are the same, by the runtime directories of their containers and pods.
func (s *Store) connections() map[string]*Connection {
	entries, err := os.ReadDir(s.Records)
	if err != nil {
		return nil // nobody ever was
	}
	all := map[string]*Connection{}
	for _, e := range entries {
		path, err := os.Readlink(filepath.Join(s.Records, e.Name()))
		if err != nil {
			continue
		}
		if c, err := Read(filepath.Dir(path)); c != nil && err == nil {
			all[filepath.Dir(path)] = c
		}
	}
	return all
}

// last tells whether no other container or pod is connected or about to be, and nobody makes the
// namespace for one.
func (c *Connection) last() bool {
	entries, err := os.ReadDir(c.Records)
	if err != nil {
		return false
	}
	links := []string{c.store().making()}
	for _, e := range entries {
		links = append(links, filepath.Join(c.Records, e.Name()))
	}
	for _, path := range links {
		if path == c.link() {
			continue
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(path) // of a runtime directory that somebody removed, or of a maker that has ended
			continue
		}
		return false
	}
	return true
}

// Nameservers are the servers of names that containers are to ask, in the order of the networks.
func (c *Connection) Nameservers() []net.IP {
	var out []net.IP
	for _, e := range c.Networks {
		for _, ip := range c.Answer[e.Name].DNSServerIPs {
			if !slices.ContainsFunc(out, ip.Equal) {
				out = append(out, ip)
			}
		}
	}
	return out
}

// plainNames tells whether the resolver of a container on these networks must not add the name
// server's domain to names. aardvark-dns before 1.12 answers a query with its domain from the
// network of the asked server only, and says that a name of the others does not exist, where
// resolvers stop. A query for the plain name it answers from all. Source: aardvark-dns#403.
// netavark has the same version.
func (s *Store) plainNames(networks map[string]*types.Network) (bool, error) {
	named := 0
	for _, n := range networks {
		if n.DNSEnabled {
			named++
		}
	}
	if named < 2 {
		return false, nil
	}
	v, err := s.version()
	return v.less(version{1, 12}), err
}

// Search are the search domains, in the order of the networks.
func (c *Connection) Search() []string {
	if c.Plain {
		return nil
	}
	var out []string
	for _, e := range c.Networks {
		for _, d := range c.Answer[e.Name].DNSSearchDomains {
			if !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	return out
}

// Addresses are the container's, in the order of the networks.
func (c *Connection) Addresses() []net.IP {
	var out []net.IP
	for _, e := range c.Networks {
		devices := c.Answer[e.Name].Interfaces
		for _, name := range slices.Sorted(maps.Keys(devices)) {
			for _, a := range devices[name].Subnets {
				out = append(out, a.IPNet.IP)
			}
		}
	}
	return out
}

// Gateway is that of the first network that has one.
func (c *Connection) Gateway() net.IP {
	for _, e := range c.Networks {
		for _, device := range c.Answer[e.Name].Interfaces {
			for _, a := range device.Subnets {
				if a.Gateway != nil {
					return a.Gateway
				}
			}
		}
	}
	return nil
}

// Unlink removes the devices of the networks in the container's namespace, so that they can be made
// again.
func (c *Connection) Unlink(ns *os.File) error {
	return netns.Do(ns, func() error {
		for _, e := range c.Networks {
			link, err := netlink.LinkByName(e.InterfaceName)
			if errors.As(err, &netlink.LinkNotFoundError{}) {
				continue
			}
			if err == nil {
				err = netlink.LinkDel(link)
			}
			if err != nil && !errors.Is(err, unix.ENODEV) {
				return fmt.Errorf("remove interface %s: %w", e.InterfaceName, err)
			}
		}
		return nil
	})
}
