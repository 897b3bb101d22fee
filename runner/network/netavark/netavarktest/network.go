// SPDX-License-Identifier: Apache-2.0

// Package netavarktest has a named network of a user for tests of those who connect containers to it.
// netavark is a script, which makes a device in the container's namespace; a sleeping process stands
// for the namespace of the user's networks.
package netavarktest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"go.podman.io/common/pkg/config"
)

// Network is the network a.
type Network struct {
	Store  *netavark.Store
	Config *config.Config
	t      testing.TB
	at     string
}

const script = `#!/bin/sh
case "$*" in *setup*) ;; *) exit ;; esac
echo setup >>%s/calls
/usr/bin/nsenter --net=/proc/self/fd/3 ip link add eth0 type bridge || exit 1
echo '{"a":{}}'
`

// New makes the network, in a namespace that is there. A test without root is skipped.
func New(t testing.TB) *Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	at := t.TempDir()
	bin := filepath.Join(at, "bin")
	n := &Network{t: t, at: at, Config: &config.Config{}}
	err := errors.Join(os.Mkdir(bin, 0o700), os.Mkdir(n.shared(), 0o700), safe.Replace(filepath.Join(bin, "netavark"), fmt.Appendf(nil, script, at), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	n.Config.Network.DefaultSubnetPools = config.DefaultSubnetPools
	n.Config.Engine.HelperBinariesDir.Set([]string{bin})
	n.Store = &netavark.Store{
		Dir: filepath.Join(at, "networks"), LockFile: filepath.Join(at, "lock"), Run: filepath.Join(at, "run"),
		Records: filepath.Join(at, "connected"), Rootless: true, Config: n.Config,
	}
	if _, err := n.Store.Create(t.Context(), netavark.New{Name: "a", DisableDNS: true}); err != nil {
		t.Fatal(err)
	}
	n.Lose()
	return n
}

func (n *Network) shared() string { return filepath.Join(n.at, "netns") }

// Connection is that of a container to the network.
func (n *Network) Connection(id string) netavark.Connection {
	return netavark.Connection{ID: id, Name: id, Shared: n.shared(), Networks: []netavark.Endpoint{{Name: "a"}}}
}

// Servers are those of a network without names, whose namespace is there.
func (n *Network) Servers() netavark.Servers {
	return netavark.Servers{Start: func(context.Context, string) error { return nil }}
}

// Lose puts another namespace in the place of the one that there is.
func (n *Network) Lose() {
	n.t.Helper()
	n.hold(n.shared())
}

// ToLose returns the words of a shell that do the same as Lose.
func (n *Network) ToLose() string {
	n.t.Helper()
	next := filepath.Join(n.at, "next")
	if err := os.Mkdir(next, 0o700); err != nil {
		n.t.Fatal(err)
	}
	n.hold(next)
	return "mv " + next + "/* " + n.shared()
}

func (n *Network) hold(dir string) {
	n.t.Helper()
	holder := exec.Command("sleep", "1000")
	if err := holder.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	if err := (netavark.Shared{PID: holder.Process.Pid, Ticks: process.StartTicks(holder.Process.Pid)}).Save(dir); err != nil {
		n.t.Fatal(err)
	}
}

// Setups is how often somebody was connected.
func (n *Network) Setups() int {
	n.t.Helper()
	calls, err := os.ReadFile(filepath.Join(n.at, "calls"))
	if err != nil {
		n.t.Fatal(err)
	}
	return strings.Count(string(calls), "setup\n")
}
