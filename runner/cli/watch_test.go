// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestWatch(t *testing.T) {
	var out strings.Builder
	e := &Env{Stdout: &out}
	ctx, cancel := context.WithCancel(context.Background())
	shown := 0
	err := e.Watch(ctx, 1, true, func() error {
		if shown++; shown == 2 {
			cancel()
		}
		return nil
	})
	if err != nil || shown != 2 || out.Len() != 0 {
		t.Errorf("%v, shown %d times, %q", err, shown, out.String())
	}
	broken := errors.New("broken")
	if err := e.Watch(context.Background(), 1, false, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if err := WantInterval("--watch", 0); err == nil || err.Error() != "--watch 0: want a number of seconds, 1 or more" {
		t.Errorf("got %v", err)
	}
}

// TestTimeHasTwoNames: podman and docker say --timeout as well as --time.
func TestTimeHasTwoNames(t *testing.T) {
	for _, word := range []string{"--time=3", "--timeout=3", "-t3"} {
		var s StopTimeout
		cmd := &cobra.Command{Use: "stop", RunE: func(*cobra.Command, []string) error { return nil }}
		s.Flag(cmd)
		cmd.SetArgs([]string{word})
		if err := cmd.Execute(); err != nil || s.Or(0).Seconds() != 3 {
			t.Errorf("%s: %v, %v", word, err, s.Or(0))
		}
	}
}
