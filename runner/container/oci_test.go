// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/idtools"
)

// TestLinkMtab: programs that list mounts find them in an image that has no /etc/mtab; a file of
// the image's stays, and a link leads nowhere out of it.
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

// TestHostname: a container has the name of whoever's UTS namespace it is in, the machine's with
// the machine's network, and else its own.
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
	r := &Record{ID: "0123456789abcdef", Spec: spec.Container{UTSNS: spec.Namespace{Mode: "container", Container: "other"}}}
	s := &start{ask: Launch{Record: r}, adding: adding{Engine: &Engine{RunDir: t.TempDir(), Store: rooted{root: t.TempDir()}}}}
	if _, err := s.hostname(bundle.Namespaces{UTS: "/proc/7/ns/uts"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("with one that nobody has found: %v", err)
	}
	s.ask.Peers = Peers{"uts": {ID: "fedcba9876543210", Name: "other"}}
	if got, err := s.hostname(bundle.Namespaces{UTS: "/proc/7/ns/uts"}); err != nil || got != "fedcba987654" {
		t.Errorf("with one that has no file: %q, %v", got, err)
	}
	other := s.Files("fedcba9876543210")
	if err := errors.Join(os.MkdirAll(other, 0o700), os.WriteFile(filepath.Join(other, "hostname"), []byte("podbox\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.hostname(bundle.Namespaces{UTS: "/proc/7/ns/uts"}); err != nil || got != "podbox" {
		t.Errorf("with one that has the name of a pod: %q, %v", got, err)
	}
	for _, bad := range []string{strings.Repeat("x", 1<<20), "", "\n", "a\nPATH=/evil", "a\x00b", "a b", "a\x1b[2J"} {
		if err := os.WriteFile(filepath.Join(other, "hostname"), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.hostname(bundle.Namespaces{UTS: "/proc/7/ns/uts"}); err != nil || got != "fedcba987654" {
			t.Errorf("with one that has written %.20q: %.20q, %v", bad, got, err)
		}
	}
}

// rooted is a shelf on a disk.
type rooted struct {
	shelf
	root string
}

func (r rooted) GraphRoot() string { return r.root }

// ids is a storage that shares IDs out.
type ids struct {
	nowhere
	made map[string]*storage.Container
}

func (i ids) Container(id string) (*storage.Container, error) {
	if c, ok := i.made[id]; ok {
		return c, nil
	}
	return nil, storage.ErrContainerUnknown
}

func (i ids) CreateContainer(id string, _ []string, image, layer, metadata string, o *storage.ContainerOptions) (*storage.Container, error) {
	if !o.AutoUserNs || o.AutoUserNsOpts.Size == 99 || image != "" || layer != id {
		return nil, errors.New("refused")
	}
	m := []idtools.IDMap{{ContainerID: 0, HostID: 10, Size: int(o.AutoUserNsOpts.Size)}}
	i.made[id] = &storage.Container{ID: id, Metadata: metadata, UIDMap: m, GIDMap: m}
	return i.made[id], nil
}

func (i ids) DeleteContainer(id string) error {
	delete(i.made, id)
	return nil
}

// TestHoldIDs: a pod with --userns auto has its IDs once, until it is removed, and nothing else is
// removed with it.
func TestHoldIDs(t *testing.T) {
	s := ids{made: map[string]*storage.Container{}}
	e := &Engine{Store: s, User: rootless.Identity{UID: 1000}}
	auto := func(size uint32) spec.IDMapping {
		return spec.IDMapping{UserNS: spec.UserNS{Mode: spec.UserAuto, Size: size}}
	}
	id, other := NewID(), NewID()
	for range 2 {
		if err := e.HoldIDs(context.Background(), id, "web", auto(50)); err != nil {
			t.Fatal(err)
		}
	}
	uids, gids, err := e.MappingsOf(id, auto(50))
	want := []spec.IDRange{{Host: 10, Size: 50}}
	if err != nil || !slices.Equal(uids, want) || !slices.Equal(gids, want) {
		t.Errorf("%v, %v, %v", uids, gids, err)
	}
	if c, err := s.Container(id); err != nil || !HoldsIDs(c) {
		t.Errorf("%+v, %v", c, err)
	}
	var none *noIDsError
	if err := e.HoldIDs(context.Background(), other, "db", auto(99)); !errors.As(err, &none) {
		t.Errorf("where there are none: %v", err)
	}
	s.made[other] = &storage.Container{ID: other, Metadata: "somebody's"}
	for _, id := range []string{id, other, id} {
		if err := e.ReleaseIDs(id); err != nil {
			t.Error(err)
		}
	}
	if _, ok := s.made[other]; !ok || len(s.made) != 1 {
		t.Errorf("left is %v", s.made)
	}
}
