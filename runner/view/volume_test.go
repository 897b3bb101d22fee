// SPDX-License-Identifier: Apache-2.0

package view

import (
	"testing"
	"time"
)

func matchVolume(r VolumeRow, filters []string) (bool, error) {
	match, err := volumeFilters.Read(filters)
	return err == nil && match(r), err
}

func TestMatchVolume(t *testing.T) {
	r := VolumeRow{Name: "web-data", Driver: "local", Scope: "local", CreatedAt: time.Now().Add(-time.Hour), Labels: Labels{"app": "web", "tier": "front"}, MountCount: 1}
	for _, c := range []struct {
		filters []string
		want    bool
	}{
		{nil, true},
		{[]string{"name=data"}, true},
		{[]string{"name=other", "name=web"}, true},
		{[]string{"name=other"}, false},
		{[]string{"name=w.+"}, true},
		{[]string{"name=^data"}, false},
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
	named := VolumeRow{Name: "data", Units: []string{"web.service"}}
	if got, err := matchVolume(named, []string{"dangling=true"}); err != nil || got {
		t.Errorf("a volume that a unit names dangles: %v", err)
	}
	for _, bad := range []string{"colour=red", "dangling=maybe", "name", "until=yesterday"} {
		if _, err := matchVolume(r, []string{bad}); err == nil {
			t.Errorf("filter %q is no error", bad)
		}
	}
}
