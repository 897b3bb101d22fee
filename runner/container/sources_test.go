// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/volume"
	"golang.org/x/sys/unix"
)

// TestGlob has files appear where they are on the host, or in a directory.
func TestGlob(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"v1", "v2", "w"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for destination, want := range map[string][]string{"": {dir + "/v1", dir + "/v2"}, "/d": {"/d/v1", "/d/v2"}} {
		mounts, err := (&Engine{}).sources(t.Context(), Record{}, []spec.Mount{{Type: spec.MountGlob, Source: dir + "/v*", Destination: destination}}, "", owner{})
		var got []string
		for _, m := range mounts {
			got = append(got, m.Destination)
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, %v, want %q", destination, got, err, want)
		}
	}
}

// TestANewVolumeIsItsUsers has volumes whose place the image does not have: the container's user
// can write to a new one, and one that somebody has changed stays as it is.
func TestANewVolumeIsItsUsers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	top := t.TempDir()
	rootfs := filepath.Join(top, "rootfs")
	if err := os.MkdirAll(filepath.Join(rootfs, "has"), 0o750); err != nil {
		t.Fatal(err)
	}
	e := &Engine{Volumes: volume.New(top)}
	who := owner{1234, 55}
	ids := func(dir string) owner {
		st, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		sys := st.Sys().(*syscall.Stat_t)
		return owner{int(sys.Uid), int(sys.Gid)}
	}
	for name, tc := range map[string]struct {
		mount  spec.Mount
		before func(dir string) error
		want   owner
	}{
		"new":    {spec.Mount{Destination: "/elsewhere"}, nil, who},
		"nocopy": {spec.Mount{Destination: "/has", NoCopy: true}, nil, who},
		"known":  {spec.Mount{Destination: "/has"}, nil, owner{}},
		"given":  {spec.Mount{Destination: "/elsewhere"}, func(dir string) error { return os.Chown(dir, 7, 7) }, owner{7, 7}},
		"in-use": {spec.Mount{Destination: "/elsewhere"}, func(dir string) error { return os.WriteFile(filepath.Join(dir, "x"), nil, 0o600) }, owner{}},
	} {
		t.Run(name, func(t *testing.T) {
			made, _, err := e.Volumes.Ensure(t.Context(), name, volume.Options{})
			if err != nil {
				t.Fatal(err)
			}
			dir := made.Dir
			if tc.before != nil {
				if err := tc.before(dir); err != nil {
					t.Fatal(err)
				}
			}
			tc.mount.Type, tc.mount.Source = spec.MountVolume, name
			got, err := e.sources(t.Context(), Record{}, []spec.Mount{tc.mount}, rootfs, who)
			if err != nil {
				t.Fatal(err)
			}
			if ids(dir) != tc.want {
				t.Errorf("it belongs to %v, not %v", ids(dir), tc.want)
			}
			if m := got[0]; m.Source != dir || !slices.Contains(m.Options, "nosuid") || !slices.Contains(m.Options, "nodev") {
				t.Errorf("mounted as %+v", m)
			}
		})
	}
}

// TestMountsOfLinks: a link that shall not be followed is there as it is, at the next start, too,
// and what is no link is mounted.
func TestMountsOfLinks(t *testing.T) {
	dir, rootfs := t.TempDir(), t.TempDir()
	link := filepath.Join(dir, "link")
	if err := errors.Join(os.Symlink("/etc/nowhere", link), os.MkdirAll(filepath.Join(rootfs, "run"), 0o755), os.Symlink("/run", filepath.Join(rootfs, "var"))); err != nil {
		t.Fatal(err)
	}
	at := func(source, destination string) ([]spec.Mount, error) {
		return (&Engine{}).sources(t.Context(), Record{}, []spec.Mount{{Type: spec.MountBind, Source: source, Destination: destination, NoDereference: true}}, rootfs, owner{})
	}
	for range 2 {
		if got, err := at(link, "/var/a/b"); err != nil || len(got) != 0 {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if target, err := os.Readlink(filepath.Join(rootfs, "run/a/b")); target != "/etc/nowhere" {
		t.Errorf("%q, %v", target, err)
	}
	if got, err := at(dir, "/d"); err != nil || len(got) != 1 || got[0].Source != dir {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := at(link, "/run/a"); !errors.Is(err, os.ErrExist) {
		t.Errorf("in the place of a directory: %v", err)
	}
	if _, err := at(filepath.Join(dir, "nowhere"), "/d"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
}

// TestVolumesThatAreMade: one that must be there is not made, and one that a mount makes has its
// options.
func TestVolumesThatAreMade(t *testing.T) {
	e := &Engine{Volumes: volume.New(t.TempDir())}
	m := spec.Mount{Type: spec.MountVolume, Source: "v", Destination: "/d", NoCreate: true}
	if _, err := e.sources(t.Context(), Record{}, []spec.Mount{m}, "", owner{}); !errors.Is(err, volume.ErrNotFound) {
		t.Errorf("without it: %v", err)
	}
	m.NoCreate, m.Driver = false, map[string]string{"nocopy": "", "uid": "0"}
	if _, err := e.sources(t.Context(), Record{}, []spec.Mount{m}, "", owner{}); err != nil {
		t.Error(err)
	}
	if got, err := e.Volumes.Get("v"); err != nil || !got.NoCopy() {
		t.Errorf("%+v, %v", got, err)
	}
	m.NoCreate = true
	if _, err := e.sources(t.Context(), Record{}, []spec.Mount{m}, "", owner{}); err != nil {
		t.Errorf("with it: %v", err)
	}
}

// TestSubpath: a missing part is made where that is asked for, and a link that leads out is refused.
func TestSubpath(t *testing.T) {
	dir := t.TempDir()
	mode := os.ModeDir | os.ModeSetgid | 0o775
	if err := errors.Join(os.Chmod(dir, mode), os.Symlink("/etc", filepath.Join(dir, "out")), os.WriteFile(filepath.Join(dir, "file"), nil, 0o600), unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	open := func(sub string, missing bool) error {
		f, err := openSubpath(spec.Mount{Type: spec.MountBind, Source: dir, Subpath: sub, MakeSubpath: missing})
		if err != nil {
			return err
		}
		defer f.Close()
		st, err := f.Stat()
		if err == nil && st.IsDir() != (sub != "/file" && sub != "/pipe") {
			t.Errorf("%s is a %s", sub, st.Mode())
		}
		if got, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd())); !strings.HasPrefix(got, dir) {
			t.Errorf("%s leads to %s", sub, got)
		}
		return err
	}
	if err := errors.Join(open("/a/b", true), open("/", true), open("/file", true), open("/pipe", true), open("/pipe", false)); err != nil {
		t.Error(err)
	}
	for _, made := range []string{"a", "a/b"} {
		if st, err := os.Stat(filepath.Join(dir, made)); err != nil || st.Mode() != mode {
			t.Errorf("%s was made as %s, %v", made, st.Mode(), err)
		}
	}
	for _, sub := range []string{"/out", "/out/passwd", "/none"} {
		if open(sub, false) == nil || sub != "/none" && open(sub, true) == nil {
			t.Errorf("%s was opened", sub)
		}
	}
	if err := errors.Join(os.Symlink("a", filepath.Join(dir, "in")), open("/in/b", true)); err != nil {
		t.Error(err)
	}
}

// TestSubpathOfABind mounts a part of a directory of the machine that another container is at work
// in: with the place where it was a link to elsewhere, what was there is not seen. U is no way to
// give away the system.
func TestSubpathOfABind(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs to mount")
	}
	top := t.TempDir()
	e := &Engine{RunDir: filepath.Join(top, "run")}
	dir := filepath.Join(top, "volume")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "a"), 0o750), os.WriteFile(filepath.Join(dir, "a", "mine"), nil, 0o600), os.Symlink("/", filepath.Join(dir, "out"))); err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread goes with its mounts
		result <- func() error {
			if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
				return err
			}
			m := spec.Mount{Type: spec.MountBind, Source: dir, Destination: "/d", Subpath: "/a"}
			got, err := e.sources(context.Background(), Record{ID: NewID()}, []spec.Mount{m}, "", owner{})
			if err != nil {
				return err
			}
			if err := errors.Join(os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")), os.Symlink("/", filepath.Join(dir, "a"))); err != nil {
				return err
			}
			if _, err := os.Stat(filepath.Join(got[0].Source, "mine")); err != nil {
				t.Errorf("not what was there at first: %v", err)
			}
			m = spec.Mount{Type: spec.MountBind, Source: "/", Destination: "/d", Subpath: "/etc", Chown: true}
			if _, err := e.sources(context.Background(), Record{ID: NewID()}, []spec.Mount{m}, "", owner{1, 1}); err == nil || !strings.Contains(err.Error(), "chown -R 1:1 /etc") {
				t.Errorf("/etc is given away: %v", err)
			}
			return nil
		}()
	}()
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// TestANewVolumeThatIsMapped: it belongs to the container's user as the container will have it. On
// the disk that is the ID inside, also of what the image has there.
func TestANewVolumeThatIsMapped(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root maps mounts")
	}
	e := &Engine{}
	r := Record{ID: NewID()}
	r.Spec.UIDMap = []spec.IDMap{{IDRange: spec.IDRange{Container: 0, Host: 100000, Size: 65536}}}
	disk, err := e.onDisk(r, spec.Mount{IDMap: true})
	if err != nil {
		t.Fatal(err)
	}
	belongs := func(path string, uid, gid uint32) {
		t.Helper()
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || st.Uid != uid || st.Gid != gid {
			t.Errorf("%s belongs to %d:%d, %v", path, st.Uid, st.Gid, err)
		}
	}
	empty, filled, rootfs := t.TempDir(), t.TempDir(), t.TempDir()
	if err := giveNew(empty, owner{100007, 100000}, disk); err != nil {
		t.Fatal(err)
	}
	belongs(empty, 7, 0)
	if err := errors.Join(os.Mkdir(rootfs+"/data", 0o755), os.Symlink("x", rootfs+"/data/link"), os.Lchown(rootfs+"/data/link", 100009, 100008), os.Lchown(rootfs+"/data", 100003, 100004)); err != nil {
		t.Fatal(err)
	}
	if some, err := copyUp(rootfs, "/data", filled, disk); !some || err != nil {
		t.Fatal(some, err)
	}
	belongs(filled, 3, 4)
	belongs(filled+"/link", 9, 8)
	if err := os.Lchown(rootfs+"/data", 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := copyUp(rootfs, "/data", t.TempDir(), disk); err == nil || !strings.Contains(err.Error(), "/data belongs to 0:0") || !strings.Contains(err.Error(), "nocopy") {
		t.Errorf("of an owner that the container does not have: %v", err)
	}
	if plain, err := e.onDisk(r, spec.Mount{}); err != nil || !plain.Empty() {
		t.Errorf("without the option: %v, %v", plain, err)
	}
}

// TestOverlayOfAnOddName has the characters in a path that overlay takes for its own.
func TestOverlayOfAnOddName(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs to mount")
	}
	top := t.TempDir()
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread goes with its mounts
		result <- func() error {
			if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
				unix.Mount("tmpfs", top, "tmpfs", 0, "")); err != nil {
				return err
			}
			dirs := []string{top + "/a,b:c\\d,upperdir=x", top + "/u,p:p", top + "/w,o", top + "/merged"}
			for _, dir := range dirs {
				if err := os.Mkdir(dir, 0o755); err != nil {
					return err
				}
			}
			if err := os.WriteFile(dirs[0]+"/file", []byte("lower"), 0o600); err != nil {
				return err
			}
			if err := mountOverlay(dirs[0], dirs[1], dirs[2], dirs[3], false); err != nil {
				return err
			}
			if err := os.WriteFile(dirs[3]+"/new", nil, 0o600); err != nil {
				return err
			}
			_, err := os.Stat(dirs[1] + "/new")
			_, errFile := os.Stat(dirs[3] + "/file")
			return errors.Join(err, errFile)
		}()
	}()
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// TestFilesOf has what a container shares with one that joins its network: what is mounted in it,
// which in a pod are the pod's files.
func TestFilesOf(t *testing.T) {
	e := &Engine{RunDir: t.TempDir()}
	id := NewID()
	if err := os.MkdirAll(e.dir(id), 0o700); err != nil {
		t.Fatal(err)
	}
	config := `{"ociVersion":"1.0.0","mounts":[{"destination":"/etc/hosts","source":"/run/pod/hosts"},{"destination":"/etc","source":"/x"}]}`
	if err := os.WriteFile(filepath.Join(e.dir(id), "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := e.FilesOf(Record{ID: id}); err != nil || got != (network.Joined{Hosts: "/run/pod/hosts"}) {
		t.Errorf("%+v, %v", got, err)
	}
}
