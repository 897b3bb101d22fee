// SPDX-License-Identifier: Apache-2.0

// Package pod is the life of a pod: a group of containers that share namespaces. An
// infra process holds them; it is no container and has no image, only a few pages of
// memory. What a pod is lies in the storage's directory and survives a reboot; that its
// infra runs lies in the runtime directory and does not.
package pod

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/helper"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/step"
	"golang.org/x/sys/unix"
)

// Engine acts on pods.
type Engine struct {
	Containers *container.Engine
	// Network is what a pod is to be connected to. Start adds the directory.
	Network func(ctx context.Context, p Record) (network.Request, error)
}

// Record is what a pod is.
type Record struct {
	Podunit int
	ID      string
	Name    string
	BootID  string
	Created time.Time
	Spec    spec.Pod
	Unit    string `json:",omitempty"`
	Args    []string
}

// Status is what is true of a pod since its start.
type Status struct {
	InfraPID    int
	StartTicks  uint64
	StartedAt   time.Time
	PastaPID    int    `json:",omitempty"`
	NetworkMode string `json:"NetNS"` // none, host, pasta, ns; by the name it has in records of older versions
	IPs         []string
	Ports       []spec.PortMapping
	Unit        string `json:",omitempty"`
}

// ErrNotFound says that there is no pod of that name or ID.
var ErrNotFound = errors.New("no such pod")

// ErrNameInUse says that another pod or container has the name.
var ErrNameInUse = errors.New("that name is already in use")

func (e *Engine) recordDir() string {
	return filepath.Join(e.Containers.Store.GraphRoot(), "podunit", "pods")
}

// Dir is the pod's runtime directory.
func (e *Engine) Dir(id string) string { return filepath.Join(e.Containers.RunDir, "pods", id) }

// List returns all pods by name.
func (e *Engine) List() ([]Record, error) {
	entries, err := os.ReadDir(e.recordDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Record
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".json")
		if !ok {
			continue
		}
		r, err := e.read(name)
		if err == nil {
			out = append(out, r)
		} else if !errors.Is(err, ErrNotFound) {
			return nil, err
		}
	}
	return out, nil
}

func (e *Engine) read(name string) (Record, error) {
	var r Record
	b, err := os.ReadFile(filepath.Join(e.recordDir(), name+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err != nil {
		return r, err
	}
	if json.Unmarshal(b, &r) != nil || r.ID == "" {
		return Record{}, fmt.Errorf("%s: its record was cut short: %w", name, ErrNotFound)
	}
	return r, nil
}

// Lookup finds a pod by name, ID or a beginning of the ID that is unique.
func (e *Engine) Lookup(nameOrID string) (Record, error) {
	if !strings.ContainsRune(nameOrID, '/') {
		if r, err := e.read(nameOrID); err == nil || !errors.Is(err, ErrNotFound) {
			return r, err
		}
	}
	all, err := e.List()
	if err != nil {
		return Record{}, err
	}
	var found []Record
	for _, r := range all {
		if nameOrID != "" && strings.HasPrefix(r.ID, nameOrID) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return Record{}, fmt.Errorf("no pod with name or ID %s found: %w", nameOrID, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return Record{}, fmt.Errorf("%s: more than one pod begins like that", nameOrID)
}

// LookupExact finds a pod by its name or its whole ID, as units name it.
func (e *Engine) LookupExact(nameOrID string) (Record, error) {
	if !strings.ContainsRune(nameOrID, '/') {
		if r, err := e.read(nameOrID); err == nil || !errors.Is(err, ErrNotFound) {
			return r, err
		}
	}
	all, err := e.List()
	if err != nil {
		return Record{}, err
	}
	if i := slices.IndexFunc(all, func(r Record) bool { return r.ID == nameOrID }); i >= 0 {
		return all[i], nil
	}
	return Record{}, fmt.Errorf("no pod with name or ID %s found: %w", nameOrID, ErrNotFound)
}

// Members are the containers of a pod.
func (e *Engine) Members(r Record) ([]container.Record, error) {
	all, err := e.Containers.List()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(c container.Record) bool { return c.PodID != r.ID }), nil
}

// Status reads whether the pod's infra runs: then InfraPID is not 0.
func (e *Engine) Status(r Record) Status {
	s := e.noted(r)
	if s.InfraPID != 0 && !process.Alive(s.InfraPID, s.StartTicks) {
		s.InfraPID = 0
	}
	return s
}

// Forsaken are the pods of an earlier boot that belong to a unit which makes them anew at each start,
// and that have no containers: if that unit does not run, nothing else removes them.
func (e *Engine) Forsaken() ([]Record, error) {
	all, err := e.List()
	if err != nil {
		return nil, err
	}
	var out []Record
	for _, r := range all {
		if r.Unit == "" || !r.Spec.Replace || r.Spec.MainPIDFile == "" || r.BootID == "" || container.BootID() == "" || r.BootID == container.BootID() {
			continue
		}
		if members, err := e.Members(r); err != nil {
			return nil, err
		} else if len(members) == 0 {
			out = append(out, r)
		}
	}
	return out, nil
}

// SweepForsaken removes a pod that was forsaken, unless it has been made anew, has got a container
// since, or somebody is at work on it.
func (e *Engine) SweepForsaken(ctx context.Context, r Record) error {
	return e.ifFree(ctx, r.Name, func(lock *container.Lock) error {
		now, err := e.read(r.Name)
		if errors.Is(err, ErrNotFound) {
			return lock.Drop()
		}
		if err != nil || now.ID != r.ID || e.Status(r).InfraPID != 0 {
			return err
		}
		if members, err := e.Members(r); err != nil || len(members) > 0 {
			return err
		}
		return errors.Join(e.remove(ctx, r, false, 0), lock.Drop())
	})
}

// ifFree does something with a pod, unless somebody is at work on it: it waits for no lock.
func (e *Engine) ifFree(ctx context.Context, name string, do func(*container.Lock) error) error {
	now, cancel := context.WithCancel(ctx)
	cancel()
	err := e.Containers.WithLock(now, "pod "+name, do)
	if errors.Is(err, container.ErrBusy) {
		return nil
	}
	return err
}

func (e *Engine) statusPath(r Record) string { return filepath.Join(e.Dir(r.ID), "status.json") }

// noted is the status as the start and the stop have noted it: the infra process may have ended
// since.
func (e *Engine) noted(r Record) Status {
	var s Status
	b, err := os.ReadFile(e.statusPath(r))
	if err != nil || json.Unmarshal(b, &s) != nil {
		return Status{}
	}
	return s
}

// Create notes a pod. With --replace, one that has the name is removed with its containers; else that
// is an ErrNameInUse.
func (e *Engine) Create(ctx context.Context, s spec.Pod, unit string, args []string) (Record, error) {
	r := Record{
		Podunit: 1,
		ID:      container.NewID(),
		Name:    s.Name,
		BootID:  container.BootID(),
		Created: time.Now().UTC(),
		Spec:    s,
		Unit:    unit,
		Args:    spec.Redact(args),
	}
	if r.Name == "" {
		r.Name = "pod-" + r.ID[:12]
	}
	_ = e.Sweep(ctx) // what stays holds nobody up: a prune tells of it
	return r, e.Containers.WithLock(ctx, "pod "+r.Name, func(*container.Lock) error { return e.create(ctx, r) })
}

// create notes a pod, in place of one that it is to replace.
func (e *Engine) create(ctx context.Context, r Record) error {
	if old, err := e.read(r.Name); err == nil {
		if !r.Spec.Replace {
			return fmt.Errorf("adding pod to state: name %q is in use: pod already exists: %w", r.Name, ErrNameInUse)
		}
		if err := e.remove(ctx, old, true, 0); err != nil {
			return err
		}
	}
	if _, err := e.Containers.LookupExact(r.Name); err == nil {
		return fmt.Errorf("pod %s: %w by a container", r.Name, ErrNameInUse)
	}
	if err := e.save(r); err != nil {
		return err
	}
	step.Crash("pod noted")
	if r.Spec.UserNS.Mode == spec.UserAuto {
		if err := e.Containers.HoldIDs(ctx, r.ID, r.Name, r.Spec.IDMapping); err != nil {
			return errors.Join(err, e.remove(ctx, r, true, 0))
		}
	}
	e.Tell(r, "create")
	return nil
}

// IDMapping is the user namespace that a container of the pod asks for, so that it has the pod's
// IDs.
func (e *Engine) IDMapping(r Record) (spec.IDMapping, error) {
	m := r.Spec.IDMapping
	if m.UserNS.Mode != spec.UserAuto {
		return m, nil
	}
	uids, gids, err := e.Containers.MappingsOf(r.ID, m)
	if err != nil {
		return m, err
	}
	written := func(ranges []spec.IDRange) (all []spec.IDMap) {
		for _, one := range ranges {
			all = append(all, spec.IDMap{IDRange: one})
		}
		return all
	}
	return spec.IDMapping{UIDMap: written(uids), GIDMap: written(gids)}, nil
}

func (e *Engine) save(r Record) error {
	if err := os.MkdirAll(e.recordDir(), 0o700); err != nil {
		return err
	}
	return container.WriteJSON(filepath.Join(e.recordDir(), r.Name+".json"), r)
}

// cloneFlags are the namespaces by the names that --share has for them.
var cloneFlags = map[string]uintptr{
	"ipc": unix.CLONE_NEWIPC, "uts": unix.CLONE_NEWUTS, "pid": unix.CLONE_NEWPID,
}

const undoGrace = 30 * time.Second

// mountShm mounts the /dev/shm of the pod's containers in our mount namespace; the infra
// process holds it.
func (e *Engine) mountShm(r Record, dir string) error {
	if !slices.Contains(r.Spec.Share, "ipc") {
		return nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	options := "mode=1777,size=" + cmp.Or(e.Containers.Config.Containers.ShmSize, "64m")
	if size := r.Spec.ShmSize; size != nil {
		options = fmt.Sprintf("mode=1777,size=%d", *size) // 0 is no limit, for tmpfs as well
	}
	err := unix.Mount("shm", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options)
	if err != nil {
		return fmt.Errorf("mount /dev/shm of pod %s: %w", r.Name, err)
	}
	return nil
}

func (e *Engine) startInfra(r Record, open func() (*os.File, error)) (*helper.Running, error) {
	uids, gids, err := e.Containers.MappingsOf(r.ID, r.Spec.IDMapping)
	if err != nil {
		return nil, err
	}
	infra := helper.Infra{UIDs: sysIDs(uids), GIDs: sysIDs(gids)}
	for _, name := range r.Spec.Share {
		infra.Namespaces |= cloneFlags[name]
	}
	if infra.Namespaces&unix.CLONE_NEWUTS != 0 {
		infra.Hostname = r.Hostname()
	}
	var running *helper.Running
	start := func(shm string) (err error) {
		infra.Shm = shm
		running, err = infra.Start(func(cmd *exec.Cmd) error { return startIn(open, cmd) })
		return err
	}
	if infra.Namespaces&unix.CLONE_NEWIPC != 0 {
		err = e.Containers.Reachable(filepath.Join(e.Dir(r.ID), "shm"), uids, gids, start)
	} else {
		err = start("")
	}
	if err == nil && !process.Alive(running.PID, 0) {
		return nil, errors.Join(errors.New("it ended at once"), running.Close())
	}
	if err != nil && running != nil { // it has begun, and what it was begun with cannot be tidied up
		return nil, errors.Join(err, running.Close(), process.End(running.PID, process.StartTicks(running.PID), unix.SIGKILL, process.KillWait))
	}
	return running, err
}

// startIn starts cmd in the network namespace that open opens; the host's if that is nil.
func startIn(open func() (*os.File, error), cmd *exec.Cmd) error {
	ns, err := open()
	if err != nil {
		return err
	}
	if ns == nil {
		return cmd.Start()
	}
	defer ns.Close()
	return netns.Do(ns, cmd.Start)
}

func sysIDs(ranges []spec.IDRange) []syscall.SysProcIDMap {
	out := make([]syscall.SysProcIDMap, len(ranges))
	for i, r := range ranges {
		out[i] = syscall.SysProcIDMap{ContainerID: int(r.Container), HostID: int(r.Host), Size: int(r.Size)}
	}
	return out
}

// Hostname is what was asked for, else the pod's name.
func (r Record) Hostname() string { return cmp.Or(r.Spec.Hostname, r.Name) }

// HostNetwork reports whether the pod uses the host's network.
func (r Record) HostNetwork() bool { return r.Spec.HostNetwork() }

func (e *Engine) stopInfra(s Status) error {
	if s.InfraPID == 0 {
		return nil
	}
	return process.End(s.InfraPID, s.StartTicks, unix.SIGTERM, time.Second)
}

// EndInfra ends the infra process, and with it the pod's unit, which then calls Stop.
func (e *Engine) EndInfra(r Record) error { return e.stopInfra(e.Status(r)) }

// infraStopped ends the infra process and notes the event of the pod's end. It notes it once, also
// if the process has ended before, by EndInfra or through the manager. The caller has the lock of
// the pod.
func (e *Engine) infraStopped(r Record) error {
	s := e.noted(r)
	if s.InfraPID == 0 {
		return nil
	}
	if err := e.EndInfra(r); err != nil {
		return err
	}
	s.InfraPID = 0
	_ = container.WriteJSON(e.statusPath(r), s) // without it a later stop tells once more
	e.Tell(r, "stop")
	return nil
}

// OwnTimes stands in place of the time between the stop signal and SIGKILL: each container has its
// own.
const OwnTimes time.Duration = -1

// Stop stops all members, then the infra process. timeout counts for all of them.
func (e *Engine) Stop(ctx context.Context, r Record, timeout time.Duration) error {
	return e.Containers.WithLock(ctx, "pod "+r.Name, func(*container.Lock) error { return e.stop(ctx, r, timeout) })
}

func (e *Engine) stop(ctx context.Context, r Record, timeout time.Duration) error {
	members, err := e.Members(r)
	if err != nil {
		return err
	}
	// All at once: together they take as long as the slowest, not as long as all.
	errs := make(chan error, len(members))
	for _, m := range members {
		grace := timeout
		if timeout == OwnTimes {
			grace = m.StopTimeout(time.Duration(e.Containers.Config.Engine.StopTimeout) * time.Second)
		}
		go func() { errs <- e.Containers.Stop(ctx, m, grace) }()
	}
	var all []error
	for range members {
		all = append(all, <-errs)
	}
	step.Crash("members stopped")
	all = append(all, e.infraStopped(r))
	step.Crash("infra stopped")
	all = append(all, network.Release(e.Dir(r.ID)))
	step.Crash("pod network released")
	return errors.Join(all...)
}

// RunningError says that containers of a pod that is to be removed run.
type RunningError struct {
	Name       string
	Containers []string // names
}

func (e RunningError) Error() string {
	return fmt.Sprintf("pod %s: %s runs", e.Name, strings.Join(e.Containers, ", "))
}

// Hint is the way out.
func (e RunningError) Hint() string { return "podunit pod stop " + e.Name + ", or --force" }

// running names those of containers that run.
func (e *Engine) running(members []container.Record) ([]string, error) {
	var names []string
	for _, m := range members {
		s, err := e.Containers.Status(m.ID)
		if err != nil {
			return nil, err
		}
		if s.PID != 0 {
			names = append(names, m.Name)
		}
	}
	return names, nil
}

// Running names the containers of a pod that run.
func (e *Engine) Running(r Record) ([]string, error) {
	members, err := e.Members(r)
	if err != nil {
		return nil, err
	}
	return e.running(members)
}

// Remove removes the pod with its containers; running ones only with force.
func (e *Engine) Remove(ctx context.Context, r Record, force bool, timeout time.Duration) error {
	return e.Containers.WithLock(ctx, "pod "+r.Name, func(lock *container.Lock) error {
		if err := e.remove(ctx, r, force, timeout); err != nil {
			return err
		}
		return lock.Drop()
	})
}

func (e *Engine) remove(ctx context.Context, r Record, force bool, timeout time.Duration) error {
	members, err := e.Members(r)
	if err != nil {
		return err
	}
	if !force {
		running, err := e.running(members)
		if err != nil {
			return err
		}
		if len(running) > 0 {
			return RunningError{Name: r.Name, Containers: running}
		}
	}
	if err := e.stop(ctx, r, timeout); err != nil {
		return err
	}
	for _, m := range members {
		err := e.Containers.WithLock(ctx, m.Name, func(lock *container.Lock) error {
			// The container may have been removed by its own unit meanwhile.
			m, err := e.Containers.Lookup(m.ID)
			if err == nil {
				err = e.Containers.Remove(ctx, m, true, true, 0)
			} else if errors.Is(err, container.ErrNotFound) {
				err = nil
			}
			return errors.Join(err, lock.Drop())
		})
		if err != nil {
			return err
		}
	}
	step.Crash("members removed")
	if path := r.Spec.MainPIDFile; path != "" {
		_ = safe.Remove(path) // systemd may have been first
	}
	// The pod goes in one step: without its status it would be one that has never been started.
	err = os.Rename(filepath.Join(e.recordDir(), r.Name+".json"), e.removed(r.ID))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		e.Tell(r, "remove")
	}
	return e.clear(r)
}

// removing begins the name of the record of a pod that is removed but for its files, which end with
// it. No name of a pod begins with a dot.
const removing = ".removing-"

// removed is the path of such a record.
func (e *Engine) removed(id string) string { return filepath.Join(e.recordDir(), removing+id) }

// clear removes what is left of a pod without a name.
func (e *Engine) clear(r Record) error {
	if err := errors.Join(os.RemoveAll(e.Dir(r.ID)), os.RemoveAll(e.Containers.Files(r.ID))); err != nil {
		return err
	}
	step.Crash("pod directory removed")
	if r.Spec.UserNS.Mode == spec.UserAuto {
		if err := e.Containers.ReleaseIDs(r.ID); err != nil {
			return err
		}
	}
	if err := os.Remove(e.removed(r.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Sweep completes removals that were killed, and removes half-written records of pods: the name of
// one that a calendar has made never comes again.
func (e *Engine) Sweep(ctx context.Context) error {
	entries, err := os.ReadDir(e.recordDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if name, half := strings.CutSuffix(entry.Name(), ".json.new"); half {
			errs = append(errs, e.ifFree(ctx, name, func(lock *container.Lock) error {
				if _, gone := e.read(name); !errors.Is(gone, ErrNotFound) {
					return gone // the next one who changes the pod writes over it
				}
				return errors.Join(safe.Sweep(filepath.Join(e.recordDir(), name+".json")), lock.Drop())
			}))
		}
		id, ok := strings.CutPrefix(entry.Name(), removing)
		if !ok {
			continue
		}
		r := Record{ID: id}
		if b, err := os.ReadFile(e.removed(id)); err != nil || json.Unmarshal(b, &r) != nil || r.ID != id {
			continue // it has just been removed
		}
		errs = append(errs, e.ifFree(ctx, r.Name, func(lock *container.Lock) error {
			err := e.clear(r)
			if _, gone := e.read(r.Name); errors.Is(gone, ErrNotFound) {
				err = errors.Join(err, lock.Drop())
			}
			return err
		}))
	}
	return errors.Join(errs...)
}

// Tell notes that something has happened to a pod, in the words of podman-events(1).
func (e *Engine) Tell(r Record, status string) {
	if e.Containers.Event != nil {
		e.Containers.Event(journal.Event{Type: "pod", Status: status, Time: time.Now(), ID: r.ID, Name: r.Name, Labels: r.Spec.Labels})
	}
}

// Settle ends a pod of exit policy stop when its last container has ended. again, if set, tells
// whether that one is about to be started again by its unit. The manager has to be asked for that,
// so it is called only where it matters.
func (e *Engine) Settle(ctx context.Context, podID string, again func() bool) error {
	r, err := e.Lookup(podID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || r.Spec.ExitPolicy != "stop" {
		return err
	}
	if running, err := e.Running(r); err != nil || len(running) > 0 {
		return err
	}
	if again != nil {
		if again() {
			return nil
		}
		// The question takes time, and a container may have been started meanwhile.
		if running, err := e.Running(r); err != nil || len(running) > 0 {
			return err
		}
	}
	return e.EndInfra(r)
}

// Join returns what a container shares with the pod.
func (e *Engine) Join(r Record) (*container.Join, error) {
	s := e.Status(r)
	if s.InfraPID == 0 {
		return nil, fmt.Errorf("pod %s is not running", r.Name)
	}
	return &container.Join{Pod: r.Name, PID: s.InfraPID, Ticks: s.StartTicks, Dir: e.Dir(r.ID), Files: e.Containers.Files(r.ID), Share: r.Spec.Share, HostNetwork: r.HostNetwork()}, nil
}

// Change changes what a pod was made as, if there still is that pod. For others who work on it, it
// waits no longer than container.LockWait.
func (e *Engine) Change(ctx context.Context, r Record, change func(*spec.Pod)) error {
	ctx, cancel := context.WithTimeout(ctx, container.LockWait)
	defer cancel()
	return e.Containers.WithLock(ctx, "pod "+r.Name, func(*container.Lock) error {
		now, err := e.read(r.Name)
		if errors.Is(err, ErrNotFound) || err == nil && now.ID != r.ID {
			return nil
		}
		if err != nil {
			return err
		}
		change(&now.Spec)
		return e.save(now)
	})
}

// EnsurePIDFile gives a pod a process ID file, if it has none.
func (e *Engine) EnsurePIDFile(ctx context.Context, r Record, path string) (Record, error) {
	if r.Spec.MainPIDFile != "" {
		return r, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return r, err
	}
	r.Spec.MainPIDFile = path
	err := e.Change(ctx, r, func(p *spec.Pod) {
		p.MainPIDFile = cmp.Or(p.MainPIDFile, path)
		r.Spec = *p
	})
	return r, err
}
