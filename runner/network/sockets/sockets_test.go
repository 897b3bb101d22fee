// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestInodes(t *testing.T) {
	const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 222 1 0 20 4 30 10 -1
   2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 333 1 0 100 0 0 10 0
`
	got := inodes(tcp, "tcp", func(local string) bool { return strings.HasSuffix(local, ":1F90") })
	if len(got) != 1 || got[0] != "111" {
		t.Errorf("got %v", got)
	}
}

// TestHas looks for sockets of ours, by port, by address, and in another process.
func TestHas(t *testing.T) {
	for _, tt := range []struct{ network, protocol, on, other string }{
		{"tcp4", "tcp", "127.0.0.1", "0.0.0.0"},
		{"udp4", "udp", "127.0.0.1", "127.0.0.2"},
		{"tcp4", "tcp", "0.0.0.0", "127.0.0.1"},
		{"tcp6", "tcp", "::1", "::"},
		{"udp6", "udp", "::1", "127.0.0.1"},
	} {
		t.Run(tt.network+" "+tt.on, func(t *testing.T) {
			at := netip.AddrPortFrom(netip.MustParseAddr(tt.on), listen(t, tt.network, tt.on))
			if !Has(os.Getpid(), at, tt.protocol) {
				t.Errorf("we do not have %s", at)
			}
			if !Among(os.Getpid(), On(at.Port(), tt.protocol)) {
				t.Errorf("we do not have port %d", at.Port())
			}
			if other := netip.AddrPortFrom(netip.MustParseAddr(tt.other), at.Port()); Has(os.Getpid(), other, tt.protocol) {
				t.Errorf("we have %s", other)
			}
			if Has(os.Getppid(), at, tt.protocol) {
				t.Errorf("another process has %s", at)
			}
		})
	}
}

// listen returns a free port once it is ours.
func listen(t *testing.T, network, on string) uint16 {
	t.Helper()
	if strings.HasPrefix(network, "tcp") {
		l, err := net.Listen(network, net.JoinHostPort(on, "0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return uint16(l.Addr().(*net.TCPAddr).Port)
	}
	l, err := net.ListenPacket(network, net.JoinHostPort(on, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return uint16(l.LocalAddr().(*net.UDPAddr).Port)
}
