// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/helper"
	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/step"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// Launch is what is asked of one start of a container. Nothing of it changes during the start.
type Launch struct {
	Record *Record
	// New is true if the container is to be added to the storage first.
	New bool
	// Foreground, if set, are the streams of a container that is attached to us; a container
	// without it runs on its own.
	Foreground *runc.Streams
	// Unit is the systemd unit we are the start of, or empty.
	Unit string
	// JournalFields go with all that the container writes.
	JournalFields map[string]string
	// Cgroup is the container's, relative to the mount of cgroup v2; empty for none.
	Cgroup string
	// Controllers are those the container's cgroup can have.
	Controllers []string
	// Sockets are files that the container gets.
	Sockets Sockets
	// Peers are the other containers whose namespaces the container joins.
	Peers Peers
	// Join is the pod to join, or nil.
	Join *Join
	// Network is what the container is to be connected to; nil in a pod that shares its network.
	// Start adds the directory.
	Network *network.Request
	// NotifySocket is the service manager's, if the container is to speak to it. What it says
	// is passed on by a helper; StartLimit and StopLimit are the most time that it may ask for
	// at once, zero for no limit.
	NotifySocket          string
	StartLimit, StopLimit time.Duration
	// Secret is what only the process gets, and no record.
	Secret Secret
	// Slow says that Ready has more to do after begin, before the manager takes the container for
	// started. If we are killed meanwhile, the container is, too.
	Slow bool
	// Ready is called with the status once the container's first process exists. On its own it
	// waits there until Ready calls begin; attached it may be running, and is killed if Ready
	// fails.
	Ready func(s Status, begin func() error) error
}

// Secret are variables and words that hold values which are not to be recorded. They are in what
// the runtime reads; the variables are also in a file in memory, for what is executed later, and
// both are on no disk.
type Secret struct {
	Env map[string]string
	// Args, unless nil, take the place of the words that the record has.
	Args []string
}

// mask adds the variables to a configuration that may lie in a file, without their values.
func (s Secret) mask(p *rspec.Process) {
	empty := Secret{Env: map[string]string{}}
	for name := range s.Env {
		empty.Env[name] = secret.Masked
	}
	empty.give(p)
}

// give adds the secrets to a configuration.
func (s Secret) give(p *rspec.Process) {
	p.Env = slices.DeleteFunc(p.Env, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		_, taken := s.Env[name]
		return taken
	})
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		p.Env = append(p.Env, name+"="+s.Env[name])
	}
	if s.Args != nil {
		p.Args = s.Args
	}
}

// Sockets are files that a container gets as descriptors 3 and on.
type Sockets struct {
	Files []*os.File
	// Listening is how many of them are sockets of the unit, the first ones, which the container
	// is told of; see sd_listen_fds(3).
	Listening int
	// Names of these, separated by colons.
	Names string
}

// Join is what a container shares with its pod.
type Join struct {
	Pod         string   // its name
	PID         int      // the infra process
	Ticks       uint64   // see process.Alive
	Dir         string   // its runtime directory
	Files       string   // with hosts, resolv.conf and hostname
	Share       []string // ipc, net, uts, pid, cgroup
	HostNetwork bool
}

// A start is one start under way: what is asked, and what its steps have made by now.
type start struct {
	ask      Launch
	adding                    // the engine, and what marks the container
	network  *network.Network // nil in a pod that shares its network
	creation *runc.Creation   // nil if attached
	output   *output          // of a container on its own without a terminal
	console  *console         // of one with a terminal, until it is held
	notify   *os.File         // the container's notify socket, if it has one
	helper   *helper.Running  // what runs beside it, if anything does
	stays    bool             // it may have something to do as long as the container runs
	logFile  helper.LogFile   // beside the journal, if one is asked for
	label    labels
	owner    *owner // who the container is to us, if it has a user namespace of its own
	rootfs   string
	config   runc.Config
	netns    string            // the path of the network namespace, unless it is the host's
	sysctls  map[string]string // the kernel parameters that we set in it
	others   []other           // whose namespaces it joins, beside its pod's
	status   Status
	code     int // how a container that was attached has ended
}

// Start starts the container. What it did is undone if it fails; then the container is as
// before, and one that was New does not exist. With Foreground it returns the status of the
// ended container as code.
func (e *Engine) Start(ctx context.Context, l Launch) (code int, err error) {
	s := &start{ask: l, adding: adding{Engine: e, record: l.Record, peers: l.Peers}, status: Status{Unit: l.Unit, Cgroup: l.Cgroup, Attached: l.Foreground != nil}}
	if err := e.here(*l.Record); err != nil {
		return 0, err
	}
	if s.label.process, s.label.mount, err = bundle.Labels(&l.Record.Spec.Security, e.labels()); err != nil {
		return 0, err
	}
	if !l.New { // after a reboot it is gone
		if err := e.makeDirs(l.Record.ID); err != nil {
			return 0, err
		}
		if err := errors.Join(e.forgetStopped(l.Record.ID), removeFile(e.toldPath(l.Record.ID))); err != nil {
			return 0, err
		}
	}
	if s.logFile, err = e.LogFile(*l.Record); err != nil {
		return 0, err
	}
	steps := s.alone()
	if l.Foreground != nil {
		steps = s.attached()
	}
	err = step.Run(ctx, undoGrace, steps)
	return s.code, err
}

// alone are the steps of a container that runs on its own. What takes long begins early, while
// something else is done: the network before the layer, and the runtime's own start as well.
func (s *start) alone() []step.Step {
	return []step.Step{
		{Name: "mark", Skip: !s.ask.New, Do: s.mark, Undo: s.unmark},
		{Name: "network begun", Do: s.beginNetwork, Undo: s.closeNetwork},
		{Name: "runtime begun", Do: s.beginRuntime, Undo: s.discardRuntime},
		{Name: "layer", Skip: !s.ask.New, Do: s.addLayer, Undo: s.removeContainer},
		{Name: "rootfs", Do: s.mountRootfs, Undo: s.unmountRootfs},
		{Name: "bundle", Do: s.configure},
		{Name: "run", Do: s.create, Undo: s.deleteCreated},
		// While the runtime was at work, so was pasta; the container has not begun yet.
		{Name: "network", Do: s.awaitNetwork},
		{Name: "ready", Do: s.letBegin},
	}
}

// attached are the steps of a container that is attached to us. Nothing holds it back before its
// command, so its network works before it runs.
func (s *start) attached() []step.Step {
	return []step.Step{
		{Name: "mark", Skip: !s.ask.New, Do: s.mark, Undo: s.unmark},
		{Name: "network begun", Do: s.beginNetwork, Undo: s.closeNetwork},
		{Name: "layer", Skip: !s.ask.New, Do: s.addLayer, Undo: s.removeContainer},
		{Name: "rootfs", Do: s.mountRootfs, Undo: s.unmountRootfs},
		{Name: "bundle", Do: s.configure},
		{Name: "network", Do: s.awaitNetwork},
		{Name: "run", Do: s.run, Undo: s.deleteFromRuntime},
	}
}

func (s *start) beginNetwork(ctx context.Context) error {
	if s.ask.Network == nil {
		return nil
	}
	req := *s.ask.Network
	req.Dir, req.Files = s.dir(s.ask.Record.ID), s.Files(s.ask.Record.ID)
	req.Started = func(pid int) error { return s.helper.Network(pid) } // if it is there already
	var err error
	s.network, err = network.Start(ctx, req)
	return err
}

func (s *start) closeNetwork(context.Context) error {
	if s.network == nil {
		return nil
	}
	return s.network.Close()
}

func (s *start) awaitNetwork(ctx context.Context) error {
	if err := s.connected(ctx); err != nil {
		return err
	}
	if len(s.sysctls) > 0 {
		return netns.Set(s.netns, s.sysctls)
	}
	return nil
}

func (s *start) connected(ctx context.Context) error {
	if s.network == nil {
		return nil
	}
	r, err := s.network.Wait(ctx, s.rootfs)
	if err != nil {
		return err
	}
	s.status.NetworkMode, s.status.PastaPID, s.status.IPs, s.status.Ports = r.Mode, r.PastaPID, r.Addresses(), r.Ports
	return s.saveStatus(s.ask.Record.ID, s.status)
}

// removeContainer undoes addLayer. The network goes first: it has files in the container's
// directory, and only this process knows of a pasta that is still starting.
func (s *start) removeContainer(ctx context.Context) error {
	return errors.Join(s.closeNetwork(ctx), s.remove(ctx, *s.ask.Record, true))
}

func (s *start) mountRootfs(context.Context) error {
	r := *s.ask.Record
	if fs := r.Spec.Rootfs; fs != nil {
		st, err := os.Stat(fs.Path)
		if err == nil && !st.IsDir() {
			err = unix.ENOTDIR
		}
		if err != nil {
			return fmt.Errorf("--rootfs %s: %w", fs.Path, err)
		}
		s.rootfs = fs.Path
		switch {
		case fs.Overlay:
			s.rootfs, err = s.overlay(r, "rootfs", spec.Mount{Source: fs.Path})
		case fs.IDMap:
			s.rootfs, err = s.idmapped(r, "rootfs", fs.Mount())
		}
		return err
	}
	path, err := s.Store.Mount(r.ID, s.label.mount)
	if err != nil {
		return fmt.Errorf("mount the root of container %s: %w", r.Name, err)
	}
	s.rootfs = path
	return nil
}

func (s *start) unmountRootfs(context.Context) error {
	_, err := s.Store.Unmount(s.ask.Record.ID, true)
	return err
}

// runtime is the runtime with what containers.conf(5) asks of it.
func (s *start) runtime() runc.Runtime {
	r := s.Runtime
	if c := s.Config; c != nil { // nil is the built-in one
		r.NoKeyring, r.NoPivot = !c.Containers.EnableKeyring, c.Engine.NoPivotRoot
	}
	return r
}

// configure makes the OCI configuration as the runtime reads it, and as it may lie in a file.
func (s *start) configure(ctx context.Context) error {
	spec, err := s.oci(ctx)
	if err != nil {
		return err
	}
	s.ask.Secret.mask(spec.Process)
	kept := masked(spec, s.ask.Record.Spec.Secrets)
	if s.config.Kept, err = json.Marshal(forLinux(kept)); err != nil {
		return err
	}
	s.config.Read = s.config.Kept
	given, paths := s.Runtime.LeaveOut(spec)
	if len(paths) > 0 {
		s.config.Inside = func(execute func() error) error { return netns.Inside(paths, execute) }
	}
	if given != spec || kept != spec || s.ask.Secret.Env != nil || s.ask.Secret.Args != nil {
		s.ask.Secret.give(spec.Process)
		s.config.Read, err = json.Marshal(forLinux(given))
	}
	if len(s.ask.Secret.Env) > 0 {
		err = errors.Join(err, s.keepHanded(s.ask.Record.ID, s.ask.Secret.Env))
	}
	return err
}

func (s *start) deleteFromRuntime(ctx context.Context) error {
	return s.Runtime.Delete(ctx, s.ask.Record.ID)
}

// began notes that the container's first process runs.
func (s *start) began(pid int) error {
	s.status.PID, s.status.StartTicks, s.status.StartedAt = pid, process.StartTicks(pid), time.Now().UTC()
	return errors.Join(s.joinedTheirs(), s.User.Keep(pid), s.saveStatus(s.ask.Record.ID, s.status))
}

// Ended notes how the container ended; 128+N is a death by signal N. If the container was removed
// meanwhile, nothing is noted.
func (e *Engine) Ended(r Record, code int) error {
	s, err := e.Status(r.ID)
	if err != nil {
		return err
	}
	tell := e.untold(r, s) && e.mayTellEnd(r.ID, s)
	err = e.saveExit(r, Exit{
		StartedAt: s.StartedAt, FinishedAt: time.Now().UTC(), Code: code,
		// As podman has it: the kernel killed any of its processes, not only the first one.
		OOMKilled: cgroup.OOMKilled(s.Cgroup),
	})
	if tell && (err == nil || s.Attached) { // nobody else tells it of what is attached
		e.tellEnd(r, "died", &code)
	}
	if errors.Is(err, storage.ErrContainerUnknown) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Warm has package json prepare the types that a start writes, which it otherwise does at their
// first use. The two take half a millisecond; a start calls this beside other work.
func Warm() {
	_, _ = json.Marshal(Record{})  // nothing that could fail
	_, _ = json.Marshal(onLinux{}) // likewise
}
