// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/spec"
)

// TestPeers: container:NAME means the same container for all namespaces, the network's too, and each
// says with its flag what is wrong.
func TestPeers(t *testing.T) {
	w := newWorld(t)
	vpn := w.made("vpn", nil)
	w.running(vpn, "")
	join := spec.Namespace{Mode: "container", Container: vpn.ID[:12]}
	asked := func(join spec.Namespace) *spec.Container {
		return &spec.Container{
			PIDNS: join, IPCNS: join, UTSNS: join, CgroupNS: join,
			IDMapping: spec.IDMapping{UserNS: spec.UserNS{Mode: spec.UserContainer, From: join}},
		}
	}
	all := namespacesOf(asked(join))
	peers, err := w.peers(all...)
	if err != nil || len(peers) != 5 {
		t.Fatalf("%+v, %v", peers, err)
	}
	for _, kind := range []string{"pid", "ipc", "uts", "cgroup", "user"} {
		if one := peers[kind]; one.ID != vpn.ID {
			t.Errorf("%s: %+v", kind, one)
		}
	}
	join.Container = "nosuch"
	for _, ns := range namespacesOf(asked(join)) {
		if _, err := w.peers(ns); !errors.Is(err, container.ErrNotFound) || !strings.HasPrefix(err.Error(), "--"+ns.flag+" container:nosuch: ") {
			t.Errorf("%s: %v", ns.flag, err)
		}
	}
	network := spec.Networking{Networks: []spec.Network{{Mode: spec.NetContainer, Name: "nosuch"}}}
	_, err = w.peers(networkNamespace(network)...)
	_, perr := w.podNetwork(t.Context(), pod.Record{Spec: spec.Pod{Networking: network, Share: []string{"net"}}})
	for _, err := range []error{err, perr} {
		if !errors.Is(err, container.ErrNotFound) || !strings.HasPrefix(err.Error(), "--network container:nosuch: ") {
			t.Errorf("network: %v", err)
		}
	}
	if peers, err := w.peers(namespacesOf(w.asked("app"))...); err != nil || len(peers) != 0 {
		t.Errorf("one that joins nobody: %+v, %v", peers, err)
	}
	// A new one that is not started needs a peer for its IDs only.
	c := asked(join)
	c.UserNS, c.Name, c.Rootfs = spec.UserNS{}, "later", &spec.Rootfs{Path: t.TempDir()}
	if _, err := w.Create(t.Context(), c, nil); err != nil {
		t.Error(err)
	}
	c.UserNS, c.Name = spec.UserNS{Mode: spec.UserContainer, From: join}, "never"
	if _, err := w.Create(t.Context(), c, nil); !errors.Is(err, container.ErrNotFound) {
		t.Errorf("%v", err)
	}
}
