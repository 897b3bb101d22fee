// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/terminal"
)

// Error is a failure that concerns one image, with a way out where there is one.
type Error struct {
	Name string // the image, as the user wrote it
	Err  error
	Way  string // out of it; "" where the cause says it all
}

// Error is one line, whatever a registry has answered.
func (e *Error) Error() string { return terminal.Line(e.Name + ": " + e.Err.Error()) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint is the way out, or "" where the cause says it all.
func (e *Error) Hint() string { return e.Way }

// CorruptError is an image in the storage that lacks a piece. A pull replaces it.
type CorruptError struct {
	ID  string
	Err error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("image %s is damaged: %v", Short(e.ID), e.Err)
}

// Unwrap gives the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// Hint is the way out.
func (e *CorruptError) Hint() string {
	return fmt.Sprintf("pull it again, or remove it: podunit rmi -f %s", Short(e.ID))
}

// StallError is a registry that sent nothing, or next to nothing, for as long as Limit.
type StallError struct {
	Host  string // as in the image's name: with the port, if there is one
	Limit time.Duration
	Slow  bool // something came, but less than a KiB a second
	// Early says that the manifest or the configuration was waited for. Nobody sees how much of
	// these comes until all of it is there.
	Early bool
}

func (e *StallError) Error() string {
	switch {
	case e.Early:
		return fmt.Sprintf("registry %s: the manifest or configuration did not come within %s", e.Host, e.Limit)
	case e.Slow:
		return fmt.Sprintf("registry %s: less than 1 KiB a second for %s", e.Host, e.Limit)
	}
	return fmt.Sprintf("registry %s: no byte received for %s", e.Host, e.Limit)
}

// PlatformError is a manifest list without an image for the platform asked for.
type PlatformError struct {
	Want string   // os/architecture[/variant]
	Have []string // likewise, as the list has them
}

func (e *PlatformError) Error() string {
	if len(e.Have) == 0 {
		return fmt.Sprintf("no image for %s: the list of images is empty", e.Want)
	}
	return fmt.Sprintf("no image for %s; there is %s", e.Want, strings.Join(e.Have, ", "))
}

// FullError is a disk that is full, or a quota that is used up.
type FullError struct {
	Dir string // on that disk
}

func (e *FullError) Error() string { return "no space left on the disk of " + e.Dir }

// BeyondError is what only the full program can do; runner/cli tells of the two.
type BeyondError struct {
	What string
}

func (e *BeyondError) Error() string { return e.What + " is beyond this program" }
