// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/step"
)

// Gone is what a down has stopped and removed.
type Gone struct {
	mu                                sync.Mutex
	Stopped, Removed, Secrets, Volume []string

	kept []string // volumes that others have
}

func (g *Gone) add(list *[]string, what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*list = append(*list, what)
}

func (g *Gone) has(list *[]string, what string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Contains(*list, what)
}

// DownUnit takes down what the service that this process is in has played. During a restart
// everything goes on: the start that follows finds out what has changed.
func (p *Player) DownUnit(ctx context.Context, force bool) (*Gone, error) {
	gone := &Gone{}
	st, err := p.store.load(p.Own.Name)
	if errors.Is(err, ErrNotFound) {
		return gone, nil
	}
	if err != nil {
		return gone, err
	}
	done, err := p.ShareManager(ctx)
	if err != nil {
		return gone, err
	}
	defer done()
	if job, err := p.Asked(ctx, p.Own.Name); err == nil && job == "restart" {
		return gone, nil
	}
	return gone, p.instead(ctx, st, nil, func(st *State) error { return p.down(ctx, st, nil, force, gone) })
}

// Down takes down what documents name: their pods as they were played, and with force their
// volumes. Objects that do not exist are no error.
func (p *Player) Down(ctx context.Context, plan *kube.Plan, force bool) (*Gone, error) {
	gone := &Gone{}
	done, err := p.ShareManager(ctx)
	if err != nil {
		return gone, err
	}
	defer done()
	all, err := p.store.all()
	if err != nil {
		return gone, err
	}
	var errs []error
	documents := p.going(plan.Pods)
	for _, st := range all {
		var pods []string
		for _, one := range plan.Pods {
			if st.pod(one.Name) != nil {
				pods = append(pods, one.Name)
			}
		}
		if len(pods) == 0 && (len(st.Plan.Pods) > 0 || !sameObjects(st.Plan, plan)) {
			continue
		}
		documents.units = append(documents.units, st.Unit)
		if st.Unit != "" {
			if u, err := p.Unit(ctx, st.Unit); err == nil && (u.ActiveState == "active" || u.ActiveState == "activating") {
				// Its own stop does the rest.
				for _, name := range pods {
					if r, err := p.Pods.LookupExact(name); err == nil {
						gone.add(&gone.Stopped, r.ID)
						gone.add(&gone.Removed, r.ID)
					}
				}
				errs = append(errs, p.StopUnit(ctx, st.Unit))
				continue
			}
		}
		errs = append(errs, p.instead(ctx, st, pods, func(st *State) error {
			if len(pods) == 0 && len(st.Plan.Pods) > 0 {
				return nil // another play by now
			}
			return p.down(ctx, st, pods, force, gone)
		}))
	}
	if force && errors.Join(errs...) == nil {
		for _, c := range plan.Claims {
			if c.Host == "" {
				errs = append(errs, p.dropVolume(ctx, c.Name, documents, gone))
			}
		}
	}
	return gone, errors.Join(errs...)
}

// sameObjects tells whether a play without pods is of these documents.
func sameObjects(a, b *kube.Plan) bool {
	return slices.EqualFunc(a.Objects, b.Objects, func(x, y kube.Object) bool { return x.Kind == y.Kind && x.Name == y.Name })
}

// locked calls do with a play's note under the play's lock. It reads the note under the lock, since
// another process may have changed it during the wait. If the play is gone, do is not called.
func (p *Player) locked(ctx context.Context, name string, do func(st *State) error) error {
	return p.Containers.WithLock(ctx, "kube "+name, func(lock *runner.Lock) error {
		st, err := p.store.load(name)
		switch {
		case err == nil:
			err = do(st)
		case errors.Is(err, ErrNotFound):
			err = nil
		}
		return errors.Join(err, lock.Drop())
	})
}

// down takes down pods of a play, all if none are named, and the play when it has none left.
func (p *Player) down(ctx context.Context, st *State, names []string, force bool, gone *Gone) error {
	pods := slices.Clone(st.Plan.Pods)
	if len(names) > 0 {
		pods = slices.DeleteFunc(pods, func(one *kube.Pod) bool { return !slices.Contains(names, one.Name) })
		if len(pods) == 0 {
			return nil // somebody else was faster
		}
	}
	err := together(ctx, pods, len(pods), func(ctx context.Context, one *kube.Pod) error { return p.takeDown(ctx, st, one, gone) })
	if err != nil {
		return err
	}
	g := p.going(pods, st.Unit)
	if force {
		for _, one := range pods {
			for _, v := range one.Volumes {
				if v.Kind == kube.VolumeClaim {
					err = errors.Join(err, p.dropVolume(ctx, v.Claim, g, gone))
				}
			}
		}
	}
	st.Plan.Pods = slices.DeleteFunc(st.Plan.Pods, func(one *kube.Pod) bool { return slices.Contains(pods, one) })
	if len(st.Plan.Pods) > 0 {
		return errors.Join(err, p.store.save(st))
	}
	if force {
		for _, c := range st.Plan.Claims {
			if c.Host == "" {
				err = errors.Join(err, p.dropVolume(ctx, c.Name, g, gone))
			}
		}
	}
	if err = errors.Join(err, p.dropSecrets(st, nil, gone), p.stopSlices(ctx, st)); err != nil {
		return err
	}
	step.Crash("play taken down")
	return p.store.forget(st.Name)
}

// takeDown stops a pod of a play and removes all that belongs to it but named volumes.
func (p *Player) takeDown(ctx context.Context, st *State, one *kube.Pod, gone *Gone) error {
	if one.Cron != nil {
		if err := p.stopCron(ctx, st, one, gone); err != nil {
			return fmt.Errorf("CronJob %s: %w", one.Cron.Name, err)
		}
		return nil
	}
	r, err := p.Pods.LookupExact(one.Name)
	switch {
	case errors.Is(err, pod.ErrNotFound): // a down that was killed may have removed it
		err = errors.Join(p.StopUnit(ctx, one.Unit), p.sweep())
	case err == nil:
		gone.add(&gone.Stopped, r.ID)
		// The stop of the pod's unit stops those of its containers, each within its own time.
		if err = p.RemovePod(ctx, r, true, pod.OwnTimes); err == nil {
			gone.add(&gone.Removed, r.ID)
			step.Crash("pod of a play removed")
			err = p.store.drop(r.ID)
		}
	}
	if err != nil {
		return fmt.Errorf("pod %s: %w", one.Name, err)
	}
	for _, c := range one.Containers {
		p.ForgetUnit(ctx, c.Unit)
		err = errors.Join(err, p.store.lives(st.Name, one.Name, c.Name))
	}
	p.ForgetUnit(ctx, one.Unit)
	g := p.going([]*kube.Pod{one}, st.Unit)
	for _, v := range one.Volumes {
		if v.Kind == kube.VolumeClaim && v.Ephemeral {
			err = errors.Join(err, p.dropVolume(ctx, v.Claim, g, gone))
		}
	}
	return errors.Join(err, p.store.lives(st.Name, one.Name))
}

// Noted reports whether there may be a note of what a unit has played. graph is the storage's
// directory, which need not be open.
func Noted(graph, name string) bool {
	_, err := os.Stat(store{disk: diskDir(graph)}.path(name))
	return !errors.Is(err, fs.ErrNotExist)
}

// Plays reports whether there is a note of what a unit has played.
func (p *Player) Plays(name string) bool {
	_, err := p.store.load(name)
	return err == nil
}

// Await waits until no pod of a plan runs any more.
func (p *Player) Await(ctx context.Context, plan *kube.Plan) error {
	for {
		running := false
		for _, one := range plan.Pods {
			r, err := p.Pods.LookupExact(one.Name)
			if one.Cron != nil || err == nil && p.Pods.Status(r).InfraPID != 0 {
				running = true
			}
		}
		if !running {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
