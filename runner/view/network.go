// SPDX-License-Identifier: Apache-2.0

package view

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/libnetwork/types"
)

// NetworkRow is a network in a list.
type NetworkRow struct {
	ID       string
	Name     string
	Driver   string
	Created  time.Time
	Labels   Labels
	Internal bool
	DNS      bool
	// Network is the configuration, as its file has it.
	Network types.Network `json:"-"`
	// Users are who is on it, running or not.
	Users []NetworkUser `json:"-"`
	// usual tells that it is the default network, which is there of itself and stays.
	usual bool
}

// MarshalJSON writes the configuration, as podman's list has it.
func (r NetworkRow) MarshalJSON() ([]byte, error) { return json.Marshal(&r.Network) }

// NetworkUser is a container or pod on a network.
type NetworkUser struct {
	ID, Name string
	Pod      bool
	Running  bool
	// Connection is how it is connected now; nil while it is not.
	Connection *netavark.Connection
}

// NetworkUsers are who is on named networks, by the name of the network.
func NetworkUsers(x *service.Engine) (map[string][]NetworkUser, error) {
	users := map[string][]NetworkUser{}
	add := func(asked spec.Networking, u NetworkUser, dir string) {
		if !asked.Named() {
			return
		}
		if u.Running {
			u.Connection, _ = netavark.Read(dir) // one that cannot be read is not shown
		}
		for _, n := range asked.Networks {
			name := n.Name
			if n.Mode == spec.NetBridge {
				name = x.Networks().Default()
			}
			users[name] = append(users[name], u)
		}
	}
	containers, err := x.Containers.List()
	if err != nil {
		return nil, err
	}
	for _, r := range containers {
		s, err := x.Containers.Status(r.ID)
		if err != nil {
			return nil, err
		}
		add(r.Spec.Networking, NetworkUser{ID: r.ID, Name: r.Name, Running: s.PID != 0}, x.Containers.Dir(r.ID))
	}
	pods, err := x.Pods.List()
	if err != nil {
		return nil, err
	}
	for _, p := range pods {
		add(p.Spec.Networking, NetworkUser{ID: p.ID, Name: p.Name, Pod: true, Running: x.Pods.Status(p).InfraPID != 0}, x.Pods.Dir(p.ID))
	}
	return users, nil
}

// Networks describes the networks that pass all filters, by name. faults are of files that are left
// out.
func Networks(x *service.Engine, filters []string) (rows []NetworkRow, faults []error, err error) {
	match, err := networkFilters.Read(filters)
	if err != nil {
		return nil, nil, err
	}
	all, faults, err := x.Networks().List()
	if err != nil {
		return nil, faults, err
	}
	users, err := NetworkUsers(x)
	if err != nil {
		return nil, faults, err
	}
	rows = []NetworkRow{}
	for _, n := range all {
		r := networkRow(n)
		r.usual = n.Name == x.Networks().Default()
		// A network may be meant by its ID as well.
		r.Users = append(r.Users, users[n.Name]...)
		r.Users = append(r.Users, users[n.ID]...)
		if match(r) {
			rows = append(rows, r)
		}
	}
	return rows, faults, nil
}

func networkRow(n types.Network) NetworkRow {
	return NetworkRow{ID: n.ID, Name: n.Name, Driver: n.Driver, Created: n.Created, Labels: n.Labels, Internal: n.Internal, DNS: n.DNSEnabled, Network: n}
}

var networkFilters = Filters[NetworkRow]{
	"name":     Any(func(r NetworkRow, v string) bool { return matches(r.Name, v) }),
	"id":       Any(func(r NetworkRow, v string) bool { return strings.HasPrefix(r.ID, v) }),
	"driver":   Any(func(r NetworkRow, v string) bool { return r.Driver == v }),
	"label":    All(func(r NetworkRow, v string) bool { return hasLabel(r.Labels, v) }),
	"label!":   All(func(r NetworkRow, v string) bool { return !hasLabel(r.Labels, v) }),
	"until":    made(func(r NetworkRow) time.Time { return r.Created }, time.Time.Before),
	"dangling": truth(func(r NetworkRow) bool { return len(r.Users) == 0 && !r.usual }),
}

// InspectNetwork is a network as podman network inspect shows it.
type InspectNetwork struct {
	types.Network
	Containers map[string]InspectNetworkUser `json:"containers"`
}

// InspectNetworkUser is a running container or pod on a network.
type InspectNetworkUser struct {
	Name       string                        `json:"name"`
	Interfaces map[string]types.NetInterface `json:"interfaces"`
}

// Inspect describes the network wholly.
func (r NetworkRow) Inspect() *InspectNetwork {
	out := &InspectNetwork{Network: r.Network, Containers: map[string]InspectNetworkUser{}}
	for _, u := range r.Users {
		if u.Connection == nil {
			continue
		}
		if answer, ok := u.Connection.Answer[r.Name]; ok {
			out.Containers[u.ID] = InspectNetworkUser{Name: u.Name, Interfaces: answer.Interfaces}
		}
	}
	return out
}

// onNetworks are the names of the named networks that a container or pod is on while it runs, in
// their order; nil for none.
func onNetworks(x *service.Engine, asked spec.Networking, running bool, dir string) []string {
	if !running || !asked.Named() {
		return nil
	}
	c, err := netavark.Read(dir)
	if c == nil || err != nil {
		return nil
	}
	var names []string
	for _, e := range c.Networks {
		names = append(names, e.Name)
	}
	return names
}

// networkEnds describes the named networks of a running container.
func networkEnds(dir string) (map[string]Endpoint, error) {
	c, err := netavark.Read(dir)
	if c == nil || err != nil {
		return nil, err
	}
	ends := map[string]Endpoint{}
	for _, e := range c.Networks {
		end := Endpoint{NetworkID: c.Info[e.Name].ID, Aliases: e.Aliases, InterfaceName: e.InterfaceName}
		device := c.Answer[e.Name].Interfaces[e.InterfaceName]
		end.MacAddress = device.MacAddress.String()
		for _, a := range device.Subnets {
			ones, _ := a.IPNet.Mask.Size()
			gateway := ""
			if a.Gateway != nil {
				gateway = a.Gateway.String()
			}
			if a.IPNet.IP.To4() != nil {
				end.IPAddress, end.IPPrefixLen, end.Gateway = a.IPNet.IP.String(), ones, gateway
			} else {
				end.GlobalIPv6Address, end.GlobalIPv6PrefixLen, end.IPv6Gateway = a.IPNet.IP.String(), ones, gateway
			}
		}
		ends[e.Name] = end
	}
	return ends, nil
}
