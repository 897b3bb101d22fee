// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/spec"
)

func TestReplaceLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := replaceLines(path, nil, []string{"x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that the container does not have was made: %v", err)
	}
	if err := os.WriteFile(path, []byte("search dns.podman\nnameserver 10.89.0.1\nnameserver 10.89.1.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := replaceLines(path, []string{"nameserver 10.89.0.1", "nameserver 10.89.1.1"}, []string{"nameserver 10.89.1.1", "nameserver 10.89.2.1"}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || string(data) != "search dns.podman\nnameserver 10.89.1.1\nnameserver 10.89.2.1\n" {
		t.Errorf("%q, %v", data, err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file that is bound into the container is another one now: %v", err)
	}
	// A container has made it larger than all memory.
	if err := os.Truncate(path, 1<<42); err != nil {
		t.Fatal(err)
	}
	if err := replaceLines(path, nil, []string{"nameserver 10.89.3.1"}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "nameserver 10.89.3.1\n" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestNetworksOfAStoppedContainer(t *testing.T) {
	w := newWorld(t)
	w.User.UID = 1000 // whose networks are in the storage
	for _, name := range []string{"front", "back"} {
		if _, err := w.Networks().Create(t.Context(), netavark.New{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	plain := w.made("plain", nil)
	r := w.made("web", func(r *container.Record) {
		r.Spec.Networks = []spec.Network{{Mode: spec.NetNamed, Name: "back"}}
	})
	ctx := context.Background()
	if err := w.ConnectNetwork(ctx, plain, spec.Network{Name: "front"}); err == nil || !strings.Contains(err.Error(), `"host" is not supported: invalid network mode`) {
		t.Errorf("one that is on no named network: %v", err)
	}
	if err := w.ConnectNetwork(ctx, r, spec.Network{Name: "nowhere"}); !errors.As(err, &netavark.NotFoundError{}) {
		t.Errorf("no network: %v", err)
	}
	if err := w.DisconnectNetwork(ctx, r, "back"); err == nil || !strings.Contains(err.Error(), "back is the only network of container web") {
		t.Errorf("its only network: %v", err)
	}
	for range 2 { // the second time it is on it already
		if err := w.ConnectNetwork(ctx, r, spec.Network{Name: "front", Options: []string{"alias=w"}}); err != nil {
			t.Fatal(err)
		}
	}
	on := func() (names []string) {
		t.Helper()
		r, err := w.Containers.Lookup("web")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range r.Spec.Networks {
			names = append(names, n.Mode+" "+n.Name+" "+strings.Join(n.Options, ","))
		}
		return names
	}
	if got := strings.Join(on(), "; "); got != "named back ; named front alias=w" {
		t.Errorf("connected: %s", got)
	}
	if err := w.DisconnectNetwork(ctx, r, "back"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(on(), "; "); got != "named front alias=w" {
		t.Errorf("disconnected: %s", got)
	}
}
