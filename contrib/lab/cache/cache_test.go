// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestMake(t *testing.T) {
	t.Setenv("PODUNIT_LAB_CACHE", filepath.Join(t.TempDir(), "cache"))
	d, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	bad := errors.New("bad")
	if _, err := d.Make("kind-1", func(dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "half"), nil, 0o644), bad)
	}); !errors.Is(err, bad) {
		t.Errorf("a failed fill: %v", err)
	}
	if left, _ := filepath.Glob(d.Path("kind-1*")); len(left) != 0 {
		t.Errorf("a failed fill leaves %v", left)
	}
	var mu sync.Mutex
	fills := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			path, err := d.Make("kind-1", func(dir string) error {
				mu.Lock()
				defer mu.Unlock()
				fills++
				return nil
			})
			if err != nil || path != d.Path("kind-1") {
				t.Errorf("Make: %s, %v", path, err)
			}
		})
	}
	wg.Wait()
	if fills != 1 {
		t.Errorf("filled %d times", fills)
	}
}

func TestPrune(t *testing.T) {
	d := Dir(t.TempDir())
	for _, key := range []string{"rootfs-1", "rootfs-2", "rootfs-3", "rootfs-4.part", "images-1"} {
		if err := os.Mkdir(d.Path(key), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Prune("rootfs-3", map[string]bool{d.Path("rootfs-2"): true}); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"rootfs-1": false, "rootfs-2": true, "rootfs-3": true, "rootfs-4.part": false, "images-1": true} {
		if _, err := os.Stat(d.Path(key)); (err == nil) != want {
			t.Errorf("%s there: %v, want %v", key, err == nil, want)
		}
	}
}
