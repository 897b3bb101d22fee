// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"go.podman.io/common/libnetwork/types"
)

// The table of leases, ipam.db, is laid out as Podman has it, since as root both lease addresses of
// the same networks: a bucket for each network; in it a bucket for each subnet, which maps an address
// to the ID of its owner and has the address that was leased last; and a bucket that maps an ID to
// its addresses. Source: go.podman.io/common/libnetwork/netavark, ipam.go.
const (
	ownersBucket = "ids"
	lastKey      = "lastIP"
)

// leaseWait is how long to wait for somebody else's change of the table.
const leaseWait = 30 * time.Second

func (s *Store) leases(change func(*bbolt.Tx) error) error {
	if err := os.MkdirAll(s.Run, 0o755); err != nil {
		return err
	}
	path := filepath.Join(s.Run, "ipam.db")
	// It is on a tmpfs: there is nothing to wait for, and nothing that survives a power cut.
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: leaseWait, NoSync: true, NoFreelistSync: true})
	if err != nil {
		return fmt.Errorf("addresses leased, %s: %w", path, err)
	}
	return errors.Join(db.Update(change), db.Close())
}

// leased tells whether addresses of a network are given by us.
func leased(n types.Network) bool {
	driver := n.IPAMOptions[types.Driver]
	return (driver == "" || driver == types.HostLocalIPAMDriver) && len(n.Subnets) > 0
}

// lease gives an ID one address of each subnet of a network, those asked for where there are any.
func lease(tx *bbolt.Tx, n types.Network, id string, asked []net.IP) ([]net.IP, error) {
	network, err := tx.CreateBucketIfNotExists([]byte(n.Name))
	if err != nil {
		return nil, err
	}
	for _, ip := range asked {
		if !contains(n, ip) {
			return nil, fmt.Errorf("requested static ip %s not in any subnet on network %s", ip, n.Name)
		}
	}
	var got []net.IP
	for _, subnet := range n.Subnets {
		b, err := network.CreateBucketIfNotExists([]byte(subnet.Subnet.String()))
		if err != nil {
			return nil, err
		}
		fixed := false
		for _, ip := range asked {
			if !subnet.Subnet.Contains(ip) {
				continue
			}
			if ip = short(ip); ip.Equal(subnet.Gateway) {
				return nil, fmt.Errorf("requested ip address %s is the gateway of network %s", ip, n.Name)
			}
			if owner := b.Get(ip); owner != nil && string(owner) != id {
				return nil, fmt.Errorf("requested ip address %s is already allocated to container ID %s", ip, owner)
			}
			if err := b.Put(ip, []byte(id)); err != nil {
				return nil, err
			}
			fixed, got = true, append(got, ip)
		}
		if fixed {
			continue
		}
		ip, err := free(b, subnet)
		if err != nil {
			return nil, fmt.Errorf("network %s: %w", n.Name, err)
		}
		if err := errors.Join(b.Put([]byte(lastKey), ip), b.Put(ip, []byte(id))); err != nil {
			return nil, err
		}
		got = append(got, ip)
	}
	owners, err := network.CreateBucketIfNotExists([]byte(ownersBucket))
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(got)
	if err != nil {
		return nil, err
	}
	return got, owners.Put([]byte(id), data)
}

func contains(n types.Network, ip net.IP) bool {
	for _, s := range n.Subnets {
		if s.Subnet.Contains(ip) {
			return true
		}
	}
	return false
}

// free is the next address after the one that was leased last, round and round.
func free(b *bbolt.Bucket, s types.Subnet) (net.IP, error) {
	start, end := first(s.Subnet.IPNet), last(s.Subnet.IPNet)
	if r := s.LeaseRange; r != nil {
		if r.StartIP != nil && !r.StartIP.Equal(s.Subnet.IP) {
			start = short(r.StartIP)
		}
		if r.EndIP != nil && bytes.Compare(short(r.EndIP), end) < 0 {
			end = short(r.EndIP)
		}
	}
	ip := start
	if was := net.IP(bytes.Clone(b.Get([]byte(lastKey)))); len(was) == len(start) {
		ip = next(was)
	}
	for begun, wrapped := ip, false; ; ip = next(ip) {
		if bytes.Compare(ip, end) > 0 || bytes.Compare(ip, start) < 0 {
			if wrapped {
				break
			}
			ip, wrapped = start, true
		}
		if !ip.Equal(s.Gateway) && b.Get(ip) == nil {
			return ip, nil
		}
		if wrapped && bytes.Compare(ip, begun) >= 0 && bytes.Compare(begun, start) >= 0 {
			break
		}
	}
	return nil, fmt.Errorf("failed to find free IP in range: %s - %s", start, end)
}

// last is the last address of a subnet that a container may have: that of IPv4 is the broadcast.
func last(n net.IPNet) net.IP {
	out := make(net.IP, len(n.IP))
	for i := range out {
		out[i] = n.IP[i] | ^n.Mask[len(n.Mask)-len(out)+i]
	}
	if len(out) == net.IPv4len {
		out[3]--
	}
	return out
}

// release takes back what an ID has of a network. Nothing leased is no error.
func release(tx *bbolt.Tx, network, id string) error {
	b := tx.Bucket([]byte(network))
	if b == nil {
		return nil
	}
	var errs []error
	err := b.ForEachBucket(func(name []byte) error {
		if string(name) == ownersBucket {
			return nil
		}
		subnet := b.Bucket(name)
		var theirs [][]byte
		err := subnet.ForEach(func(ip, owner []byte) error {
			if string(owner) == id && string(ip) != lastKey {
				theirs = append(theirs, bytes.Clone(ip))
			}
			return nil
		})
		for _, ip := range theirs {
			err = errors.Join(err, subnet.Delete(ip))
		}
		return err
	})
	errs = append(errs, err)
	if owners := b.Bucket([]byte(ownersBucket)); owners != nil {
		errs = append(errs, owners.Delete([]byte(id)))
	}
	return errors.Join(errs...)
}

// forget removes the leases of a network that is removed.
func (s *Store) forget(network string) error {
	if _, err := os.Stat(filepath.Join(s.Run, "ipam.db")); err != nil {
		return nil //nolint:nilerr // nothing was ever leased
	}
	return s.leases(func(tx *bbolt.Tx) error {
		if err := tx.DeleteBucket([]byte(network)); err != nil && !errors.Is(err, bolterrors.ErrBucketNotFound) {
			return err
		}
		return nil
	})
}
