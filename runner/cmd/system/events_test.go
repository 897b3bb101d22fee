// SPDX-License-Identifier: Apache-2.0

package system

import (
	"bytes"
	"testing"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/journal"
)

// TestEventsHaveNoHeadings: each event is printed when it comes, and has no line of headings above
// it.
func TestEventsHaveNoHeadings(t *testing.T) {
	var out bytes.Buffer
	e := &cli.Env{Stdout: &out}
	for _, name := range []string{"one", "two"} {
		if err := printEvent(e, journal.Event{Type: "volume", Status: "create", Name: name}, "table {{.Status}} {{.Name}}", false); err != nil {
			t.Fatal(err)
		}
	}
	if got := out.String(); got != "create      one\ncreate      two\n" {
		t.Errorf("printed %q", got)
	}
}
