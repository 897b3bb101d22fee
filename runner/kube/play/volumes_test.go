// SPDX-License-Identifier: Apache-2.0

package play

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// TestHostPath: each type of hostPath takes what it names, refuses the rest, and makes nothing
// before all is judged.
func TestHostPath(t *testing.T) {
	dir := t.TempDir()
	file, socket := filepath.Join(dir, "file"), filepath.Join(dir, "socket")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		check kube.HostCheck
		path  string
		want  string // of the error; empty for none
	}{
		{kube.HostExists, dir, ""}, {kube.HostExists, file, ""}, {kube.HostExists, dir + "/none", "no such file"},
		{kube.HostDir, dir, ""}, {kube.HostDir, file, "is not a directory"}, {kube.HostDir, dir + "/none", "no such file"},
		{kube.HostMakeDir, dir + "/a/b", ""}, {kube.HostMakeDir, file, "is not a directory"},
		{kube.HostFile, file, ""}, {kube.HostFile, dir, "is a directory"}, {kube.HostFile, dir + "/none", "no such file"},
		{kube.HostMakeFile, dir + "/new", ""}, {kube.HostMakeFile, dir + "/none/new", "no such file"}, {kube.HostMakeFile, dir, "is a directory"},
		{kube.HostSocket, socket, ""}, {kube.HostSocket, file, "is not a socket"},
		{kube.HostCharDevice, "/dev/null", ""}, {kube.HostCharDevice, file, "is not a character device"},
		{kube.HostBlockDev, "/dev/null", "is not a block device"},
	} {
		err := hostPath(&kube.Volume{Path: c.path, Check: c.check})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %s: %v, want %q", c.check, c.path, err, c.want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("made by looking: %v, %v", entries, err)
	}
	for check, path := range map[kube.HostCheck]string{kube.HostMakeDir: dir + "/a/b", kube.HostMakeFile: dir + "/new"} {
		if err := makeHostPath(&kube.Volume{Path: path, Check: check}); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// TestWriteVolume: the files of a volume have their modes and directories, and a key that is gone has
// no file any more.
func TestWriteVolume(t *testing.T) {
	w := &work{Player: &Player{store: store{run: t.TempDir()}}, st: &State{}}
	r := pod.Record{ID: strings.Repeat("a", 64)}
	v := &kube.Volume{Name: "v", Kind: kube.VolumeFiles, Files: []kube.File{
		{Path: "a", Mode: 0o640, Data: []byte("alpha")}, {Path: "d/e/b", Mode: 0o400, Data: []byte("beta")},
	}}
	place := filepath.Join(w.store.podFiles(r.ID), "v")
	write := func() {
		t.Helper()
		if err := w.writeVolume(r, &kube.Pod{}, v, kube.Facts{}); err != nil {
			t.Fatal(err)
		}
	}
	write()
	for path, want := range map[string]string{"a": "-rw-r----- alpha", "d/e/b": "-r-------- beta"} {
		st, err := os.Stat(filepath.Join(place, path))
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(place, path))
		if got := st.Mode().String() + " " + string(data); err != nil || got != want {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	v.Files = v.Files[:1]
	write()
	if _, err := os.Stat(filepath.Join(place, "d")); !os.IsNotExist(err) {
		t.Errorf("the key that is gone: %v", err)
	}
	// A link that a container has left would lead elsewhere.
	v.Files = []kube.File{{Path: "../../out", Mode: 0o600, Data: []byte("x")}}
	if err := w.writeVolume(r, &kube.Pod{}, v, kube.Facts{}); err == nil {
		t.Error("a path that leads out of the volume was written")
	}
	entries, err := os.ReadDir(w.store.podFiles(r.ID))
	if err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// TestSubPath: a missing one is made in a volume that can be written, and a link out is refused. What
// is mounted is what was there when it was looked at, whatever takes its name.
func TestSubPath(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root mounts")
	}
	// The mounts are this thread's, which ends with the test.
	runtime.LockOSThread()
	if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
		t.Fatal(err)
	}
	dir, at := t.TempDir(), filepath.Join(t.TempDir(), "places", "0")
	if err := errors.Join(os.Symlink("/etc", filepath.Join(dir, "out")), os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600), unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	empty := &kube.Volume{Kind: kube.VolumeEmpty}
	if err := subPath(dir, kube.Mount{SubPath: "a/b"}, empty, at); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "a/b/inside"), nil, 0o600), os.Rename(filepath.Join(dir, "a/b"), filepath.Join(dir, "a/c")), os.Symlink("/etc", filepath.Join(dir, "a/b"))); err != nil {
		t.Fatal(err)
	}
	if names, err := filepath.Glob(at + "/*"); err != nil || !slices.Equal(names, []string{at + "/inside"}) {
		t.Errorf("what is mounted has %q, %v", names, err)
	}
	for i, m := range []kube.Mount{{SubPath: "out"}, {SubPath: "out/passwd"}, {SubPath: "a/b"}, {SubPath: "none", ReadOnly: true}} {
		if err := subPath(dir, m, empty, fmt.Sprintf("%s-%d", at, i)); err == nil {
			t.Errorf("%s is mounted", m.SubPath)
		}
	}
	for _, name := range []string{"file", "pipe"} {
		if err := subPath(dir, kube.Mount{SubPath: name}, empty, at+name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b, err := os.ReadFile(at + "file"); err != nil || string(b) != "text" {
		t.Errorf("%q, %v", b, err)
	}
	// What is removed with a pod is what was made for it.
	among := filepath.Join(t.TempDir(), "pod")
	if err := errors.Join(subPath(dir, kube.Mount{SubPath: "a/c"}, empty, filepath.Join(among, subPlace+"web-0")), removeFiles(among)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a/c/inside")); err != nil {
		t.Errorf("a file of the volume went: %v", err)
	}
	if err := errors.Join(unix.Unmount(at, 0), unix.Unmount(at+"file", 0), unix.Unmount(at+"pipe", 0)); err != nil {
		t.Error(err)
	}
}

// TestImageMount: the files of an image are read and nothing else, and a part of them is a part of the
// image.
func TestImageMount(t *testing.T) {
	v := &kube.Volume{Name: "v", Kind: kube.VolumeImage, Image: "quay.io/x/data:1", Pull: "missing"}
	m := imageMount(kube.Mount{Volume: "v", Path: "/data", ReadOnly: true, Propagation: "rprivate", SubPath: "a/b", Options: []string{"rw", "O"}, Chown: true}, v)
	if m.Type != spec.MountImage || m.Source != v.Image || m.Destination != "/data" || m.Subpath != "/a/b" || m.Overlay || m.Chown ||
		!m.ReadOnly() || !slices.Contains(m.Options, "noexec") || slices.Contains(m.Options, "rw") {
		t.Errorf("%+v", m)
	}
	if m = imageMount(kube.Mount{Volume: "v", Path: "/data", ReadOnly: true, Propagation: "rprivate"}, v); m.Subpath != "" || !slices.Equal(m.Options, []string{"rbind", "rprivate", "ro", "noexec"}) {
		t.Errorf("%+v", m)
	}
}
