// SPDX-License-Identifier: Apache-2.0

package service

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/store"
)

// TestBuilder: buildah works with the storage that the flags before the verb say, or says what it
// cannot do.
func TestBuilder(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "storage.conf")
	text := "[storage]\ndriver=\"overlay\"\ngraphroot=\"/g\"\nrunroot=\"/r\"\n[storage.options.overlay]\nmountopt=\"nodev,volatile\"\n"
	for path, data := range map[string]string{conf: text, filepath.Join(dir, "buildah"): "#!/bin/sh\n"} {
		if err := os.WriteFile(path, []byte(data), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	t.Setenv("CONTAINERS_STORAGE_CONF", conf)
	t.Setenv(store.ChoiceVariable, `{"Root":"/x","RunRoot":"/y","ImageStore":"/i","Options":["additionalimagestore=/a"]}`)
	got, err := Builder(rootless.Identity{})
	want := strings.Fields(`--root /x --runroot /y --storage-driver overlay --imagestore /i --storage-opt "overlay.mountopt=nodev,volatile" --storage-opt additionalimagestore=/a build`)
	if err != nil || !slices.Equal(got[1:], want) {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv(store.ChoiceVariable, `{"RuntimeFlags":["debug"]}`)
	if got, err := Builder(rootless.Identity{}); err == nil || !strings.HasPrefix(err.Error(), "--runtime-flag before the verb: buildah") {
		t.Errorf("%q, %v", got, err)
	}
}
