// SPDX-License-Identifier: Apache-2.0

// Package play makes units of a kube.Plan: a service for each pod, and one for each container,
// bound to it. It also takes them down, and it is what those services execute.
//
// What is played is noted on disk before anything is made (State), and all that follows works from
// that note: stop, down, the start of each container. Images are pulled first, so that a play that
// fails leaves what ran before alone; what it has made by then it removes.
package play

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/helper"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/step"
	"github.com/podunit/podunit/runner/unit"
	"github.com/podunit/podunit/runner/volume"
	"golang.org/x/sys/unix"
)

// Player plays on the units of this user.
type Player struct {
	*service.Engine
	store   store
	volumes *volume.Volumes
	// plain says that the manager knows no growing delay between restarts: systemd before 254.
	plain sync.Map
}

// New makes a player.
func New(e *service.Engine) *Player {
	graph := e.Containers.Store.GraphRoot()
	volumes := volume.New(graph)
	volumes.Event = e.Event
	return &Player{
		Engine: e, volumes: volumes,
		store: store{disk: diskDir(graph), run: runDir(e), warn: e.Warn},
	}
}

// diskDir is where plays have what survives a boot, in the storage's directory graph.
func diskDir(graph string) string { return filepath.Join(graph, "podunit", "kube") }

// runDir is where plays have what does not survive a boot.
func runDir(e *service.Engine) string { return filepath.Join(e.Containers.RunDir, "kube") }

// Options says how a plan is played.
type Options struct {
	// Replace takes the place of what was played under the same names. What has not changed goes on.
	Replace bool
	// Create makes the pods and starts nothing; those that it replaces are stopped, changed or not.
	Create bool
	// Once says that a boot ends the play: who waits for its end takes it down. A play by a service
	// of somebody's own is that service's business, too.
	Once bool
	// Service says that the unit which this process is in is to live as long as the pods.
	Service bool
	// Exit is none, any or all: whose failure makes that unit fail.
	Exit     string
	Registry Registry
	Build    Build
}

// Played is what a play has made.
type Played struct {
	Name    string
	Volumes []string
	Secrets []string
	Pods    []PlayedPod
}

// PlayedPod is a pod with the IDs of its containers, init containers left out.
type PlayedPod struct {
	ID         string
	Containers []string
}

// Play plays a plan.
func (p *Player) Play(ctx context.Context, plan *kube.Plan, o Options) (*Played, error) {
	st := &State{Name: p.playName(plan, o), Created: time.Now().UTC(), Plan: plan, Exit: o.Exit, Registry: o.Registry, Once: o.Once || p.InService()}
	if o.Service {
		if !p.InService() {
			return nil, hint.With(errors.New("--service-container: only a service executes this"), "leave it out, or write a .kube file")
		}
		st.Unit = p.Own.Name
	}
	st.Slice = sliceName(p.Own, st.Name, p.User.Rootless())
	return p.play(ctx, st, o)
}

// play plays what st has.
func (p *Player) play(ctx context.Context, st *State, o Options) (*Played, error) {
	done, err := p.ShareManager(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	old, err := p.store.load(st.Name)
	// A play in place of a half one waits for the lock, too: see replacesOwn.
	if err != nil || !o.Replace && !o.Service && !p.store.isHalf(st.Name) {
		return p.playLocked(ctx, st, o, nil)
	}
	halted, err := p.halt(ctx, old, nil)
	var out *Played
	if err == nil {
		out, err = p.playLocked(ctx, st, o, halted)
	}
	return out, errors.Join(err, p.resume(context.WithoutCancel(ctx), old, halted))
}

// playLocked plays what st has while nobody else plays something of that name.
func (p *Player) playLocked(ctx context.Context, st *State, o Options, halted map[string]string) (out *Played, err error) {
	err = p.Containers.WithLock(ctx, "kube "+st.Name, func(lock *runner.Lock) error {
		if out, err = p.playAlone(ctx, st, o, halted); err == nil {
			return nil
		}
		if _, gone := p.store.load(st.Name); errors.Is(gone, ErrNotFound) {
			return errors.Join(err, lock.Drop())
		}
		return err
	})
	return out, err
}

// playAlone does what playLocked does, under the lock.
func (p *Player) playAlone(ctx context.Context, st *State, o Options, halted map[string]string) (out *Played, err error) {
	w := &work{Player: p, st: st, plan: st.Plan, seen: map[string]string{}, halted: halted, Options: o}
	if err := w.look(ctx); err != nil {
		return nil, err
	}
	err = w.build(ctx)
	if err == nil {
		err = w.pull(ctx)
	}
	if err != nil {
		if w.old == nil {
			err = errors.Join(err, os.RemoveAll(w.store.dir(st.Name))) // logins for registries
		}
		return nil, err
	}
	if err := w.sweep(); err != nil {
		w.Warn(fmt.Sprintf("remains of earlier plays: %v", err))
	}
	if err := w.begin(); err != nil {
		return nil, errors.Join(err, w.undo(context.WithoutCancel(ctx)))
	}
	step.Crash("play noted")
	if err := w.make(ctx); err != nil {
		return nil, errors.Join(err, w.undo(context.WithoutCancel(ctx)))
	}
	step.Crash("play made")
	if o.Service {
		if err := w.stay(ctx); err != nil {
			return nil, errors.Join(err, w.undo(context.WithoutCancel(ctx)))
		}
	}
	w.noteForBoot(ctx, w.st)
	return w.played()
}

// playName is the name of a play: its service, else its first pod, else its first object.
func (p *Player) playName(plan *kube.Plan, o Options) string {
	switch {
	case o.Service && p.InService():
		return p.Own.Name
	case len(plan.Pods) > 0:
		return "pod " + plan.Pods[0].Name
	case len(plan.Objects) > 0:
		return strings.ToLower(plan.Objects[0].Kind) + " " + plan.Objects[0].Name
	}
	return "nothing"
}

// work is one play while it is being made.
type work struct {
	*Player
	Options
	st   *State
	plan *kube.Plan // what is asked for; that of st has also what is still to go
	old  *State     // what is replaced, nil for nothing
	half bool       // old is what a play has left that was killed
	// former is what was noted of the secrets of old, nil if nothing was.
	former []byte
	// took are the pods that this play replaces and other plays had.
	took  map[*State][]string
	taken []*taken
	// halted are the IDs of pods, by name, whose new start of all containers this play has ended:
	// they are made anew.
	halted map[string]string
	// seen are the IDs of pods that are there at first, by name.
	seen map[string]string
	// alone says that there is no default network: the programs of named networks are missing.
	alone bool
	// mu guards made, changed, volumes and what is noted.
	mu      sync.Mutex
	made    []*kube.Pod // begun by this play: what was there before is gone
	created []*kube.Pod // of those
	ended   []*kube.Pod // of old: they ran, and this play has taken them down, or was about to
	changed []*exchange
	volumes []string // made by this play
	note    []byte   // on disk, of this play
}

// look finds what stands in the way, before anything is made or pulled.
func (w *work) look(ctx context.Context) error {
	all, err := w.store.all()
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.Name == w.st.Name {
			w.old, w.half = s, w.store.isHalf(s.Name)
			w.st.Volumes = s.Volumes
			if s.Slice != "" {
				w.st.Slice = s.Slice // units of it that go on are there
			}
			if w.former, err = os.ReadFile(w.store.secretsPath(s.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	var errs []error
	for _, pod := range w.st.Plan.Pods {
		errs = append(errs, w.inTheWay(ctx, all, pod))
	}
	errs = append(errs, hostPaths(w.st.Plan, w.User.Rootless()), w.archives(w.st.Plan), w.networks(), w.immutables())
	return errors.Join(errs...)
}

// inTheWay finds containers and pods that have the names of a pod or of its containers and are not
// to be replaced.
func (w *work) inTheWay(ctx context.Context, all []*State, p *kube.Pod) error {
	other := Owner(all, p.Name)
	r, err := w.Pods.LookupExact(p.Name)
	if err == nil {
		w.seen[p.Name] = r.ID
	}
	switch {
	case errors.Is(err, pod.ErrNotFound):
	case err != nil:
		return err
	case other != nil && other == w.old && w.replacesOwn():
	case other != nil && other.Unit != "" && other.Name != w.st.Name:
		return hint.With(fmt.Errorf("pod %s belongs to %s", p.Name, other.Unit), "systemctl stop %s, first", other.Unit)
	case !w.Replace:
		return podExists(p)
	case other != nil:
		if w.took == nil {
			w.took = map[*State][]string{}
		}
		w.took[other] = append(w.took[other], p.Name)
	case r.Unit != "":
		return hint.With(fmt.Errorf("pod %s belongs to %s", p.Name, r.Unit), "give one of the two another name")
	}
	if r, err := w.Containers.LookupExact(p.Name); err == nil && r.Name == p.Name {
		return hint.With(fmt.Errorf("the name %s is in use by a container", p.Name), "podunit rm %s, or give the pod another name", p.Name)
	}
	for _, c := range p.Containers {
		r, err := w.Containers.LookupExact(c.Spec.Name)
		if err == nil && r.Name == c.Spec.Name && r.Unit != c.Unit && r.Spec.Pod != p.Name {
			return hint.With(fmt.Errorf("container %s of pod %s: there is a container %s already", c.Name, p.Name, r.Name), "podunit rm %s, or rename one of them", r.Name)
		}
	}
	names := []string{p.Unit}
	for _, c := range p.Containers {
		names = append(names, c.Unit)
	}
	if p.Cron != nil {
		names = []string{cronUnit(p) + ".timer", cronUnit(p) + ".service"}
	}
	for _, name := range names {
		u, err := w.Unit(ctx, name)
		if err != nil {
			return err
		}
		if u.Exists() && !u.Transient {
			return hint.With(unit.NameTakenError{Unit: name, Path: u.FragmentPath}, "rename the pod or container, or remove that unit file")
		}
	}
	return nil
}

// replacesOwn tells whether a play takes the place of an earlier one of its name. One that was killed
// has nobody who would miss it.
func (w *work) replacesOwn() bool { return w.Replace || w.Service || w.half }

func podExists(p *kube.Pod) error {
	return hint.With(fmt.Errorf("the name %s is in use: pod already exists", p.Name), "--replace takes its place, podunit kube down removes it")
}

// create makes a pod. It replaces what a power cut has left of the same pod, but not a pod that
// somebody has made since look, as pulling takes its time.
func (w *work) create(ctx context.Context, p *kube.Pod) (r pod.Record, err error) {
	s := p.Spec
	if s.Networking, err = networking(p, !w.alone); err != nil {
		return r, err
	}
	if s.Publish, err = spec.OnDefaultHosts(s.Publish, w.Pods.Containers.Config); err != nil {
		return r, err
	}
	r, err = w.Pods.LookupExact(p.Name)
	if err == nil && r.ID != w.seen[p.Name] {
		return r, podExists(p)
	}
	s.Replace = err == nil
	s.ExitPolicy = "continue"
	// Its service wants one. Chosen here, it does not have the record written twice.
	s.MainPIDFile = filepath.Join(w.Containers.RunDir, "pods", runner.NewID()+".pid")
	if ownIDs(p) {
		s.UserNS = spec.UserNS{Mode: spec.UserAuto, Size: idsNeeded(p)}
	}
	if r, err = w.Pods.Create(ctx, s, "", nil); err != nil {
		return r, err
	}
	w.mu.Lock()
	w.created = append(w.created, p)
	w.mu.Unlock()
	return r, nil
}

// pull gets the images of all containers, some at once.
func (w *work) pull(ctx context.Context) error {
	type job struct {
		s spec.Container
		r Registry
	}
	seen := map[string]bool{}
	var jobs, local []job // local are those that are not pulled: one of the others may bring them
	add := func(image string, how spec.Pull, r Registry) {
		if key := image + " " + how.Policy; !seen[key] {
			seen[key] = true
			list := &jobs
			if how.Policy == "never" {
				list = &local
			}
			*list = append(*list, job{spec.Container{Image: image, Pull: how}, r})
		}
	}
	for _, p := range w.st.Plan.Pods {
		r, err := w.logins(p)
		if err != nil {
			return err
		}
		for _, c := range p.Containers {
			add(c.Spec.Image, c.Spec.Pull, r)
			for _, name := range c.ImageVolumesFrom {
				add(name, localImage(name).Pull, r)
			}
		}
		for _, v := range p.Volumes {
			if v.Kind == kube.VolumeImage {
				how := spec.Defaults().Pull
				how.Policy = v.Pull
				add(v.Image, how, r)
			}
		}
	}
	get := func(ctx context.Context, j job) error {
		j.r.apply(&j.s.Pull)
		_, err := w.FindImage(ctx, &j.s)
		return err
	}
	if err := allOrNone(ctx, jobs, 3, get); err != nil {
		return err
	}
	return allOrNone(ctx, local, 3, get)
}

// begin notes what is about to be made.
func (w *work) begin() error {
	if w.old != nil {
		w.st.Plan = merged(w.plan, w.old.Plan)
	}
	err := errors.Join(w.store.keepSecrets(w.st.Name, w.st.Plan), os.MkdirAll(filepath.Dir(w.store.endPath(w.st.Name, "x")), 0o700),
		os.MkdirAll(filepath.Dir(w.store.handledPath(w.st.Name, "x")), 0o700), w.store.setHalf(w.st.Name), w.save())
	_ = os.Remove(w.store.mainPath(w.st.Name)) // of the unit's last run
	return err
}

// save notes the play. Each note costs two writes that wait for the disk, and at the end of a play
// that replaces nothing it would be the one of the beginning again.
func (w *work) save() error {
	data, err := json.Marshal(w.st)
	if err != nil || bytes.Equal(data, w.note) {
		return err
	}
	if err := w.store.write(w.st.Name, data); err != nil {
		return err
	}
	w.note = data
	return nil
}

// merged is a plan to which the pods of an old one are added as they were: until such a pod is
// stopped, its units must find themselves in the note, with the hooks that they were started with.
func merged(plan, old *kube.Plan) *kube.Plan {
	out := *plan
	out.Pods = slices.Clone(plan.Pods)
	for _, was := range old.Pods {
		i := slices.IndexFunc(out.Pods, func(q *kube.Pod) bool { return q.Name == was.Name })
		switch {
		case i < 0:
			out.Pods = append(out.Pods, was)
		case was.Cron == nil && out.Pods[i].Cron == nil:
			out.Pods[i] = was
		}
	}
	return &out
}

// noted puts a pod into the note as the plan has it, once the old containers that were to be
// stopped are.
func (w *work) noted(p *kube.Pod) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	plan := *w.st.Plan
	plan.Pods = slices.Clone(plan.Pods)
	for i, q := range plan.Pods {
		if q.Name == p.Name {
			plan.Pods[i] = p
		}
	}
	w.st.Plan = &plan
	return w.save()
}

// make makes volumes and pods, and takes down the old pods that the plan does not have any more.
func (w *work) make(ctx context.Context) error {
	if err := w.takeOver(ctx); err != nil {
		return err
	}
	if w.old != nil {
		for _, p := range w.old.Plan.Pods {
			if slices.ContainsFunc(w.plan.Pods, func(q *kube.Pod) bool { return q.Name == p.Name }) {
				continue
			}
			if err := w.takeAway(ctx, p); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(w.claims(ctx, w.plan), w.defaultNetwork(ctx)); err != nil {
		return err
	}
	if len(w.plan.Pods) > 0 && !w.Create {
		if err := w.startSlice(ctx); err != nil {
			return err
		}
	}
	if err := allOrNone(ctx, w.plan.Pods, len(w.plan.Pods), w.makePod); err != nil {
		return err
	}
	if err := w.keepSecrets(); err != nil {
		return err
	}
	w.st.Plan = w.plan
	return errors.Join(w.save(), w.store.setWhole(w.st.Name))
}

// makePod brings a pod to what the plan says. A running pod that has not changed goes on, and so do
// those of its containers that have not changed.
func (w *work) makePod(ctx context.Context, p *kube.Pod) error {
	if p.Cron != nil {
		return w.makeCron(ctx, p)
	}
	if w.old != nil {
		if was := w.old.pod(p.Name); was != nil {
			if r, keep := w.kept(ctx, was, p); keep && !w.Create {
				return w.change(ctx, r, was, p)
			}
			if err := w.takeAway(ctx, was); err != nil {
				return err
			}
			if err := w.noted(p); err != nil {
				return err
			}
		}
	}
	w.mu.Lock()
	w.made = append(w.made, p)
	w.mu.Unlock()
	r, err := w.create(ctx, p)
	if err != nil {
		return err
	}
	if w.Create || !p.Start {
		return nil
	}
	if err := w.startFirst(ctx, r, p); err != nil {
		return err
	}
	return w.start(ctx, r, p, p.Containers)
}

// takeAway takes down a pod of the old play. undo brings it back if it ran.
func (w *work) takeAway(ctx context.Context, was *kube.Pod) error {
	ran, err := w.runs(ctx, was)
	if err != nil {
		return err
	}
	if ran {
		w.mu.Lock()
		w.ended = append(w.ended, was)
		w.mu.Unlock()
	}
	return w.takeDown(ctx, w.old, was, &Gone{})
}

// runs tells whether a pod runs; of a CronJob, whether its timer does.
func (w *work) runs(ctx context.Context, one *kube.Pod) (bool, error) {
	if one.Cron != nil {
		u, err := w.Unit(ctx, cronUnit(one)+".timer")
		return u.ActiveState == "active", err
	}
	r, err := w.Pods.LookupExact(one.Name)
	if errors.Is(err, pod.ErrNotFound) {
		return false, nil
	}
	return err == nil && w.Pods.Status(r).InfraPID != 0, err
}

// kept tells whether a pod goes on: it runs, has the IDs that its document needs, and nothing of
// what all its containers share has changed, nor any of those that run before the others.
func (w *work) kept(ctx context.Context, was, now *kube.Pod) (pod.Record, bool) {
	r, err := w.Pods.LookupExact(now.Name)
	if err != nil || w.Pods.Status(r).InfraPID == 0 || was.Digest != now.Digest || w.halted[now.Name] == r.ID ||
		ownIDs(now) && idsNeeded(now) > idsNeeded(was) {
		return r, false
	}
	first := func(p *kube.Pod) (out []string) {
		for _, c := range p.Containers {
			if c.Role != kube.Ordinary {
				out = append(out, c.Name+" "+c.Digest)
			}
		}
		return out
	}
	return r, slices.Equal(first(was), first(now))
}

// exchange records what this play has done in a pod that goes on.
type exchange struct {
	pod      pod.Record
	was, now *kube.Pod
	stopped  []*kube.Container // of was: they ran
	started  []*kube.Container // of now, or about to be
}

// change starts those containers of a running pod anew that have changed, or do not run.
func (w *work) change(ctx context.Context, r pod.Record, was, now *kube.Pod) error {
	x := &exchange{pod: r, was: was, now: now}
	w.mu.Lock()
	w.changed = append(w.changed, x)
	w.mu.Unlock()
	stop := func(c *kube.Container) error {
		u, err := w.Unit(ctx, c.Unit)
		if err != nil {
			return err
		}
		if before := container(was, c.Name); before != nil && u.ActiveState == "active" {
			x.stopped = append(x.stopped, before)
		}
		return w.StopUnit(ctx, c.Unit)
	}
	for _, c := range was.Containers {
		if container(now, c.Name) == nil {
			if err := stop(c); err != nil {
				return err
			}
			w.ForgetUnit(ctx, c.Unit)
		}
	}
	var anew []*kube.Container
	for _, c := range now.Containers {
		if c.Role == kube.Init {
			continue // it has run in this pod
		}
		before := container(was, c.Name)
		u, err := w.Unit(ctx, c.Unit)
		if err != nil {
			return err
		}
		if before != nil && before.Digest == c.Digest && u.ActiveState == "active" {
			continue
		}
		if err := stop(c); err != nil {
			return err
		}
		anew = append(anew, c)
	}
	if err := w.noted(now); err != nil {
		return err
	}
	x.started = anew
	return w.start(ctx, r, now, anew)
}

// stopStarted stops what was started in a pod that goes on.
func (w *work) stopStarted(ctx context.Context, x *exchange) error {
	var errs []error
	for _, c := range x.started {
		errs = append(errs, w.StopUnit(ctx, c.Unit))
		if container(x.was, c.Name) == nil {
			w.ForgetUnit(ctx, c.Unit)
		}
	}
	return errors.Join(errs...)
}

// undo takes away what this play has made, and starts again what it has stopped: containers of pods
// that go on, and pods that it has replaced, its own and those of other plays.
func (w *work) undo(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	errs := []error{w.undoOwn(short)}
	for _, t := range w.taken {
		short, cancel := context.WithTimeout(ctx, 2*time.Minute)
		errs = append(errs, w.giveBack(short, t))
		cancel()
	}
	return errors.Join(errs...)
}

// undoOwn is undo for the pods of this play.
func (w *work) undoOwn(ctx context.Context) error {
	var errs []error
	for _, p := range w.created {
		errs = append(errs, w.takeDown(ctx, w.st, p, &Gone{}))
	}
	if w.old == nil {
		errs = append(errs, w.dropVolumes(ctx, w.st.Plan.Pods))
		return errors.Join(append(errs, w.dropSecrets(w.st, nil, &Gone{}), w.stopSlices(ctx, w.st), w.store.forget(w.st.Name))...)
	}
	for _, x := range w.changed {
		errs = append(errs, w.stopStarted(ctx, x), w.unask(ctx, x))
	}
	// What goes on is as it was. What has ended comes into the note when it is brought back.
	old := *w.old
	plan := *w.old.Plan
	gone := slices.Concat(w.made, w.ended)
	plan.Pods = slices.DeleteFunc(slices.Clone(plan.Pods), func(p *kube.Pod) bool {
		return slices.ContainsFunc(gone, func(q *kube.Pod) bool { return q.Name == p.Name })
	})
	old.Plan = &plan
	errs = append(errs, w.store.restoreSecrets(old.Name, w.former), w.store.save(&old), w.dropVolumes(ctx, w.made))
	if !w.half {
		errs = append(errs, w.store.setWhole(old.Name))
	}
	before := &work{Player: w.Player, Options: w.Options, st: &old, plan: &plan, alone: w.alone}
	before.Create = false // what ran runs again
	for _, x := range w.changed {
		errs = append(errs, before.start(ctx, x.pod, x.was, x.stopped))
	}
	for _, p := range w.ended {
		errs = append(errs, before.bringBack(ctx, p))
	}
	return errors.Join(errs...)
}

// bringBack makes a pod again that ran before a play which has failed. One that does not start any
// more is gone; one that cannot be taken down either stays in the note, so that podunit kube down
// finds it.
func (w *work) bringBack(ctx context.Context, p *kube.Pod) error {
	plan := *w.st.Plan
	plan.Pods = append(slices.Clone(plan.Pods), p)
	w.st.Plan, w.plan = &plan, &plan
	err := w.store.save(w.st)
	if err == nil && p.Cron == nil {
		err = w.takeDown(ctx, w.st, p, &Gone{}) // the play may have been interrupted at that
	}
	if err == nil {
		err = w.makePod(ctx, p)
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("pod %s, as it was before: %w", p.Name, err)
	// The time that undo has may be what has run out.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if derr := w.takeDown(ctx, w.st, p, &Gone{}); derr != nil {
		return errors.Join(err, derr)
	}
	plan.Pods = plan.Pods[:len(plan.Pods)-1]
	return errors.Join(err, w.store.save(w.st))
}

// dropVolumes removes the volumes that this play has made.
func (w *work) dropVolumes(ctx context.Context, pods []*kube.Pod) error {
	g := w.going(pods, w.st.Unit)
	var errs []error
	for _, name := range w.volumes {
		errs = append(errs, w.dropVolume(ctx, name, g, &Gone{}))
	}
	return errors.Join(errs...)
}

func (s store) mainPath(play string) string { return filepath.Join(s.dir(play), "main.pid") }

// stay leaves a small process in the place of this one, with which the unit lives and ends.
func (w *work) stay(ctx context.Context) error {
	if len(w.st.Plan.Pods) == 0 {
		return nil
	}
	if u, err := w.Unit(ctx, w.Own.Name); err != nil || u.Type == "oneshot" {
		return err
	}
	// The process must be a child of the manager: the manager does not wait for the end of a main
	// process that is not its child, and kills it.
	infra, err := helper.Infra{Namespaces: unix.CLONE_PARENT}.Start(startHere)
	if err != nil {
		return fmt.Errorf("start the process of %s: %w", w.Own.Name, err)
	}
	if err := infra.Close(); err != nil {
		return err
	}
	os.Unsetenv(notify.Env)
	if err := w.Containers.User.Keep(infra.PID); err != nil {
		return err
	}
	say := append([]string{notify.MainPID(infra.PID)}, notify.Ready(w.status())...)
	if err := errors.Join(w.Notify.Send(say...), w.Notify.Barrier(ctx)); err != nil {
		return err
	}
	note := fmt.Appendf(nil, "%d %d\n", infra.PID, process.StartTicks(infra.PID))
	if err := safe.Replace(w.store.mainPath(w.st.Name), note, 0o600); err != nil {
		return err
	}
	return w.settle(w.st) // they may have ended meanwhile
}

// status is the unit's status line: it says how its pods can be looked at.
func (w *work) status() string {
	var names []string
	for _, p := range w.st.Plan.Pods {
		names = append(names, p.Name)
	}
	return "pods: " + strings.Join(names, ", ") + "; all of it: " + unit.StatusWords(w.st.Slice, w.User.Rootless())
}

// settle ends the unit of a play whose pods have all ended.
func (p *Player) settle(st *State) error {
	var pid int
	var ticks uint64
	note, err := os.ReadFile(p.store.mainPath(st.Name))
	if err != nil {
		return nil //nolint:nilerr // there is none, or not yet: stay looks again
	}
	if _, err := fmt.Sscan(string(note), &pid, &ticks); err != nil {
		return err
	}
	code := 0
	failed, all := 0, 0
	for _, one := range st.Plan.Pods {
		if !one.Start {
			continue
		}
		e, over := p.store.endOf(st.Name, one.Name)
		if !over {
			return nil
		}
		all++
		if e.Code != 0 {
			failed++
		}
		if e.Broken {
			code = 1
		}
	}
	if st.Exit == "any" && failed > 0 || st.Exit == "all" && failed == all {
		code = 1
	}
	sig := unix.SIGTERM // a success
	if code != 0 {
		sig = unix.SIGKILL
	}
	return process.End(pid, ticks, sig, time.Second)
}

// played lists the pods and containers that there are now.
func (w *work) played() (*Played, error) {
	out := &Played{Name: w.st.Name}
	for _, c := range w.st.Plan.Claims {
		if c.Host == "" {
			out.Volumes = append(out.Volumes, c.Name)
		}
	}
	for _, s := range w.st.Plan.Secrets {
		if stored, err := w.Containers.Secrets.Store.Lookup(s.Name); err == nil {
			out.Secrets = append(out.Secrets, stored.ID)
		}
	}
	for _, p := range w.st.Plan.Pods {
		r, err := w.Pods.LookupExact(p.Name)
		if errors.Is(err, pod.ErrNotFound) {
			continue // a pod that ends by itself, and has
		}
		if err != nil {
			return nil, err
		}
		one := PlayedPod{ID: r.ID}
		for _, c := range p.Containers {
			if c.Role == kube.Init {
				continue
			}
			if r, err := w.Containers.LookupExact(c.Spec.Name); err == nil {
				one.Containers = append(one.Containers, r.ID)
			}
		}
		out.Pods = append(out.Pods, one)
	}
	return out, nil
}

// together calls do for each of all, with a limit on how many at once, and joins their errors.
func together[T any](ctx context.Context, all []T, most int, do func(context.Context, T) error) error {
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	places := make(chan struct{}, max(most, 1))
	for i, one := range all {
		wait.Add(1)
		go func() {
			defer wait.Done()
			places <- struct{}{}
			defer func() { <-places }()
			errs[i] = do(ctx, one)
		}()
	}
	wait.Wait()
	return errors.Join(errs...)
}

// allOrNone is together for calls that are of use only if all succeed: the first error cancels the
// others, and their errors of having been cancelled are left out.
func allOrNone[T any](ctx context.Context, all []T, most int, do func(context.Context, T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	failed := false
	return together(ctx, all, most, func(ctx context.Context, one T) error {
		err := ctx.Err()
		if err == nil {
			err = do(ctx, one)
		}
		mu.Lock()
		defer mu.Unlock()
		if failed && errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			failed = true
			cancel()
		}
		return err
	})
}
