// SPDX-License-Identifier: Apache-2.0

package view

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/journal"
)

func TestEventFilters(t *testing.T) {
	web := journal.Event{Type: "container", Status: "died", ID: "abc123", Name: "web", Labels: map[string]string{"tier": "front", "app": "x"}}
	pulled := journal.Event{Type: "image", Status: "pull", ID: "f00", Name: "docker.io/library/nginx:1"}
	joined := journal.Event{Type: "network", Status: "connect", ID: "abc123", Network: "front"}
	data := journal.Event{Type: "volume", Status: "create", Name: "data"}
	for _, c := range []struct {
		event   journal.Event
		filters string
		want    bool
	}{
		{web, "", true},
		{web, "container=web", true},
		{web, "container=abc", true},
		{web, "container=we", false},
		{web, "pod=web", false},
		{web, "event=died", true},
		{web, "event=die", true},
		{web, "status=start event=died", false},
		{web, "event=start event=died", true},
		{web, "type=container label=tier label=app=x", true},
		{web, "label=tier label=none", false},
		{pulled, "image=docker.io/library/nginx", true},
		{pulled, "image=docker.io/library/nginx:1", true},
		{pulled, "image=f0", true},
		{pulled, "image=nginx", false},
		{pulled, "container=f00", false},
		{joined, "network=front", true},
		{joined, "container=abc", false},
		{data, "volume=data", true},
		{data, "volume=dat", false},
		{data, "type=container type=volume", true},
	} {
		match, err := EventFilters(strings.Fields(c.filters))
		if err != nil || match(c.event) != c.want {
			t.Errorf("%s of %s %s: %v, want %t", c.filters, c.event.Type, c.event.Status, err, c.want)
		}
	}
	if _, err := EventFilters([]string{"bogus=1"}); err == nil || !strings.Contains(err.Error(), "bogus is an invalid filter") {
		t.Errorf("got %v", err)
	}
}

func TestEventRow(t *testing.T) {
	zero := 0
	for want, e := range map[string]journal.Event{
		`{"ContainerExitCode":0,"ID":"ab","Image":"i","Name":"web","Status":"died","time":1,"timeNano":1000000005,"Type":"container","Attributes":{"a":"b"}}`: {
			Type: "container", Status: "died", Time: time.Unix(1, 5), ID: "ab", Name: "web", Image: "i", ExitCode: &zero, Labels: map[string]string{"a": "b"},
		},
		`{"ID":"ab","network":"front","Status":"connect","time":1,"timeNano":1000000000,"Type":"network","Attributes":null}`: {
			Type: "network", Status: "connect", Time: time.Unix(1, 0), ID: "ab", Network: "front",
		},
		`{"Name":"web","Status":"health_status","time":1,"timeNano":1000000000,"Type":"container","health_status":"healthy","Attributes":null}`: {
			Type: "container", Status: "health_status", Time: time.Unix(1, 0), Name: "web", Health: &journal.Health{Status: "healthy"},
		},
	} {
		if got, err := json.Marshal(Event(e)); err != nil || string(got) != want {
			t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
		}
	}
}
