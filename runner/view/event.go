// SPDX-License-Identifier: Apache-2.0

package view

import (
	"strings"

	"github.com/podunit/podunit/runner/journal"
)

// EventRow is an event; the names of fields are podman's. Source: podman-events(1).
type EventRow struct {
	ContainerExitCode   *int   `json:",omitempty"`
	ID                  string `json:",omitempty"`
	Image               string `json:",omitempty"`
	Name                string `json:",omitempty"`
	Network             string `json:"network,omitempty"`
	Status              string
	Time                int64 `json:"time,omitempty"`     // seconds since 1970
	TimeNano            int64 `json:"timeNano,omitempty"` // nanoseconds since 1970
	Type                string
	HealthStatus        string `json:"health_status,omitempty"`
	HealthFailingStreak int    `json:"health_failing_streak,omitempty"`
	HealthLog           string `json:"health_log,omitempty"`
	PodID               string `json:",omitempty"`
	Attributes          map[string]string
}

// Event makes a row of an event.
func Event(e journal.Event) EventRow {
	row := EventRow{
		ContainerExitCode: e.ExitCode, ID: e.ID, Image: e.Image, Name: e.Name, Network: e.Network, Status: e.Status,
		Time: e.Time.Unix(), TimeNano: e.Time.UnixNano(), Type: e.Type, PodID: e.PodID, Attributes: e.Labels,
	}
	if e.Health != nil {
		row.HealthStatus, row.HealthFailingStreak, row.HealthLog = e.Health.Status, e.Health.FailingStreak, e.Health.Log
	}
	return row
}

// of is a filter of events of one type by the name or the beginning of the ID of what they happened
// to.
func of(kind string) Filter[journal.Event] {
	return Any(func(e journal.Event, value string) bool {
		return e.Type == kind && (e.Name == value || e.Network == value && kind == "network" || e.ID != "" && strings.HasPrefix(e.ID, value))
	})
}

// status is a filter by what has happened; docker says die where podman says died.
var status = Any(func(e journal.Event, value string) bool {
	if value == "die" {
		value = "died"
	}
	return e.Status == value
})

var eventFilters = Filters[journal.Event]{
	"container": of("container"), "network": of("network"), "pod": of("pod"), "secret": of("secret"), "volume": of("volume"),
	"image": Any(func(e journal.Event, value string) bool {
		return e.Type == "image" && (e.Name == value || strings.HasPrefix(e.Name, value+":") || e.ID != "" && strings.HasPrefix(e.ID, value))
	}),
	"event": status, "status": status,
	"label": All(func(e journal.Event, value string) bool { return hasLabel(e.Labels, value) }),
	"type":  Any(func(e journal.Event, value string) bool { return e.Type == value }),
}

// EventFilters reads the values of a --filter flag and returns the test for an event.
func EventFilters(filters []string) (func(journal.Event) bool, error) {
	return eventFilters.Read(filters)
}
