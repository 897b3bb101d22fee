// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
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

// pipe is our output where it goes to somebody who may never read it. A second after ctx is done a
// write that waits is left to end with the process, and nothing more is written.
type pipe struct {
	ctx context.Context
	to  io.Writer

	mu   sync.Mutex
	text []byte // of the write under way, whose caller may change its own once it is left
	left bool
}

// output is what a verb writes to: stdout itself, or a pipe where it is a pipe or a socket.
func output(ctx context.Context, stdout *os.File) io.Writer {
	st, err := stdout.Stat()
	if err != nil || st.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return stdout
	}
	return &pipe{ctx: ctx, to: stdout}
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left {
		return 0, p.ctx.Err()
	}
	p.text = append(p.text[:0], b...)
	written := make(chan int, 1)
	err := Interruptible(p.ctx, func() error {
		n, err := p.to.Write(p.text)
		written <- n
		return err
	})
	select {
	case n := <-written:
		return n, err
	default:
		p.left = true
		return 0, err
	}
}
