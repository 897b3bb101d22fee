// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"strings"
	"testing"
)

// The command of a .kube file's service is read as its start would; others are none.
func TestFromCommand(t *testing.T) {
	f, files, ok := fromCommand(strings.Fields("/usr/bin/podunit --log-level=debug kube play --replace --service-container=true --authfile /a.json --tls-verify=false --annotation=io.containers.autoupdate=registry /a.yaml /b.yaml"))
	if !ok || strings.Join(files, " ") != "/a.yaml /b.yaml" || len(f.annotations) != 1 {
		t.Fatalf("%+v, %q, %v", f, files, ok)
	}
	if r := f.registry(); r.AuthFile != "/a.json" || r.TLSVerify == nil || *r.TLSVerify {
		t.Errorf("%+v", r)
	}
	for _, line := range []string{"podunit kube play a.yaml", "podunit kube down --service-container a.yaml", "sh kube play --service-container a.yaml", "podunit run kube", "podunit kube play --service-container --nonsense a.yaml", "kube play --service-container a.yaml"} {
		if _, _, ok := fromCommand(strings.Fields(line)); ok {
			t.Errorf("%s: taken for the service of a .kube file", line)
		}
	}
}
