// SPDX-License-Identifier: Apache-2.0

package cli

import "testing"

func TestAbsentVerbsSayWhatToDo(t *testing.T) {
	for verb, a := range absent {
		if (a.instead == "") == (a.issue == "") {
			t.Errorf("%s: one of instead and issue", verb)
		}
	}
}
