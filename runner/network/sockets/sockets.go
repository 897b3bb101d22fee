// SPDX-License-Identifier: Apache-2.0

// Package sockets finds out who has a port of the network namespace of the calling thread.
package sockets

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// listening is how TCP sockets that listen are marked in the kernel's table; UDP has no such state.
// Source: proc_pid_net(5), tcp.
const listening = "0A"

// On finds the sockets that listen on a port (TCP) or are bound to it (UDP), on any address. The
// keys are as in the links of /proc/PID/fd. protocol is "tcp" or "udp"; of another there are none.
func On(port uint16, protocol string) map[string]bool {
	return find(protocol, func(local string) bool {
		_, p, ok := strings.Cut(local, ":")
		return ok && p == fmt.Sprintf("%04X", port)
	})
}

// Has reports whether a process has the socket that listens on a port (TCP) or is bound to it (UDP)
// on exactly this address. It does not if it has ended, or if we may not look at its descriptors.
func Has(pid int, at netip.AddrPort, protocol string) bool {
	want := local(at)
	return Among(pid, find(protocol, func(l string) bool { return l == want }))
}

// Among reports whether a process has one of these sockets.
func Among(pid int, sockets map[string]bool) bool {
	if len(sockets) == 0 {
		return false
	}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false // not ours to look at, or gone
	}
	for _, fd := range fds {
		if target, err := os.Readlink(dir + "/" + fd.Name()); err == nil && sockets[target] {
			return true
		}
	}
	return false
}

func find(protocol string, wanted func(local string) bool) map[string]bool {
	all := map[string]bool{}
	for _, table := range []string{protocol, protocol + "6"} {
		// thread-self, since the main thread may be in another namespace
		data, err := os.ReadFile("/proc/thread-self/net/" + table)
		if err != nil {
			continue
		}
		for _, inode := range inodes(string(data), protocol, wanted) {
			all["socket:["+inode+"]"] = true
		}
	}
	return all
}

// inodes are those of a table's sockets whose local address is wanted.
func inodes(table, protocol string, wanted func(local string) bool) []string {
	var out []string
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || protocol == "tcp" && f[3] != listening {
			continue
		}
		if wanted(f[1]) {
			out = append(out, f[9])
		}
	}
	return out
}

// local is an address as the table has it: groups of four bytes, each as a number of this machine.
func local(at netip.AddrPort) string {
	var b strings.Builder
	for ip := at.Addr().AsSlice(); len(ip) >= 4; ip = ip[4:] {
		fmt.Fprintf(&b, "%08X", binary.NativeEndian.Uint32(ip))
	}
	return fmt.Sprintf("%s:%04X", b.String(), at.Port())
}
