// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"strings"
)

// A Fault is one thing wrong with one flag of a command line.
type Fault struct {
	// Flag is the long name without dashes, or empty for an operand.
	Flag string
	// Value is what was given.
	Value string
	// Err says what is wrong with it.
	Err error
	// Form is what the value must look like, or empty.
	Form string
	// Example is one good value, or empty.
	Example string
}

func (f *Fault) Error() string {
	var b strings.Builder
	if f.Flag != "" {
		fmt.Fprintf(&b, "--%s", f.Flag)
		if f.Value != "" || f.Form != "" {
			fmt.Fprintf(&b, " %q", f.Value)
		}
		b.WriteString(": ")
	}
	b.WriteString(f.Err.Error())
	if f.Form != "" {
		fmt.Fprintf(&b, "; expected %s", f.Form)
	}
	if f.Example != "" {
		fmt.Fprintf(&b, ", such as --%s %s", f.Flag, f.Example)
	}
	return b.String()
}

func (f *Fault) Unwrap() error { return f.Err }

// Unsupported is the error of a flag or value that podunit does not have, for a reason that will
// not change.
type Unsupported struct {
	// What is the flag or value, as a person writes it.
	What string
	// Why says what it would need.
	Why string
	// Way is what does something like it, empty if nothing does.
	Way string
}

// Hint is the way out.
func (u *Unsupported) Hint() string { return u.Way }

func (u *Unsupported) Error() string { return fmt.Sprintf("%s is not supported: %s", u.What, u.Why) }

// Faults is everything wrong with a command line, in the order of its words.
type Faults []error

func (f Faults) Error() string {
	if len(f) == 1 {
		return f[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d faults in this command line:", len(f))
	for _, err := range f {
		b.WriteString("\n  " + err.Error())
	}
	return b.String()
}

func (f Faults) Unwrap() []error { return f }

// err is nil if there is no fault.
func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// and appends what else is wrong, and is nil if there is no fault at all.
func (f Faults) and(err error) error { return append(f, all(err)...).err() }

// all is an error as the faults it is made of.
func all(err error) Faults {
	var more Faults
	switch {
	case err == nil:
		return nil
	case errors.As(err, &more):
		return more
	}
	return Faults{err}
}

// misuse is a fault about how flags go together.
func misuse(format string, a ...any) error { return fmt.Errorf(format, a...) }

var errEmpty = errors.New("the value is empty")
