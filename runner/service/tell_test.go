// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/unit"
)

// told has the world note what is said in other units.
func (w *world) told() *[]string {
	var all []string
	w.Tell = func(fields map[string]string, message string) {
		all = append(all, fields["OBJECT_SYSTEMD_UNIT"]+" "+message)
	}
	return &all
}

// TestAPodIsToldOfItsContainersFailures: where people look who have started the pod.
func TestAPodIsToldOfItsContainersFailures(t *testing.T) {
	w := newWorld(t)
	said := w.told()
	p, _ := w.podWith("old")
	w.inService("web.service")
	w.Images = images{err: hint.With(errors.New("image x: not there"), "pull it")}
	c := w.asked("web")
	c.Rootfs, c.Image, c.Pod, c.Pull.Policy = nil, "x", p.Name, "missing"
	run := func() {
		if _, _, err := w.Run(context.Background(), c, nil); err == nil {
			t.Error("it starts")
		}
	}
	run()
	want := []string{"media-pod.service web.service: image x: not there\n  hint: pull it"}
	if !slices.Equal(*said, want) {
		t.Errorf("got %q, want %q", *said, want)
	}
	w.manager.set("web.service", unit.Properties{LoadState: "loaded", Restarts: 1})
	run()
	c.Pod = ""
	run()
	if len(*said) != 1 {
		t.Errorf("restarts and containers without a pod: %q", *said)
	}
}

func TestAPodIsToldOfAnEnd(t *testing.T) {
	for _, c := range []struct {
		name, result, code, status string
		want                       int
	}{
		{"a failure", "exit-code", "exited", "3", 1},
		{"a signal", "signal", "killed", "KILL", 1},
		{"a success", "success", "exited", "0", 0},
		{"a start that failed", "exit-code", "exited", "125", 0},
		{"a stop before there was a process", "timeout", "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			said := w.told()
			w.podWith("web")
			r, err := w.Containers.Lookup("web")
			if err != nil {
				t.Fatal(err)
			}
			w.status(r, container.Status{Unit: "web.service", StartTicks: 1})
			w.inService("web.service")
			w.env["SERVICE_RESULT"], w.env["EXIT_CODE"], w.env["EXIT_STATUS"] = c.result, c.code, c.status
			if err := w.Remove(context.Background(), r, Removal{Force: true}); err != nil || len(*said) != c.want {
				t.Errorf("%v; %q", err, *said)
			}
		})
	}
}
