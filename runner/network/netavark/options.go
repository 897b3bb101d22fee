// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/libnetwork/types"
)

// translated are names that Docker has for options.
var translated = map[string]string{
	"com.docker.network.driver.mtu":  "mtu",
	"com.docker.network.bridge.name": "bridge.name",
}

// options checks the options of a network by its driver.
func (s *Store) options(n *types.Network, given map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(given)) {
		value := given[key]
		if other, ok := translated[key]; ok {
			key = other
		}
		err := checkOption(n.Driver, key, value)
		if err != nil {
			return fmt.Errorf("--opt %s=%s: %w", key, value, err)
		}
		switch key {
		case "bridge.name", "parent":
			if n.NetworkInterface != "" && n.NetworkInterface != value {
				return fmt.Errorf("--opt %s=%s: --interface-name says %s", key, value, n.NetworkInterface)
			}
			n.NetworkInterface = value
			continue
		case "isolate", "no_default_route": // netavark reads true and false only
			if b, err := strconv.ParseBool(value); err == nil {
				value = strconv.FormatBool(b)
			}
		}
		n.Options[key] = value
	}
	return nil
}

func checkOption(driver, key, value string) error {
	number := func(most int) error {
		if i, err := strconv.Atoi(value); err != nil || i < 0 || i > most {
			return fmt.Errorf("it is a number from 0 to %d", most)
		}
		return nil
	}
	oneOf := func(words ...string) error {
		if !slices.Contains(words, value) {
			return fmt.Errorf("it is one of %s", strings.Join(words, ", "))
		}
		return nil
	}
	yesno := func(words ...string) error {
		if _, err := strconv.ParseBool(value); err != nil && !slices.Contains(words, value) {
			return fmt.Errorf("it is one of %s", strings.Join(append([]string{"true", "false"}, words...), ", "))
		}
		return nil
	}
	switch driver + " " + key {
	case "bridge mtu", "macvlan mtu", "ipvlan mtu":
		return number(65535)
	case "bridge vlan":
		return number(4094)
	case "bridge metric", "macvlan metric", "ipvlan metric":
		return number(1<<31 - 1)
	case "bridge isolate":
		return yesno("strict")
	case "bridge no_default_route", "macvlan no_default_route", "ipvlan no_default_route":
		return yesno()
	case "bridge mode":
		return oneOf("managed", "unmanaged")
	case "bridge vrf", "bridge bridge.name", "macvlan parent", "ipvlan parent":
		return spec.CheckDevice(value)
	case "macvlan mode":
		return oneOf("bridge", "private", "vepa", "passthru")
	case "macvlan bclim":
		_, err := strconv.ParseInt(value, 10, 32)
		return err
	case "ipvlan mode":
		return oneOf("l2", "l3", "l3s")
	}
	return fmt.Errorf("driver %s has no such option", driver)
}

// A need is something that only newer versions of netavark can do.
type need struct {
	what  string
	since version
}

// needs lists what a network wants of netavark beyond version 1.4. Source: netavark's release notes.
func needs(n types.Network) []need {
	var all []need
	add := func(wanted bool, major, minor int, what string) {
		if wanted {
			all = append(all, need{what, version{major, minor}})
		}
	}
	bridge := n.Driver == Bridge
	add(n.Driver == Ipvlan, 1, 5, "driver ipvlan")
	add(n.IPAMOptions[types.Driver] == "dhcp", 1, 6, "ipam driver dhcp")
	add(bridge && n.Options["isolate"] == "strict", 1, 7, "--opt isolate=strict")
	add(n.Options["no_default_route"] != "", 1, 7, "--opt no_default_route")
	add(n.Options["bclim"] != "", 1, 7, "--opt bclim")
	add(len(n.Routes) > 0, 1, 7, "--route")
	add(n.Options["vrf"] != "", 1, 8, "--opt vrf")
	add(bridge && n.Options["mode"] != "", 1, 14, "--opt mode="+n.Options["mode"]+" of a bridge")
	add(n.Options["vlan"] != "", 1, 14, "--opt vlan")
	for _, r := range n.Routes {
		add(r.RouteType != "" && r.RouteType != types.RouteTypeUnicast, 2, 0, "--route with "+string(r.RouteType))
	}
	return all
}

// needsOf lists what a container wants on a network beyond version 1.4. netavark's release notes do
// not say which version first knew the name of the device on the host; 1.14 does.
func needsOf(e Endpoint) []need {
	if e.Options[hostDevice] == "" {
		return nil
	}
	return []need{{hostDevice, version{1, 14}}}
}

// hostDevice is the option of a container on a bridge that names the device on the side of the host.
const hostDevice = "host_interface_name"

// checkEndpoint judges the options of a container on a network: netavark knows few, and says
// nothing of others.
func checkEndpoint(n types.Network, e Endpoint) error {
	for _, key := range slices.Sorted(maps.Keys(e.Options)) {
		switch n.Driver + " " + key {
		case "bridge " + hostDevice:
			if err := spec.CheckDevice(e.Options[key]); err != nil {
				return err
			}
		default:
			return fmt.Errorf("driver %s has no option %s for a container; there are ip, ip6, mac, alias, interface_name and, on a bridge, %s", n.Driver, key, hostDevice)
		}
	}
	return nil
}

// TooOldError says that the installed netavark lacks something.
type TooOldError struct {
	What            string // the option
	Installed, Need string // versions
}

func (e TooOldError) Error() string {
	return fmt.Sprintf("%s needs netavark %s, and %s is installed", e.What, e.Need, e.Installed)
}

// Hint is the way out.
func (e TooOldError) Hint() string { return "leave it out, or install a newer netavark" }

// supported checks that the installed netavark can do what a network wants, and a container on it.
func (s *Store) supported(n types.Network, e Endpoint) error {
	all := append(needs(n), needsOf(e)...)
	if len(all) == 0 {
		return nil
	}
	v, err := s.version()
	if err != nil {
		return err
	}
	for _, one := range all {
		if v.less(one.since) {
			return TooOldError{What: one.what, Installed: v.String(), Need: one.since.String()}
		}
	}
	return nil
}
