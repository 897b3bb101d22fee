// SPDX-License-Identifier: Apache-2.0

package format

import (
	"bytes"
	"testing"

	"go.podman.io/storage/pkg/archive"
)

// TestChanges: names of files are a container's text. For people they do nothing to a terminal, and
// JSON has them as they are.
func TestChanges(t *testing.T) {
	changes := []archive.Change{{Path: "/a\x1b[2J\nD /etc", Kind: archive.ChangeAdd}, {Path: "/etc", Kind: archive.ChangeModify}}
	for format, want := range map[string]string{
		"":     "A /a\\x1b[2J\\nD /etc\nC /etc\n",
		"json": "{\n    \"changed\": [\n        \"/etc\"\n    ],\n    \"added\": [\n        \"/a\\u001b[2J\\nD /etc\"\n    ]\n}\n",
	} {
		var out bytes.Buffer
		if err := Changes(&out, format, changes); err != nil || out.String() != want {
			t.Errorf("%q: %q, %v, want %q", format, out.String(), err, want)
		}
	}
}
