// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"

	"github.com/podunit/podunit/runner/container"
)

// Exec runs another command in a running container and returns its exit status; with x.Detach it
// does not wait.
func (e *Engine) Exec(ctx context.Context, r container.Record, x container.Exec) (int, error) {
	if err := e.findRuntime(r); err != nil {
		return 0, err
	}
	if !x.Detach {
		e.leaveShell(ctx, r)
	}
	return e.Containers.Exec(ctx, r, x)
}

// leaveShell moves this process from a shell's cgroup to a scope of the user's manager. The kernel
// lets a process move only between cgroups that its user owns, and a shell's belongs to the system.
func (e *Engine) leaveShell(ctx context.Context, r container.Record) {
	if e.InService() {
		return
	}
	if _, err := e.ownScope(ctx, &r, ""); err != nil && e.User.Rootless() {
		e.Warn(err.Error())
	}
}

// Check runs a command in a container that runs, for so long as it may take: see
// container.Engine.Check.
func (e *Engine) Check(ctx context.Context, r container.Record, c container.Check) (container.CheckResult, error) {
	if err := e.findRuntime(r); err != nil {
		return container.CheckResult{}, err
	}
	return e.Containers.Check(ctx, r, c)
}

// EndCheck ends what has stayed in a container for the checks of a name, which do not come again.
func (e *Engine) EndCheck(r container.Record, name string) error {
	if err := e.findRuntime(r); err != nil {
		return err
	}
	return e.Containers.EndCheck(r, name)
}
