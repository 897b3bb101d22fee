// SPDX-License-Identifier: Apache-2.0

// Package netavark keeps named networks: their configuration files, which Podman reads and writes as
// well, the addresses that are leased to containers, and the calls of the program netavark, which
// makes bridges, links and firewall rules. The request is the one that netavark 1.4 to 2.x read.
package netavark

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/podunit/podunit/runner/safe"
	"go.podman.io/common/libnetwork/types"
	"go.podman.io/common/pkg/config"
)

// Store is where networks are kept.
type Store struct {
	Dir      string // of the configuration files, NAME.json
	LockFile string // guards the files, the leases and the calls of netavark
	Run      string // runtime state on a tmpfs: leases, and the files of aardvark-dns
	Records  string // what is connected: a file for each container or pod
	Rootless bool
	DHCP     string         // socket of netavark's DHCP client; empty for its usual place
	Config   *config.Config // containers.conf(5): default network, pools of subnets, plug-ins

	asked     sync.Once // see version
	installed version
	askErr    error
}

// defaultID is that of the default network, which needs no file. Source: Podman, which has it since
// its first version of networks.
const defaultID = "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9"

// Drivers of networks.
const (
	Bridge  = "bridge"
	Macvlan = "macvlan"
	Ipvlan  = "ipvlan"
)

// NotFoundError says that there is no network of a name or ID.
type NotFoundError struct{ Name string }

func (e NotFoundError) Error() string {
	return fmt.Sprintf("unable to find network with name or ID %s: network not found", e.Name)
}

// Hint is the way out.
func (e NotFoundError) Hint() string {
	return fmt.Sprintf("podunit network ls lists them; podunit network create %s makes it, or a file %s.network beside the unit, named as Network=%s.network", e.Name, e.Name, e.Name)
}

// ExistsError says that a name of a network is taken.
type ExistsError struct {
	Name    string
	Default bool // the name is that of the default network, which nobody can remove
}

func (e ExistsError) Error() string { return "network already exists " + e.Name }

// Hint is the way out.
func (e ExistsError) Hint() string {
	if e.Default {
		return "it is the default network: choose another name, or leave it as it is with --ignore"
	}
	return fmt.Sprintf("--ignore leaves it as it is; podunit network rm %s removes it", e.Name)
}

// Default is the name of the default network.
func (s *Store) Default() string { return cmp.Or(s.Config.Network.DefaultNetwork, "podman") }

// List returns all networks by name. faults says what is wrong with files that are left out.
func (s *Store) List() (all []types.Network, faults []error, err error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".json")
		if !ok || entry.IsDir() {
			continue
		}
		n, err := s.read(name)
		if err != nil {
			faults = append(faults, fmt.Errorf("network file %s: %w", filepath.Join(s.Dir, entry.Name()), err))
			continue
		}
		all = append(all, n)
	}
	if !slices.ContainsFunc(all, func(n types.Network) bool { return n.Name == s.Default() }) {
		n, err := s.defaultNetwork()
		if err != nil {
			return nil, faults, err
		}
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b types.Network) int { return cmp.Compare(a.Name, b.Name) })
	return all, faults, nil
}

// maxFile is the largest configuration file of a network that is read, in bytes.
const maxFile = 1 << 20

func (s *Store) read(name string) (types.Network, error) {
	var n types.Network
	f, err := os.Open(filepath.Join(s.Dir, name+".json"))
	if err != nil {
		return n, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() > maxFile {
		return n, cmp.Or(err, fmt.Errorf("it is not a file of at most %d bytes", maxFile))
	}
	if err := json.NewDecoder(f).Decode(&n); err != nil {
		return n, err
	}
	switch {
	case n.Name != name:
		return n, fmt.Errorf("it says the name %q", n.Name)
	case !ValidName(n.Name):
		return n, fmt.Errorf("%q is no name of a network", n.Name)
	case len(n.ID) != 64:
		return n, fmt.Errorf("its ID %q has not 64 digits", n.ID)
	}
	return n, nil
}

// Get finds a network by its name, or by its ID or the beginning of it.
func (s *Store) Get(nameOrID string) (types.Network, error) {
	if ValidName(nameOrID) {
		n, err := s.read(nameOrID)
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return n, fmt.Errorf("network file %s: %w", filepath.Join(s.Dir, nameOrID+".json"), err)
		}
	}
	all, _, err := s.List()
	if err != nil {
		return types.Network{}, err
	}
	var found []types.Network
	for _, n := range all {
		if n.Name == nameOrID || n.ID == nameOrID {
			return n, nil
		}
		if nameOrID != "" && strings.HasPrefix(n.ID, nameOrID) {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 0:
		return types.Network{}, NotFoundError{Name: nameOrID}
	case 1:
		return found[0], nil
	}
	return types.Network{}, fmt.Errorf("network %s: %d networks have an ID that begins so", nameOrID, len(found))
}

func (s *Store) defaultNetwork() (types.Network, error) {
	subnet, err := types.ParseCIDR(cmp.Or(s.Config.Network.DefaultSubnet, "10.88.0.0/16"))
	if err != nil {
		return types.Network{}, fmt.Errorf("default_subnet of containers.conf: %w", err)
	}
	return types.Network{
		Name: s.Default(), ID: defaultID, Driver: Bridge, NetworkInterface: s.interfaces() + "0",
		Subnets:     []types.Subnet{{Subnet: subnet, Gateway: first(subnet.IPNet)}},
		IPAMOptions: map[string]string{types.Driver: types.HostLocalIPAMDriver},
		Created:     time.Now(), // as Podman says: filters by age leave it alone
	}, nil
}

// interfaces is what names of bridges begin with. Source: containers.conf(5), default_network.
func (s *Store) interfaces() string {
	if name := s.Default(); len(name) <= 13 {
		return name
	}
	return "podman"
}

// save writes the configuration file of a network.
func (s *Store) save(n types.Network) error {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(&n, "", "     ")
	if err != nil {
		return err
	}
	return safe.Replace(filepath.Join(s.Dir, n.Name+".json"), append(data, '\n'), 0o644)
}

// Remove removes a network that nobody uses: check says so under the lock.
func (s *Store) Remove(ctx context.Context, name string, check func(types.Network) error) error {
	return s.withLock(ctx, func(context.Context) error {
		n, err := s.Get(name)
		if err != nil {
			return err
		}
		if n.Name == s.Default() {
			return fmt.Errorf("default network %s cannot be removed", n.Name)
		}
		if err := check(n); err != nil {
			return err
		}
		if err := s.forget(n.Name); err != nil {
			return err
		}
		return safe.Remove(filepath.Join(s.Dir, n.Name+".json"))
	})
}

// ValidName tells whether a network may have the name.
func ValidName(name string) bool {
	for i, c := range []byte(name) {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case i > 0 && (c == '_' || c == '.' || c == '-'):
		default:
			return false
		}
	}
	return name != ""
}

// first is the first address of a subnet that a machine may have.
func first(n net.IPNet) net.IP { return next(n.IP) }

// next is the address after ip, of the same length.
func next(ip net.IP) net.IP {
	out := slices.Clone(ip)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]++; out[i] != 0 {
			break
		}
	}
	return out
}

// short is an address in 4 bytes if it is one of IPv4.
func short(ip net.IP) net.IP {
	if v4 := ip.To4(); v4 != nil {
		return v4
	}
	return ip
}
