// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// The services that Podman generates end with pod rm --ignore --pod-id-file FILE, whether the pod was made or not.
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
