// SPDX-License-Identifier: Apache-2.0

package update

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/unit"
)

// Storage is the images of this user and the registries behind them.
type Storage struct {
	*registry.Images
	// Options are those of every question and every pull.
	Options image.PullOptions
}

// Local finds an image in the storage.
func (s Storage) Local(reference string) (*Image, error) {
	found, err := s.Lookup(context.Background(), reference)
	if errors.Is(err, image.ErrUnknown) {
		return nil, nil
	}
	if damaged := (*image.CorruptError)(nil); errors.As(err, &damaged) {
		return nil, nil // a pull repairs it
	}
	if err != nil {
		return nil, err
	}
	return known(found), nil
}

func known(i *image.Image) *Image {
	return &Image{ID: i.ID, Digests: append(slices.Clone(i.Digests), i.Digest), Platform: i.Platform(), stored: i}
}

func (s Storage) options(q Question) image.PullOptions {
	o := s.Options
	o.AuthFile = cmp.Or(q.AuthFile, o.AuthFile)
	o.CertDir = q.CertDir
	o.User, o.Secret, _ = strings.Cut(q.Creds, ":")
	if q.TLSVerify != "" && o.TLSVerify == nil {
		verify := q.TLSVerify == "true"
		o.TLSVerify = &verify
	}
	o.OS, o.Arch, o.Variant = splitPlatform(q.Platform)
	return o
}

// splitPlatform splits os/arch[/variant]; of an empty one all are this machine's.
func splitPlatform(platform string) (os, arch, variant string) {
	parts := append(strings.SplitN(platform, "/", 3), "", "", "")
	return parts[0], parts[1], parts[2]
}

// Newer asks the registry.
func (s Storage) Newer(ctx context.Context, q Question, local *Image) (Answer, error) {
	var stored *image.Image // what is not there, or damaged, is older than anything
	if local != nil {
		stored = local.stored
	}
	d, newer, err := s.Images.Newer(ctx, q.Reference, stored, s.options(q))
	return Answer{Digest: d, Newer: newer}, err
}

// Pull gets what the registry has.
func (s Storage) Pull(ctx context.Context, q Question) (*Image, error) {
	o := s.options(q)
	o.Policy = image.PullAlways
	pulled, err := s.Images.Pull(ctx, q.Reference, o)
	if err != nil {
		return nil, err
	}
	return known(pulled), nil
}

// Host is the units of this user.
type Host struct {
	Engine  *service.Engine
	Manager *unit.Manager
	// Declared finds what plays declare, and what the services with these commands would play; nil
	// finds nothing.
	Declared func(commands []unit.Command) ([]Declared, error)

	mu      sync.Mutex
	records []container.Record // as of read
	units   []string           // of each record
	ended   []bool             // of each record: unitOf says that it does not matter
	read    time.Time
}

// unitOf names the service that starts a container: the one that runs it, or that it was made in. Of
// one that was made by hand and has ended it is the last one that did, which may be another's by now.
func (h *Host) unitOf(r container.Record) (name string, matters bool) {
	s, err := h.Engine.Containers.Status(r.ID)
	switch {
	case err == nil && s.PID != 0:
		return cmp.Or(s.Unit, r.Unit), true
	case err == nil && r.Unit == "":
		return s.Unit, false
	}
	return r.Unit, r.Unit != ""
}

// containers finds the containers of a unit, in a list that is not older than age. One that was made
// by hand and has ended is there, too, as its service may have failed with a new image.
func (h *Host) containers(ctx context.Context, name string, age time.Duration) ([]container.Record, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.read.IsZero() || time.Since(h.read) > age {
		all, err := h.Engine.Containers.List()
		if err != nil {
			return nil, fmt.Errorf("containers of %s: %w", name, err)
		}
		h.records, h.read, h.units, h.ended = all, time.Now(), make([]string, len(all)), make([]bool, len(all))
		for i, r := range all {
			unit, matters := h.unitOf(r)
			h.units[i], h.ended[i] = unit, !matters
		}
	}
	var out, ended []container.Record
	for i, r := range h.records {
		switch {
		case h.units[i] != name:
		case h.ended[i]:
			ended = append(ended, r)
		default:
			out = append(out, r)
		}
	}
	ended, err := h.Engine.LastIn(ctx, name, ended)
	if err != nil {
		return nil, fmt.Errorf("containers of %s: %w", name, err)
	}
	return append(out, ended...), nil
}

// State tells how a unit does. What cannot be read of it is an error, since it may be what is wrong.
func (h *Host) State(ctx context.Context, name string) (State, error) {
	p, err := h.Manager.Properties(ctx, name)
	if err != nil {
		return State{}, err
	}
	s := State{
		Active: p.ActiveState, Restarts: p.Restarts, Invocation: p.InvocationID, Window: max(p.StartTimeout, 0),
		After: p.After, NeededBy: p.NeededBy, Gone: !p.Exists(), Asked: p.HasJob, Refused: p.Result == "start-limit-hit", Images: make(map[string]string),
	}
	if p.Type == "oneshot" {
		s.Active = "inactive" // it runs, has run or has failed: the next run takes the new image
	}
	if s.Active == "failed" && (journal.Reader{Command: "journalctl"}).Stopped(ctx, p.InvocationID) {
		s.Active = "inactive" // somebody stopped it, and it had to be killed
	}
	list, err := h.containers(ctx, name, look/2)
	if err != nil {
		return State{}, err
	}
	for _, r := range list {
		s.Images[r.Name] = r.ImageID
		if p.ActiveState != "active" {
			continue
		}
		state, err := h.health(r)
		if err != nil {
			return State{}, fmt.Errorf("health of %s: %w", r.Name, err)
		}
		// The worst of several counts.
		if s.Health == "" || state == "unhealthy" || state == "starting" && s.Health == "healthy" {
			s.Health = state
		}
	}
	return s, nil
}

// Ended reports whether a unit has ended by itself.
func (h *Host) Ended(ctx context.Context, name string) (bool, error) {
	p, err := h.Manager.Properties(ctx, name)
	switch {
	case err != nil:
		return false, err
	case p.ActiveState != "inactive" || p.Type == "oneshot" || len(p.TriggeredBy) > 0 || p.HasJob:
		return false, nil
	case p.InvocationID != "":
		return p.EndedItself, nil
	}
	return journal.Reader{Command: "journalctl"}.Ended(ctx, h.Engine.User.UID, name), nil
}

// Stopping reports whether the manager is going down.
func (h *Host) Stopping(ctx context.Context) bool { return h.Manager.Stopping(ctx) }

// made is a container that somebody made by hand, as text.
type made struct {
	ID, Name string
	Record   container.Record
}

// Remember describes the container of a transient service that is gone with its end; empty for all
// others.
func (h *Host) Remember(ctx context.Context, name string) (json.RawMessage, error) {
	list, err := h.containers(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 || list[0].Unit == name || !list[0].Spec.Remove {
		return nil, nil
	}
	return json.Marshal(made{list[0].ID, list[0].Name, list[0]})
}

// health is what a container's check has come to: starting, healthy or unhealthy. It is empty for
// a container without a check, and for one whose check nobody has run and only a person would.
func (h *Host) health(r container.Record) (string, error) {
	s, err := h.Engine.Health(r)
	if err != nil || s == nil {
		return "", err
	}
	switch s.Status {
	case health.Healthy, health.Unhealthy:
		return string(s.Status), nil
	case health.Starting, health.Reset:
		if s.Current(*r.Health).Interval > 0 {
			return string(health.Starting), nil
		}
	}
	return "", nil
}

// Restart restarts a unit. A container that somebody made by hand is made anew on the image that
// it is to run.
func (h *Host) Restart(ctx context.Context, name string, k Known) error {
	err := h.restart(ctx, name, k)
	var (
		failed = unit.JobError{}
		none   = unit.NoManagerError{}
		refuse = dbus.Error{}
	)
	if errors.As(err, &failed) && failed.Job == "canceled" || errors.As(err, &none) || errors.As(err, &refuse) {
		return HinderedError{err}
	}
	return err
}

func (h *Host) restart(ctx context.Context, name string, k Known) error {
	list, err := h.containers(ctx, name, 0)
	if err != nil {
		return HinderedError{err}
	}
	r, byHand, err := byHand(name, list, k)
	if err != nil {
		return err
	}
	if !byHand {
		// A unit that was started too often is refused until its failure is forgotten; a transient
		// one would be gone with that.
		if p, err := h.Manager.Properties(ctx, name); err == nil && p.ActiveState == "failed" && !p.Transient {
			if err := h.Manager.ResetFailed(ctx, name); err != nil {
				return err
			}
		}
		return h.Engine.RestartUnit(ctx, name)
	}
	current, err := h.Engine.Images.Pull(ctx, r.Spec.Image, image.PullOptions{Policy: image.PullNever})
	if err != nil {
		return err
	}
	id := cmp.Or(k.Instead(name, r.Spec.Image, current.ID), current.ID)
	if _, err := h.Engine.Containers.Lookup(r.ID); err == nil && id == r.ImageID {
		return h.Engine.Restart(ctx, r, h.Engine.StopTimeoutOf(r))
	}
	return h.Engine.Renew(ctx, r, id, name)
}

// byHand finds the container of a transient service: the one that is there, as the list has it, or
// the one that was there before the update. A unit that has made one of the list is none.
func byHand(name string, list []container.Record, k Known) (container.Record, bool, error) {
	if i := slices.IndexFunc(list, func(r container.Record) bool { return r.Unit == name }); i >= 0 {
		return list[i], false, nil
	}
	if len(list) > 0 {
		return list[0], true, nil
	}
	if len(k.Made) == 0 {
		return container.Record{}, false, nil
	}
	var m made
	if err := json.Unmarshal(k.Made, &m); err != nil {
		return container.Record{}, false, fmt.Errorf("%s: what it was made from: %w", name, err)
	}
	m.Record.ID, m.Record.Name = m.ID, m.Name
	return m.Record, true, nil
}

// Find lists what is to be looked after.
func (h *Host) Find(ctx context.Context) ([]Target, error) {
	commands, err := h.Manager.Commands(ctx, Label+"=", "podunit pull ", "podunit image pull ", " kube play ")
	if err != nil {
		return nil, err
	}
	commands = slices.DeleteFunc(commands, func(c unit.Command) bool {
		return len(c.Exec) > 0 && len(c.Exec[0]) > 0 && foreign(c.Exec[0][0])
	})
	records, err := h.Engine.Containers.List()
	if err != nil {
		return nil, err
	}
	var declared []Declared
	if h.Declared != nil {
		if declared, err = h.Declared(commands); err != nil {
			return nil, err
		}
	}
	return Targets(commands, declared, records, h.unitOf), nil
}

// foreign reports whether a command is another program than podunit, such as a podman that is there
// beside it: its containers are in its own care, and it does not obey a rollback.
func foreign(program string) bool {
	path, err := exec.LookPath(program)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	return err == nil && filepath.Base(path) != "podunit"
}
