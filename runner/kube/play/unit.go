// SPDX-License-Identifier: Apache-2.0

package play

import (
	"slices"
	"strconv"
	"time"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/unit"
	"golang.org/x/sys/unix"
)

const (
	// startTime is what a container has to start, besides what its probes and hooks may take.
	startTime = 90 * time.Second
	// stopMargin is how much longer the manager waits for a stop than the container's own time and
	// the two seconds that a preStop hook may add.
	stopMargin = 32 * time.Second
)

// command is podunit with the global flags that this process got.
func (p *Player) command(runtime string, words ...string) []string {
	out := []string{p.Program}
	for _, m := range p.Modules {
		out = append(out, "--module="+m)
	}
	if runtime == "" {
		runtime = p.Runtime
	}
	if runtime != "" {
		out = append(out, "--runtime="+runtime)
	}
	return append(out, words...)
}

// containerUnit is the service of a container.
func (p *Player) containerUnit(st *State, pod *kube.Pod, c *kube.Container) unit.Service {
	s := unit.Service{
		Description:  "Container " + c.Name + " of pod " + pod.Name,
		Start:        p.command(pod.Runtime, "kube", "start-container", st.Name, pod.Name, c.Name),
		Stop:         p.command(pod.Runtime, "rm", "-v", "-f", "-i", "-t", strconv.Itoa(int(c.Grace.Seconds())), c.Spec.Name),
		StopPost:     p.command(pod.Runtime, "kube", "ended", st.Name, pod.Name, c.Name),
		Environment:  p.ServiceEnvironment(c.Unit),
		Directory:    p.Directory,
		Identifier:   c.Spec.Name,
		BindsTo:      []string{pod.Unit},
		After:        []string{pod.Unit},
		StartTimeout: startTime + c.StartTimeout,
		StopTimeout:  c.Grace + stopMargin,
		Slice:        podSlice(st, pod),
		Settings:     map[string]any{},
	}
	if c.PreStop != nil || c.Liveness != nil && c.Liveness.Grace != nil {
		s.Stop = p.command(pod.Runtime, "kube", "stop-container", st.Name, pod.Name, c.Name)
	}
	if c.Role == kube.Init {
		s.Type, s.Remain = "oneshot", true
		s.StartTimeout = -1 // it may take as long as it needs
	} else {
		restart(&s, pod, c)
	}
	// systemd stops in the reverse order: sidecars after the ordinary ones.
	for _, name := range c.After {
		if before := container(pod, name); before != nil && before.Role == kube.Sidecar {
			s.After = append(s.After, before.Unit)
		}
	}
	if c.Role == kube.Ordinary {
		for _, before := range pod.Containers {
			if before.Role == kube.Sidecar && !slices.Contains(s.After, before.Unit) {
				s.After = append(s.After, before.Unit)
			}
		}
	}
	s.Twice = endsForGood(c)
	resources(s.Settings, c.Resources)
	return s
}

// endsForGood reports whether a container may end so that the manager does not start it again: then
// only its end itself can say that. Of an init container whose failures are tried again, its play
// needs no word.
func endsForGood(c *kube.Container) bool {
	if c.Role == kube.Init {
		return len(c.Restart.PodOn) > 0 || c.Restart.Policy == "no"
	}
	return c.Restart.Policy != "always" || len(c.Restart.Prevent)+len(c.Restart.PodOn) > 0
}

// podUnit completes the service of a pod. It names the volumes of the pod, so that nobody takes them
// for unused while one of its containers does not run: see package claim.
func (p *Player) podUnit(u *unit.Service, st *State, one *kube.Pod) {
	play := st.Name
	u.Slice = podSlice(st, one)
	u.Restart = "no"
	u.Stop = nil // the manager ends its first process, and PodEnded does the rest
	u.StopPost = p.command("", "kube", "ended", play, one.Name)
	for _, v := range one.Volumes {
		if word := "--volume=" + v.Claim + ":"; v.Kind == kube.VolumeClaim && !slices.Contains(u.StopPost, word) {
			u.StopPost = append(u.StopPost, word)
		}
	}
	if slices.ContainsFunc(one.Volumes, func(v *kube.Volume) bool { return v.Kind == kube.VolumeMemory }) {
		u.StartPost = p.command("", "kube", "hold", play, one.Name)
	}
	limit := one.Deadline
	if one.Job != nil && one.Job.Deadline > 0 && (limit == 0 || one.Job.Deadline < limit) {
		limit = one.Job.Deadline
	}
	u.Twice = true // the pod may be the last one, and nobody else ends the play
	if limit > 0 {
		u.Settings = map[string]any{"RuntimeMaxUSec": uint64(limit.Microseconds())}
	}
}

// restart sets the restart policy of a container's service.
func restart(s *unit.Service, pod *kube.Pod, c *kube.Container) {
	s.Restart = c.Restart.Policy
	if pod.Job != nil && c.Role == kube.Ordinary && (pod.Job.BackoffLimit > 0 || len(pod.Job.Rules) > 0) {
		s.Restart, s.MaxRestarts = "on-failure", uint(pod.Job.BackoffLimit)
		if len(pod.Job.Rules) > 0 {
			s.MaxRestarts = 0 // not every failure counts: see judged
		}
	}
	if (s.Restart == "no" || s.Restart == "") && len(c.Restart.Force) == 0 {
		return
	}
	prevent := slices.Concat(c.Restart.Prevent, c.Restart.PodOn) // of these, Again starts it
	// The manager starts the service again after an exit status in RestartForceExitStatus=,
	// whatever Restart= says.
	set := s.Settings
	if c.Restart.First > 0 {
		set["RestartUSec"] = uint64(c.Restart.First.Microseconds())
	}
	if c.Restart.Steps > 0 {
		set["RestartSteps"] = uint32(c.Restart.Steps)
		set["RestartMaxDelayUSec"] = uint64(c.Restart.Max.Microseconds())
	}
	if len(c.Restart.Force) > 0 {
		set["RestartForceExitStatus"] = statuses(c.Restart.Force)
	}
	if len(prevent) > 0 {
		set["RestartPreventExitStatus"] = statuses(prevent)
	}
}

// exitStatuses are numbers of exit statuses and signals, signature (aiai).
type exitStatuses struct{ Codes, Signals []int32 }

func statuses(words []string) exitStatuses {
	out := exitStatuses{Codes: []int32{}, Signals: []int32{}}
	for _, w := range words {
		if n, err := strconv.Atoi(w); err == nil {
			out.Codes = append(out.Codes, int32(n))
		} else if sig := unix.SignalNum(w); sig != 0 {
			out.Signals = append(out.Signals, int32(sig))
		}
	}
	return out
}

// resources sets what the runtime does not set; limits are in the container's own cgroup.
func resources(set map[string]any, r kube.Resources) {
	if r.CPUWeight > 0 {
		set["CPUWeight"] = r.CPUWeight
	}
}
