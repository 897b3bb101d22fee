// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"errors"
	"os"
	"os/exec"
	"testing"
)

// TestANetworkThatHasEnded: pasta was killed before anybody watched it.
func TestANetworkThatHasEnded(t *testing.T) {
	pasta := exec.Command("true")
	if err := pasta.Run(); err != nil {
		t.Fatal(err)
	}
	dead := pasta.Process.Pid
	for name, watch := range map[string]func(r *Running) error{
		"of a container": func(r *Running) error { return r.Watch(os.Getpid(), dead, "") },
		"of a pod":       func(r *Running) error { return r.WatchNetwork(dead) },
		"of a start":     func(r *Running) error { return r.Network(dead) },
	} {
		t.Run(name, func(t *testing.T) {
			near, far, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer far.Close()
			defer near.Close()
			var ended NetworkEndedError
			if err := watch(&Running{control: near}); !errors.As(err, &ended) || ended.PID != dead {
				t.Errorf("got %v", err)
			}
		})
	}
}
