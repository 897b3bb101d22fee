// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"context"
	"fmt"
	"maps"
	"slices"

	systemd "github.com/coreos/go-systemd/v22/dbus"
)

// Slice is a transient slice.
type Slice struct {
	Description string
	// Settings are limits, by the names and with the types that they have on D-Bus. A list of
	// OfDevice takes the place of the one that was there.
	Settings map[string]any
}

// OfDevice is a setting for one device, by the path of its file: a weight, or bytes a second.
type OfDevice struct {
	Path  string
	Value uint64
}

// StartSlice starts a transient slice and waits until it is up. One that is up gets the settings.
func (m *Manager) StartSlice(ctx context.Context, name string, s Slice) error {
	var set []systemd.Property
	for _, key := range slices.Sorted(maps.Keys(s.Settings)) {
		if _, ok := s.Settings[key].([]OfDevice); ok {
			set = append(set, prop(key, []OfDevice{})) // or those of before stay: the manager adds to them
		}
		set = append(set, prop(key, s.Settings[key]))
	}
	raw, err := m.conn.GetUnitPropertiesContext(ctx, name)
	if err != nil {
		return fmt.Errorf("unit %s: %w", name, err)
	}
	if p := properties(raw); p.Exists() && p.ActiveState == "active" {
		if len(set) == 0 {
			return nil
		}
		if err := m.conn.SetUnitPropertiesContext(ctx, name, true, set...); err != nil {
			return fmt.Errorf("settings of %s: %w", name, err)
		}
		return nil
	}
	props := append([]systemd.Property{prop("Description", s.Description)}, set...)
	return m.job(ctx, "start", name, func(ctx context.Context, done chan<- string) error {
		_, err := m.conn.StartTransientUnitContext(ctx, name, "fail", props, done)
		return err
	})
}

// limits are the settings of a service that a slice can have as well, for all of its units
// together.
var limits = []string{"MemoryHigh", "MemoryMax", "MemorySwapMax", "CPUQuotaPerSecUSec", "CPUWeight", "IOWeight"}

// Limits are the limits of a service, as settings of a slice. A limit that is not set is
// math.MaxUint64, no limit, so that a slice that is up loses a limit that was removed from the unit
// file.
func (m *Manager) Limits(ctx context.Context, service string) (map[string]any, error) {
	raw, err := m.conn.GetUnitTypePropertiesContext(ctx, service, "Service")
	if err != nil {
		return nil, fmt.Errorf("unit %s: %w", service, err)
	}
	out := map[string]any{}
	for _, name := range limits {
		if n, ok := raw[name].(uint64); ok {
			out[name] = n
		}
	}
	return out, nil
}
