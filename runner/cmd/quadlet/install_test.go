// SPDX-License-Identifier: Apache-2.0

package quadlet

import "testing"

// TestDiffOfADownload: what a server has written neither moves the cursor nor hides what it has
// written before.
func TestDiffOfADownload(t *testing.T) {
	const from = "--- a\n+++ b\n@@ -0,0 +1,2 @@\n+Exec=evil\x1b[2K\r+Exec=good\n-\tgone\n same\n"
	const want = "\x1b[1m--- a\x1b[0m\n\x1b[1m+++ b\x1b[0m\n\x1b[36m@@ -0,0 +1,2 @@\x1b[0m\n" +
		"\x1b[32m+Exec=evil\\x1b[2K\\r+Exec=good\x1b[0m\n\x1b[31m-\tgone\x1b[0m\n same\n"
	if got := string(coloured([]byte(from))); got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
}
