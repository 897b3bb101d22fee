// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestUnitsKnowTheStatus: the unit of the namespace is not restarted after the status that says so.
// Those whose main process is another one do not claim to heed it.
func TestUnitsKnowTheStatus(t *testing.T) {
	for unit, heeds := range map[string]bool{"user/podunit-netns": true, "system/podunit-dns": false} {
		text, err := os.ReadFile("../../../units/" + unit + ".service")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nType=forking\n") == heeds {
			t.Errorf("%s has another type", unit)
		}
		word := "\nRestartPreventExitStatus="
		if !heeds {
			if strings.Contains(string(text), word) {
				t.Errorf("%s has RestartPreventExitStatus=", unit)
			}
			continue
		}
		if want := fmt.Sprintf("%s%d\n", word, exitOnce); !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %s", unit, want)
		}
	}
}
