// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.podman.io/storage/pkg/idtools"
	"go.podman.io/storage/pkg/reexec"
)

// TestMain: the image's files are read by a process of its own, which is this program again.
func TestMain(m *testing.M) {
	if reexec.Init() {
		return
	}
	os.Exit(m.Run())
}

// TestCopyUp copies what an image has at a destination, which a link in the image may name,
// and nothing of the machine, to which a link in the image leads as well.
func TestCopyUp(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it takes root to change the root directory")
	}
	rootfs, outside := t.TempDir(), t.TempDir()
	if err := errors.Join(
		os.MkdirAll(filepath.Join(rootfs, "srv", "data"), 0o755),
		os.WriteFile(filepath.Join(rootfs, "srv", "data", "file"), []byte("image"), 0o600),
		os.Symlink("/srv/data", filepath.Join(rootfs, "data")),
		os.Symlink(filepath.Join(outside, "secret"), filepath.Join(rootfs, "srv", "data", "link")),
		os.Chown(filepath.Join(rootfs, "srv", "data"), 7, 8),
		os.WriteFile(filepath.Join(outside, "secret"), []byte("machine"), 0o600),
		os.Symlink(outside, filepath.Join(rootfs, "out")),
		os.Symlink("../../../../../../../.."+outside, filepath.Join(rootfs, "up")),
	); err != nil {
		t.Fatal(err)
	}
	for destination, want := range map[string]bool{"/data": true, "/srv/data/": true, "/none": false, "/out": false, "/up": false, "/data/file": false} {
		into := filepath.Join(t.TempDir(), "into")
		if err := os.Mkdir(into, 0o700); err != nil {
			t.Fatal(err)
		}
		some, err := copyUp(rootfs, destination, into, &idtools.IDMappings{})
		if err != nil || some != want {
			t.Errorf("%s: %v, %v", destination, some, err)
		}
		if !want {
			if left, err := os.ReadDir(into); err != nil || len(left) > 0 {
				t.Errorf("%s: %v, %v", destination, left, err)
			}
			continue
		}
		if b, err := os.ReadFile(filepath.Join(into, "file")); err != nil || string(b) != "image" {
			t.Errorf("%s: %q, %v", destination, b, err)
		}
		if target, err := os.Readlink(filepath.Join(into, "link")); err != nil || target != filepath.Join(outside, "secret") {
			t.Errorf("%s: the link is %q, %v", destination, target, err)
		}
	}
}
