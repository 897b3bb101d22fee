// SPDX-License-Identifier: Apache-2.0

package view

import (
	"testing"
	"time"
)

func TestNetworkFilters(t *testing.T) {
	hour := time.Now().Add(-time.Hour)
	idle := NetworkRow{Name: "idle", Driver: "bridge", Created: hour, Labels: Labels{"tier": "front"}}
	used := NetworkRow{Name: "used", Driver: "bridge", Created: hour, Users: []NetworkUser{{Name: "web"}}}
	usual := NetworkRow{Name: "podman", Driver: "bridge", Created: time.Now(), usual: true}
	for _, c := range []struct {
		row    NetworkRow
		filter string
		want   bool
	}{
		{idle, "dangling=true", true},
		{idle, "dangling=false", false},
		{used, "dangling=true", false},
		{used, "dangling=0", true},
		{usual, "dangling=true", false},
		{usual, "dangling=false", true},
		{usual, "until=1m", false},
		{idle, "until=30m", true},
		{idle, "until=2h", false},
		{idle, "label=tier", true},
		{idle, "label!=tier", false},
	} {
		match, err := networkFilters.Read([]string{c.filter})
		if err != nil || match(c.row) != c.want {
			t.Errorf("%s, %s: %v", c.row.Name, c.filter, err)
		}
	}
	for _, bad := range []string{"dangling=maybe", "until=yesterday", "users=web"} {
		if _, err := networkFilters.Read([]string{bad}); err == nil {
			t.Errorf("filter %q is no error", bad)
		}
	}
}
