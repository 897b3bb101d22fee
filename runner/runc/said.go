// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"bytes"
	"io"
)

// An attached runtime writes the errors that it could not avoid into its log, from which they
// become ours, and on its standard error as well, where the container writes. lastWords passes on
// what comes, but holds the runtime's last line back until it is known whether it says the same.
type lastWords struct {
	to   io.Writer
	held []byte
}

// runtimeFault is how runc begins such a line. Source: runc's utils.go, fatal.
const runtimeFault = "runc run failed: "

func (w *lastWords) Write(p []byte) (int, error) {
	if err := w.pass(); err != nil {
		return 0, err
	}
	start := bytes.LastIndexByte(bytes.TrimSuffix(p, []byte("\n")), '\n') + 1
	if bytes.HasPrefix(p[start:], []byte(runtimeFault)) {
		w.held = bytes.Clone(p[start:])
	} else {
		start = len(p)
	}
	if _, err := w.to.Write(p[:start]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// pass hands on what was held back.
func (w *lastWords) pass() error {
	if len(w.held) == 0 {
		return nil
	}
	_, err := w.to.Write(w.held)
	w.held = nil
	return err
}

// end drops what was held back if the log says it as well.
func (w *lastWords) end(logged string) error {
	if logged != "" && bytes.Contains(w.held, []byte(logged)) {
		w.held = nil
	}
	return w.pass()
}
