// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"errors"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"go.podman.io/storage"
)

// place is a storage that is nothing but its place.
type place struct {
	storage.Store
	root string
}

func (p place) GraphRoot() string { return p.root }

// TestUnitsNamePodsExactly: PodName=db must not remove the pod whose ID begins with db.
func TestUnitsNamePodsExactly(t *testing.T) {
	e := &Engine{Containers: &container.Engine{Store: place{root: t.TempDir()}}}
	if err := e.save(Record{Podunit: 1, ID: "db00", Name: "web"}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.LookupExact("db"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a unit that means the pod db would get another: %v", err)
	}
	for name, find := range map[string]func(string) (Record, error){"web": e.LookupExact, "db00": e.LookupExact, "db": e.Lookup} {
		if r, err := find(name); err != nil || r.Name != "web" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}
