// SPDX-License-Identifier: Apache-2.0

package play

import (
	"fmt"
	"testing"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/spec"

	runner "github.com/podunit/podunit/runner/container"
)

// TestMountsOfOthers: a container has the mounts of earlier ones of its pod, by way of others too,
// with the options that the annotation gives; its own stay where they are, and one outside is left
// to the start.
func TestMountsOfOthers(t *testing.T) {
	w := newWorld(t)
	one := planned(t, `apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations:
    io.podman.annotations.volumes-from/b: a:ro
    io.podman.annotations.volumes-from/c: b;outside:z
spec:
  containers:
  - {name: a, image: quay.io/x/a:1, volumeMounts: [{name: v, mountPath: /v}, {name: w, mountPath: /w}]}
  - {name: b, image: quay.io/x/a:1}
  - {name: c, image: quay.io/x/a:1, volumeMounts: [{name: own, mountPath: /w}]}
  volumes:
  - {name: v, hostPath: {path: /srv/v}}
  - {name: w, hostPath: {path: /srv/w}}
  - {name: own, hostPath: {path: /srv/own}}
`).Pods[0]
	r := pod.Record{ID: runner.NewID()}
	get := func(name string) spec.Container {
		t.Helper()
		c := container(one, name)
		list, err := c.ResolveMounts(kube.Facts{})
		if err != nil {
			t.Fatal(err)
		}
		var s spec.Container
		if s.Mounts, err = w.volumeMounts(t.Context(), r, one, c, list); err == nil {
			err = w.inherit(t.Context(), r, one, c, kube.Facts{}, &s)
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, want := range map[string]string{
		"a": "[/srv/v:/v [rbind rprivate] /srv/w:/w [rbind rprivate]]",
		"b": "[/srv/v:/v [rbind rprivate ro] /srv/w:/w [rbind rprivate ro]]",
		"c": "[/srv/own:/w [rbind rprivate] /srv/v:/v [rbind rprivate ro]]",
	} {
		var got []string
		for _, m := range get(name).Mounts {
			got = append(got, fmt.Sprint(m, m.Options))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
	if from := get("c").VolumesFrom; fmt.Sprint(from) != "[{outside [z]}]" {
		t.Errorf("outside: %v", from)
	}
}
