// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/volume"
)

func TestMatchVolume(t *testing.T) {
	r := volumeRow{Name: "web-data", Driver: "local", Scope: "local", CreatedAt: time.Now().Add(-time.Hour), Labels: labels{"app": "web", "tier": "front"}, MountCount: 1}
	for _, c := range []struct {
		filters []string
		want    bool
	}{
		{nil, true},
		{[]string{"name=data"}, true},
		{[]string{"name=other", "name=web"}, true},
		{[]string{"name=other"}, false},
		{[]string{"label=app=web", "label=tier"}, true},
		{[]string{"label=app=web", "label=tier=back"}, false},
		{[]string{"label!=app=web"}, false},
		{[]string{"dangling=true"}, false},
		{[]string{"dangling=false", "driver=local"}, true},
		{[]string{"anonymous=true"}, false},
		{[]string{"until=30m"}, true},
		{[]string{"after=30m"}, false},
	} {
		if got, err := matchVolume(r, c.filters); err != nil || got != c.want {
			t.Errorf("%v: %v, %v", c.filters, got, err)
		}
	}
	named := volumeRow{Name: "data", Units: []string{"web.service"}}
	if got, err := matchVolume(named, []string{"dangling=true"}); err != nil || got {
		t.Errorf("a volume that a unit names dangles: %v", err)
	}
	for _, bad := range []string{"colour=red", "dangling=maybe", "name", "until=yesterday"} {
		if _, err := matchVolume(r, []string{bad}); err == nil {
			t.Errorf("filter %q is no error", bad)
		}
	}
}

func TestVolumeOptions(t *testing.T) {
	o := volume.Options{Options: map[string]string{"o": "uid=7,nocopy", "gid": "8"}}
	if err := ownerOptions(&o); err != nil || o.UID != 7 || o.GID != 8 {
		t.Errorf("%+v, %v", o, err)
	}
	var later *spec.NotBuilt
	if err := ownerOptions(&volume.Options{Options: map[string]string{"device": "tmpfs"}}); !errors.As(err, &later) {
		t.Errorf("what is not built is refused: %v", err)
	}
	if err := ownerOptions(&volume.Options{Options: map[string]string{"uid": "joe"}}); err == nil {
		t.Error("a uid that is no number is taken")
	}
}
