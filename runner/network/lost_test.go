// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/pkg/config"
)

// TestLostBeforeAProcess: the namespace of a user's networks is lost after a container's links were
// made in it, and made again before the container has a process: whoever does that does not see the
// container. netavark, a script, makes a device in the container's namespace.
func TestLostBeforeAProcess(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			at := t.TempDir()
			bin, shared, dir := filepath.Join(at, "bin"), filepath.Join(at, "netns"), filepath.Join(at, "one")
			script := fmt.Sprintf(`#!/bin/sh
case "$*" in *setup*) ;; *) exit ;; esac
echo setup >>%s/calls
/usr/bin/nsenter --net=/proc/self/fd/3 ip link add eth0 type bridge || exit 1
echo '{"a":{}}'
`, at)
			err := errors.Join(os.Mkdir(bin, 0o700), os.Mkdir(shared, 0o700), os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(bin, "netavark"), []byte(script), 0o755))
			if err != nil {
				t.Fatal(err)
			}
			conf := &config.Config{}
			conf.Network.DefaultSubnetPools = config.DefaultSubnetPools
			conf.Engine.HelperBinariesDir.Set([]string{bin})
			s := &netavark.Store{
				Dir: filepath.Join(at, "networks"), LockFile: filepath.Join(at, "lock"), Run: filepath.Join(at, "run"),
				Records: filepath.Join(at, "connected"), Rootless: true, Config: conf,
			}
			if _, err := s.Create(netavark.New{Name: "a", DisableDNS: true}); err != nil {
				t.Fatal(err)
			}
			hold := func() {
				t.Helper()
				holder := exec.Command("sleep", "1000")
				if err := holder.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
				if err := (netavark.Shared{PID: holder.Process.Pid, Ticks: process.StartTicks(holder.Process.Pid)}).Save(shared); err != nil {
					t.Fatal(err)
				}
			}
			hold()
			n, err := Start(t.Context(), Request{
				Network: spec.Network{Mode: spec.NetBridge}, Dir: dir, Files: dir, Config: conf,
				Bridge: &Bridge{
					Store:      s,
					Connection: netavark.Connection{ID: "one", Name: "one", Shared: shared, Networks: []netavark.Endpoint{{Name: "a"}}},
					Servers:    netavark.Servers{Start: func(context.Context, string) error { return nil }},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = n.Close() })
			n.Connect(t.Context(), "")
			<-n.done
			want := "setup\n"
			if lost {
				hold()
				want += want
			}
			if _, err := n.Wait(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			if calls, err := os.ReadFile(filepath.Join(at, "calls")); err != nil || string(calls) != want {
				t.Errorf("%q, want %q (%v)", calls, want, err)
			}
		})
	}
}
