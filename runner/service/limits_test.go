// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/image"
	"go.podman.io/storage"
)

// TestAContainerThatRunsForTooLong is killed: in the foreground by us, else by the manager.
func TestAContainerThatRunsForTooLong(t *testing.T) {
	w := newWorld(t)
	w.shell()
	w.runtime("echo $$ >$PID; exec sleep 600")
	c := w.asked("web")
	c.MaxRun = time.Second
	if _, code, err := w.Run(context.Background(), c, nil); err != nil || code != exitLate {
		t.Errorf("got %d, %v", code, err)
	}
	w.runtime("echo $$ >$PID; exit 3")
	c.Name, c.MaxRun = "quick", time.Hour
	if _, code, err := w.Run(context.Background(), c, nil); err != nil || code != 3 {
		t.Errorf("one that ends in time: %d, %v", code, err)
	}
	s := w.containerService(w.made("other", func(r *container.Record) { r.Spec.MaxRun = 90 * time.Second }), "other.service")
	if got := s.Settings["RuntimeMaxUSec"]; got != uint64(90_000_000) {
		t.Errorf("the manager gets %v", got)
	}
	w.inService("web.service")
	c.Name = "unit"
	if _, _, err := w.Run(context.Background(), c, nil); err == nil || !strings.Contains(err.Error(), "a unit says itself how long") {
		t.Errorf("in a unit: %v", err)
	}
}

// TestTheImageGoesWithTheContainer: only the full program can do it, and the container goes in any
// case.
func TestTheImageGoesWithTheContainer(t *testing.T) {
	w := newWorld(t)
	w.shell()
	w.runtime("echo $$ >$PID; exit 0")
	c := w.asked("web")
	c.Remove, c.RemoveImage = true, true
	ctx := context.Background()
	if _, _, err := w.Run(ctx, c, nil); !errors.As(err, new(*image.BeyondError)) {
		t.Errorf("the small program: %v", err)
	}
	var gone []string
	broken := error(nil)
	w.RemoveImage = func(_ context.Context, _ storage.Store, _, name string) error {
		gone = append(gone, name)
		return broken
	}
	for range 2 {
		r := w.made("web", func(r *container.Record) {
			r.Spec.Remove, r.Spec.RemoveImage, r.ImageName = true, true, "localhost/a:1"
		})
		if err := w.Remove(ctx, r, Removal{}); err != nil || w.exists("web") {
			t.Errorf("%v; it is there: %t", err, w.exists("web"))
		}
		broken = errors.New("no room")
	}
	if r := w.made("plain", nil); w.Remove(ctx, r, Removal{}) != nil || strings.Join(gone, " ") != "localhost/a:1 localhost/a:1" {
		t.Errorf("removed %q", gone)
	}
	if len(w.warnings) != 1 || w.warnings[0] != "--rmi: no room" {
		t.Errorf("%q", w.warnings)
	}
	if _, code, err := w.Run(ctx, c, nil); err != nil || code != 0 || w.exists("web") {
		t.Errorf("%d, %v", code, err) // with --rootfs there is no image
	}
}
