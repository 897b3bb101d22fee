// SPDX-License-Identifier: Apache-2.0

package play

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/service"
)

// Ended is what the services of containers and pods execute when they have ended. Some execute it
// twice, and the second one completes what a killed one has left: see HasEnded.
func (p *Player) Ended(ctx context.Context, play, podName, name string) error {
	words, do := []string{podName}, p.PodEnded
	if name != "" {
		words = append(words, name)
		do = func(ctx context.Context, play, podName string) error {
			return p.ContainerEnded(ctx, play, podName, name)
		}
	}
	if err := do(ctx, play, podName); err != nil {
		return err
	}
	run, _ := p.Lookup("INVOCATION_ID")
	return p.store.setHandled(play, run, words...)
}

// HasEnded tells that Ended has done its work in this run of the unit. It needs no storage.
func HasEnded(e *service.Engine, play string, words ...string) bool {
	run, ok := e.Lookup("INVOCATION_ID")
	return ok && store{run: runDir(e)}.handled(play, words...) == run
}

// ContainerEnded does what Ended does for a container. It removes what is left, and ends the pod if
// this was the last container that keeps it alive.
func (p *Player) ContainerEnded(ctx context.Context, play, podName, name string) error {
	st, one, c, err := p.find(play, podName, name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	code, known := p.ExitCode()
	p.lastWords(podName, c)
	calm := p.remove(ctx, c)
	done, err := p.ShareManager(ctx)
	if err != nil {
		return err
	}
	defer done()
	if c.Role == kube.Init {
		if err := p.noteExit(play, podName, name); err != nil {
			return err
		}
	}
	if p.overBefore(play, podName, name) {
		job, err := p.Asked(ctx, p.Own.Name)
		if err != nil || job != "" && job != "stop" {
			return err
		}
		return p.settleContainer(ctx, st, one, job == "" && !p.endsAll(c) && p.startsAgain(ctx, c))
	}
	// Somebody else may have it in hand: its stop, or its next start. Of a start that it fails
	// itself, its rules count.
	if job, err := p.Asked(ctx, p.Own.Name); err != nil || job != "" && (job != "start" || !p.endsAll(c)) {
		return err
	}
	again := false
	if p.endsAll(c) {
		if over, err := p.again(ctx, st, one, c); err != nil || !over {
			return err
		}
	} else {
		again = p.startsAgain(ctx, c)
	}
	spent := false
	if again {
		if spent, err = p.spent(ctx, st, one, c, code); err != nil {
			return err
		}
	}
	if again && !spent {
		if calm {
			// It ran long enough for the delays to begin anew.
			return p.ForgetRestarts(ctx, p.Own.Name)
		}
		return nil
	}
	if job, err := p.Asked(ctx, p.Own.Name); err != nil || job != "" || c.Role != kube.Ordinary {
		return err // somebody has taken it in hand meanwhile, or it does not keep the pod alive
	}
	if !known {
		code = 1
	}
	run, _ := p.Lookup("INVOCATION_ID")
	if err := p.store.ended(play, end{Code: code, Run: run}, podName, name); err != nil {
		return err
	}
	return p.settleContainer(ctx, st, one, spent)
}

// overBefore tells whether an Ended that was killed has noted that the container has ended for good
// in this run of its unit. It may have asked for the unit's stop, too, which is nobody else's then.
func (p *Player) overBefore(play, podName, name string) bool {
	run, ok := p.Lookup("INVOCATION_ID")
	e, over := p.store.endOf(play, podName, name)
	return ok && over && e.Run == run
}

// settleContainer does what is left when a container's end for good is noted. again tells that the
// manager would start it again.
func (p *Player) settleContainer(ctx context.Context, st *State, one *kube.Pod, again bool) error {
	if again {
		// Without this the manager would try once more, start the pod for that, and only then find
		// that the container may not start.
		if err := p.AskUnit(ctx, "stop", p.Own.Name); err != nil {
			return err
		}
	}
	return p.settlePod(st, one)
}

// startsAgain reports whether the manager starts the unit of a container again by itself. The
// unit's lists of exit statuses come before its Restart=.
func (p *Player) startsAgain(ctx context.Context, c *kube.Container) bool {
	code, _ := p.Lookup("EXIT_CODE")
	status, _ := p.Lookup("EXIT_STATUS")
	again, said := byStatus(c.Restart, code, status)
	if !said {
		return p.StartsAgain(ctx)
	}
	return again
}

// byStatus looks up an exit status in a container's lists: whether the container starts again, and
// whether a list has the status at all. code and status are $EXIT_CODE and $EXIT_STATUS of
// systemd.exec(5): exited and a number, killed or dumped and a signal's name. Source:
// systemd.service(5), RestartPreventExitStatus=, which is stronger than RestartForceExitStatus=.
func byStatus(r kube.Restart, code, status string) (again, said bool) {
	if code == "killed" || code == "dumped" {
		status = "SIG" + status
	}
	switch {
	case slices.Contains(r.Prevent, status):
		return false, true
	case slices.Contains(r.Force, status):
		return true, true
	}
	return false, false
}

// spent tells whether a job's container has failed as often as it may, or in a way for which a rule
// ends the job.
func (p *Player) spent(ctx context.Context, st *State, one *kube.Pod, c *kube.Container, code int) (bool, error) {
	if one.Job == nil || c.Role != kube.Ordinary {
		return false, nil
	}
	if len(one.Job.Rules) > 0 {
		return p.judged(st, one, c, code)
	}
	u, err := p.Unit(ctx, p.Own.Name)
	return err == nil && u.Restarts >= one.Job.BackoffLimit, nil
}

// remove removes the ended container and reports whether it had run for long.
func (p *Player) remove(ctx context.Context, c *kube.Container) (calm bool) {
	r, err := p.Containers.LookupExact(c.Spec.Name)
	if err != nil || r.Unit != p.Own.Name {
		return false
	}
	if s, err := p.Containers.Status(r.ID); err == nil && !s.StartedAt.IsZero() && c.Restart.Calm > 0 {
		calm = time.Since(s.StartedAt) >= c.Restart.Calm
	}
	if err := p.Remove(ctx, r, service.Removal{Force: true, Volumes: true, Timeout: c.Grace}); err != nil && !errors.Is(err, runner.ErrNotFound) {
		p.Warn(fmt.Sprintf("container %s: %v", r.Name, err)) // its next start removes it
	}
	return calm
}

// maxMessage is how much of a container's last words counts, in bytes. Source: kubernetes.io,
// Determine the Reason for Pod Failure.
const maxMessage = 4096

// lastWords makes what the container has written as its termination message the status of its unit.
func (p *Player) lastWords(podName string, c *kube.Container) {
	r, err := p.Pods.LookupExact(podName)
	if err != nil {
		return
	}
	data, err := safe.ReadFile(p.messagePath(r.ID, c.Name), maxMessage)
	if err != nil {
		return
	}
	if text := strings.TrimSpace(string(bytes.ToValidUTF8(data, []byte("?")))); text != "" {
		_ = p.Notify.Send(notify.Status(text)) // only a line less
		p.Warn("container " + c.Name + " said at its end: " + text)
	}
}

// settlePod ends a pod whose ordinary containers have all ended for good: with its first process its
// service ends, and takes sidecars along.
func (p *Player) settlePod(st *State, one *kube.Pod) error {
	for _, c := range one.Containers {
		if c.Role != kube.Ordinary {
			continue
		}
		if _, over := p.store.endOf(st.Name, one.Name, c.Name); !over {
			return nil
		}
	}
	r, err := p.Pods.LookupExact(one.Name)
	if errors.Is(err, pod.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.Pods.EndInfra(r)
}

// PodEnded does what Ended does for a pod. It stops what is left of the pod, and ends the unit of
// the play if this was its last pod.
func (p *Player) PodEnded(ctx context.Context, play, podName string) error {
	r, err := p.Pods.LookupExact(podName)
	if err == nil {
		err = p.Pods.Stop(ctx, r, pod.OwnTimes)
	}
	if err != nil && !errors.Is(err, pod.ErrNotFound) {
		p.Warn(fmt.Sprintf("pod %s: %v", podName, err)) // its next start, or its removal, tries again
	}
	st, err := p.store.load(play)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	one := st.pod(podName)
	if one == nil {
		return nil
	}
	job, err := p.Asked(ctx, p.Own.Name)
	if err != nil || job == "restart" {
		return err
	}
	var e end
	for _, c := range one.Containers {
		if c.Role != kube.Ordinary {
			continue
		}
		how, over := p.store.endOf(play, podName, c.Name)
		if over && how.Code != 0 {
			e.Code = how.Code
		}
	}
	if result, _ := p.Lookup("SERVICE_RESULT"); result != "success" {
		e.Code, e.Broken = max(e.Code, 1), true
	}
	if err := p.store.ended(play, e, podName); err != nil {
		return err
	}
	if err = p.settle(st); job == "" { // else somebody takes it down
		err = errors.Join(err, p.expire(ctx, st, one))
	}
	return err
}

// drop removes what belongs to a pod and lies outside of its record.
func (s store) drop(podID string) error {
	return errors.Join(os.RemoveAll(s.podData(podID)), os.RemoveAll(s.podFiles(podID)))
}

// sweep removes what drop does, for pods that were removed by another way than a down, or by one
// that was killed before it came to that.
func (p *Player) sweep() error {
	var found []string
	for _, dir := range []string{filepath.Dir(p.store.podData("x")), filepath.Dir(p.store.podFiles("x"))} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // nothing was made yet
		}
		for _, e := range entries {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	// The records are read only now: a pod that is being made has its record before the rest.
	pods, err := p.Pods.List()
	errs := []error{err}
	for _, path := range found {
		if err == nil && !slices.ContainsFunc(pods, func(r pod.Record) bool { return r.ID == filepath.Base(path) }) {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}
