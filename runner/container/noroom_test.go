// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// TestRemoveWithoutAFreeFile: where not one file can be made any more, each container can be removed,
// also one that has written nothing.
func TestRemoveWithoutAFreeFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	for _, driver := range []string{"overlay", "vfs"} {
		t.Run(driver, func(t *testing.T) {
			root := t.TempDir()
			if err := unix.Mount("files", root, "tmpfs", 0, "size=8m,nr_inodes=400"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			})
			store, err := storage.GetStore(storage.StoreOptions{GraphRoot: root, RunRoot: t.TempDir(), GraphDriverName: driver})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if _, err := store.Shutdown(true); err != nil {
					t.Error(err)
				}
			})
			e := &Engine{Store: store, RunDir: t.TempDir()}
			var ids []string
			for i := range 3 {
				id := NewID()
				ids = append(ids, id)
				if _, err := store.CreateContainer(id, []string{fmt.Sprint("c", i)}, "", id, "", nil); err != nil {
					t.Fatal(err)
				}
				if err := e.makeDirs(id); err != nil {
					t.Fatal(err)
				}
				for j := range 8 { // as of an image, which each container has for itself there
					if driver == "vfs" {
						if err := os.WriteFile(filepath.Join(root, "vfs/dir", id, fmt.Sprint(j)), nil, 0o600); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			for i, id := range ids {
				for j := 0; ; j++ {
					err := os.WriteFile(filepath.Join(root, fmt.Sprint("fill", i, j)), nil, 0o600)
					if errors.Is(err, unix.ENOSPC) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if err := e.deleteContainer(id); err != nil {
					t.Errorf("container %d: %v", i, err)
				}
			}
			if all, err := store.Containers(); err != nil || len(all) > 0 {
				t.Errorf("left: %v, %v", all, err)
			}
			if all, err := store.Layers(); err != nil || len(all) > 0 {
				t.Errorf("layers left: %v, %v", all, err)
			}
		})
	}
}
