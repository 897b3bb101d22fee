// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// NewWait makes podunit wait.
func NewWait(e *cli.Env) *cobra.Command {
	var (
		latest, ignore, first bool
		interval              string
		states                []string
	)
	cmd := &cobra.Command{
		Use:   "wait [flags] CONTAINER...",
		Short: "Wait until containers end, and print their exit statuses",
		Long: `Wait until containers end, or are in another state, and print the exit status of each on a line; -1
where the state that was waited for is none in which a container has one.`,
		Example:           "  podunit wait job\n  podunit wait --condition running db",
		ValidArgsFunction: cli.CompleteContainers(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			every, err := pause(interval)
			if err != nil {
				return err
			}
			for _, s := range states {
				if !slices.Contains(service.Conditions, s) {
					return fmt.Errorf("--condition %q is none of %s", s, strings.Join(service.Conditions, ", "))
				}
			}
			if len(states) == 0 {
				states = []string{"exited", "stopped"}
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			if latest {
				r, rest, err := one(x, true, nil)
				if err != nil {
					return err
				}
				args = append(rest, r.ID)
			}
			if len(args) == 0 {
				return errors.New("\"podunit wait\" requires a name, id, or the \"--latest\" flag")
			}
			w := waiting{e, x, states, every, ignore}
			if first {
				return w.first(cmd, args)
			}
			var errs []error
			for _, name := range args {
				code, err := w.one(cmd, name)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintln(e.Stdout, code)
			}
			return errors.Join(errs...)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&states, "condition", nil, "wait for this `STATE`, again for others: "+strings.Join(service.Conditions, ", ")+" (default exited, stopped)")
	f.StringVarP(&interval, "interval", "i", "250ms", "how often to look: a `TIME`, or a number of milliseconds; the end of a container is noticed at once")
	f.BoolVar(&ignore, "ignore", false, "a container that does not exist is no error, and has status -1")
	f.BoolVar(&first, "exit-first-match", false, "wait for the first of the containers, not for all")
	latestFlag(cmd, &latest)
	cli.Complete(cmd, "condition", service.Conditions...)
	return cmd
}

// pause reads --interval.
func pause(text string) (time.Duration, error) {
	if ms, err := strconv.Atoi(text); err == nil && ms > 0 {
		return time.Duration(ms) * time.Millisecond, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("--interval %q: want a duration like 250ms, or milliseconds", text)
	}
	return d, nil
}

// waiting is what one command line waits for.
type waiting struct {
	e      *cli.Env
	x      *service.Engine
	states []string
	every  time.Duration
	ignore bool
}

// one waits for one container.
func (w waiting) one(cmd *cobra.Command, name string) (int, error) {
	r, err := w.x.Find(name)
	if err == nil {
		var code int
		if code, err = w.x.Wait(cmd.Context(), r, w.states, w.every); err == nil {
			return code, nil
		}
	}
	if w.ignore && errors.Is(err, container.ErrNotFound) {
		return service.NoCode, nil
	}
	return service.NoCode, err
}

// first waits for the first of several containers.
func (w waiting) first(cmd *cobra.Command, names []string) error {
	type end struct {
		code int
		err  error
	}
	ends := make(chan end, len(names))
	for _, name := range names {
		go func() {
			code, err := w.one(cmd, name)
			ends <- end{code, err}
		}()
	}
	got := <-ends // the others end with this process
	if got.err == nil {
		fmt.Fprintln(w.e.Stdout, got.code)
	}
	return got.err
}
