// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/spec"
)

// TestUpdate: what is changed of a container is kept for its next start; the policy of one that a
// unit file makes is not podunit's to change.
func TestUpdate(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	c := Change{Restarts: true, Apply: func(to *spec.Container) { to.Restart.Policy = "always" }}
	if err := w.Update(t.Context(), r, c); err != nil {
		t.Fatal(err)
	}
	if now, err := w.Containers.Lookup(r.ID); err != nil || now.Spec.Restart.Policy != "always" || now.Name != "web" {
		t.Errorf("%+v, %v", now.Spec.Restart, err)
	}
	owned := w.made("owned", func(r *container.Record) { r.Unit = "owned.service" })
	if err := w.Update(t.Context(), owned, c); err == nil {
		t.Error("the restart policy of a unit file's container was changed")
	}
	// What is refused changes nothing: the runtime is not asked, and there is none.
	running := w.made("running", nil)
	w.running(running, "")
	interval := time.Second
	c = Change{Checks: true, Apply: func(to *spec.Container) {
		to.Limits.CPUShares = new(uint64)
		if to.Health != nil {
			to.Health.Interval = &interval
		}
	}}
	if err := w.Update(t.Context(), running, c); !errors.Is(err, health.ErrNone) {
		t.Errorf("an interval without a check: %v", err)
	}
}
