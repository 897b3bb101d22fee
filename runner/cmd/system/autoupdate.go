// SPDX-License-Identifier: Apache-2.0

package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/podunit/podunit/generator/settings"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/kube"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/podunit/podunit/runner/ledger"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/step"
	"github.com/podunit/podunit/runner/unit"
	"github.com/podunit/podunit/runner/update"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// Exit statuses of auto-update --exit-code, beside 0 for nothing to do and 125 for a failure.
const (
	exitUpdated    = 10
	exitRolledBack = 20
)

// NewAutoUpdate makes podunit auto-update.
func NewAutoUpdate(e *cli.Env) *cobra.Command {
	var a autoUpdate
	cmd := &cobra.Command{
		Use:   "auto-update [flags]",
		Short: "Renew the images of containers whose files say AutoUpdate=",
		Long: `Renew the images of containers that ask for it: with AutoUpdate= in a .container file, or with
the label io.containers.autoupdate. The policies are registry (pull what the registry has and
restart the unit), local (restart when the name means another image in the storage), pull (no
restart) and check (report only).

All images are asked for and pulled before the first unit is restarted. A unit counts as updated
when it is up, stays up for a while and is healthy; otherwise it runs its old image again, and what
failed it is not tried a second time. From a shell the units are watched in the background, by
` + update.WatchUnit + `; --wait waits for that.

How long units are watched, how many replaced images stay, and a unit to be started with the report
are settings of the section [AutoUpdate] in podunit.conf: HealthWindow=, Keep=, OnUpdate=.

UPDATED is true, false, pending (there is something newer), rolled back, or failed.

Exit status: 0, or 125 if something failed. With --exit-code also 10 if something was updated and 20
if something was rolled back.`,
		Example: "  podunit auto-update --dry-run\n  systemctl --user enable --now podunit-auto-update.timer",
		Args:    cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.env = e
			if cmd.Flags().Changed("tls-verify") {
				a.options.TLSVerify = &a.tlsVerify
			}
			return a.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&a.dryRun, "dry-run", false, "only tell what there is to update")
	f.StringVar(&a.format, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.BoolVar(&a.rollback, "rollback", true, "put the old image back where the new one fails")
	f.StringVar(&a.options.AuthFile, "authfile", "", "`FILE` with credentials; $REGISTRY_AUTH_FILE is another way to say it")
	f.BoolVar(&a.tlsVerify, "tls-verify", true, "want HTTPS and a valid certificate")
	f.BoolVar(&a.wait, "wait", false, "wait until it is clear how the units do")
	f.BoolVar(&a.exitCode, "exit-code", false, "tell updated (10) and rolled back (20) apart by the exit status")
	f.BoolVar(&a.history, "history", false, "show what was updated and rolled back before")
	f.StringArrayVar(&a.pin, "pin", nil, "have `UNIT` stay with the image that it runs now")
	f.StringArrayVar(&a.unpin, "unpin", nil, "have `UNIT` be updated again")
	f.BoolVar(&a.resume, "resume", false, "only watch what was updated before")
	_ = f.MarkHidden("resume")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "history", "pin", "resume")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "unpin")
	return cmd
}

// autoUpdate is one run of the verb.
type autoUpdate struct {
	env                       *cli.Env
	dryRun, rollback, wait    bool
	exitCode, history, resume bool
	tlsVerify                 bool
	format                    string
	options                   image.PullOptions
	pin, unpin                []string
	rows                      []update.Row
	settings                  update.Settings
}

func (a *autoUpdate) run(ctx context.Context) error {
	x, err := a.env.OpenToRun(ctx)
	if err != nil {
		return err
	}
	if len(a.pin)+len(a.unpin) > 0 {
		return a.setPins(ctx, x)
	}
	dir := ledger.Dir(x.Containers.Store.GraphRoot())
	if a.history {
		b, err := a.openLedger(dir)
		if err != nil {
			return err
		}
		return a.showHistory(b)
	}
	a.env.Heal(ctx, x)
	a.settings, err = update.ReadSettings(settings.Where{Config: configHome(a.env)})
	if err != nil {
		a.env.Warn(err.Error())
	}
	var failed error
	err = withTurn(ctx, a.env, dir, func() error {
		failed = a.update(ctx, x, dir)
		return ledger.Sweep(dir)
	})
	if err := errors.Join(err, failed); err != nil && len(a.rows) == 0 {
		return err
	}
	if err := a.show(); err != nil {
		return err
	}
	if failed == nil && err == nil && a.exitCode {
		return a.status()
	}
	return errors.Join(err, failed)
}

// update does the run itself; no other run of this user goes on meanwhile.
func (a *autoUpdate) update(ctx context.Context, x *service.Engine, dir string) error {
	b, err := a.openLedger(dir)
	if err != nil {
		return err
	}
	m, err := a.env.Manager(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	forget := func() error { return nil }
	host := &update.Host{Engine: x, Manager: m, Declared: func(commands []unit.Command) (out []update.Declared, err error) {
		var all []play.Declared
		all, forget, err = kube.Declared(ctx, a.env, x, commands)
		for _, d := range all {
			out = append(out, update.Declared(d))
		}
		return out, err
	}}
	images, ok := x.Images.(*registry.Images)
	if !ok {
		return errors.New("this program cannot ask registries; that is a fault of podunit's")
	}
	r := &update.Runner{
		Images: update.Storage{Images: images, Options: a.pullOptions(x)}, Units: host, Ledger: b,
		Options: update.Options{
			DryRun: a.dryRun, Rollback: a.rollback, AuthFile: a.options.AuthFile,
			Keep: a.settings.Keep, Window: a.settings.HealthWindow, Log: a.log, Reached: step.Crash,
		},
	}
	if x.InService() {
		r.Jitter = a.settings.Jitter
	}
	var errs []error
	if !a.dryRun {
		// The work of an earlier run that was cut is completed first.
		errs = append(errs, x.FinishRenewals(ctx), a.judge(ctx, r))
	}
	if !a.resume {
		targets, err := host.Find(ctx)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		rows, err := r.Run(ctx, a.settings.Limit(targets))
		errs = append(errs, err, forget())
		a.rows = append(a.rows, rows...)
		a.logFailures()
		switch {
		case a.dryRun:
		case a.wait, x.InService():
			errs = append(errs, a.judge(ctx, r))
		case len(b.Trials) > 0:
			errs = append(errs, a.watch(ctx, x, m))
		}
	}
	return errors.Join(append(errs, a.tell(ctx, x, m, b))...)
}

// openLedger reads the ledger, and warns if a part of it is lost.
func (a *autoUpdate) openLedger(dir string) (*ledger.Ledger, error) {
	b, damage, err := ledger.Open(dir)
	if damage != nil {
		a.env.Warn(damage.Error())
	}
	return b, err
}

// judge watches the units that are on trial. Its result for a target replaces the one that the
// target had.
func (a *autoUpdate) judge(ctx context.Context, r *update.Runner) error {
	rows, err := r.Judge(ctx)
	for _, row := range rows {
		i := slices.IndexFunc(a.rows, func(x update.Row) bool { return x.Unit == row.Unit && x.ContainerName == row.ContainerName })
		if i < 0 {
			a.rows = append(a.rows, row)
			continue
		}
		old := &a.rows[i]
		old.Updated, old.New, old.Note, old.Error = row.Updated, row.New, row.Note, row.Error
	}
	return err
}

func (a *autoUpdate) pullOptions(x *service.Engine) image.PullOptions {
	o := a.options
	o.Report = service.ReportPull(a.env.Notify)
	o.Online = x.Online
	o.Log = func(line string) { fmt.Fprintf(a.env.Stderr, "podunit: %s\n", line) }
	return o
}

// watch starts a service that watches the units, so that the shell can go on.
func (a *autoUpdate) watch(ctx context.Context, x *service.Engine, m *unit.Manager) error {
	if err := m.Free(ctx, update.WatchUnit); err != nil {
		return nil //nolint:nilerr // it runs, and sees what is new when it has done
	}
	words := []string{x.Program, "auto-update", "--resume"}
	if !a.rollback {
		words = append(words, "--rollback=false")
	}
	return m.Launch(ctx, update.WatchUnit, unit.Service{
		Description: "Watch units after an update of their images",
		Type:        "oneshot", Start: words, Environment: unit.Environment(os.Environ()),
		Directory: "/", Collect: true, StartTimeout: -1,
	})
}

// withTurn calls do while no other run of auto-update of this user goes on, and prints a line if it
// has to wait for one.
func withTurn(ctx context.Context, e *cli.Env, dir string, do func() error) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for waits := false; ; waits = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return do()
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		if !waits {
			fmt.Fprintln(e.Stderr, "podunit: another auto-update goes on; waiting for it")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func configHome(e *cli.Env) string {
	if !e.User.Rootless() {
		return ""
	}
	if dir := e.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return dir
	}
	return filepath.Join(e.Getenv("HOME"), ".config")
}
