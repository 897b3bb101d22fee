// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/store"
	"go.podman.io/storage"
)

// shelf is a storage of containers, found as the real one finds them: by name, by ID, by
// the beginning of an ID.
type shelf struct {
	storage.Store
	all []storage.Container
}

func (s shelf) Containers() ([]storage.Container, error) { return s.all, nil }

func (s shelf) Container(id string) (*storage.Container, error) {
	for i, c := range s.all {
		if c.ID == id || c.Names[0] == id {
			return &s.all[i], nil
		}
	}
	for i, c := range s.all {
		if strings.HasPrefix(c.ID, id) {
			return &s.all[i], nil
		}
	}
	return nil, storage.ErrContainerUnknown
}

func (s *shelf) add(t *testing.T, id, name string) {
	t.Helper()
	b, err := json.Marshal(Record{Podunit: recordVersion, BootID: BootID()})
	if err != nil {
		t.Fatal(err)
	}
	s.all = append(s.all, storage.Container{ID: id + strings.Repeat("0", store.IDLength-len(id)), Names: []string{name}, Metadata: string(b)})
}

// TestUnitsNameContainersExactly: "db" is the beginning of an ID as well.
func TestUnitsNameContainersExactly(t *testing.T) {
	s := &shelf{}
	s.add(t, "db", "web")
	s.add(t, "dbb", "other")
	e := &Engine{Store: s}
	if _, err := e.LookupExact("db"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a unit that means the container db would get another: %v", err)
	}
	if r, err := e.Lookup("db0"); err != nil || r.Name != "web" {
		t.Errorf("a person may shorten an ID: %+v, %v", r, err)
	}
	for _, name := range []string{"web", s.all[0].ID} {
		if r, err := e.LookupExact(name); err != nil || r.Name != "web" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestOfEarlierBoot(t *testing.T) {
	for _, c := range []struct {
		record, now string
		want        bool
	}{{"a", "a", false}, {"a", "b", true}, {"a", "", false}, {"", "b", false}} {
		if got := ofEarlierBoot(Record{BootID: c.record}, c.now); got != c.want {
			t.Errorf("made in boot %q, now %q: %v", c.record, c.now, got)
		}
	}
}

// crowded is a storage in which the ID of a layer begins with "c" and that of an image with "db".
type crowded struct{ nowhere }

func (crowded) Layer(id string) (*storage.Layer, error) {
	if strings.HasPrefix("c0ffee", id) {
		return &storage.Layer{ID: "c0ffee"}, nil
	}
	return nil, storage.ErrLayerUnknown
}

func (crowded) Image(id string) (*storage.Image, error) {
	if strings.HasPrefix("db01", id) {
		return &storage.Image{ID: "db01"}, nil
	}
	return nil, storage.ErrImageUnknown
}

func (crowded) SetMetadata(id, _ string) error { return errors.New(id + " would be written") }

// TestNote writes no record to a layer or an image whose ID begins with the name of a container.
func TestNote(t *testing.T) {
	e := &Engine{Store: crowded{}}
	for name, want := range map[string]string{"c": "the ID of a layer begins", "db": "the ID of an image begins", "web": "web would be written"} {
		if err := e.Note(Record{Name: name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}
