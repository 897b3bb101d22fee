// SPDX-License-Identifier: Apache-2.0

// Package container is the life of a container: created, started, stopped, removed.
//
// A container is a container of containers/storage, so that every tool which shares
// the storage knows its image is in use. What was asked for lies in its metadata and
// survives a reboot; what is true only while it runs lies in the runtime directory, a
// tmpfs, and does not. There is no database: each question is answered from these two
// and from the kernel.
package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/storage"
)

// recordVersion marks the metadata of our containers; a storage container without it
// is somebody else's and is never touched.
const recordVersion = 1

// Record is what a container is, from its creation to its removal.
type Record struct {
	Podunit   int               // recordVersion
	ID        string            `json:"-"`
	Name      string            `json:"-"`
	BootID    string            // the boot it was created in
	RunDir    string            `json:",omitempty"` // podunit's runtime directory then
	Created   time.Time         // UTC
	ImageID   string            // empty with --rootfs
	ImageName string            // the reference as resolved
	Digest    string            // of the image's manifest
	Config    ispec.ImageConfig // of the image; it may be gone while the container is not
	Spec      spec.Container
	PodID     string   `json:",omitempty"`
	Unit      string   `json:",omitempty"` // systemd unit it was created in
	Args      []string // the create command line without what is secret in it, for inspect
	Runtime   string   `json:",omitempty"` // --runtime as given; empty for runc
	// Foreground says that a run from a shell made it, and waits for its end.
	Foreground bool `json:",omitempty"`
	// Hidden are the names of variables whose values are not to be shown.
	Hidden []string `json:",omitempty"`
	// Health is how the container is checked; nil if it is not.
	Health *health.Config `json:",omitempty"`
	// AnonymousVolumes are removed with the container.
	AnonymousVolumes []string `json:",omitempty"`
	// Mounts of named and anonymous volumes: destination to volume name.
	Volumes map[string]string `json:",omitempty"`
}

// State is the word ps and inspect have for where a container is in its life.
type State string

// The states. Source: podman-ps(1), --filter status.
const (
	Created State = "created"
	Running State = "running"
	Paused  State = "paused"
	Exited  State = "exited"
	// Stopping is one that runs and was asked to stop.
	Stopping State = "stopping"
)

// Status is what is true of a container since its last start. It is gone after a
// reboot, except for what Exit keeps.
type Status struct {
	PID         int    // of the first process, in the host's PID namespace; 0 if not running
	StartTicks  uint64 // field 22 of /proc/PID/stat: tells the process from a later one of the same PID
	StartedAt   time.Time
	LogPID      int                `json:",omitempty"`      // of the log copier
	LogTicks    uint64             `json:",omitempty"`      // as StartTicks; 0 in records of older versions
	LogPipes    [2]uint64          `json:",omitzero"`       // inode numbers of the pipes that the container has as stdout and stderr, 0 for none
	Cgroup      string             `json:",omitempty"`      // of the container, relative to the cgroup mount
	NetworkMode string             `json:"NetNS,omitempty"` // none, host, pasta, ns; by the name it has in records of older versions
	PastaPID    int                `json:",omitempty"`
	IPs         []string           `json:",omitempty"`
	Ports       []spec.PortMapping `json:",omitempty"` // as published
	Unit        string             `json:",omitempty"` // systemd unit that watches it
	Attached    bool               `json:",omitempty"` // who has started it waits for its end, and tells it
	// Elsewhere are the streams (stdout, stderr) that go where the unit leads them, not to the
	// journal.
	Elsewhere []string `json:",omitempty"`
}

// Exit is how a container ended last; it lies in the storage's directory for the
// container and survives a reboot.
type Exit struct {
	StartedAt  time.Time
	FinishedAt time.Time
	Code       int  // 128+N for a death by signal N
	OOMKilled  bool `json:",omitempty"` // by SIGKILL, and the kernel has killed something in it for want of memory
}

// decode reads the record of a storage container; false if it is not one of ours.
func decode(c *storage.Container) (Record, bool) {
	var r Record
	if !strings.Contains(c.Metadata, `"Podunit":`) {
		return r, false
	}
	if err := json.Unmarshal([]byte(c.Metadata), &r); err != nil || r.Podunit == 0 {
		return r, false
	}
	r.ID = c.ID
	if len(c.Names) > 0 {
		r.Name = c.Names[0]
	}
	return r, true
}

func (e *Engine) dir(id string) string { return filepath.Join(e.RunDir, "containers", id) }

// Dir is the container's runtime directory: the OCI bundle and the files bound into it.
func (e *Engine) Dir(id string) string { return e.dir(id) }

func (e *Engine) saveStatus(id string, s Status) error {
	return WriteJSON(filepath.Join(e.dir(id), "status.json"), s)
}

// Status reads what is true of the container now; a zero PID means it is not running.
func (e *Engine) Status(id string) (Status, error) {
	var s Status
	b, err := safe.ReadSmall(filepath.Join(e.dir(id), "status.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	if err != nil || json.Unmarshal(b, &s) != nil {
		// It never ran, or a crash in the middle of a start has cut the file; if it was lost, the
		// runtime knows.
		s = Status{}
		s.PID, s.StartTicks, s.StartedAt = e.Runtime.Begun(id)
	}
	// No ticks: it had ended before they could be noted.
	if s.StartTicks == 0 || process.StartTicks(s.PID) != s.StartTicks {
		s.PID = 0
	}
	e.succeed(id, &s)
	return s, nil
}

// LeaveUnit notes that a container has left a unit, whose name and cgroup may be another container's
// soon, unless it runs by now. The caller holds the lock of its name, and the unit has ended.
func (e *Engine) LeaveUnit(id, unit string) error {
	s, err := e.Status(id)
	if err != nil || s.PID != 0 || s.Unit != unit {
		return err
	}
	s.Unit, s.Cgroup = "", ""
	// The runtime has the cgroup in its state, too.
	return errors.Join(e.Runtime.Forget(id), e.saveStatus(id, s))
}

func (e *Engine) exitPath(id string) (string, error) {
	dir, err := e.ownDir(id)
	return filepath.Join(dir, "podunit-exit.json"), err
}

// ownDir is the storage's directory for a container. The storage makes it where it is not there, also
// for who only reads: where the disk is full, it is returned with that error, and nothing is in it.
func (e *Engine) ownDir(id string) (string, error) {
	dir, err := e.Store.ContainerDirectory(id)
	if isFull(err) {
		dir = filepath.Join(e.Store.GraphRoot(), e.Store.GraphDriverName()+"-containers", id, "userdata")
	}
	return dir, err
}

// HealthFiles are the files with the container's health.
func (e *Engine) HealthFiles(id string) health.Files { return health.Files{Dir: e.dir(id)} }

// Exit reads how the container ended last; nil if it never did.
func (e *Engine) Exit(id string) (*Exit, error) {
	path, err := e.exitPath(id)
	if err != nil && !isFull(err) {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var x Exit
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, nil //nolint:nilerr // cut by a crash: how it ended is not known
	}
	return &x, nil
}

func (e *Engine) saveExit(r Record, x Exit) error {
	path, err := e.exitPath(r.ID)
	if err != nil {
		return err
	}
	if !r.Spec.Remove {
		return WriteJSON(path, x)
	}
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	return safe.Replace(path, b, 0o600) // it goes with the container, in a moment
}

// WriteJSON replaces a file in one step, and returns when a power cut can take it no more.
func WriteJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return safe.Write(path, b, 0o600)
}

// ErrNotFound says that there is no container of that name or ID.
var ErrNotFound = errors.New("no such container")

// noContainer is the error of a name that no container has, in the words that scripts look for.
// Source: podman-rm(1).
func noContainer(nameOrID string) error {
	return fmt.Errorf("no container with name or ID %q found: %w", nameOrID, ErrNotFound)
}

// ErrState says that a container is not in the state that a verb needs, in podman's words.
var ErrState = errors.New("container state improper")

// ErrAmbiguous says that several IDs begin with what was given.
var ErrAmbiguous = errors.New("more than one container")

// Lookup finds a container by name, ID or a beginning of the ID that is unique.
func (e *Engine) Lookup(nameOrID string) (Record, error) {
	c, err := e.Store.Container(nameOrID)
	if err == nil {
		if r, ok := decode(c); ok {
			return r, nil
		}
		return Record{}, fmt.Errorf("%s belongs to another tool that shares the storage: %w", nameOrID, ErrNotFound)
	}
	all, lerr := e.List()
	if lerr != nil {
		return Record{}, lerr
	}
	var found []Record
	for _, r := range all {
		if len(nameOrID) > 0 && strings.HasPrefix(r.ID, nameOrID) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return Record{}, noContainer(nameOrID)
	case 1:
		return found[0], nil
	}
	return Record{}, fmt.Errorf("%s: %w begins like that", nameOrID, ErrAmbiguous)
}

// LookupExact finds a container by its name or its whole ID. Units name containers so: with
// a name like "db" they must not meet a container whose ID begins with it.
func (e *Engine) LookupExact(nameOrID string) (Record, error) {
	r, err := e.Lookup(nameOrID)
	if err == nil && r.Name != nameOrID && r.ID != nameOrID || errors.Is(err, ErrAmbiguous) {
		return Record{}, noContainer(nameOrID)
	}
	return r, err
}

// List returns all containers of podunit, oldest first.
func (e *Engine) List() ([]Record, error) {
	all, err := e.Store.Containers()
	if err != nil {
		return nil, err
	}
	var out []Record
	for i := range all {
		if r, ok := decode(&all[i]); ok {
			out = append(out, r)
		}
	}
	return out, nil
}

// Command is what the first process runs, as far as it can be told without the image's
// file system: entrypoint and command of the command line over those of the image.
func (r Record) Command() []string {
	args, err := bundle.Args(&r.Spec, &r.Config)
	if err != nil {
		return r.Spec.Command
	}
	return args
}

// Labels are the image's, overridden by those asked for.
func (r Record) Labels() map[string]string {
	out := maps.Clone(r.Config.Labels)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, r.Spec.Labels)
	return out
}

// Note writes what has changed of a container's record. The caller holds the lock of its name.
func (e *Engine) Note(r Record) error {
	metadata, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := e.CanNote(r.Name); err != nil {
		return err
	}
	return e.Store.SetMetadata(r.Name, string(metadata))
}

// CanNote reports as an error that the storage would take a layer or an image for the container of
// that name: the name is also the beginning of its ID. A container's own ID is no way out: it is
// its layer's, too.
func (e *Engine) CanNote(name string) error {
	if _, err := e.Store.Layer(name); err == nil {
		return fmt.Errorf("the ID of a layer begins with %q: the storage takes one for the other", name)
	}
	if _, err := e.Store.Image(name); err == nil {
		return fmt.Errorf("the ID of an image begins with %q: the storage takes one for the other", name)
	}
	return nil
}

// Lister returns a List for who asks again and again: a record that has not changed is not decoded
// again. Records share what is in them, so they are not to be changed. It is for one goroutine.
func (e *Engine) Lister() func() ([]Record, error) {
	type decoded struct {
		text string
		r    Record
	}
	known := map[string]decoded{}
	return func() ([]Record, error) {
		all, err := e.Store.Containers()
		if err != nil {
			return nil, err
		}
		var out []Record
		now := map[string]decoded{}
		for i := range all {
			c := &all[i]
			d, ok := known[c.ID]
			if !ok || d.text != c.Metadata || !slices.Contains(c.Names, d.r.Name) {
				if d.r, ok = decode(c); !ok {
					continue
				}
				d.text = c.Metadata
			}
			now[c.ID] = d
			out = append(out, d.r)
		}
		known = now
		return out, nil
	}
}
