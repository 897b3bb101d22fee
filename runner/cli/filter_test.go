// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"slices"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"go.podman.io/storage"
)

// two is a storage with two containers.
type two struct {
	storage.Store
	root string
}

func (s two) GraphRoot() string                         { return s.root }
func (s two) ContainerDirectory(string) (string, error) { return s.root, nil }
func (s two) Containers() ([]storage.Container, error) {
	return []storage.Container{
		{ID: id("a"), Names: []string{"web"}, Metadata: `{"Podunit":1,"Spec":{"Labels":{"a":"b"}}}`},
		{ID: id("b"), Names: []string{"db"}, Metadata: `{"Podunit":1}`},
	}, nil
}

func (s two) Container(name string) (*storage.Container, error) {
	all, err := s.Containers()
	for _, c := range all {
		if c.ID == name || c.Names[0] == name {
			return &c, err
		}
	}
	return nil, storage.ErrContainerUnknown
}

// id is a whole ID of one digit.
func id(digit string) string {
	out := ""
	for range 64 {
		out += digit
	}
	return out
}

func TestSelectionByFilter(t *testing.T) {
	containers := &container.Engine{Store: two{root: t.TempDir()}, RunDir: t.TempDir()}
	x := &service.Engine{Containers: containers, Pods: &pod.Engine{Containers: containers}}
	for _, c := range []struct {
		name string
		sel  Selection
		args []string
		want []string
	}{
		{"a filter alone means all that match", Selection{Filters: []string{"label=a=b"}}, nil, []string{"web"}},
		{"of those named, those that match", Selection{Filters: []string{"label=a=b"}}, []string{"db"}, nil},
		{"all", Selection{All: true}, nil, []string{"web", "db"}},
		{"of all, those that run", Selection{All: true, Running: true}, nil, nil},
		{"what is named need not run", Selection{Running: true}, []string{"db"}, []string{"db"}},
	} {
		records, err := c.sel.Resolve(x, c.args)
		if names := NamesOf(records, func(r container.Record) string { return r.Name }); err != nil || !slices.Equal(names, c.want) {
			t.Errorf("%s: %v, %v", c.name, names, err)
		}
	}
	if _, err := (&Selection{Filters: []string{"colour=red"}}).Resolve(x, nil); err == nil {
		t.Error("an unknown filter passes")
	}
}
