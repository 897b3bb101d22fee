// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/secret"
)

// maxWait is how long a play waits for the lock of another one whose pods it replaces. It is
// limited, since that one may be waiting for this one.
const maxWait = time.Minute

// taken records what this play has taken down of another one.
type taken struct {
	before State       // as it was noted, with all its pods
	ran    []*kube.Pod // those that are to run again if this play fails
	hidden []byte      // its note of secrets, nil if there was none
	stored []storedSecret
}

// storedSecret is a secret that a play has put into the store.
type storedSecret struct {
	secret.Secret
	value []byte
}

// takeOver takes down pods of other plays that are replaced.
func (w *work) takeOver(ctx context.Context) error {
	for s, names := range w.took {
		wait, cancel := context.WithTimeout(ctx, maxWait)
		err := w.instead(wait, s, names, func(s *State) error { return w.take(ctx, s, names) })
		cancel()
		if err != nil {
			return fmt.Errorf("replace pods of the play %s: %w", s.Name, err)
		}
	}
	return nil
}

// take notes what there is of another play, for undo, and takes down some of its pods.
func (w *work) take(ctx context.Context, s *State, names []string) error {
	t := &taken{before: *s}
	plan := *s.Plan
	plan.Pods = slices.Clone(plan.Pods)
	t.before.Plan = &plan
	for _, one := range plan.Pods {
		if !slices.Contains(names, one.Name) {
			continue
		}
		ran, err := w.runs(ctx, one)
		if err != nil {
			return err
		}
		if ran {
			t.ran = append(t.ran, one)
		}
	}
	var err error
	if t.hidden, err = os.ReadFile(w.store.secretsPath(s.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if t.stored, err = w.storedBy(s.Name); err != nil {
		return err
	}
	w.taken = append(w.taken, t)
	return w.down(ctx, s, names, false, &Gone{})
}

// storedBy are the secrets that a play has put into the store.
func (w *work) storedBy(play string) ([]storedSecret, error) {
	all, err := w.Containers.Secrets.Store.List()
	if err != nil {
		return nil, err
	}
	var out []storedSecret
	for _, one := range all {
		if one.Metadata[ofPlay] != play {
			continue
		}
		_, value, err := w.Containers.Secrets.Store.Value(one.ID)
		if errors.Is(err, secret.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", one.Name, err)
		}
		out = append(out, storedSecret{one, value})
	}
	return out, nil
}

// giveBack starts the pods again that were taken from another play, after this one has failed.
func (w *work) giveBack(ctx context.Context, t *taken) error {
	wait, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	if err := w.Containers.WithLock(wait, "kube "+t.before.Name, func(*runner.Lock) error { return w.giveBackLocked(ctx, t) }); err != nil {
		return fmt.Errorf("pods of the play %s, as they were before: %w", t.before.Name, err)
	}
	return nil
}

func (w *work) giveBackLocked(ctx context.Context, t *taken) error {
	now, err := w.store.load(t.before.Name)
	if errors.Is(err, ErrNotFound) {
		if len(t.ran) == 0 {
			return nil // nothing of it comes back, and nobody would ever remove its secrets
		}
		// It had no pod left, and is forgotten.
		one, plan := t.before, *t.before.Plan
		plan.Pods, one.Plan = nil, &plan
		now, err = &one, nil
	}
	if err = errors.Join(err, w.restore(t)); err != nil || len(t.ran) == 0 {
		return err
	}
	back := &kube.Plan{Pods: t.ran}
	networks := &work{Player: w.Player, st: &State{Plan: back}, plan: back}
	before := &work{Player: w.Player, st: now, plan: now.Plan, seen: w.seen}
	if err := errors.Join(networks.networks(), networks.defaultNetwork(ctx), before.startSlice(ctx)); err != nil {
		return err
	}
	before.alone = networks.alone
	var errs []error
	for _, p := range t.ran {
		// The other play's lock was free for a while: somebody may have made a pod of that name.
		r, err := w.Pods.LookupExact(p.Name)
		switch {
		case err == nil && r.ID != w.seen[p.Name]:
			errs = append(errs, podExists(p))
		case err != nil && !errors.Is(err, pod.ErrNotFound):
			errs = append(errs, err)
		default:
			before.leaveOut(p.Name) // it is noted still where taking it down has failed
			errs = append(errs, before.bringBack(ctx, p))
		}
	}
	return errors.Join(errs...)
}

// leaveOut takes a pod out of a note.
func (w *work) leaveOut(name string) {
	plan := *w.st.Plan
	plan.Pods = slices.DeleteFunc(slices.Clone(plan.Pods), func(p *kube.Pod) bool { return p.Name == name })
	w.st.Plan = &plan
}

// restore puts back those secrets of a play that are gone.
func (w *work) restore(t *taken) error {
	var errs []error
	if _, err := os.Stat(w.store.secretsPath(t.before.Name)); errors.Is(err, fs.ErrNotExist) && t.hidden != nil {
		errs = append(errs, os.MkdirAll(w.store.dir(t.before.Name), 0o700), w.store.restoreSecrets(t.before.Name, t.hidden))
	}
	for _, s := range t.stored {
		// If there is a secret of that name now, it is somebody else's.
		o := secret.Options{Driver: s.Driver, DriverOptions: s.DriverOptions, Labels: s.Labels, Metadata: maps.Clone(s.Metadata), Ignore: true}
		if _, err := w.Containers.Secrets.Store.Create(s.Name, s.value, o); err != nil {
			errs = append(errs, fmt.Errorf("secret %s: %w", s.Name, err))
		}
	}
	return errors.Join(errs...)
}
