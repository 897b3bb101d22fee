// SPDX-License-Identifier: Apache-2.0

package system

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	journald "github.com/coreos/go-systemd/v22/journal"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/ledger"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/unit"
	"github.com/podunit/podunit/runner/update"
)

// log writes a line to the journal, with fields for programs.
func (a *autoUpdate) log(ev ledger.Event) {
	text := fmt.Sprintf("%s: %s of %s: %s", ev.Unit, ev.Reference, ev.Container, said(ev))
	priority := journald.PriNotice
	if update.Outcome(ev.Result) != update.Updated {
		priority = journald.PriErr
	}
	fields := map[string]string{
		"PODUNIT_UPDATE_UNIT": ev.Unit, "PODUNIT_UPDATE_CONTAINER": ev.Container, "PODUNIT_UPDATE_IMAGE": ev.Reference,
		"PODUNIT_UPDATE_OLD": ev.Old, "PODUNIT_UPDATE_NEW": ev.New, "PODUNIT_UPDATE_RESULT": ev.Result,
		"SYSLOG_IDENTIFIER": "podunit",
	}
	if err := journald.Send(text, priority, fields); err != nil {
		fmt.Fprintf(a.env.Stderr, "podunit: %s\n", text)
	}
}

// logFailures writes a line for each target that could not be checked or pulled. The result of a
// unit that was restarted is in the ledger, and has its own line.
func (a *autoUpdate) logFailures() {
	for _, r := range a.rows {
		if r.Updated == update.Failed && r.New == "" && !a.dryRun {
			a.log(ledger.Event{Unit: r.Unit, Container: r.ContainerName, Reference: r.Image, Old: r.Old, Result: string(r.Updated), Why: r.Error})
		}
	}
}

func said(ev ledger.Event) string {
	switch update.Outcome(ev.Result) {
	case update.Updated:
		return "updated to " + image.Short(ev.New)
	case update.RolledBack:
		return "rolled back to " + image.Short(ev.Old) + ": " + ev.Why
	}
	return "failed: " + ev.Why
}

// tell starts the unit that is configured to get the report, once everything is judged and if there
// is news.
func (a *autoUpdate) tell(ctx context.Context, x *service.Engine, m *unit.Manager, b *ledger.Ledger) error {
	news := slices.ContainsFunc(a.rows, func(r update.Row) bool {
		return r.Updated != update.Nothing && r.Updated != update.Pending
	})
	if a.dryRun || !news || a.settings.OnUpdate == "" || len(b.Trials) > 0 {
		return nil
	}
	data, err := json.MarshalIndent(a.rows, "", "    ")
	if err != nil {
		return err
	}
	if err := safe.Replace(filepath.Join(x.Containers.RunDir, "auto-update.json"), append(data, '\n'), 0o600); err != nil {
		return err
	}
	warning, err := update.Hook(ctx, m, a.settings.OnUpdate)
	if warning != "" {
		a.env.Warn(warning)
	}
	return err
}

func (a *autoUpdate) show() error {
	for _, r := range a.rows {
		if r.Note != "" {
			fmt.Fprintf(a.env.Stderr, "podunit: %s: %s\n", r.Unit, r.Note)
		}
	}
	if format.IsJSON(a.format) {
		return format.JSON(a.env.Stdout, a.rows)
	}
	if len(a.rows) == 0 {
		return nil
	}
	return format.Rows(a.env.Stdout, format.Table{
		Format: a.format, Default: "{{.Unit}}\t{{.Container}}\t{{.Image}}\t{{.Policy}}\t{{.Updated}}",
	}, a.rows)
}

func (a *autoUpdate) showHistory(b *ledger.Ledger) error {
	if format.IsJSON(a.format) {
		return format.JSON(a.env.Stdout, b.History)
	}
	type line struct {
		Time, Unit, Container, Image, Result, Why string
	}
	var lines []line
	for _, ev := range b.History {
		lines = append(lines, line{ev.Time.Local().Format(time.DateTime), ev.Unit, ev.Container, ev.Reference, ev.Result, ev.Why})
	}
	return format.Rows(a.env.Stdout, format.Table{
		Format: a.format, Default: "{{.Time}}\t{{.Unit}}\t{{.Container}}\t{{.Image}}\t{{.Result}}\t{{.Why}}",
	}, lines)
}

// status is the exit status of --exit-code.
func (a *autoUpdate) status() error {
	has := func(o update.Outcome) bool {
		return slices.ContainsFunc(a.rows, func(r update.Row) bool { return r.Updated == o })
	}
	switch {
	case has(update.RolledBack):
		return cli.ExitStatus(exitRolledBack)
	case has(update.Updated):
		return cli.ExitStatus(exitUpdated)
	}
	return nil
}
