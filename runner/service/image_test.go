// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"testing"

	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/spec"
)

// TestPullIsDrawn: one that a container by hand waits for is drawn on the terminal, and those of a
// play are not, as some are pulled at once.
func TestPullIsDrawn(t *testing.T) {
	w := newWorld(t)
	gone := errors.New("no such image")
	w.Images = images{gone}
	drawn, wiped := 0, 0
	w.DrawPull = func(o image.PullOptions) (image.PullOptions, func()) {
		drawn++
		return o, func() { wiped++ }
	}
	c := &spec.Container{Name: "web", Image: "quay.io/x/a:1", Pull: spec.Defaults().Pull, SdNotify: "conmon"}
	if _, err := w.FindImage(t.Context(), c); !errors.Is(err, gone) || drawn != 0 {
		t.Errorf("of a play: %v; drawn %d times", err, drawn)
	}
	if _, err := w.Create(t.Context(), c, nil); !errors.Is(err, gone) || drawn != 1 || wiped != 1 {
		t.Errorf("by hand: %v; drawn %d times, wiped %d times", err, drawn, wiped)
	}
}
