// SPDX-License-Identifier: Apache-2.0

package system

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/terminal"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// NewEvents makes podunit events, and podunit system events.
func NewEvents(e *cli.Env) *cobra.Command {
	var since, until, out string
	var filters []string
	var stream, noTrunc bool
	cmd := &cobra.Command{
		Use:   "events [flags]",
		Short: "Show what happens to containers, images, pods, volumes, networks and secrets",
		Long: `Show what happens to containers, images, pods, volumes, networks and secrets of this user, as it happens. With --since or
--until, what has happened in that time comes first.

Events are entries of the journal, at the level debug: journalctl --user -o verbose MESSAGE_ID=` + journal.EventID + `

Filters: container, image, network, pod, secret, volume=NAME-OR-ID; event or status=WHAT; type=KIND; label=KEY[=VALUE]. Values of one
key are alternatives, and labels add up.`,
		Example: "  podunit events --filter event=died\n  podunit events --since 1h --stream=false --format json",
		Args:    cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			match, err := view.EventFilters(filters)
			if err != nil {
				return err
			}
			q := journal.EventQuery{UID: e.User.UID, Follow: stream}
			now := time.Now()
			if stream && since == "" && until == "" {
				q.Since = now
			}
			if since != "" {
				if q.Since, err = journal.ParseTime(since, now); err != nil {
					return fmt.Errorf("--since: %w", err)
				}
			}
			if until != "" {
				if q.Until, err = journal.ParseEnd(until, now); err != nil {
					return fmt.Errorf("--until: %w", err)
				}
				q.Follow = q.Follow && q.Until.After(now)
			}
			if out != "" && !format.IsJSON(out) { // before anybody waits for an event
				if err := format.Rows(io.Discard, format.Table{Format: out}, []view.EventRow{{}}); err != nil {
					return err
				}
			}
			if err := e.NoEvents(); err != nil {
				return err
			}
			return journal.Reader{Command: "journalctl"}.Events(cmd.Context(), q, func(event journal.Event) error {
				if !match(event) {
					return nil
				}
				return printEvent(e, event, out, !noTrunc)
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&filters, "filter", "f", nil, "only events that match `KEY=VALUE`")
	f.StringVar(&out, "format", "", "json, or a Go `TEMPLATE`")
	f.BoolVar(&noTrunc, "no-trunc", true, "whole IDs")
	f.StringVar(&since, "since", "", "what has happened from `TIME` on: 2006-01-02T15:04:05, or 10m for ten minutes ago")
	f.BoolVar(&stream, "stream", true, "go on with what happens from now on")
	f.StringVar(&until, "until", "", "what has happened up to `TIME`; 10m is in ten minutes, -10m was ten minutes ago")
	return cli.Waits(cmd)
}

// printEvent prints one event, at once: somebody may wait for it.
func printEvent(e *cli.Env, event journal.Event, out string, short bool) error {
	switch {
	case format.IsJSON(out):
		return json.NewEncoder(e.Stdout).Encode(view.Event(event))
	case out != "":
		return format.Rows(e.Stdout, format.Table{Format: out, NoHeading: true}, []view.EventRow{view.Event(event)})
	}
	_, err := fmt.Fprintln(e.Stdout, terminal.Line(event.Text(short)))
	return err
}
