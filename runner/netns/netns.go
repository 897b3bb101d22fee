// SPDX-License-Identifier: Apache-2.0

// Package netns makes and enters network namespaces, and brings mounts of other namespaces into
// ours. A namespace belongs to a thread: whatever enters one does so on a thread of its own.
package netns

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/process"
	"golang.org/x/sys/unix"
)

// threadNS is the calling thread's namespace; /proc/self would be the main thread's.
const threadNS = "/proc/thread-self/ns/net"

// New makes a network namespace, with its loopback device up and sysctls set, each a path below
// /proc/sys and a value. It mounts the namespace on path, an empty file that it makes, and which
// Drop removes. It is a mount because old versions of pasta may not follow a link in /proc, and
// AppArmor lets them only under certain paths. The mount namespace must be private to this
// process. The caller closes the file.
func New(path string, sysctls [][2]string) (ns *os.File, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	f.Close()
	err = atHome(func() error {
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
		return nil, errors.Join(fmt.Errorf("network namespace: %w", err), Drop(path))
	}
	return ns, nil
}

// Anonymous makes a network namespace that lives as long as the file is open, or a process in it.
func Anonymous() (ns *os.File, err error) {
	err = atHome(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare the network namespace: %w", err)
		}
		ns, err = os.Open(threadNS)
		return err
	})
	return ns, err
}

// Open opens a network namespace by its path, /run/netns/x or /proc/PID/ns/net. Anything else at
// path is an error.
func Open(path string) (*os.File, error) {
	f, err := process.OpenNamespace(path)
	if errors.Is(err, process.ErrNotNamespace) {
		return nil, fmt.Errorf("%s is not a network namespace", path)
	}
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	if kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWNET {
		f.Close()
		return nil, fmt.Errorf("%s is not a network namespace", path)
	}
	return f, nil
}

// OpenOf opens the network namespace of the process that started at that time: see process.Alive. The
// error is ErrEnded if that has ended, whose number may be another one's by now.
func OpenOf(pid int, ticks uint64) (*os.File, error) {
	ns, err := Open(process.Namespace(pid, "net"))
	if !process.Alive(pid, ticks) { // asked after it was opened, so what is open is its own
		if err == nil {
			ns.Close()
		}
		return nil, ErrEnded
	}
	return ns, err
}

// ErrEnded says that a process has ended whose namespace was to be opened.
var ErrEnded = errors.New("its first process has ended meanwhile")

// Drop undoes New; nothing there is no error. The namespace itself lives as long as a process or
// a descriptor is in it.
func Drop(path string) error {
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

// Do runs f on a thread that is in the network namespace. What f starts or opens stays there;
// the goroutine that calls Do does not change its own.
func Do(ns *os.File, f func() error) error {
	return atHome(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace %s: %w", ns.Name(), err)
		}
		return f()
	})
}

// Inside runs f on a thread that is in the namespaces at the paths, of any kind that a thread can
// enter alone: network, IPC, UTS, cgroup. What f starts is in them as well.
func Inside(paths []string, f func() error) error {
	return onThread(func() (back bool, err error) {
		for _, path := range paths {
			ns, err := os.Open(path)
			if err != nil {
				return false, err
			}
			err = unix.Setns(int(ns.Fd()), 0)
			ns.Close()
			if err != nil {
				return false, fmt.Errorf("enter the namespace %s: %w", path, err)
			}
		}
		return false, f()
	})
}

// Set sets kernel parameters, such as net.ipv4.ip_forward, in the network namespace at path. The
// caller's user namespace must own it, or be above that which does.
func Set(path string, sysctls map[string]string) error {
	ns, err := Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	return Do(ns, func() error {
		for _, name := range slices.Sorted(maps.Keys(sysctls)) {
			file := filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
			f, err := os.OpenFile(file, os.O_WRONLY, 0) // it is never made
			if err == nil {
				_, err = f.WriteString(sysctls[name])
				err = errors.Join(err, f.Close())
			}
			if err != nil {
				return fmt.Errorf("sysctl %s=%s: %w", name, sysctls[name], err)
			}
		}
		return nil
	})
}

// Addresses lists the addresses in a network namespace that others can use, IPv4 first. A
// link-local IPv6 address means nothing without its interface, and is left out.
func Addresses(ns *os.File) ([]netip.Addr, error) {
	var out []netip.Addr
	err := Do(ns, func() error {
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

// atHome runs f on a thread of its own, which may change its network namespace and nothing else.
// Afterwards the thread goes back to where it was, or ends.
func atHome(f func() error) error {
	return onThread(func() (back bool, err error) {
		home, err := os.Open(threadNS)
		if err != nil {
			return true, err
		}
		defer home.Close()
		err = f()
		return unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil, err
	})
}

// onThread runs f on a thread of its own. Unless f says that the thread is back in all the
// namespaces that it was in, the thread ends and takes its namespaces along.
func onThread(f func() (back bool, err error)) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The first thread never ends, and what /proc says of the process is true of it.
			// While it is held, f gets another.
			defer runtime.UnlockOSThread()
			done <- onThread(f)
			return
		}
		back, err := f()
		if back {
			runtime.UnlockOSThread()
		}
		done <- err // a thread that is still locked ends with its goroutine
	}()
	return <-done
}
