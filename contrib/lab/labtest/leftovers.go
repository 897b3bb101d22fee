// SPDX-License-Identifier: Apache-2.0

package labtest

import (
	_ "embed"
	"strings"
	"time"

	"github.com/podunit/podunit/contrib/lab/machine"
)

//go:embed leftovers.py
var leftovers string

// NothingLeft fails the test unless, within some time, there is nothing of the user's containers
// but what runs. A virtual machine has ten times as long.
func (l *Lab) NothingLeft(user string, within time.Duration) {
	l.t.Helper()
	if l.Machine.Virtual() {
		within *= 10
	}
	for deadline := time.Now().Add(within); ; time.Sleep(200 * time.Millisecond) {
		out, stderr, code := l.Command(machine.Command{User: "root", Args: []string{"python3", "-", user}, Stdin: strings.NewReader(leftovers)})
		if code != 0 {
			l.t.Fatalf("leftovers.py: %s", stderr)
		}
		if out == "" {
			return
		}
		if time.Now().After(deadline) {
			l.t.Errorf("left over of %s, after %v:\n%s", user, within, out)
			return
		}
	}
}
