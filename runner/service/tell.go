// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/unit"
)

// tellPod writes to the log of a pod's unit that the service of one of its containers has failed,
// and why: the pod's own start has succeeded, and whoever started it looks there. It writes nothing
// about the restarts that follow.
func (e *Engine) tellPod(ctx context.Context, nameOrID string, why error) {
	if nameOrID == "" || why == nil || e.Tell == nil || !e.InService() || ctx.Err() != nil {
		return
	}
	p, err := e.Pods.Lookup(nameOrID)
	if err != nil {
		return
	}
	name := e.podUnit(p)
	if name == "" || name == e.Own.Name {
		return
	}
	if own, err := e.ownProperties(ctx); err == nil && own.Restarts > 0 {
		return
	}
	message := fmt.Sprintf("%s: %v", e.Own.Name, why)
	if way := hint.Of(why); way != "" {
		message += "\n  hint: " + way
	}
	e.Tell(unit.Own{Name: name, User: e.Own.User}.JournalFields(e.User.Rootless()), message)
}

// tellPodOfEnd is tellPod for a container whose process has failed, as systemd tells the command
// that cleans up. A failed start has been told of by the process that started the container.
func (e *Engine) tellPodOfEnd(ctx context.Context, r container.Record) {
	if r.PodID == "" || !e.InService() {
		return
	}
	result, _ := e.Lookup("SERVICE_RESULT")
	code, known := e.exitCode()
	if result == "" || result == "success" || !known || code >= startFailed && code < 128 {
		return
	}
	e.tellPod(ctx, r.PodID, fmt.Errorf("container %s ended with exit status %d", r.Name, code))
}

// startFailed is the first of the exit statuses of a start that failed. Source: podman-run(1).
const startFailed = 125
