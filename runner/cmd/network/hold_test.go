// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestUnitsKnowTheStatus: the units are not restarted after the status that says so.
func TestUnitsKnowTheStatus(t *testing.T) {
	for _, unit := range []string{"user/podunit-netns", "user/podunit-dns", "system/podunit-dns"} {
		text, err := os.ReadFile("../../../units/" + unit + ".service")
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("\nRestartPreventExitStatus=%d\n", exitOnce); !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %s", unit, want)
		}
	}
}
