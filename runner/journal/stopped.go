// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
)

// unitStopped is the manager's message that a job has stopped a unit. Source: sd-messages.h.
const unitStopped = "9d1aaa27d60140bd96365438aad20286"

// Stopped reports whether somebody asked for the end of a run of a unit, by its invocation ID. A
// unit whose process had to be killed has failed then, and nothing but the journal knows why. Where
// the journal cannot be read nobody asked.
func (r Reader) Stopped(ctx context.Context, invocation string) bool {
	if invocation == "" {
		return false
	}
	const message, job = "MESSAGE_ID=" + unitStopped, "JOB_TYPE=stop"
	// The user's manager and the system's name it differently.
	out, err := exec.CommandContext(ctx, r.Command, "--quiet", "--no-pager", "--lines=1", "--output=cat",
		message, job, "USER_INVOCATION_ID="+invocation, "+", message, job, "INVOCATION_ID="+invocation).Output()
	return err == nil && len(out) > 0
}

// unitStarted is the manager's message that a unit is up. Source: sd-messages.h.
const unitStarted = "39f53479d3a045ac8e11786248231fbf"

// Ended reports whether a unit that is not up any more has ended by itself: the last that the
// manager, which runs as the user uid, said of its being started or stopped is that it is up. The
// manager forgets units that are down. Where the journal cannot be read nobody knows, and it has
// not; it may be some moments behind.
func (r Reader) Ended(ctx context.Context, uid int, unit string) bool {
	started, stopped, user := "MESSAGE_ID="+unitStarted, "MESSAGE_ID="+unitStopped, "_UID="+strconv.Itoa(uid)
	// The user's manager and the system's name it differently.
	out, err := exec.CommandContext(ctx, r.Command, "--quiet", "--no-pager", "--reverse", "--lines=1", "--output=export",
		started, stopped, user, "USER_UNIT="+unit, "+", started, stopped, user, "UNIT="+unit).Output()
	return err == nil && strings.Contains(string(out), "\n"+started+"\n")
}
