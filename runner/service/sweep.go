// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
)

// Sweep removes what is left of pods whose removal was killed, and ended containers made with --rm
// whose unit would have removed them, but does not run any more: its file was withdrawn, or names
// another container by now. It asks the manager only if there is such a container.
func (e *Engine) Sweep(ctx context.Context) error {
	forsaken, err := e.Containers.Forsaken()
	if err = errors.Join(err, e.Pods.Sweep(ctx)); err != nil || len(forsaken) == 0 {
		return err
	}
	if err := e.needRuntime(); err != nil {
		return err
	}
	return e.withManager(ctx, func(m Manager) error {
		var errs []error
		for _, r := range forsaken {
			p, err := m.Properties(ctx, r.Unit)
			switch {
			case err != nil:
				errs = append(errs, err)
			case p.HasJob || p.ActiveState != "inactive" && p.ActiveState != "failed":
				// The unit's own commands have yet to remove it.
			default:
				if err := e.Containers.Sweep(ctx, r); err != nil {
					errs = append(errs, fmt.Errorf("container %s of %s: %w", r.Name, r.Unit, err))
				}
			}
		}
		return errors.Join(errs...)
	})
}
