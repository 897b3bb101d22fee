// SPDX-License-Identifier: Apache-2.0

package download

import (
	"testing"
)

func TestProgressString(t *testing.T) {
	for want, p := range map[string]Progress{
		"pulling x": {Name: "x"},
		"pulling localhost:5000/x: 12.3 of 45.6 MB": {Name: "localhost:5000/x", Done: 12_300_000, Total: 45_600_000},
		"pulling x: unpacking 45.6 MB":              {Name: "x", Done: 45_600_000, Total: 45_600_000},
		"waiting for another podunit that pulls x":  {Name: "x", Waiting: true},
		"pulling x: 0.1 of 1.0 MB":                  {Name: "x", Done: 100_000, Total: 1_000_000, Waiting: true},
	} {
		if got := p.String(); got != want {
			t.Errorf("%+v: %q, want %q", p, got, want)
		}
	}
}
