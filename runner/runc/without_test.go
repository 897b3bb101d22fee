// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
)

// TestWithout leaves everything but the namespaces as runc has written it, large numbers above all.
func TestWithout(t *testing.T) {
	const before = `{"id":"x","init_process_start":18446744073709551615,"config":{"rootfs":"/r","namespaces":[{"type":"NEWUSER","path":""},{"type":"NEWNET","path":"/n"},{"type":"NEWIPC","path":"/i"},{"type":"NEWPID","path":""}],"uid_mappings":[{"container_id":0}]}}`
	const after = `{"config":{"namespaces":[{"path":"","type":"NEWUSER"},{"path":"/i","type":"NEWIPC"},{"path":"","type":"NEWPID"}],"rootfs":"/r","uid_mappings":[{"container_id":0}]},"id":"x","init_process_start":18446744073709551615}`
	r := Runtime{Command: "/usr/sbin/runc", Root: t.TempDir()}
	if err := os.Mkdir(filepath.Join(r.Root, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.Root, "x", stateName), []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	other, err := r.Without("x", dir, []string{"network"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(other.Root, "x", stateName))
	if err != nil || string(b) != after || other.Root != dir {
		t.Errorf("got\n%s, %v\nwant\n%s", b, err, after)
	}
	if r.CanLeaveOut("pid") || (Runtime{Command: "/usr/bin/crun"}).CanLeaveOut("network") {
		t.Error("it claims what it cannot")
	}
	if _, err := r.Without("y", dir, nil); err == nil {
		t.Error("a container that runc does not know")
	}
}

// TestLeaveOut: only a container that joins a user namespace needs the runtime to be executed in
// others, and not in a process namespace, which whoever enters it is not in.
func TestLeaveOut(t *testing.T) {
	config := &rspec.Spec{Linux: &rspec.Linux{Namespaces: []rspec.LinuxNamespace{
		{Type: rspec.UserNamespace}, {Type: rspec.PIDNamespace, Path: "/p"}, {Type: rspec.NetworkNamespace, Path: "/n"}, {Type: rspec.UTSNamespace},
	}}}
	runc := Runtime{Command: "/usr/sbin/runc"}
	if left, paths := runc.LeaveOut(config); left != config || paths != nil {
		t.Errorf("one of its own: %v, %v", left.Linux.Namespaces, paths)
	}
	config.Linux.Namespaces[0].Path = "/u"
	left, paths := runc.LeaveOut(config)
	want := []rspec.LinuxNamespace{config.Linux.Namespaces[0], config.Linux.Namespaces[1], config.Linux.Namespaces[3]}
	if !slices.Equal(left.Linux.Namespaces, want) || !slices.Equal(paths, []string{"/n"}) || len(config.Linux.Namespaces) != 4 {
		t.Errorf("somebody else's: %v, %v", left.Linux.Namespaces, paths)
	}
	if left, paths := (Runtime{Command: "/usr/bin/crun"}).LeaveOut(config); len(left.Linux.Namespaces) != 4 || paths != nil {
		t.Errorf("a runtime that can join: %v, %v", left.Linux.Namespaces, paths)
	}
}
