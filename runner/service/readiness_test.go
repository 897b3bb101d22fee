// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/unit"
)

// TestReadiness is about who tells the manager that a container is ready.
func TestReadiness(t *testing.T) {
	const path = "/run/manager"
	there := notify.FromEnv(func(string) (string, bool) { return path, true })
	for _, c := range []struct {
		name    string
		mode    string // --sdnotify
		manager notify.Socket
		made    string // the unit that has made the container; empty: it was made by hand
		own     unit.Properties
		want    string
		socket  string
		start   time.Duration
	}{
		{name: "nobody listens", mode: "container", want: "container"},
		{name: "ourselves", mode: "conmon", manager: there, want: "conmon"},
		{name: "the container", mode: "container", manager: there, made: "web.service", own: unit.Properties{StartTimeout: time.Minute}, want: "container", socket: path, start: time.Minute},
		{name: "the container, in a transient service of somebody's", mode: "container", manager: there, made: "web.service", own: unit.Properties{Transient: true}, want: "container", socket: path},
		{name: "nobody asked the manager to wait for it", mode: "container", manager: there, own: unit.Properties{Transient: true, Argument: "f00"}, want: "conmon"},
		{name: "somebody did", mode: "container", manager: there, own: unit.Properties{Transient: true, Argument: "web"}, want: "container", socket: path},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.inService("web.service")
			c.own.LoadState = "loaded"
			w.manager.set("web.service", c.own)
			r := container.Record{ID: "f00", Name: "web", Unit: c.made}
			r.Spec.SdNotify = c.mode
			l := container.Launch{Record: &r}
			got := w.readiness(context.Background(), c.manager, &l)
			if got != c.want || l.NotifySocket != c.socket || l.StartLimit != c.start {
				t.Errorf("%q, socket %q, limit %s", got, l.NotifySocket, l.StartLimit)
			}
		})
	}
}
