// SPDX-License-Identifier: Apache-2.0

// Package download is what pulls have on disk while they run: directories for what comes, blobs that
// an interrupted pull leaves for the next one, and the lock of an image with the progress in it.
package download

import (
	"fmt"
	"strconv"
	"time"
)

// Look is how often a pull is looked at.
const Look = 200 * time.Millisecond

// Progress is how far a pull has come.
type Progress struct {
	Name       string // what is pulled, in full
	Done       int64  // bytes received
	Total      int64  // bytes of the layers begun so far; it grows, six are begun at a time
	Layers     int    // layers begun or found in the storage
	LayersDone int    // of those, complete
	Waiting    bool   // another podunit pulls it, and this one waits for that
	Moved      bool   // something has happened since the last report: bytes came, or were unpacked
	// Parts are what comes, in the order in which it was begun; those who wait for another podunit
	// are not told.
	Parts []Part `json:"-"`
}

// Part is how far a layer, or what describes the image, has come.
type Part struct {
	Digest   string
	Done     int64 // bytes received
	Total    int64 // bytes; -1 if nobody knows
	Complete bool  // it is in the storage
	There    bool  // and it was there before
}

// String is one line for a status: "pulling localhost:5000/x: 12.3 of 45.6 MB".
func (p Progress) String() string {
	switch {
	case p.Total == 0 && p.Waiting:
		return "waiting for another podunit that pulls " + p.Name
	case p.Total == 0:
		return "pulling " + p.Name
	case p.Done >= p.Total:
		return fmt.Sprintf("pulling %s: unpacking %s MB", p.Name, megabytes(p.Total))
	}
	return fmt.Sprintf("pulling %s: %s of %s MB", p.Name, megabytes(p.Done), megabytes(p.Total))
}

func megabytes(n int64) string { return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) }
