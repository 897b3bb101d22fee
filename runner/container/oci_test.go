// SPDX-License-Identifier: Apache-2.0

package container

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/spec"
)

// TestLinkMtab: programs that list mounts find them in an image that has no /etc/mtab; a file of the image's stays, and a
// link leads nowhere out of it.
func TestLinkMtab(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	link := func() {
		t.Helper()
		if err := linkMtab(&bundle.Input{Rootfs: root, Spec: &spec.Container{}}); err != nil {
			t.Error(err)
		}
	}
	link() // no /etc
	if err := os.Symlink(elsewhere, filepath.Join(root, "etc")); err != nil {
		t.Fatal(err)
	}
	link()
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
		t.Errorf("where /etc leads out of the root: %v, %v", left, err)
	}
	etc := filepath.Join(root, "etc")
	if err := os.Remove(etc); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // at each start
		link()
	}
	mtab := filepath.Join(etc, "mtab")
	if to, err := os.Readlink(mtab); err != nil || to != "/proc/mounts" {
		t.Errorf("%q, %v", to, err)
	}
	if err := os.Remove(mtab); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mtab, []byte("own\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	link()
	if got, err := os.ReadFile(mtab); err != nil || string(got) != "own\n" {
		t.Errorf("the image's own: %q, %v", got, err)
	}
}

// TestHostname: a container has the name of whoever's UTS namespace it is in, the machine's with the machine's network, and
// else its own.
func TestHostname(t *testing.T) {
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	if err := os.WriteFile(filepath.Join(files, "hostname"), []byte("podbox\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pod := &Join{Files: files, Share: []string{"uts"}}
	for _, c := range []struct {
		name string
		spec spec.Container
		join *Join
		ns   string // its UTS namespace
		want string
	}{
		{"alone", spec.Container{}, nil, "", "0123456789ab"},
		{"named", spec.Container{Networking: spec.Networking{Hostname: "box"}}, nil, "", "box"},
		{"the machine's network", spec.Container{Networking: spec.Networking{Networks: []spec.Network{{Mode: spec.NetHost}}}}, nil, "", machine},
		{"the machine's network, named", spec.Container{Networking: spec.Networking{Hostname: "box", Networks: []spec.Network{{Mode: spec.NetHost}}}}, nil, "", "box"},
		{"the machine's name", spec.Container{UTSNS: spec.Namespace{Mode: "host"}}, nil, bundle.HostNS, machine},
		{"in a pod", spec.Container{}, pod, "/proc/7/ns/uts", "podbox"},
		{"in a pod, with a name of its own", spec.Container{UTSNS: spec.Namespace{Mode: "private"}}, pod, "", "0123456789ab"},
		{"in a pod that shares none", spec.Container{}, &Join{Files: files}, "", "0123456789ab"},
	} {
		s := &start{ask: Launch{Record: &Record{ID: "0123456789abcdef", Spec: c.spec}, Join: c.join}}
		if got, err := s.hostname(bundle.Namespaces{UTS: c.ns}); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}
