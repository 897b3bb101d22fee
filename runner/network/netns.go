// SPDX-License-Identifier: Apache-2.0

package network

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"go.podman.io/common/pkg/config"
	"golang.org/x/sys/unix"
)

// threadNS is the calling thread's own; /proc/self would be the main thread's.
const threadNS = "/proc/thread-self/ns/net"

// newNS makes a network namespace, with its loopback device up and sysctls set,
// and mounts it on path, an empty file that it makes. A mount, because old
// versions of pasta may not follow a link in /proc, and AppArmor lets them only
// under certain paths.
func newNS(path string, sysctls [][2]string) (ns *os.File, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	f.Close()
	defer func() {
		if err != nil {
			err = errors.Join(err, dropNS(path))
		}
	}()
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare the network namespace: %w", err)
		}
		if ns, err = os.Open(threadNS); err != nil {
			return err
		}
		if err := loopbackUp(); err != nil {
			return fmt.Errorf("bring the loopback device up: %w", err)
		}
		for _, s := range sysctls {
			if err := os.WriteFile(filepath.Join("/proc/sys", s[0]), []byte(s[1]), 0); err != nil {
				return fmt.Errorf("sysctl: %w", err)
			}
		}
		return unix.Mount(threadNS, path, "", unix.MS_BIND, "")
	})
	if err != nil {
		if ns != nil {
			ns.Close()
		}
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	return ns, nil
}

// openNS opens a network namespace by its path, /run/netns/x or /proc/PID/ns/net.
func openNS(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	if kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWNET {
		f.Close()
		return nil, fmt.Errorf("%s is not a network namespace", path)
	}
	return f, nil
}

// dropNS undoes newNS; nothing there is no error. The namespace itself lives as
// long as a process or a descriptor is in it.
func dropNS(path string) error {
	// Pasta may have it open, so that a plain unmount says EBUSY.
	if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil &&
		!errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "unmount", Path: path, Err: err}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// onThread runs f on a thread of its own, which may change its network namespace:
// it is brought back afterwards, or dies.
func onThread(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open(threadNS)
		if err == nil {
			err = f()
			if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
				// The main thread cannot die, so an ordinary end is better.
				runtime.UnlockOSThread()
			}
			home.Close()
		}
		result <- err
	}()
	return <-result
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

// addresses lists the addresses in a network namespace that others can use,
// IPv4 first. A link-local IPv6 address means nothing without its interface.
func addresses(ns *os.File) ([]netip.Addr, error) {
	var out []netip.Addr
	err := onThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		all, err := net.InterfaceAddrs()
		if err != nil {
			return err
		}
		for _, a := range all {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			ip := p.Addr().Unmap()
			if ip.IsLoopback() || ip.IsMulticast() || ip.Is6() && ip.IsLinkLocalUnicast() {
				continue
			}
			out = append(out, ip)
		}
		return nil
	})
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	return out, err
}

// sysctls are those every new namespace gets, as paths below /proc/sys. Ports
// below 1024 are nobody's privilege in a namespace that holds one application,
// and its root may ping. Source: ip_sysctl in the kernel's documentation;
// containers.conf(5), default_sysctls, which come last and so win.
func sysctls(conf *config.Config) [][2]string {
	out := [][2]string{
		{"net/ipv4/ip_unprivileged_port_start", "0"},
		{"net/ipv4/ping_group_range", "0 0"},
	}
	for _, s := range conf.Sysctls() {
		if name, value, ok := strings.Cut(s, "="); ok && strings.HasPrefix(name, "net.") {
			out = append(out, [2]string{strings.ReplaceAll(name, ".", "/"), value})
		}
	}
	return out
}
