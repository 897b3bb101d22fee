// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// How podunit ends when it fails, see main: a line with the error, and perhaps one
// with the way out.
const (
	errorPrefix = "podunit: error: "
	hintPrefix  = "  hint: "
)

// ComplaintID marks what podunit itself says of a failure. By the time journald looks, its
// process may be gone, and the fields that journald adds are missing; of what podunit
// sends, only its user is sure. Source: systemd.journal-fields(7), MESSAGE_ID=.
const ComplaintID = "b231581d17ec7870f384524cdeb52436"

// Complaint is the last error that podunit itself wrote in a unit since a time, and
// its hint; both may be empty. It lets whoever started the unit from a terminal tell
// why that failed. journald may be behind, by wait at most.
func Complaint(ctx context.Context, uid int, unit string, since time.Time, wait time.Duration) (message, hint string) {
	return Reader{Command: "journalctl"}.Complaint(ctx, uid, unit, since, wait)
}

// Complaint is as the function Complaint.
func (r Reader) Complaint(ctx context.Context, uid int, unit string, since time.Time, wait time.Duration) (message, hint string) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	by := []string{"_UID=" + strconv.Itoa(uid), "MESSAGE_ID=" + ComplaintID}
	args := []string{"--quiet", "--no-pager", "--all", "--output=cat", "--since=" + stamp(since)}
	// As unit.Own.JournalFields has them.
	args = append(append(args, by...), "USER_UNIT="+unit, "+")
	args = append(append(args, by...), "OBJECT_SYSTEMD_UNIT="+unit)
	for {
		out, err := exec.CommandContext(ctx, r.Command, args...).Output()
		if err != nil {
			return "", ""
		}
		for line := range strings.Lines(string(out)) {
			line = strings.TrimRight(line, "\n")
			if m, ok := strings.CutPrefix(line, errorPrefix); ok {
				message, hint = m, ""
			} else if h, ok := strings.CutPrefix(line, hintPrefix); ok && message != "" {
				hint = h
			}
		}
		if message != "" {
			return message, hint
		}
		select {
		case <-ctx.Done():
			return "", ""
		case <-time.After(50 * time.Millisecond):
		}
	}
}
