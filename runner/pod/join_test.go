// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/process"
)

// TestInfraJoinsNobodyElse: the infra process does not start in the network of whatever has the
// process ID of the container that the pod joins, which has ended.
func TestInfraJoinsNobodyElse(t *testing.T) {
	e, _, r, _ := running(t)
	ended := network.Joined{Name: "vpn", PID: os.Getpid(), Ticks: process.StartTicks(os.Getpid()) + 1}
	if infra, err := e.startInfra(r, ended.Open); infra != nil || !errors.Is(err, netns.ErrEnded) {
		t.Errorf("%+v, %v", infra, err)
	}
	cmd := exec.Command("true")
	if err := startIn(func() (*os.File, error) { return nil, nil }, cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
