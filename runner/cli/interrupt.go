// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// giveUp is how long what was told to end may take before it is left to end with the process.
const giveUp = time.Second

// Interruptible does what may wait for somebody who never comes, and heeds no context: the writer
// or the reader of a pipe, the other side of a link to the web. A second after ctx is done it is
// left to end with the process, and the error wraps context.Canceled. What it has begun by then
// must be what a process that is killed may leave.
func Interruptible(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(giveUp):
		return fmt.Errorf("it waited for something: %w", ctx.Err())
	}
}

// Waits makes all of a verb Interruptible.
func Waits(cmd *cobra.Command) *cobra.Command {
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return Interruptible(cmd.Context(), func() error { return run(cmd, args) })
	}
	return cmd
}
