// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	journald "github.com/coreos/go-systemd/v22/journal"
	"github.com/podunit/podunit/runner/terminal"
)

// EventID marks what podunit notes of the life of containers, images, pods, volumes, networks and
// secrets. Source: systemd.journal-fields(7), MESSAGE_ID=.
const EventID = "5c1f6e0f2a0b4d9c8f2d3b7a90e4c6d1"

// Event is something that has happened. Source of its words: podman-events(1).
type Event struct {
	Type   string // container, image, pod, volume, network or secret
	Status string // create, start, died, remove ...
	Time   time.Time
	ID     string // of what it happened to; a volume has none
	Name   string
	Image  string // of a container: the name of its image
	PodID  string // of a container in a pod
	// Network is the name of the network, of type network.
	Network string
	// ExitCode is how a container or an exec ended; nil where it has not, or nobody knows.
	ExitCode *int
	// Labels are those of a container or pod.
	Labels map[string]string
	// Made is set if a container was made in the start that this event is: then no other event
	// tells of it.
	Made time.Time
	// Health is set on health_status.
	Health *Health
}

// Health is what an event says of a container's health.
type Health struct {
	Status        string
	FailingStreak int
	Log           string // what the check wrote, if the container has its log in events
}

// How an event lies in the journal. The names that begin with PODMAN are podman's.
const (
	fieldEvent   = "PODMAN_EVENT"
	fieldType    = "PODMAN_TYPE"
	fieldTime    = "PODMAN_TIME"
	fieldName    = "PODMAN_NAME"
	fieldID      = "PODMAN_ID"
	fieldImage   = "PODMAN_IMAGE"
	fieldPod     = "PODMAN_POD_ID"
	fieldNetwork = "PODMAN_NETWORK_NAME"
	fieldExit    = "PODMAN_EXIT_CODE"
	fieldLabels  = "PODMAN_LABELS"
	fieldHealth  = "PODMAN_HEALTH_STATUS"
	fieldStreak  = "PODMAN_HEALTH_FAILING_STREAK"
	fieldLog     = "PODMAN_HEALTH_LOG"
	fieldMade    = "PODUNIT_MADE"
)

// Wanted tells whether events are to be noted, by what events_logger in containers.conf(5) says:
// whatever it is but none, since there is no other place for them than the journal.
func Wanted(logger string) bool { return logger != "none" }

// Note writes an event to the journal, in one datagram, at the level debug: journalctl shows it
// dimmed, and a MaxLevelStore= below debug in journald.conf(5) drops it.
func Note(e Event) error {
	fields := e.Fields()
	fields["SYSLOG_IDENTIFIER"] = "podunit"
	return journald.Send(terminal.Line(e.summary()), journald.PriDebug, fields)
}

// summary is the event for who reads the journal as it is.
func (e Event) summary() string {
	s := e.Type + " " + e.Status
	if name := e.subject(); name != "" {
		s += " " + name
	}
	if e.ExitCode != nil {
		s += fmt.Sprintf(", exit status %d", *e.ExitCode)
	}
	return s
}

func (e Event) subject() string {
	if e.Type == "network" {
		return e.Network
	}
	return e.Name
}

// Fields are an event's fields in the journal, without empty ones.
func (e Event) Fields() map[string]string {
	f := map[string]string{
		"MESSAGE_ID": EventID, fieldEvent: e.Status, fieldType: e.Type, fieldTime: e.Time.Format(time.RFC3339Nano),
		fieldName: e.Name, fieldID: e.ID, fieldImage: e.Image, fieldPod: e.PodID, fieldNetwork: e.Network,
	}
	if e.ExitCode != nil {
		f[fieldExit] = strconv.Itoa(*e.ExitCode)
	}
	if len(e.Labels) > 0 {
		b, _ := json.Marshal(e.Labels) // strings
		f[fieldLabels] = string(b)
	}
	if !e.Made.IsZero() {
		f[fieldMade] = e.Made.Format(time.RFC3339Nano)
	}
	if e.Health != nil {
		f[fieldHealth], f[fieldStreak], f[fieldLog] = e.Health.Status, strconv.Itoa(e.Health.FailingStreak), e.Health.Log
	}
	maps.DeleteFunc(f, func(_, v string) bool { return v == "" })
	return f
}

// eventOf reads an event from its fields.
func eventOf(f map[string]string) (Event, error) {
	e := Event{
		Type: f[fieldType], Status: f[fieldEvent], ID: f[fieldID], Name: f[fieldName], Image: f[fieldImage],
		PodID: f[fieldPod], Network: f[fieldNetwork],
	}
	var err error
	if e.Time, err = time.Parse(time.RFC3339Nano, f[fieldTime]); err != nil {
		return e, err
	}
	if made, ok := f[fieldMade]; ok {
		if e.Made, err = time.Parse(time.RFC3339Nano, made); err != nil {
			return e, err
		}
	}
	if text, ok := f[fieldExit]; ok {
		code, err := strconv.Atoi(text)
		if err != nil {
			return e, err
		}
		e.ExitCode = &code
	}
	if text, ok := f[fieldLabels]; ok {
		if err := json.Unmarshal([]byte(text), &e.Labels); err != nil {
			return e, err
		}
	}
	if status, ok := f[fieldHealth]; ok {
		e.Health = &Health{Status: status, Log: f[fieldLog]}
		e.Health.FailingStreak, err = strconv.Atoi(f[fieldStreak])
	}
	return e, err
}

// all are the events that one entry of the journal stands for: a start that has made its container
// is a create, too, and the runtime has initialized the container before each start.
func (e Event) all() []Event {
	if e.Type != "container" || e.Status != "start" {
		return []Event{e}
	}
	var out []Event
	made := e.Made
	e.Made = time.Time{}
	if !made.IsZero() {
		create := e
		create.Status, create.Time = "create", made
		out = append(out, create)
	}
	ready := e
	ready.Status = "init"
	return append(out, ready, e)
}

// Text is an event as a line for people, with 12 digits of its ID if short is set. Source:
// podman-events(1).
func (e Event) Text(short bool) string {
	id := e.ID
	if short && len(id) > 12 {
		id = id[:12]
	}
	head := fmt.Sprintf("%s %s %s ", e.Time.Local(), e.Type, e.Status)
	switch e.Type {
	case "container", "pod":
		about := []string{"image=" + e.Image, "name=" + e.Name}
		if e.PodID != "" {
			about = append(about, "pod_id="+e.PodID)
		}
		if e.Health != nil {
			about = append(about, "health_status="+e.Health.Status, "health_failing_streak="+strconv.Itoa(e.Health.FailingStreak), "health_log="+e.Health.Log)
		}
		for _, k := range slices.Sorted(maps.Keys(e.Labels)) {
			about = append(about, k+"="+e.Labels[k])
		}
		return head + id + " (" + strings.Join(about, ", ") + ")"
	case "network":
		if e.Status == "connect" || e.Status == "disconnect" {
			return head + id + " (container=" + id + ", name=" + e.Network + ")"
		}
		return head + id + " (name=" + e.Network + ")"
	case "volume":
		return head + e.Name
	case "secret":
		return head + id
	}
	return head + id + " " + e.Name
}
