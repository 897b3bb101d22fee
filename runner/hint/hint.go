// SPDX-License-Identifier: Apache-2.0

// Package hint gives errors a way out, which is shown on a line of its own below them.
package hint

import (
	"errors"
	"fmt"
)

// hinted is an error with a way out.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

func (e hinted) Hint() string { return e.hint }

// With adds a way out to an error.
func With(err error, format string, a ...any) error {
	return hinted{error: err, hint: fmt.Sprintf(format, a...)}
}

// Of is the way out of an error, or "". A type of error that knows one has a method Hint.
func Of(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}
