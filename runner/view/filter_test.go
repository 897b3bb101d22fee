// SPDX-License-Identifier: Apache-2.0

package view

import (
	"errors"
	"strings"
	"testing"
)

func TestFilters(t *testing.T) {
	f := Filters[string]{
		"has":   Any(strings.Contains),
		"every": All(strings.Contains),
		"odd": AnyOf(func(value string) (func(string) bool, error) {
			if value != "true" {
				return nil, errors.New("want true")
			}
			return func(row string) bool { return len(row)%2 == 1 }, nil
		}),
	}
	for _, c := range []struct {
		filters []string
		want    bool
	}{
		{nil, true},
		{[]string{"has=z", "has=b"}, true},
		{[]string{"has=z"}, false},
		{[]string{"every=a", "every=b"}, true},
		{[]string{"every=a", "every=z"}, false},
		{[]string{"has=a", "odd=true"}, true},
		{[]string{"has=z", "odd=true"}, false},
	} {
		match, err := f.Read(c.filters)
		if err != nil {
			t.Fatalf("%v: %v", c.filters, err)
		}
		if got := match("abc"); got != c.want {
			t.Errorf("%v: %t", c.filters, got)
		}
	}
	for text, want := range map[string]string{
		"has": "write KEY=VALUE with one of every, has, odd", "has=": "write KEY=VALUE", "nosuch=1": "nosuch is an invalid filter; there are every, has, odd", "odd=maybe": "want true",
	} {
		if _, err := f.Read([]string{text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestLabelsAddUp: of labels each must be there, for every kind of row.
func TestLabelsAddUp(t *testing.T) {
	labels := map[string]string{"app": "web", "tier": "front"}
	for text, want := range map[string]bool{"label=app label=tier=front": true, "label=app label=none": false, "label!=none": true, "label!=app=web label!=none": false} {
		filters := strings.Fields(text)
		c, err := ContainerFilters(filters, nil)
		if err != nil || c(ContainerRow{Labels: labels}) != want {
			t.Errorf("containers, %s: %v", text, err)
		}
		p, err := PodFilters(filters)
		if err != nil || p(PodRow{Labels: labels}) != want {
			t.Errorf("pods, %s: %v", text, err)
		}
		v, err := volumeFilters.Read(filters)
		if err != nil || v(VolumeRow{Labels: labels}) != want {
			t.Errorf("volumes, %s: %v", text, err)
		}
	}
}
