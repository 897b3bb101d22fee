// SPDX-License-Identifier: Apache-2.0

package cli

import "testing"

func TestAbsentVerbsSayWhatToDo(t *testing.T) {
	for verb, instead := range absent {
		if instead == "" {
			t.Errorf("%s: nothing is said", verb)
		}
	}
}
