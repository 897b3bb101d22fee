// SPDX-License-Identifier: Apache-2.0

package update

import (
	"context"
	"fmt"
	"time"

	"github.com/podunit/podunit/runner/unit"
)

// hookPatience is how long the end of the unit of OnUpdate= is waited for. The next update waits for
// this one.
const hookPatience = time.Minute

// Starter is what of a manager starts the unit of OnUpdate=.
type Starter interface {
	Properties(ctx context.Context, name string) (unit.Properties, error)
	Start(ctx context.Context, name string) error
}

// Hook starts the unit of OnUpdate=, which reads the report, and waits for it, but not for ever.
// One that is still at work on an earlier report is started once more when it has ended. The
// warning tells why the unit may not have seen the report.
func Hook(ctx context.Context, m Starter, name string) (warning string, err error) {
	limit, cancel := context.WithTimeout(ctx, hookPatience)
	defer cancel()
	before, err := m.Properties(limit, name)
	if err == nil && (before.ActiveState == "activating" || before.HasJob) {
		// To start it would be to wait for the start that goes on. How that ends was told by who
		// began it.
		_ = m.Start(limit, name)
	}
	if err == nil && limit.Err() == nil {
		before, err = m.Properties(limit, name)
	}
	if err == nil {
		err = m.Start(limit, name)
	}
	switch {
	case ctx.Err() == nil && limit.Err() != nil:
		return fmt.Sprintf("OnUpdate=%s has not ended within %s, and goes on by itself", name, hookPatience), nil
	case err != nil:
		return "", fmt.Errorf("OnUpdate=%s: %w", name, err)
	case before.ActiveState == "active":
		return fmt.Sprintf("OnUpdate=%s is active since before, and so was not started with this report; it should be a Type=oneshot without RemainAfterExit=", name), nil
	}
	return "", nil
}
