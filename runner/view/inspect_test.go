// SPDX-License-Identifier: Apache-2.0

package view

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/storage"
)

// TestInspectHasTheFieldsThatScriptsRead names those that are read although they say little here.
func TestInspectHasTheFieldsThatScriptsRead(t *testing.T) {
	text, err := json.Marshal(Container{NetworkSettings: Network{Networks: map[string]Endpoint{"pasta": {NetworkID: "pasta"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"ConmonPid":0`, `"StoppedByUser":false`, `"IpcMode":`, `"PidMode":`, `"UTSMode":`, `"CgroupMode":`, `"Networks":{"pasta":{"NetworkID":"pasta"`,
		`"Dns":`, `"ExtraHosts":`, `"GroupAdd":`, `"PublishAllPorts":`, `"Runtime":`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if text, err = json.Marshal(Pod{InfraContainerID: "b9"}); err != nil || !strings.Contains(string(text), `"InfraContainerID":"b9"`) {
		t.Errorf("a pod: %s, %v", text, err)
	}
}

// one is a storage with one container.
type one struct{ layers }

func (o one) Container(name string) (*storage.Container, error) {
	if name != "vpn" {
		return nil, storage.ErrContainerUnknown
	}
	return &o.containers[0], nil
}

// TestDependencies are all containers whose namespaces are joined, whatever the kind of it.
func TestDependencies(t *testing.T) {
	id := strings.Repeat("b", 64)
	x := &service.Engine{Containers: &container.Engine{Store: one{layers{containers: []storage.Container{{ID: id, Names: []string{"vpn"}, Metadata: `{"Podunit":1}`}}}}}}
	join := spec.Namespace{Mode: "container", Container: "vpn"}
	for kind, s := range map[string]spec.Container{
		"network": {Networking: spec.Networking{Networks: []spec.Network{{Mode: spec.NetContainer, Name: "vpn"}}}},
		"pid":     {PIDNS: join}, "ipc": {IPCNS: join}, "uts": {UTSNS: join}, "cgroup": {CgroupNS: join}, "two": {PIDNS: join, IPCNS: join},
		"user": {IDMapping: spec.IDMapping{UserNS: spec.UserNS{Mode: spec.UserContainer, From: join}}},
	} {
		if got := dependencies(x, container.Record{Spec: s}); !slices.Equal(got, []string{id}) {
			t.Errorf("%s: %q", kind, got)
		}
	}
	if got := dependencies(x, container.Record{}); got == nil || len(got) > 0 {
		t.Errorf("who joins nobody: %#v", got)
	}
}

func TestHostSettings(t *testing.T) {
	r := container.Record{ID: "c1", PodID: "p1"}
	r.Spec.PIDNS = spec.Namespace{Mode: "host"}
	r.Spec.UTSNS = spec.Namespace{Mode: "container", Container: "db"}
	r.Spec.CgroupNS = spec.Namespace{Mode: "ns", Path: "/run/ns"}
	r.Spec.AddHosts = []spec.HostEntry{{Names: []string{"a", "b"}, IP: netip.MustParseAddr("10.0.0.2")}, {Names: []string{"me"}, Gateway: true}}
	h := hostSettings(r)
	if h.IpcMode != "pod:p1" || h.PidMode != "host" || h.UTSMode != "container:db" || h.CgroupMode != "ns:/run/ns" {
		t.Errorf("ipc %s, pid %s, uts %s, cgroup %s", h.IpcMode, h.PidMode, h.UTSMode, h.CgroupMode)
	}
	if want := []string{"a:10.0.0.2", "b:10.0.0.2", "me:host-gateway"}; !slices.Equal(h.ExtraHosts, want) {
		t.Errorf("hosts %v", h.ExtraHosts)
	}
	if h = hostSettings(container.Record{}); h.IpcMode != "shareable" || h.PidMode != "private" || h.CgroupMode != "private" {
		t.Errorf("the usual: ipc %s, pid %s, cgroup %s", h.IpcMode, h.PidMode, h.CgroupMode)
	}
}

// TestHealthHasTwoNames: templates of either are in use, and the JSON has one of them.
func TestHealthHasTwoNames(t *testing.T) {
	in := Container{State: State{Health: &Health{Status: "healthy"}}}
	var b strings.Builder
	err := format.Rows(&b, format.Table{Format: "{{.State.Health.Status}} {{.State.Healthcheck.Status}}"}, []Container{in})
	if want := "healthy healthy\n"; err != nil || b.String() != want {
		t.Errorf("%q, %v", b.String(), err)
	}
	if text, err := json.Marshal(in); err != nil || strings.Contains(string(text), `"Healthcheck":`) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestTemplatesOfPs(t *testing.T) {
	row := ContainerRow{Names: "web", Labels: Labels{"b": "2", "a": "1"}, Networks: Names{"pasta"}, Mounts: Names{"/a", "/b"}}
	var b strings.Builder
	err := format.Rows(&b, format.Table{Format: `{{.Networks}} {{.Mounts}} {{.Labels}} {{.Label "a"}} {{.Label "none"}}`}, []ContainerRow{row})
	if want := "pasta /a,/b a=1,b=2 1 \n"; err != nil || b.String() != want {
		t.Errorf("%q, %v", b.String(), err)
	}
	text, err := json.Marshal(row)
	if err != nil || !strings.Contains(string(text), `"Networks":["pasta"]`) || !strings.Contains(string(text), `"Labels":{"a":"1","b":"2"}`) {
		t.Errorf("%s, %v", text, err)
	}
}
