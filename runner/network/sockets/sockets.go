// SPDX-License-Identifier: Apache-2.0

// Package sockets finds out who has a port of the network namespace of the calling thread.
package sockets

import (
	"encoding/binary"
	"fmt"
	"iter"
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
	all := map[string]bool{}
	want := fmt.Sprintf("%04X", port)
	for local, link := range table(protocol) {
		if _, p, ok := strings.Cut(local, ":"); ok && p == want {
			all[link] = true
		}
	}
	return all
}

// A Set has the local addresses of sockets, as the kernel's table has them.
type Set map[string]bool

// Has reports whether one of the sockets is at exactly this address.
func (s Set) Has(at netip.AddrPort) bool { return s[local(at)] }

// Of are the sockets of a process that listen (TCP) or are bound (UDP). It has none if it has ended,
// or if we may not look at its descriptors.
func Of(pid int, protocol string) Set {
	its := map[string]bool{}
	for link := range descriptors(pid) {
		its[link] = true
	}
	all := Set{}
	for local, link := range table(protocol) {
		if its[link] {
			all[local] = true
		}
	}
	return all
}

// Among reports whether a process has one of these sockets.
func Among(pid int, sockets map[string]bool) bool {
	if len(sockets) == 0 {
		return false
	}
	for link := range descriptors(pid) {
		if sockets[link] {
			return true
		}
	}
	return false
}

// descriptors are the targets of the links in a process's directory of descriptors.
func descriptors(pid int) iter.Seq[string] {
	return func(yield func(string) bool) {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		fds, err := os.ReadDir(dir)
		if err != nil {
			return // not ours to look at, or gone
		}
		for _, fd := range fds {
			if target, err := os.Readlink(dir + "/" + fd.Name()); err == nil && !yield(target) {
				return
			}
		}
	}
}

// table are the sockets of a protocol: the local address, and the link that a descriptor has.
func table(protocol string) iter.Seq2[string, string] {
	return func(yield func(local, link string) bool) {
		for _, name := range []string{protocol, protocol + "6"} {
			// thread-self, since the main thread may be in another namespace
			data, err := os.ReadFile("/proc/thread-self/net/" + name)
			if err != nil {
				continue
			}
			for local, link := range entries(string(data), protocol) {
				if !yield(local, link) {
					return
				}
			}
		}
	}
}

// entries are those of the text of a table.
func entries(text, protocol string) iter.Seq2[string, string] {
	return func(yield func(local, link string) bool) {
		for line := range strings.Lines(text) {
			f := strings.Fields(line)
			if len(f) < 10 || protocol == "tcp" && f[3] != listening {
				continue
			}
			if !yield(f[1], "socket:["+f[9]+"]") {
				return
			}
		}
	}
}

// local is an address as the table has it: groups of four bytes, each as a number of this machine.
func local(at netip.AddrPort) string {
	var b strings.Builder
	for ip := at.Addr().AsSlice(); len(ip) >= 4; ip = ip[4:] {
		fmt.Fprintf(&b, "%08X", binary.NativeEndian.Uint32(ip))
	}
	return fmt.Sprintf("%s:%04X", b.String(), at.Port())
}
