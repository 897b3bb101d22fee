// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/spec"
)

// TestReloadFindsByName: network reload takes the names that every verb takes, and of a name that is also the beginning of
// an ID the one that has it.
func TestReloadFindsByName(t *testing.T) {
	w := newWorld(t)
	w.User.UID = 1000 // whose networks are in the storage
	if _, err := w.Networks().Create(netavark.New{Name: "front"}); err != nil {
		t.Fatal(err)
	}
	on := spec.Networking{Networks: []spec.Network{{Mode: spec.NetNamed, Name: "front"}}}
	one := func(name, begin string, runs bool) string {
		r := w.made(name, func(r *container.Record) {
			r.ID, r.Spec.Networking = begin+strings.Repeat("0", 64-len(begin)), on
		})
		if runs {
			w.running(r, name+".service")
		}
		return r.ID
	}
	web, bee, shop := one("web", "bee1", true), one("bee", "a1", true), one("systemd-shop", "cafe1", true)
	cafe2, off := one("two", "cafe2", true), one("off", "d1", false)
	p, err := w.CreatePod(t.Context(), spec.Pod{Name: "d", Networking: on}, nil)
	if err != nil {
		t.Fatal(err)
	}
	infra := w.running(container.Record{ID: "../pods/" + p.ID}, "") // a pod's status is much like a container's
	status := pod.Status{InfraPID: infra.Process.Pid, StartTicks: process.StartTicks(infra.Process.Pid)}
	if err := container.WriteJSON(w.Pods.Dir(p.ID)+"/status.json", status); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"web": web, "bee": bee, "bee1": web, web: web, "d": p.ID, p.ID: p.ID, p.ID[:12]: p.ID, "systemd-shop.service": shop, "cafe2": cafe2,
	} {
		if got, err := w.ReloadNetworks(t.Context(), []string{name}); err != nil || !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	got, err := w.ReloadNetworks(t.Context(), []string{"cafe", "nobody", "off", "web"})
	if !errors.Is(err, container.ErrAmbiguous) || !errors.Is(err, container.ErrNotFound) || !strings.Contains(err.Error(), "off is no container that runs") || !slices.Equal(got, []string{web}) {
		t.Errorf("%q, %v", got, err)
	}
	got, err = w.ReloadNetworks(t.Context(), nil)
	if err != nil || len(got) != 5 || slices.Contains(got, off) {
		t.Errorf("all: %q, %v", got, err)
	}
}
