// SPDX-License-Identifier: Apache-2.0

package served

import (
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/cli"
)

// TestVerbsOfServices: the program that services execute has what they execute, and leaves the rest
// to the full one.
func TestVerbsOfServices(t *testing.T) {
	for line, want := range map[string]bool{
		"start-container tv.service web a": true, "stop-container tv.service web a": true, "ended tv.service web a": true,
		"ended tv.service web --volume=v:": true, "hold tv.service web": true, "probe tv.service web a liveness 0123": true,
		"expire tv.service web": true, "again tv.service web": true, "down --force tv.yaml": true,
		"down --service-container=true tv.yaml": true,
		"play tv.yaml":                          false, "generate web": false, "cron tv.service web": false, "--help": false,
	} {
		words := strings.Fields(line)
		found, _, err := New(&cli.Env{}, nil).Find(words)
		if has := err == nil && found.HasParent() && found.Name() == words[0]; has != want {
			t.Errorf("%s: %v, want %v", line, has, want)
		}
	}
}
