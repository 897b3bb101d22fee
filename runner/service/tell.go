// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/unit"
)

// tellPod says in the log of a pod's unit that the service of one of its containers has failed, and
// why: whoever starts the pod looks there, and its own start has not failed. Of the restarts that
// follow nothing is said.
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

// tellPodOfEnd is tellPod for a container whose process has failed, if systemd says so to what cleans
// up. Of a start that failed the process that started it has told.
func (e *Engine) tellPodOfEnd(ctx context.Context, r container.Record) {
	if r.PodID == "" || !e.InService() {
		return
	}
	result, _ := e.Lookup("SERVICE_RESULT")
	code, known := e.exitCode()
	if result == "" || result == "success" || !known || code >= startFailed && code < 128 {
		return
	}
	e.tellPod(ctx, r.PodID, errors.New("container "+r.Name+" ended with exit status "+fmt.Sprint(code)))
}

// startFailed is the first of the exit statuses of a start that failed. Source: podman-run(1).
const startFailed = 125
