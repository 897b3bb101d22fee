// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"reflect"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/spec"
)

func TestRunsAs(t *testing.T) {
	r := container.Record{
		Config: ispec.ImageConfig{User: "web", Env: []string{"PATH=/bin", "A=1"}, Entrypoint: []string{"/init"}, Cmd: []string{"serve"}, WorkingDir: "/srv", Labels: map[string]string{"from": "image"}},
		Spec: spec.Container{
			Entrypoint: []string{"/bin/sh"}, Env: map[string]string{"A": "2", "B": "3"}, WorkDir: "/tmp", Labels: map[string]string{"by": "hand"},
			Mounts: []spec.Mount{{Type: spec.MountVolume, Destination: "/data/"}, {Type: spec.MountBind, Destination: "/etc"}},
		},
	}
	want := ispec.ImageConfig{
		User: "web", Env: []string{"PATH=/bin", "A=2", "B=3"}, Entrypoint: []string{"/bin/sh"}, WorkingDir: "/tmp",
		Labels: map[string]string{"from": "image", "by": "hand"}, Volumes: map[string]struct{}{"/data": {}},
	}
	if got := runsAs(r, true); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if got := runsAs(r, false); got.Volumes != nil {
		t.Errorf("volumes that nobody asked for: %v", got.Volumes)
	}
	if r.Config.Env[1] != "A=1" {
		t.Error("the record was changed")
	}
}

func TestPause(t *testing.T) {
	for text, want := range map[string]string{"250": "250ms", "2s": "2s", "1m": "1m0s"} {
		if d, err := pause(text); err != nil || d.String() != want {
			t.Errorf("%s: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "soon"} {
		if d, err := pause(text); err == nil {
			t.Errorf("%q is %v", text, d)
		}
	}
}
