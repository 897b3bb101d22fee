// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/hint"
	"go.podman.io/common/libnetwork/types"
)

// TestLockOfTheNetworks: nobody waits for it for ever, and the error says who has it. Who has given
// up does not keep it when its turn comes.
func TestLockOfTheNetworks(t *testing.T) {
	s, running := newStore(t, version114), runtime.NumGoroutine()
	shm, err := os.MkdirTemp("/dev/shm", "podunit-test-") // where safe.Holder finds who has a lock
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(shm) })
	s.LockFile = filepath.Join(shm, "netavark.lock")
	if _, err := s.Create(t.Context(), New{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	nobody := func(context.Context) error { t.Error("two have the lock"); return nil }
	err = s.withLock(t.Context(), func(held context.Context) error {
		if end, ok := held.Deadline(); !ok || time.Until(end) > holdTime {
			t.Errorf("who has it may have it until %v", end)
		}
		err := s.lockWithin(t.Context(), 50*time.Millisecond, nobody)
		want := fmt.Sprintf("other processes have had the lock of the networks for 50ms, now process %d", os.Getpid())
		if !errors.As(err, &LockedError{}) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if got, want := hint.Of(err), fmt.Sprintf("systemctl --user status %[1]d tells what that does; if it hangs: kill %[1]d", os.Getpid()); got != want {
			t.Errorf("the way out is %q, want %q", got, want)
		}
		_, cerr := s.Create(ended, New{Name: "b"})
		for verb, err := range map[string]error{
			"create": cerr,
			"remove": s.Remove(ended, "a", func(types.Network) error { return nil }),
			"making": s.Making(ended),
			"names":  s.WithNames(ended, func(ctx context.Context, _ string) error { return nobody(ctx) }, func() error { return nobody(ended) }),
			"update": s.Update(ended, "a", "", nil, nil),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", verb, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for range 3 {
		if err := s.withLock(t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
	// Those who gave up have it in turn, and let it go.
	for began := time.Now(); runtime.NumGoroutine() > running; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("%d goroutines are left, of %d", runtime.NumGoroutine(), running)
		}
	}
	if err := (LockedError{Wait: time.Minute}); hint.Of(err) == "" || err.Error() != "other processes have had the lock of the networks for 1m0s" {
		t.Errorf("where it is not known who has it: %v (%s)", err, hint.Of(err))
	}
}
