// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"bytes"
	"strings"
	"testing"
)

// TestPrintProcesses: the arguments of a process are a container's text, which makes neither a row
// nor a title.
func TestPrintProcesses(t *testing.T) {
	var out bytes.Buffer
	if err := printProcesses(&out, [][]string{{"PID", "COMMAND"}, {"1", "sleep\x1b]0;title\x07 1\nroot\t2"}}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.HasSuffix(got, `sleep\x1b]0;title\a 1\nroot\t2`+"\n") {
		t.Errorf("%q", got)
	}
}
