// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/service"
)

// TestNoZone: a name that looks like a time zone and is none is found before the manager refuses
// it, where there is a database; without one nothing is known to be missing.
func TestNoZone(t *testing.T) {
	database := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(database, "Europe"), 0o755), os.WriteFile(filepath.Join(database, "Europe/Zurich"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"Europe/Zurich": false, "UTC": false, "Mars/Base": true, "Europe": true} {
		if got := noZone(database, name); got != want {
			t.Errorf("%s is missing: %v", name, got)
		}
		if noZone(filepath.Join(database, "none"), name) {
			t.Errorf("%s is missing, and there is no database", name)
		}
	}
}

// TestHalfARun: the half-written note of a run goes, and no other one.
func TestHalfARun(t *testing.T) {
	s := store{disk: t.TempDir()}
	if err := os.MkdirAll(filepath.Dir(s.path("x")), 0o700); err != nil {
		t.Fatal(err)
	}
	names := []string{"cron kc-1-7.json.new", "cron kc-7.json", "cron kc-8.json.new", "kc-8.json.new"}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(filepath.Dir(s.path("x")), name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.sweepRuns("kc")
	entries, err := os.ReadDir(filepath.Dir(s.path("x")))
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := slices.Delete(slices.Clone(names), 2, 3); err != nil || !slices.Equal(left, want) {
		t.Errorf("left %q, want %q; %v", left, want, err)
	}
}

// TestHalfARunIsNone: a run whose service was killed on its way is taken down, and the one that the
// manager starts anew begins, whatever the concurrency policy says of a run that goes on.
func TestHalfARunIsNone(t *testing.T) {
	for policy, whole := range map[string]bool{"Forbid": false, "Allow": true, "Replace": true} {
		for _, half := range []bool{true, false} {
			w := newWorld(t)
			one := planned(t, strings.Replace(tick, "  jobTemplate", "  concurrencyPolicy: "+policy+"\n  jobTemplate", 1)).Pods[0]
			run := w.playing(t, twoContainers)
			run.Of, run.Cron = "cronjob tick", one.Cron.Name
			err := w.Player.store.save(run)
			if err == nil && half {
				err = errors.Join(os.MkdirAll(w.Player.store.dir(run.Name), 0o700), w.Player.store.setHalf(run.Name))
			}
			if err != nil {
				t.Fatal(err)
			}
			free, err := w.among(t.Context(), &State{Name: "cronjob tick"}, one)
			if err != nil || free != (half || whole) {
				t.Errorf("%s, half %v: a run may begin: %v, %v", policy, half, free, err)
			}
			_, err = w.Player.store.load(run.Name)
			if gone := errors.Is(err, ErrNotFound); gone != (half || policy == "Replace") {
				t.Errorf("%s, half %v: it is gone: %v, %v", policy, half, gone, err)
			}
		}
	}
}

// TestCronForgetsItsStarts: the limit of starts is for runs that are killed. One that has come to its
// end, whatever it has come to, has the manager count anew.
func TestCronForgetsItsStarts(t *testing.T) {
	late := time.Duration(0)
	for pod, fails := range map[string]bool{"nightly": false, "nosuch": true} {
		w := newWorld(t)
		w.Own.Name = "nightly-cron.service"
		w.env["TRIGGER_UNIT"] = "nightly-cron.timer"
		one := &kube.Pod{Name: "nightly", Cron: &kube.Cron{Name: "nightly", Schedule: "0 0 30 2 *", Late: &late}}
		if err := w.Player.store.save(&State{Name: "play", Plan: &kube.Plan{Pods: []*kube.Pod{one}}}); err != nil {
			t.Fatal(err)
		}
		connect := w.Connect
		w.Connect = func(ctx context.Context) (service.Manager, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return connect(ctx)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop() // a stop of the unit is no kill either
		if err := w.Cron(ctx, "play", pod); (err != nil) != fails {
			t.Errorf("%s: %v", pod, err)
		}
		if w.warned("still counted") {
			t.Errorf("%s: %q", pod, w.warnings)
		}
		if got := w.manager.asked("reset"); !slices.Equal(got, []string{"nightly-cron.service"}) {
			t.Errorf("%s: %q", pod, got)
		}
	}
}
