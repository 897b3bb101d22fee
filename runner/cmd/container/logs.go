// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// NewLogs makes podunit logs.
func NewLogs(e *cli.Env) *cobra.Command {
	var (
		latest, follow, timestamps, names, color bool
		tail                                     int
		since, until                             string
	)
	cmd := &cobra.Command{
		Use:   "logs [flags] CONTAINER...",
		Short: "Show what containers wrote",
		Long: `Show what containers wrote to stdout and stderr, from the journal. journalctl shows it too,
with all else that concerns the unit: journalctl --user -u UNIT.`,
		Example:           "  podunit logs -f web\n  podunit logs --since 10m --tail 100 -t web db",
		ValidArgsFunction: cli.CompleteContainers(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			x, err := e.Open(ctx)
			if err != nil {
				return err
			}
			e.Heal(ctx, x)
			records, err := (&cli.Selection{Latest: latest}).Resolve(x, args)
			if err != nil {
				return err
			}
			q := journal.Query{UID: e.User.UID, Tail: tail, Follow: follow, Ended: func() bool { return ended(x, records) }}
			now := time.Now()
			for _, bound := range []struct {
				flag, value string
				to          *time.Time
				read        func(string, time.Time) (time.Time, error)
			}{{"since", since, &q.Since, journal.ParseTime}, {"until", until, &q.Until, journal.ParseEnd}} {
				if bound.value == "" {
					continue
				}
				if *bound.to, err = bound.read(bound.value, now); err != nil {
					return fmt.Errorf("--%s: %w", bound.flag, err)
				}
			}
			for _, r := range records {
				s, err := logSource(x, r)
				if err != nil {
					return err
				}
				q.Sources = append(q.Sources, s)
			}
			style := journal.Style{Timestamps: timestamps, Names: names, Color: color && term.IsTerminal(int(os.Stdout.Fd()))}
			return journal.Read(ctx, q, journal.NewPrinter(e.Stdout, e.Stderr, style, q.Sources).Print)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "go on with new lines until the containers have ended")
	f.IntVar(&tail, "tail", -1, "only the last `N` lines of each container; -1 means all")
	f.StringVar(&since, "since", "", "only lines from `TIME` on: 2006-01-02T15:04:05, or 10m for ten minutes ago")
	f.StringVar(&until, "until", "", "only lines up to `TIME`; 10m is in ten minutes, -10m was ten minutes ago")
	f.BoolVarP(&timestamps, "timestamps", "t", false, "put the time before each line")
	f.BoolVarP(&names, "names", "n", false, "put names, not IDs, before the lines of several containers")
	f.BoolVar(&color, "color", false, "on a terminal, a color for each of several containers")
	f.BoolVarP(&latest, "latest", "l", false, "of the container made last")
	return cli.Waits(cmd)
}

// logSource is where the lines of a container are found in the journal.
func logSource(x *service.Engine, r container.Record) (journal.Source, error) {
	s := journal.Source{ID: r.ID, Name: r.Name}
	status, err := x.Containers.Status(r.ID)
	if err != nil {
		return s, err
	}
	if status.PID != 0 && status.Unit == "" && (r.Spec.TTY || r.Spec.Remove) {
		return s, hint.With(fmt.Errorf("container %s writes to where it was started from, as it has a terminal (--tty) or goes with its end (--rm)", r.Name), "start it with -d")
	}
	switch r.Spec.Log.Driver {
	case "none":
		return s, hint.With(errors.New("this container is using the 'none' log driver, cannot read logs: this container is not logging output"), "take LogDriver=none out, or use journald")
	case "passthrough":
		s.Unit = status.Unit
		if s.Unit == "" {
			s.Unit = r.Unit
		}
		if s.Unit == "" {
			return s, hint.With(errors.New("container "+r.Name+" wrote to the terminal it was started from (--log-driver passthrough)"), "start it with -d or without --log-driver")
		}
	}
	missing, err := elsewhere(r.Name, status)
	if missing != "" {
		x.Warn(missing)
	}
	return s, err
}

// elsewhere says what of a container's lines is not in the journal, as its unit leads them
// elsewhere; it is an error if that is all of them.
func elsewhere(name string, s container.Status) (missing string, err error) {
	switch {
	case len(s.Elsewhere) > 1:
		return "", hint.With(fmt.Errorf("container %s writes to where its unit leads its output, not to the journal", name),
			"see StandardOutput= of %s", s.Unit)
	case slices.Equal(s.Elsewhere, []string{"stdout"}):
		return fmt.Sprintf("the stdout of container %s is not in the journal: see StandardOutput= of %s", name, s.Unit), nil
	case slices.Equal(s.Elsewhere, []string{"stderr"}):
		return fmt.Sprintf("the stderr of container %s is not in the journal: see StandardError= of %s", name, s.Unit), nil
	}
	return "", nil
}

// ended reports whether nothing more can come: the first process and the log copier
// of each container are gone.
func ended(x *service.Engine, records []container.Record) bool {
	for _, r := range records {
		s, err := x.Containers.Status(r.ID)
		if err == nil && (s.PID != 0 || s.LogPID != 0 && process.Alive(s.LogPID, s.LogTicks)) {
			return false
		}
	}
	return true
}
