// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"
	"time"
)

func TestANegativeTimeoutWaitsForEver(t *testing.T) {
	if seconds(-1) < 100*365*24*time.Hour {
		t.Error("-1 is not for ever")
	}
	if seconds(3) != 3*time.Second {
		t.Error("3 is not three seconds")
	}
}
