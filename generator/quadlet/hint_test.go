// SPDX-License-Identifier: Apache-2.0

package quadlet

import (
	"strings"
	"testing"

	"github.com/podunit/podunit/generator/keys"
)

// TestUnknownKeyHint: a key that people expect, and that does not exist, gets the answer that does
// the job.
func TestUnknownKeyHint(t *testing.T) {
	for _, c := range []struct{ section, key, want string }{
		{"Container", "EnvFile", "the key is EnvironmentFile="},
		{"Container", "Env_File", "the key is EnvironmentFile="},
		{"Container", "Name", "the key is ContainerName="},
		{"Pod", "Name", "the key is PodName="},
		{"Volume", "Name", "the key is VolumeName="},
		{"Network", "name", "the key is NetworkName="},
		{"Container", "Privileged", "PodmanArgs=--privileged does it"},
		{"Network", "External", "leave the file out"},
		{"Volume", "External", "leave the file out"},
		{"Container", "CPUShares", "CPUWeight= in [Service]"},
		{"Pod", "Memory", "PodmanArgs=--memory=SIZE"}, {"Pod", "CPUs", "PodmanArgs=--cpus=N"},
		{"Container", "CPUs", "CPUQuota=150% in [Service]"},
		{"Container", "MemorySwap", "MemorySwapMax= in [Service]"},
		{"Container", "MemoryLimit", "the key is Memory="},
		{"Container", "Ports", "the key is PublishPort="},
		{"Container", "DependsOn", "Requires= and After= in [Unit]"},
		{"Container", "Command", "the key is Exec="},
		{"Container", "Remove", "leave it out"},
		{"Container", "PublishPrt", "did you mean PublishPort=?"},
		{"Container", "RestartSec", "RestartSec= is systemd's, it belongs into [Service]"},
		{"Container", "TimeoutStartSec", "TimeoutStartSec= is systemd's, it belongs into [Service]"},
		{"Container", "StartLimitIntervalSec", "StartLimitIntervalSec= is systemd's, it belongs into [Unit]"},
		{"Container", "WantedBy", "WantedBy= is systemd's, it belongs into [Install]"},
		{"Container", "MemoryMax", "MemoryMax= is systemd's, it belongs into [Service]"},
	} {
		if got := unknownKeyHint(c.key, keys.Lookup(c.section)); !strings.HasPrefix(got, c.want) {
			t.Errorf("[%s] %s=: %q, want %q", c.section, c.key, got, c.want)
		}
	}
	// None of them is a key, or the answer would hide it.
	for _, s := range keys.Sections() {
		for _, k := range s.Keys {
			if hint := instead(k.Name, s); hint != "" {
				t.Errorf("[%s] has the key %s=, and %q says what to take instead", s.Name, k.Name, hint)
			}
		}
	}
}
