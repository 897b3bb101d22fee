// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"os"
	"time"
)

// WantInterval is an error where a flag's number of seconds between two pictures is none.
func WantInterval(flag string, seconds int) error {
	if seconds < 1 {
		return fmt.Errorf("%s %d: want a number of seconds, 1 or more", flag, seconds)
	}
	return nil
}

// Watch shows something anew every so many seconds, 1 or more, until ctx ends. With clear a
// terminal is cleared each time before.
func (e *Env) Watch(ctx context.Context, seconds int, clear bool, show func() error) error {
	f, isFile := e.Stdout.(*os.File)
	clear = clear && isFile && IsTerminal(f)
	for {
		if clear {
			fmt.Fprint(f, "\x1b[2J\x1b[1;1H")
		}
		if err := show(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Duration(seconds) * time.Second):
		}
	}
}
