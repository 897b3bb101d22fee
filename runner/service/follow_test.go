// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFollow: whoever stays beside a container ends with its status, and what it writes is read
// until nothing more can come.
func TestFollow(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	never := func(context.Context, <-chan struct{}) error { t.Error("there is nothing to read"); return nil }
	if _, err := w.Follow(t.Context(), r, false, never); err == nil || err.Error() != "you can only attach to running containers" {
		t.Errorf("one that does not run: %v", err)
	}
	cmd := w.running(r, "")
	code, err := w.Follow(t.Context(), r, false, func(_ context.Context, over <-chan struct{}) error {
		ended := func() bool { return closed(over) }
		if ended() {
			t.Error("ended while it runs")
		}
		deadline := time.Now().Add(time.Minute)
		_ = w.Containers.Ended(r, 7)
		_ = cmd.Process.Kill()
		for !ended() && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	if code != 7 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
	if got := w.happened(); !strings.Contains(got, "attach") {
		t.Errorf("events: %s", got)
	}
}

// TestFollowAndLeave: without signals for the container, one ends the follower only.
func TestFollowAndLeave(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	w.running(r, "")
	ctx, leave := context.WithCancel(t.Context())
	code, err := w.Follow(ctx, r, false, func(ctx context.Context, _ <-chan struct{}) error {
		leave()
		<-ctx.Done()
		return nil
	})
	if code != 0 || err != nil || !w.alive(r) {
		t.Errorf("%d, %v, alive %v", code, err, w.alive(r))
	}
}

// TestFollowPassesSignals: those that we get are the container's.
func TestFollowPassesSignals(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	w.running(r, "") // USR1 ends it
	ctx, leave := context.WithCancel(t.Context())
	code, err := w.Follow(ctx, r, true, func(_ context.Context, over <-chan struct{}) error {
		ended := func() bool { return closed(over) }
		deadline := time.Now().Add(time.Minute)
		leave() // what a signal does to the context of a verb
		if err := unix.Kill(os.Getpid(), unix.SIGUSR1); err != nil {
			return err
		}
		for w.alive(r) && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		_ = w.Containers.Ended(r, 138)
		for !ended() && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	if code != 138 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
}

// TestFollowWhatCannotBeRead ends with the fault, and nothing goes on.
func TestFollowWhatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	w.running(r, "")
	unread := errors.New("unread")
	if _, err := w.Follow(t.Context(), r, false, func(context.Context, <-chan struct{}) error { return unread }); !errors.Is(err, unread) || !w.alive(r) {
		t.Errorf("%v, alive %v", err, w.alive(r))
	}
}

// closed reports whether a channel is closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
