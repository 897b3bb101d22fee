// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"os/exec"
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
