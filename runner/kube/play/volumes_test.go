// SPDX-License-Identifier: Apache-2.0

package play

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/storage/pkg/reexec"
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

// TestMakeHostPathBesideStranger: where a container can write, too, what lies under the name of a
// file that is to be made may be a pipe, which keeps its opener waiting, or a link to where none is
// to be made.
func TestMakeHostPathBesideStranger(t *testing.T) {
	dir := t.TempDir()
	pipe, link, outside := filepath.Join(dir, "pipe"), filepath.Join(dir, "link"), filepath.Join(t.TempDir(), "outside")
	if err := errors.Join(unix.Mkfifo(pipe, 0o600), os.Symlink(outside, link)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		var errs []error
		for _, path := range []string{pipe, link, filepath.Join(dir, "file")} {
			errs = append(errs, makeHostPath(&kube.Volume{Path: path, Check: kube.HostMakeFile}))
		}
		ended <- errors.Join(errs...)
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for who writes the pipe")
	}
	if _, err := os.Lstat(outside); err == nil {
		t.Error("it made a file elsewhere")
	}
	if st, err := os.Lstat(filepath.Join(dir, "file")); err != nil || !st.Mode().IsRegular() {
		t.Errorf("what is missing is made: %v", err)
	}
}

// TestUnpackOfAPipe: an archive that has become a pipe holds nobody.
func TestUnpackOfAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- unpack(t.TempDir(), pipe) }()
	select {
	case err := <-ended:
		if !errors.Is(err, safe.ErrNotRegular) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for who writes the pipe")
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

// TestGiveGroup: a group gets a tree, and modes keep what they had besides.
func TestGiveGroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir := t.TempDir()
	before := map[string]fs.FileMode{"tmp": fs.ModeDir | fs.ModeSticky | 0o777, "program": fs.ModeSetuid | fs.ModeSetgid | 0o755, "file": 0o600}
	after := map[string]fs.FileMode{"tmp": fs.ModeDir | fs.ModeSticky | fs.ModeSetgid | 0o777, "program": fs.ModeSetuid | fs.ModeSetgid | 0o775, "file": 0o660}
	for name, mode := range before {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, nil, 0o600)
		if mode.IsDir() {
			err = errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		}
		if err := errors.Join(err, os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := giveGroup(dir, 1234, false); err != nil {
		t.Fatal(err)
	}
	for name, want := range after {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.Mode() != want || st.Sys().(*syscall.Stat_t).Gid != 1234 {
			t.Errorf("%s: %v, %v, want %s", name, st.Mode(), err, want)
		}
	}
}

// TestSubPath: a part of a volume is looked up when it is mounted, and not before; a claim stays
// one, so that it counts as used.
func TestSubPath(t *testing.T) {
	for kind, want := range map[kube.VolumeKind]spec.Mount{
		kube.VolumeEmpty: {Type: spec.MountBind, Source: "/dir", Subpath: "/b", MakeSubpath: true},
		kube.VolumeHost:  {Type: spec.MountBind, Source: "/dir", Subpath: "/b", MakeSubpath: true},
		kube.VolumeFiles: {Type: spec.MountBind, Source: "/dir", Subpath: "/b"},
		kube.VolumeClaim: {Type: spec.MountVolume, Source: "kept", Subpath: "/b", MakeSubpath: true, NoCopy: true},
	} {
		v := &kube.Volume{Kind: kind, Claim: "kept"}
		got := volumeMount(kube.Mount{Path: "/d", SubPath: "a/../b"}, v, "/dir")
		want.Destination, want.Options = "/d", got.Options
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", kind, got)
		}
		if got = volumeMount(kube.Mount{Path: "/d", SubPath: "b", ReadOnly: true}, v, "/dir"); got.MakeSubpath {
			t.Errorf("%s, read-only: %+v", kind, got)
		}
		if got = volumeMount(kube.Mount{Path: "/d"}, v, "/dir"); got.Subpath != "" || got.NoCopy {
			t.Errorf("%s, whole: %+v", kind, got)
		}
	}
}

// TestImageMount: the files of an image are read and nothing else, and a part of them is a part of
// the image.
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

// TestClaimsThatStandForSomething: what a claim's annotations and nfs ask for becomes options of
// the volume, is judged before anything is made, and a volume of that name that stands for
// something else is not taken for it.
func TestClaimsThatStandForSomething(t *testing.T) {
	w := newWorld(t)
	plan := &kube.Plan{Claims: []kube.Claim{{Name: "ram", Options: map[string]string{"type": "tmpfs", "o": "size=1m"}}, {Name: "mine", Options: map[string]string{"uid": "7"}}}}
	work := &work{Player: w.Player, st: &State{Name: "x", Plan: plan}, plan: plan}
	if err := errors.Join(hostPaths(plan, true), work.claims(t.Context(), plan)); err != nil {
		t.Fatal(err)
	}
	if v, err := w.volumes.Get("ram"); err != nil || v.Options["type"] != "tmpfs" || v.Options["o"] != "size=1m" {
		t.Errorf("%+v, %v", v, err)
	}
	for want, c := range map[string]kube.Claim{
		"for root only":     {Name: "disk", Options: map[string]string{"type": "ext4", "device": "/dev/sda"}},
		"needs --opt image": {Name: "image", Driver: "image"},
		"volume driver":     {Name: "other", Driver: "other"},
	} {
		if err := hostPaths(&kube.Plan{Claims: []kube.Claim{c}}, true); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "claim "+c.Name) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	nfs := &kube.Volume{Name: "v", Kind: kube.VolumeClaim, Claim: "web-v", Ephemeral: true, Options: map[string]string{"type": "nfs", "device": "nas:/srv"}}
	for _, made := range []bool{true, false} {
		if v, is, err := work.ensureClaim(t.Context(), nfs); err != nil || is != made || v.Options["device"] != "nas:/srv" {
			t.Errorf("%+v, made %v, %v", v, is, err)
		}
	}
	nfs.Options = map[string]string{"type": "nfs", "device": "nas:/other"}
	if _, _, err := work.ensureClaim(t.Context(), nfs); err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("%v", err)
	}
}

// TestMain is another process's beginning, too: archives are unpacked by one that has a root
// directory of its own.
func TestMain(m *testing.M) {
	if reexec.Init() {
		return
	}
	os.Exit(m.Run())
}

// TestClaimWithAnArchive: a volume begins with what the archive of its claim has, once; without the
// archive, or with one that is damaged, there is no volume.
func TestClaimWithAnArchive(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("unpacking needs root, or a user namespace")
	}
	w := newWorld(t)
	dir := t.TempDir()
	name := filepath.Join(dir, "a.tar")
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	if err := errors.Join(tw.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: 3}), second(tw.Write([]byte("old"))), tw.Close(), os.WriteFile(name, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(dir, "damaged.tar")
	if err := os.WriteFile(damaged, bytes.Repeat([]byte("x"), 600), 0o600); err != nil {
		t.Fatal(err)
	}
	play := func(archive string) error {
		plan := &kube.Plan{Claims: []kube.Claim{{Name: "data", Import: archive}}}
		work := &work{Player: w.Player, st: &State{Name: "x", Plan: plan}, plan: plan}
		if err := work.archives(plan); err != nil {
			return err
		}
		return work.claims(t.Context(), plan)
	}
	for archive, want := range map[string]string{dir + "/none.tar": "no such file", dir: "is not a file", damaged: "claim data"} {
		if err := play(archive); err == nil || !strings.Contains(err.Error(), want) || w.exists(t, "data") {
			t.Errorf("%s: %v; want %q; the volume is there: %v", archive, err, want, w.exists(t, "data"))
		}
	}
	for _, text := range []string{"old", "new"} { // the second play unpacks nothing, and needs no archive
		if err := errors.Join(play(name), os.RemoveAll(name)); err != nil {
			t.Fatal(err)
		}
		v, err := w.volumes.Get("data")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(v.Dir, "file")
		if got, err := os.ReadFile(file); err != nil || string(got) != text {
			t.Errorf("%q, %v; want %q", got, err, text)
		}
		if err := os.WriteFile(file, []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestFilesOfWhatGoesOn: where one container of a pod is made anew, another one that goes on keeps
// the files of a volume that both have, or that it gets from the first one: it has that directory
// mounted.
func TestFilesOfWhatGoesOn(t *testing.T) {
	const head = `apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {a: alpha}
---
apiVersion: v1
kind: Pod
metadata: {name: web, annotations: {io.podman.annotations.volumes-from/b: a}}
spec:
  hostNetwork: true
  volumes: [{name: files, configMap: {name: conf}}]
  containers:
  - {name: a, image: "quay.io/x/a:1", volumeMounts: [{name: files, mountPath: /files}]}
  - {name: b, image: "quay.io/x/b:1"`
	for _, text := range []string{head + "}\n", strings.Replace(head, ", annotations: {io.podman.annotations.volumes-from/b: a}", "", 1) + ", volumeMounts: [{name: files, mountPath: /files}]}\n"} {
		world := newWorld(t)
		st := world.playing(t, text)
		one := st.Plan.Pods[0]
		r, err := world.Pods.LookupExact("web")
		if err != nil {
			t.Fatal(err)
		}
		if err := (&work{Player: world.Player, st: st, plan: st.Plan}).prepareVolumes(t.Context(), r, one, one.Containers); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(world.Player.store.podFiles(r.ID), "files")
		before, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range []string{"x/a:1 x/a:2", "alpha beta"} {
			from, to, _ := strings.Cut(change, " ")
			same := from != "alpha"
			w := world.replacing(t, st, strings.Replace(text, from, to, 1))
			if err := errors.Join(w.begin(), w.makePod(t.Context(), w.plan.Pods[0])); err != nil {
				t.Fatal(err)
			}
			after, err := os.Stat(dir)
			if err != nil || os.SameFile(before, after) != same {
				t.Errorf("%s: the directory is the same: %v, %v", change, !same, err)
			}
		}
	}
}

// TestRecursiveReadOnly: what is below a volume is read-only with it where the document asks for
// that and the kernel can.
func TestRecursiveReadOnly(t *testing.T) {
	w := newWorld(t)
	one := &kube.Pod{Volumes: []*kube.Volume{{Name: "v", Kind: kube.VolumeHost, Path: "/srv"}}}
	for asked, want := range map[string]bool{"": false, "IfPossible": recursive(), "Enabled": true} {
		list, err := w.volumeMounts(t.Context(), pod.Record{}, one, &kube.Container{}, []kube.Mount{{Volume: "v", Path: "/v", ReadOnly: true, RecursiveReadOnly: asked}})
		if err != nil || slices.Contains(list[0].Options, "rro") != want {
			t.Errorf("%q: %+v, %v", asked, list, err)
		}
	}
}
