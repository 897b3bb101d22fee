// SPDX-License-Identifier: Apache-2.0

package play

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/bundle"
	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"golang.org/x/sys/unix"
)

func startHere(cmd *exec.Cmd) error { return cmd.Start() }

// startOnce starts containers of a pod that runs: init containers and sidecars one after the other,
// then the ordinary ones in their order.
func (w *work) startOnce(ctx context.Context, r pod.Record, p *kube.Pod, list []*kube.Container) error {
	if err := w.prepareVolumes(ctx, r, p, list); err != nil {
		return fmt.Errorf("pod %s: %w", p.Name, err)
	}
	begun := make(chan error, len(list))
	running := 0
	var errs []error
	for _, c := range list {
		if err := errors.Join(w.store.lives(w.st.Name, p.Name, c.Name), w.store.setFailures(w.st.Name, 0, "", p.Name, c.Name)); err != nil {
			return err
		}
		switch {
		case c.Role == kube.Init:
			if err := w.runInit(ctx, r, p, c); err != nil {
				return err
			}
		case c.Role == kube.Sidecar, c.PostStart != nil:
			if err := w.startContainer(ctx, p, c); err != nil {
				return err
			}
		default:
			running++
			go func() { begun <- w.startContainer(ctx, p, c) }()
		}
	}
	for range running {
		errs = append(errs, <-begun)
	}
	return errors.Join(errs...)
}

// startContainer starts the service of a container and waits until it is ready.
func (w *work) startContainer(ctx context.Context, p *kube.Pod, c *kube.Container) error {
	s := w.containerUnit(w.st, p, c)
	if _, plain := w.plain.Load(true); plain {
		steady(&s)
	}
	start := w.StartUnit
	if restarted(p, c) {
		if err := w.store.setVerdict(w.st.Name, verdict{}, p.Name, c.Name, beginning); err != nil {
			return err
		}
		start = func(ctx context.Context, name string, s unit.Service) error {
			return w.TryUnit(ctx, name, s, func(err error) error { return w.untilBegun(ctx, p, c, err) })
		}
	}
	err := start(ctx, c.Unit, s)
	if failed := (unit.JobError{}); err != nil && s.Settings["RestartSteps"] != nil && !errors.As(err, &failed) && unknownSetting(err) {
		w.plain.Store(true, true)
		steady(&s)
		err = start(ctx, c.Unit, s)
	}
	if err != nil {
		return fmt.Errorf("container %s of pod %s: %w", c.Name, p.Name, err)
	}
	return nil
}

// steady takes the settings of a growing delay out of a service: systemd knows them since version
// 254.
func steady(s *unit.Service) {
	if s.Settings["RestartSteps"] != nil {
		delete(s.Settings, "RestartSteps")
		delete(s.Settings, "RestartMaxDelayUSec")
		s.Settings["RestartUSec"] = uint64((5 * time.Second).Microseconds())
	}
}

// unknownSetting tells that the manager does not know one of the settings of a growing delay.
func unknownSetting(err error) bool {
	return strings.Contains(err.Error(), "RestartSteps") || strings.Contains(err.Error(), "RestartMaxDelay")
}

const (
	// initFirst and initMost are the delays between the tries of an init container, which double.
	initFirst, initMost = time.Second, 5 * time.Minute
	// initTries is how many tries of an init container a play from a shell waits for; in a service
	// the start timeout ends the wait.
	initTries = 5
)

// runInit runs an init container until it has succeeded, or until all containers are to start anew.
func (w *work) runInit(ctx context.Context, r pod.Record, p *kube.Pod, c *kube.Container) error {
	delay := initFirst
	for try := 1; ; try++ {
		_ = w.Notify.Send(notify.Status("init container " + c.Name + " of pod " + p.Name)) // only a line less
		if err := w.forgetExit(p, c); err != nil {
			return err
		}
		err := w.startContainer(ctx, p, c)
		if err == nil {
			return nil
		}
		if !w.triesAgain(p, c) || w.allAsked(r, p) || ctx.Err() != nil || !w.Service && try == initTries {
			return err
		}
		w.Warn(fmt.Sprintf("init container %s of pod %s failed, and is tried again in %s", c.Name, p.Name, delay))
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(delay):
		}
		delay = min(2*delay, initMost)
	}
}

// lastExit is the name of the note on the last end of an init container: as Why, $EXIT_CODE and
// $EXIT_STATUS.
const lastExit = "exit"

// noteExit notes how an init container has ended, for the play that waits for it.
func (p *Player) noteExit(play, podName, name string) error {
	code, _ := p.Lookup("EXIT_CODE")
	status, _ := p.Lookup("EXIT_STATUS")
	return p.store.setVerdict(play, verdict{Why: code + " " + status}, podName, name, lastExit)
}

// forgetExit removes that note, so that a start which fails without an end of the container is not
// taken for the last end.
func (w *work) forgetExit(p *kube.Pod, c *kube.Container) error {
	return w.store.forgetVerdict(w.st.Name, p.Name, c.Name, lastExit)
}

// triesAgain reports whether an init container that has failed is tried again: what its rules say
// of the exit status comes before its policy. After an end for which all containers are to start
// anew, it alone is not.
func (w *work) triesAgain(p *kube.Pod, c *kube.Container) bool {
	code, status, _ := strings.Cut(w.store.verdict(w.st.Name, p.Name, c.Name, lastExit).Why, " ")
	if code == "exited" && slices.Contains(c.Restart.PodOn, status) {
		return false
	}
	if again, said := byStatus(c.Restart, code, status); said {
		return again
	}
	return c.Restart.Policy != "no"
}

// StartContainer is what the service of a container executes.
func (p *Player) StartContainer(ctx context.Context, play, podName, name string) (code int, err error) {
	st, one, c, err := p.find(play, podName, name)
	if err != nil {
		return 0, err
	}
	if err := p.store.lives(play, podName, name); err != nil {
		return 0, err
	}
	r, err := p.Pods.LookupExact(podName)
	if err != nil {
		return 0, err
	}
	asked := c.Spec
	how, err := p.loginsOf(st, one)
	if err != nil {
		p.Warn(err.Error()) // the image may be there
	}
	how.apply(&asked.Pull)
	if asked.Pull.Policy != "never" {
		asked.Pull.Policy = "missing" // the play has pulled
	}
	img, err := p.FindImage(ctx, &asked)
	if err != nil {
		return 0, err
	}
	facts := p.facts(st, r, one)
	resolved, err := c.Resolve(kube.Image{Config: img.Config, LookUp: func(user string) (int64, error) {
		return 0, fmt.Errorf("the image names its user %s, which only its files could tell", user)
	}}, facts)
	if err != nil {
		return 0, err
	}
	s := resolved.Spec
	s.Pull, s.Replace, s.Remove, s.Detach = asked.Pull, false, true, c.Role != kube.Init
	if s.SdNotify == "ignore" {
		s.SdNotify = "conmon"
	}
	grace := c.Grace
	s.StopTimeout = &grace
	if s.Mounts, err = p.mounts(ctx, r, one, c, resolved.Mounts); err != nil {
		return 0, err
	}
	if err := p.inherit(ctx, r, one, c, facts, &s); err != nil {
		return 0, err
	}
	s.OnlyGroups, s.MakeWorkDir = c.GroupsStrict, true
	more := service.Addition{Secret: runner.Secret{Env: resolved.SecretEnv}}
	if resolved.SecretWords {
		if more.Secret.Args, err = bundle.Args(&s, &img.Config); err != nil {
			return 0, err
		}
		// The record has the words as the document has them.
		s.Command, s.Entrypoint = c.Process.Args, nil
		if len(c.Process.Command) > 0 {
			s.Command, s.Entrypoint = append(append([]string{}, c.Process.Command...), c.Process.Args...), []string{}
		}
	}
	if c.Role != kube.Init {
		more.Begun = p.begun(st, r, one, c)
	}
	return p.RunInService(ctx, &s, more)
}

// find finds a container of a play.
func (p *Player) find(play, podName, name string) (*State, *kube.Pod, *kube.Container, error) {
	st, err := p.store.load(play)
	if err != nil {
		return nil, nil, nil, err
	}
	one := st.pod(podName)
	if one == nil {
		return nil, nil, nil, fmt.Errorf("%s has no pod %s", play, podName)
	}
	c := container(one, name)
	if c == nil {
		return nil, nil, nil, fmt.Errorf("pod %s has no container %s", podName, name)
	}
	return st, one, c, nil
}

// facts are what a pod can learn of its machine by the downward API.
func (p *Player) facts(st *State, r pod.Record, one *kube.Pod) kube.Facts {
	f := kube.Facts{Name: one.Name, UID: uid(r.ID), CPU: int64(runtime.NumCPU()), PodIP: p.Pods.Status(r).IPs}
	f.Node, _ = os.Hostname()
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		f.Memory = int64(info.Totalram) * int64(info.Unit)
	}
	if ip := hostAddress(); ip.IsValid() {
		f.HostIP = []string{ip.String()}
	}
	if len(f.PodIP) == 0 {
		f.PodIP = f.HostIP
	}
	var own hidden
	stored := lookUp(p.Engine)
	f.Secret = func(name, key string) ([]byte, error) {
		if key == "" { // it was stored as one value
			s := stored(name)
			return s.data, s.err
		}
		if own == nil {
			// After a boot there are no noted values; those that the play has put into the store
			// are the same.
			var err error
			if own, err = p.store.secrets(st.Name); err != nil {
				own = hidden{}
			}
		}
		if v, ok := own[name][key]; ok {
			return v, nil
		}
		s := stored(name)
		if s.err != nil {
			return nil, s.err
		}
		v, ok := s.keys[key]
		if !ok {
			return nil, fmt.Errorf("secret %s has no key %s", name, key)
		}
		return v, nil
	}
	f.File = func(volume, path string) ([]byte, error) { return p.readIn(r, one, volume, path) }
	return f
}

// uid is the pod's ID in the form that Kubernetes has.
func uid(id string) string {
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:32]
}

// apply writes into a pull how an image is pulled.
func (r Registry) apply(p *spec.Pull) {
	p.AuthFile, p.CertDir = cmp.Or(r.AuthFile, p.AuthFile), cmp.Or(r.CertDir, p.CertDir)
	p.Creds = cmp.Or(r.Creds, p.Creds)
	if r.TLSVerify != nil {
		p.TLSVerify = r.TLSVerify
	}
}

// hostAddress is the machine's address towards the outside, as a connection would have it.
func hostAddress() netip.Addr {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.Addr{}
	}
	defer unix.Close(fd)
	// Nothing is sent. The address is one for documentation, TEST-NET-1.
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{192, 0, 2, 1}}); err != nil {
		return netip.Addr{}
	}
	name, err := unix.Getsockname(fd)
	if v4, ok := name.(*unix.SockaddrInet4); err == nil && ok {
		return netip.AddrFrom4(v4.Addr)
	}
	return netip.Addr{}
}
