// SPDX-License-Identifier: Apache-2.0

package manage

import "github.com/podunit/podunit/generator/specifier"

// Services answers for the services of unit files. Package manage itself talks to no service manager.
type Services struct {
	State func(service string) (State, error)
	// Instances names what the manager has loaded of a template, as "web@one.service" of
	// "web@.service".
	Instances func(template string) ([]string, error)
	Stop      func(service string) error // returns when the service has stopped
}

// State is what the service manager says of a service. Source: org.freedesktop.systemd1(5),
// ActiveState and SubState.
type State struct {
	Loaded      bool // its unit was found
	Active, Sub string
}

// up tells whether the service runs or is about to. It may run although its file is gone.
func (s State) up() bool { return s.Active != "" && s.Active != "inactive" && s.Active != "failed" }

// Status is the state of a unit file's service for people, or what keeps it from being known.
func (sv Services) Status(e Entry) string {
	if e.Service == "" {
		return e.Problem
	}
	if isTemplate(e.Service) {
		return notLoaded // its instances are, and systemd refuses to be asked for the template itself
	}
	state, err := sv.State(e.Service)
	switch {
	case err != nil:
		return err.Error()
	case !state.Loaded:
		return notLoaded
	}
	return state.Active + "/" + state.Sub
}

const notLoaded = "Not loaded"

func isTemplate(service string) bool { return specifier.Parse(service).Template() }

// active names the services of a unit file that are up: its own, or the instances of a template.
// Those in others have a unit file of their own.
func (sv Services) active(e Entry, others map[string]bool) ([]string, error) {
	if e.Service == "" {
		return nil, nil
	}
	names := []string{e.Service}
	if isTemplate(e.Service) {
		var err error
		if names, err = sv.Instances(e.Service); err != nil {
			return nil, err
		}
	}
	var up []string
	for _, name := range names {
		if name != e.Service && others[name] {
			continue
		}
		state, err := sv.State(name)
		if err != nil {
			return nil, err
		}
		if state.up() {
			up = append(up, name)
		}
	}
	return up, nil
}
