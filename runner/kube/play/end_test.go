// SPDX-License-Identifier: Apache-2.0

package play

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/spec"
)

// TestPodEnded: the unit of a pod has no ExecStop=, so its end stops what is left of the pod, also
// of one whose play is forgotten.
func TestPodEnded(t *testing.T) {
	w := newWorld(t)
	r, err := w.Pods.Create(t.Context(), spec.Pod{Name: "web", ExitPolicy: "continue"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	left := exec.Command("sleep", "600")
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- left.Wait() }()
	t.Cleanup(func() { _ = left.Process.Kill() })
	dir := w.Pods.Dir(r.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	status := pod.Status{InfraPID: left.Process.Pid, StartTicks: process.StartTicks(left.Process.Pid)}
	if err := runner.WriteJSON(filepath.Join(dir, "status.json"), status); err != nil {
		t.Fatal(err)
	}
	if err := w.PodEnded(t.Context(), "web.service", "web"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || err.Error() != "signal: terminated" {
		t.Errorf("its first process: %v", err)
	}
}
