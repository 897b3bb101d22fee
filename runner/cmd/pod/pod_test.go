// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/cli"
)

// The services that Podman generates end with pod rm --ignore --pod-id-file FILE, whether the pod
// was made or not.
func TestAnIDFileThatIsMissingNamesNothing(t *testing.T) {
	missing := []string{filepath.Join(t.TempDir(), "pod.id")}
	for name, force := range map[string]bool{"--ignore": false, "--force": true} {
		pods, _, err := resolve(nil, nil, missing, false, !force, force)
		if err != nil || len(pods) != 0 {
			t.Errorf("%s: %v, %v", name, pods, err)
		}
	}
	if _, _, err := resolve(nil, nil, missing, false, false, false); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without --ignore: %v", err)
	}
	if _, _, err := resolve(nil, nil, missing, true, true, false); err == nil {
		t.Error("--all and a file go together")
	}
	if _, _, err := resolve(nil, nil, nil, false, true, false); err == nil {
		t.Error("no name at all is no error")
	}
}

// TestInspectOfNothing shows nothing: an empty list would be an answer.
func TestInspectOfNothing(t *testing.T) {
	var out strings.Builder
	cmd := NewInspect(&cli.Env{Stdout: &out})
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs([]string{})
	if err := cmd.Execute(); err == nil || out.Len() > 0 {
		t.Errorf("%v, %q", err, out.String())
	}
}
