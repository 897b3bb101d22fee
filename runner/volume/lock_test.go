// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDamagedRecord has a record that a power cut has emptied. The others are there all the
// same, and this one can be removed by its name.
func TestDamagedRecord(t *testing.T) {
	needRoot(t)
	v := New(t.TempDir())
	for _, name := range []string{"good", "cut", "empty"} {
		if _, err := v.Create(name, Options{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"empty": "", "cut": `{"Name": "cu`} {
		if err := os.WriteFile(filepath.Join(v.dir, name, record), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := v.List()
	if err != nil || len(all) != 3 {
		t.Fatalf("%d volumes, %v", len(all), err)
	}
	for _, one := range all {
		if (one.Damaged != nil) != (one.Name != "good") || one.Dir == "" || one.CreatedAt.IsZero() {
			t.Errorf("%+v", one)
		}
	}
	if err := v.Remove(t.Context(), "empty", nil); err != nil {
		t.Error(err)
	}
	if _, err := v.Get("empty"); !errors.Is(err, ErrNotFound) {
		t.Errorf("it is still there: %v", err)
	}
}

// TestRemoveAsksAgain has starts and removals of one volume at the same time: a start notes
// that it uses the volume and then relies on it; a removal asks for such notes.
func TestRemoveAsksAgain(t *testing.T) {
	needRoot(t)
	v := New(t.TempDir())
	errUsed := errors.New("in use")
	var used atomic.Int32
	for round := range 200 {
		if _, _, err := v.Ensure(t.Context(), "x", Options{}); err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		wait.Go(func() {
			used.Add(1)
			got, _, err := v.Ensure(t.Context(), "x", Options{})
			if err == nil {
				time.Sleep(time.Duration(round%3) * 100 * time.Microsecond)
				err = os.WriteFile(filepath.Join(got.Dir, "file"), nil, 0o600)
			}
			if err != nil {
				t.Errorf("round %d: the volume went while it was in use: %v", round, err)
			}
			used.Add(-1)
		})
		wait.Go(func() {
			err := v.Remove(t.Context(), "x", func() error {
				if used.Load() > 0 {
					return errUsed
				}
				return nil
			})
			if err != nil && !errors.Is(err, errUsed) {
				t.Errorf("round %d: %v", round, err)
			}
		})
		wait.Wait()
	}
}

// TestRemoveOfAMountedOne: what is mounted in a volume outlives the attempt to remove the volume.
func TestRemoveOfAMountedOne(t *testing.T) {
	needRoot(t)
	v, elsewhere := New(t.TempDir()), t.TempDir()
	kept := filepath.Join(elsewhere, "kept")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread goes with its mounts
		result <- func() error {
			if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
				return err
			}
			for name, below := range map[string]string{"whole": "", "part": "part"} {
				made, err := v.Create(name, Options{})
				if err != nil {
					return err
				}
				at := filepath.Join(made.Dir, below)
				if err := errors.Join(os.MkdirAll(at, 0o700), unix.Mount(elsewhere, at, "", unix.MS_BIND, "")); err != nil {
					return err
				}
				if err := v.Remove(context.Background(), name, nil); err == nil || !strings.Contains(err.Error(), at) {
					t.Errorf("%s: %v", name, err)
				}
				if _, err := os.Stat(kept); err != nil {
					t.Errorf("%s: what was mounted there is gone: %v", name, err)
				}
				_ = unix.Unmount(at, unix.MNT_DETACH)
				if err := v.Remove(context.Background(), name, nil); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			return nil
		}()
	}()
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// TestLockEnds gives up waiting for the lock when it is told to.
func TestLockEnds(t *testing.T) {
	needRoot(t)
	v := New(t.TempDir())
	if _, err := v.Create("x", Options{}); err != nil {
		t.Fatal(err)
	}
	err := v.WithLock(t.Context(), "x", func() error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return v.Remove(ctx, "x", nil)
	})
	if !errors.Is(err, ErrBusy) {
		t.Errorf("%v", err)
	}
	if _, err := v.Get("x"); err != nil {
		t.Error(err)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("an owner can be given by root only")
	}
}
