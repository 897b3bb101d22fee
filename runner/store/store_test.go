// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// home gives the test a home with a storage.conf of the user's, if text isn't empty.
func home(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, ".config", "containers")
	if err := os.MkdirAll(conf, 0o700); err != nil {
		t.Fatal(err)
	}
	if text != "" {
		if err := os.WriteFile(filepath.Join(conf, "storage.conf"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, ".config"))
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("STORAGE_DRIVER", "")
	t.Setenv("_CONTAINERS_USERNS_CONFIGURED", "done")
	t.Setenv("_CONTAINERS_ROOTLESS_UID", "1234")
	return dir
}

func TestLocateForAUser(t *testing.T) {
	for _, c := range []struct{ name, conf, graph, run string }{
		{"the defaults", "", "HOME/.local/share/containers/storage", "RUN/containers"},
		{"places of the user's own", "[storage]\ngraphroot = \"/data/$UID/images\"\nrunroot = \"/data/run\"\n", "/data/1234/images", "/data/run"},
		{"a path for all users", "[storage]\nrootless_storage_path = \"/data/$UID\"\n", "/data/1234", "RUN/containers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := home(t, c.conf)
			o, err := Locate(Config{RunDir: "/run/user/1234", Rootless: true})
			if err != nil {
				t.Fatal(err)
			}
			full := strings.NewReplacer("HOME", dir, "RUN", "/run/user/1234")
			if o.GraphRoot != full.Replace(c.graph) || o.RunRoot != full.Replace(c.run) {
				t.Errorf("graphroot %s, runroot %s", o.GraphRoot, o.RunRoot)
			}
		})
	}
}

// TestAutoUser: whose IDs root's containers with --userns auto get is a setting.
func TestAutoUser(t *testing.T) {
	for conf, want := range map[string]string{"": "containers", "[storage.options]\nroot-auto-userns-user = \"pool\"\n": "pool"} {
		home(t, conf)
		if got, err := AutoUser(); err != nil || got != want {
			t.Errorf("%q: %q, %v", conf, got, err)
		}
	}
	home(t, "[storage\n")
	if _, err := AutoUser(); err == nil || !strings.Contains(err.Error(), "storage.conf") {
		t.Errorf("error %v", err)
	}
}

func TestLocateWithoutRuntimeDirectory(t *testing.T) {
	home(t, "")
	os.Unsetenv("XDG_RUNTIME_DIR") // t.Setenv puts it back
	o, err := Locate(Config{RunDir: "/tmp/podunit-run-1234", Rootless: true})
	if err != nil || o.RunRoot != "/tmp/podunit-run-1234/containers" {
		t.Errorf("runroot %s, %v", o.RunRoot, err)
	}
}

func TestBrokenConfiguration(t *testing.T) {
	home(t, "[storage\n")
	_, err := Open(context.Background(), Config{RunDir: "/run/user/1234", Rootless: true})
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "storage.conf") {
		t.Errorf("error %v", err)
	}
}

func TestSystemFile(t *testing.T) {
	for name, want := range map[string]bool{
		"/etc/containers/storage.conf":                          true,
		"/usr/share/containers/storage.conf":                    true,
		"/etc/containers/storage.conf.d/10-place.conf":          true,
		"/etc/containers/storage.rootless.conf.d/10-place.conf": false,
		"/home/alice/.config/containers/storage.conf":           false,
	} {
		if systemFile(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func TestExplain(t *testing.T) {
	o := storage.StoreOptions{GraphRoot: "/graph", RunRoot: "/run"}
	for want, err := range map[string]error{
		"read-only":    &os.PathError{Op: "open", Path: "/graph/storage.lock", Err: unix.EROFS},
		"disk is full": &os.PathError{Op: "mkdir", Path: "/graph/overlay", Err: unix.ENOSPC},
		"belong":       &os.PathError{Op: "open", Path: "/graph/storage.lock", Err: unix.EACCES},
		"driver":       errors.New("overlay is not supported over nfs"),
	} {
		var e *Error
		if got := explain(o, err); !errors.As(got, &e) || !strings.Contains(e.Hint(), want) || !strings.HasPrefix(got.Error(), "containers storage /graph") {
			t.Errorf("%v: %v, hint %q", err, got, e.Hint())
		}
	}
}

func TestSharedFileSystem(t *testing.T) {
	for magic, want := range map[int64]string{0x6969: "NFS", 0xFE534D42: "SMB", 0xFF534D42: "CIFS", 0xEF53: "", 0x01021994: "", 0x794c7630: ""} {
		if got := network[magic]; got != want {
			t.Errorf("%x: %q, want %q", magic, got, want)
		}
	}
	if got := sharedFS(filepath.Join(t.TempDir(), "not", "yet")); got != "" {
		t.Errorf("a directory of this machine is on %s", got)
	}
}

// TestDamagedLists: a list that a power cut has emptied is told, and not taken for a storage
// in which there is nothing.
func TestDamagedLists(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "overlay-images", "images.json")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	o := storage.StoreOptions{GraphRoot: root}
	if err := checkLists(o, true); err != nil {
		t.Errorf("a storage without a list yet: %v", err)
	}
	for text, damaged := range map[string]bool{
		"[]": false, "null": false, "[]\n": false, `[{"id":"x"}]`: false,
		"": true, `[{"id":"x"`: true, "\x00\x00\x00\x00": true, "{}": true,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var e *Error
		if err := checkLists(o, true); (err != nil) != damaged || err != nil && (!errors.As(err, &e) || !strings.Contains(e.Hint(), path)) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	layers := filepath.Join(root, "overlay-layers", "layers.json")
	var e *Error
	if err := errors.Join(os.MkdirAll(filepath.Dir(layers), 0o700), os.WriteFile(layers, []byte("[{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := checkLists(o, true); !errors.As(err, &e) || !strings.Contains(e.Hint(), "rm -rf "+root+"/overlay*") {
		t.Errorf("%v", err)
	}
}

// TestTwoDriversInOneStorage: the library's advice is a flag that no verb has.
func TestTwoDriversInOneStorage(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"vfs/dir", "overlay/l"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	said := errors.New(root + " contains several valid graphdrivers: overlay, vfs; Please cleanup or explicitly choose storage driver (-s <DRIVER>)")
	err := explain(storage.StoreOptions{GraphRoot: root}, said)
	if want := "several storage drivers have written there: overlay, vfs"; !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "-s") {
		t.Errorf("%v, want %q", err, want)
	}
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Hint(), "driver under [storage]") {
		t.Errorf("hint of %v", err)
	}
}

func TestIsID(t *testing.T) {
	full := strings.Repeat("0a", 32)
	for word, want := range map[string]bool{full: true, full[1:]: false, full + "0": false, "": false, strings.Repeat("0A", 32): false, strings.Repeat("web-", 16): false} {
		if IsID(word) != want {
			t.Errorf("%q: %t", word, !want)
		}
	}
}
