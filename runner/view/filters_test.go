// SPDX-License-Identifier: Apache-2.0

package view

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/spec"
)

func TestContainerFilters(t *testing.T) {
	row := ContainerRow{
		IDFull: "abc123", Names: "web", State: "exited", Exited: true, ExitCode: 3, Image: "localhost/nginx:latest",
		Labels: map[string]string{"tier": "front"}, PodName: "media", Unit: "web.service",
		Cmd:    []string{"sh", "-c", "true"},
		record: container.Record{ImageID: "f00", PodID: "p1", Created: time.Now().Add(-2 * time.Hour), Spec: spec.Container{Restart: spec.Restart{Policy: "always"}}},
	}
	for _, c := range []struct {
		filters []string
		want    bool
	}{
		{nil, true},
		{[]string{"name=we"}, true},
		{[]string{"name=^eb"}, false},
		{[]string{"name=nope", "name=web"}, true},
		{[]string{"name=web", "status=running"}, false},
		{[]string{"status=exited", "exited=3"}, true},
		{[]string{"label=tier"}, true},
		{[]string{"label=tier=back"}, false},
		{[]string{"ancestor=localhost/nginx"}, true},
		{[]string{"ancestor=nginx"}, true},
		{[]string{"ancestor=ginx"}, false},
		{[]string{"ancestor=f0"}, true},
		{[]string{"pod=media"}, true},
		{[]string{"unit=web"}, true},
		{[]string{"id=abc"}, true},
		{[]string{"id=bc"}, false},
		{[]string{"id=^abc"}, true},
		{[]string{"id=^bc"}, false},
		{[]string{"id=^a.*3$"}, true},
		{[]string{"id=ABC"}, true},
		{[]string{"name=^/web$"}, true},
		{[]string{"name=^/we$"}, false},
		{[]string{"name=^/"}, true},
		{[]string{"restart-policy=always"}, true},
		{[]string{"restart-policy=no"}, false},
		{[]string{"command=sh"}, true},
		{[]string{"command=true"}, false},
		{[]string{"until=1h"}, true},
		{[]string{"until=1999-01-01"}, false},
	} {
		match, err := ContainerFilters(c.filters, nil)
		if err != nil {
			t.Fatalf("%v: %v", c.filters, err)
		}
		if got := match(row); got != c.want {
			t.Errorf("%v: got %t", c.filters, got)
		}
	}
	for _, bad := range []string{"name", "name=", "nosuch=1", "exited=x", "restart-policy=bogus"} {
		if _, err := ContainerFilters([]string{bad}, nil); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// TestOlderAndYounger: the containers that were made before another one, and after it.
func TestOlderAndYounger(t *testing.T) {
	now := time.Now()
	find := func(name string) (container.Record, error) {
		if name != "middle" {
			return container.Record{}, container.ErrNotFound
		}
		return container.Record{Created: now}, nil
	}
	for filter, want := range map[string]string{"before=middle": "old", "since=middle": "young"} {
		match, err := ContainerFilters([]string{filter}, find)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for name, created := range map[string]time.Time{"old": now.Add(-time.Second), "middle": now, "young": now.Add(time.Second)} {
			if match(ContainerRow{record: container.Record{Created: created}}) {
				got += name
			}
		}
		if got != want {
			t.Errorf("%s: %s", filter, got)
		}
	}
	if _, err := ContainerFilters([]string{"before=nosuch"}, find); !errors.Is(err, container.ErrNotFound) {
		t.Errorf("an unknown one: %v", err)
	}
}

func TestPodFilters(t *testing.T) {
	row := PodRow{
		IDFull: "b91c", Name: "media", Status: "Running", restart: "on-failure", Networks: []string{"pasta"}, NumberOfContainers: 1,
		Members: []Member{{ID: "b9f0", Names: "web", Status: "running"}},
	}
	for text, want := range map[string]bool{
		"ctr-ids=^b9": true, "ctr-ids=^9": false, "ctr-ids=b9": true, "ctr-names=^/web$": true, "id=^b9": true, "id=^1c": false,
		"name=^/media$": true, "restart-policy=on-failure": true, "restart-policy=no": false, "network=pasta": true, "ctr-number=1": true,
		"until=1h": true,
	} {
		match, err := PodFilters([]string{text})
		if err != nil || match(row) != want {
			t.Errorf("%s: want %t; %v", text, want, err)
		}
	}
}

func TestArrowAndBindingsShowEveryPort(t *testing.T) {
	m := spec.PortMapping{HostIP: netip.MustParseAddr("::1"), HostPort: 8000, ContainerPort: 80, Range: 2, Protocol: "tcp"}
	if got, want := arrow(m), "[::1]:8000-8001->80-81/tcp"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	b := bindings([]spec.PortMapping{m})
	if len(b) != 2 || b["81/tcp"][0] != (Binding{"::1", "8001"}) {
		t.Errorf("got %v", b)
	}
}
