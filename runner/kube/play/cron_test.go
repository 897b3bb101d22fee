// SPDX-License-Identifier: Apache-2.0

package play

import (
	"os"
	"testing"
)

// TestNoZone: a name that looks like a time zone and is none is found before the manager refuses it, where the machine
// has the database.
func TestNoZone(t *testing.T) {
	if _, err := os.Stat(zones); err != nil {
		t.Skip("no time zone database here")
	}
	for name, want := range map[string]bool{"Europe/Zurich": false, "UTC": false, "Mars/Base": true, "Europe": true} {
		if got := NoZone(name); got != want {
			t.Errorf("%s is missing: %v", name, got)
		}
	}
}
