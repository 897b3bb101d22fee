// SPDX-License-Identifier: Apache-2.0

package play

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestNoZone: a name that looks like a time zone and is none is found before the manager refuses
// it, where there is a database; without one nothing is known to be missing.
func TestNoZone(t *testing.T) {
	database := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(database, "Europe"), 0o755), os.WriteFile(filepath.Join(database, "Europe/Zurich"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"Europe/Zurich": false, "UTC": false, "Mars/Base": true, "Europe": true} {
		if got := noZone(database, name); got != want {
			t.Errorf("%s is missing: %v", name, got)
		}
		if noZone(filepath.Join(database, "none"), name) {
			t.Errorf("%s is missing, and there is no database", name)
		}
	}
}
