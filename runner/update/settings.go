// SPDX-License-Identifier: Apache-2.0

package update

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/generator/settings"
	"gopkg.in/ini.v1"
)

// Settings are the section [AutoUpdate] of podunit.conf and its drop-ins.
type Settings struct {
	// Policy limits what is done for all units: check reports only, pull does not restart; registry,
	// the default, does what each unit asks for; disabled does nothing.
	Policy Policy
	// HealthWindow is how long a unit is watched after its restart; zero means its own start
	// timeout, and 90 seconds at the most.
	HealthWindow time.Duration
	// Keep is how many replaced images of a unit are kept.
	Keep int
	// OnUpdate is a unit to be started with the report once something has changed; empty for none.
	OnUpdate string
	// Jitter delays the first question to each registry by a random part of itself.
	Jitter time.Duration
}

// hookName is the name of a unit that can be started. Source: systemd.unit(5), unit_name_is_valid.
var hookName = regexp.MustCompile(`^[a-zA-Z0-9:_.\\-]+(@[a-zA-Z0-9:_.\\@-]+)?\.(service|target|socket|path|timer)$`)

// maxUnitName is the longest name of a unit. Source: UNIT_NAME_MAX of systemd.
const maxUnitName = 255

// WatchUnit watches units after an update from a shell.
const WatchUnit = "podunit-auto-update-watch.service"

// ownUnits would wait for themselves.
var ownUnits = []string{"podunit-auto-update.service", WatchUnit}

// section of podunit.conf.
const section = "AutoUpdate"

// ReadSettings reads the settings of the files, where a later one wins. What is wrong is said
// with its file, and the default stands.
func ReadSettings(where settings.Where) (Settings, error) {
	s := Settings{Policy: Registry, Keep: 1}
	var errs []error
	for _, path := range where.Files() {
		if settings.Hides(path) {
			continue
		}
		text, err := settings.ReadFile(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		f, err := ini.Load(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		for _, key := range f.Section(section).Keys() {
			if err := s.set(key.Name(), strings.TrimSpace(key.Value())); err != nil {
				errs = append(errs, fmt.Errorf("%s: [%s] %s=%s: %w", path, section, key.Name(), key.Value(), err))
			}
		}
	}
	return s, errors.Join(errs...)
}

func (s *Settings) set(name, value string) (err error) {
	if value == "" && name != "OnUpdate" {
		value = map[string]string{"Policy": string(Registry), "HealthWindow": "0", "Jitter": "0", "Keep": "1"}[name] // as systemd has it
	}
	switch name {
	case "Policy":
		if !slices.Contains([]Policy{Registry, Pull, Check, Disabled}, Policy(value)) {
			return errors.New("it is registry, pull, check or disabled")
		}
		s.Policy = Policy(value)
	case "HealthWindow":
		s.HealthWindow, err = duration(value)
	case "Jitter":
		s.Jitter, err = duration(value)
	case "Keep":
		n, aerr := strconv.Atoi(value)
		if aerr != nil || n < 0 {
			return errors.New("it is a number of images, 0 or more")
		}
		s.Keep = n
	case "OnUpdate":
		if value != "" && !hookName.MatchString(value) || len(value) > maxUnitName {
			return errors.New("it is the name of a unit with its suffix, as in mail-update.service")
		}
		if slices.Contains(ownUnits, value) {
			return errors.New("that is the update itself; it is a unit to be started after it")
		}
		s.OnUpdate = value
	default:
		return errors.New("unknown key; there are Policy, HealthWindow, Keep, OnUpdate and Jitter")
	}
	return err
}

// duration reads seconds, or a number with its unit.
func duration(text string) (time.Duration, error) {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(strings.NewReplacer("min", "m", "sec", "s", " ", "").Replace(text))
	if err != nil || d < 0 {
		return 0, errors.New("it is a time such as 90s or 5min")
	}
	return d, nil
}

// Limit applies the policy of the settings to the targets.
func (s Settings) Limit(targets []Target) []Target {
	if s.Policy == Disabled {
		return nil
	}
	for i, t := range targets {
		targets[i].StorageOnly = t.Policy == Local && s.Policy != Registry
		if s.Policy == Check || s.Policy == Pull && t.Policy == Registry {
			targets[i].Policy = s.Policy
		}
	}
	return targets
}
