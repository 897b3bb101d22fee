// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"testing"
)

// TestNoEvents: where containers.conf wants none, podunit events says so at once.
func TestNoEvents(t *testing.T) {
	file := filepath.Join(t.TempDir(), "containers.conf")
	t.Setenv("CONTAINERS_CONF", file)
	for text, wanted := range map[string]bool{"": true, "events_logger = \"journald\"": true, "events_logger = \"file\"": true, "events_logger = \"none\"": false} {
		if err := os.WriteFile(file, []byte("[engine]\n"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (&Env{}).NoEvents(); (err == nil) != wanted {
			t.Errorf("%q: %v", text, err)
		}
	}
}
