// SPDX-License-Identifier: Apache-2.0

package update

import (
	"cmp"
	"context"
	"errors"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/ledger"
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
	return &Image{ID: i.ID, Digests: append(i.Digests, i.Digest), Platform: i.Platform()}
}

func (s Storage) options(q Question) image.PullOptions {
	o := s.Options
	o.AuthFile = cmp.Or(q.AuthFile, o.AuthFile)
	return o
}

// Newer asks the registry.
func (s Storage) Newer(ctx context.Context, q Question) (Answer, error) {
	local, err := s.Lookup(ctx, q.Reference)
	if err != nil {
		local = nil // what is not there, or damaged, is older than anything
	}
	d, newer, err := s.Images.Newer(ctx, q.Reference, local, s.options(q))
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
	Engine *service.Engine
	Ledger *ledger.Ledger
}

// unitOf names the service that starts a container: the one that runs it, or that it was made in.
func (h Host) unitOf(r container.Record) (name string, matters bool) {
	s, err := h.Engine.Containers.Status(r.ID)
	if err == nil && s.PID != 0 {
		return cmp.Or(s.Unit, r.Unit, r.Service), true
	}
	name = cmp.Or(r.Unit, r.Service)
	return name, name != ""
}

// container finds the container of a unit.
func (h Host) container(name string) (container.Record, bool) {
	all, err := h.Engine.Containers.List()
	if err != nil {
		return container.Record{}, false
	}
	for _, r := range all {
		if unit, _ := h.unitOf(r); unit == name {
			return r, true
		}
	}
	return container.Record{}, false
}

// State tells how a unit does.
func (h Host) State(ctx context.Context, name string) (State, error) {
	p, err := h.Engine.Unit(ctx, name)
	if err != nil {
		return State{}, err
	}
	s := State{Active: p.ActiveState, Restarts: p.Restarts, Invocation: p.InvocationID, Window: max(p.StartTimeout, 0), After: p.After}
	if p.Type == "oneshot" && p.ActiveState == "active" {
		s.Active = "inactive" // it has run, and the next run takes the new image
	}
	if r, ok := h.container(name); ok && p.ActiveState == "active" {
		s.Health = h.health(r)
	}
	return s, nil
}

// health is what a container's check has come to: starting, healthy or unhealthy. It is empty for
// a container without a check, and for one whose check nobody has run and only a person would.
func (h Host) health(r container.Record) string {
	s, err := h.Engine.Health(r)
	if err != nil || s == nil {
		return ""
	}
	switch s.Status {
	case health.Healthy, health.Unhealthy:
		return string(s.Status)
	case health.Starting, health.Reset:
		if s.Current(*r.Health).Interval > 0 {
			return string(health.Starting)
		}
	}
	return ""
}

// Restart restarts a unit. A container that somebody made by hand is made anew on the image that
// it is to run.
func (h Host) Restart(ctx context.Context, name string) error {
	r, ok := h.container(name)
	if !ok || r.Unit == name {
		return h.Engine.RestartUnit(ctx, name)
	}
	current, err := h.Engine.Images.Pull(ctx, r.Spec.Image, image.PullOptions{Policy: image.PullNever})
	if err != nil {
		return err
	}
	id := cmp.Or(h.Ledger.Instead(name, r.Spec.Image, current.ID), current.ID)
	if id == r.ImageID {
		return h.Engine.Restart(ctx, r, h.Engine.StopTimeoutOf(r))
	}
	return h.Engine.Renew(ctx, r, id)
}

// Find lists what is to be looked after.
func (h Host) Find(ctx context.Context, m *unit.Manager) ([]Target, error) {
	commands, err := m.Commands(ctx, Label+"=")
	if err != nil {
		return nil, err
	}
	records, err := h.Engine.Containers.List()
	if err != nil {
		return nil, err
	}
	return Targets(commands, records, h.unitOf), nil
}
