// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
)

// Sweep removes what nobody else would: what is left of pods whose removal was killed, ended
// containers made with --rm whose unit does not run any more, and pods that a power cut has left.
func (e *Engine) Sweep(ctx context.Context) error {
	return errors.Join(e.Pods.Sweep(ctx), e.sweepContainers(ctx), e.sweepPods(ctx))
}

// sweepContainers removes ended containers made with --rm whose unit would have removed them, but
// does not run any more: its file was withdrawn, or names another container by now. It asks the
// manager only if there is such a container.
func (e *Engine) sweepContainers(ctx context.Context) error {
	forsaken, err := e.Containers.Forsaken()
	if err != nil || len(forsaken) == 0 {
		return err
	}
	if err := e.needRuntime(); err != nil {
		return err
	}
	var all []remnant
	for _, r := range forsaken {
		all = append(all, remnant{"container " + r.Name, r.Unit, func() error { return e.Containers.Sweep(ctx, r) }})
	}
	return e.sweepIdle(ctx, all)
}

// sweepPods does the same with pods that a power cut has left without containers.
func (e *Engine) sweepPods(ctx context.Context) error {
	forsaken, err := e.Pods.Forsaken()
	if err != nil || len(forsaken) == 0 {
		return err
	}
	var all []remnant
	for _, r := range forsaken {
		all = append(all, remnant{"pod " + r.Name, r.Unit, func() error { return e.Pods.SweepForsaken(ctx, r) }})
	}
	return e.sweepIdle(ctx, all)
}

// remnant is what a unit has left.
type remnant struct {
	what, unit string
	sweep      func() error
}

// sweepIdle sweeps what was left by units that do not run.
func (e *Engine) sweepIdle(ctx context.Context, all []remnant) error {
	return e.withManager(ctx, func(m Manager) error {
		var errs []error
		for _, r := range all {
			if idle, err := isIdle(ctx, m, r.unit); err != nil || !idle {
				errs = append(errs, err)
			} else if err := r.sweep(); err != nil {
				errs = append(errs, fmt.Errorf("%s of %s: %w", r.what, r.unit, err))
			}
		}
		return errors.Join(errs...)
	})
}

// isIdle reports whether a unit does not run and is not about to: else its own commands have yet to
// remove what it has made.
func isIdle(ctx context.Context, m Manager, name string) (bool, error) {
	p, err := m.Properties(ctx, name)
	return err == nil && !p.HasJob && (p.ActiveState == "inactive" || p.ActiveState == "failed"), err
}
