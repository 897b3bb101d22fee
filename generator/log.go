// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"strconv"

	"github.com/podunit/podunit/generator/report"
)

// maxKmsg is the longest record that the kernel log takes: PRINTKRB_RECORD_MAX less room for its
// prefix.
const maxKmsg = 960

// logger writes lines to the kernel log, or to standard error when that is wanted or the kernel log
// is not to be had.
type logger struct {
	prefix  string
	verbose bool
	stderr  io.Writer
	kmsg    *os.File // nil: standard error
	path    string   // of the kernel log, "" when it is not to be tried
}

func newLogger(e env, o options) *logger {
	l := &logger{prefix: "quadlet-generator[" + strconv.Itoa(os.Getpid()) + "]: ", verbose: o.verbose, stderr: e.stderr}
	if !o.noKmsg {
		l.path = e.kmsg
	}
	return l
}

func (l *logger) close() {
	if l.kmsg != nil {
		l.kmsg.Close()
	}
}

// print logs one line. The kernel log gets the severity as its priority: err for errors, warning
// for warnings.
func (l *logger) print(s report.Severity, text string) {
	priority := "<3>"
	if s == report.Warning {
		priority = "<4>"
	}
	l.line(priority, text)
}

// debug logs one line when -v asks for it.
func (l *logger) debug(text string) {
	if l.verbose {
		l.line("<6>", text)
	}
}

func (l *logger) line(priority, text string) {
	if l.path != "" && l.kmsg == nil {
		f, err := os.OpenFile(l.path, os.O_WRONLY, 0)
		if err != nil {
			l.path = ""
		} else {
			l.kmsg = f
		}
	}
	if l.kmsg != nil {
		record := priority + l.prefix + text
		if len(record) > maxKmsg {
			record = record[:maxKmsg-3] + "..."
		}
		if _, err := io.WriteString(l.kmsg, record); err == nil {
			return
		}
	}
	// When standard error is gone too there is nobody left to tell.
	_, _ = io.WriteString(l.stderr, l.prefix+text+"\n")
}
