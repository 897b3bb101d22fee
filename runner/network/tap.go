// SPDX-License-Identifier: Apache-2.0

package network

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/podunit/podunit/runner/netns"
	"golang.org/x/sys/unix"
)

// ownTap makes the device that pasta will use and returns the options that say so; none if the user names devices, or
// if it cannot be made, which pasta can explain better.
//
// A device that pasta makes itself goes with pasta's last file descriptor, and pasta's end waits for the kernel to take
// it apart: 25 ms of every stop. Ours is persistent: it goes with the namespace, later, in the kernel's own time.
func ownTap(ns *os.File, words []string, name string) []string {
	for _, w := range words {
		name, _, _ := strings.Cut(w, "=")
		if slices.Contains([]string{"-I", "--ns-ifname", "-i", "--interface"}, name) {
			return nil
		}
	}
	if err := netns.Do(ns, func() error { return makeTap(name) }); err != nil {
		return nil
	}
	return []string{"-I", name}
}

// tapName names the device as pasta would: like the one that leads out of the machine. Beside those of
// named networks, which are eth0 and so on, it has a name of its own.
func tapName(req Request, r routes) string {
	if req.Bridge != nil {
		return "pasta0"
	}
	return cmp.Or(r.default4, r.any4, r.default6, "tap0")
}

func makeTap(name string) error {
	// A child that another thread of ours has just forked has our descriptor until it executes its
	// program: until then the device is in use, and pasta finds it busy.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return err
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		return err
	}
	// Nobody else is on this link, so no address can be there twice. While the kernel looks, for a second or two, it
	// answers nobody, and pasta gives up the first connections to ::1. A kernel without IPv6 has no such file.
	_ = os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", name, "accept_dad"), []byte("0"), 0)
	return nil
}
