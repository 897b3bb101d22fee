// SPDX-License-Identifier: Apache-2.0

package rootless

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestOwnDir: libraries write credentials below XDG_RUNTIME_DIR. What somebody else can write in is
// no directory for them.
func TestOwnDir(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(os.Mkdir(at("ours"), 0o700), os.Mkdir(at("theirs"), 0o700), os.Mkdir(at("open"), 0o700), os.Chmod(at("open"), 0o770),
		os.Symlink("ours", at("link")), os.WriteFile(at("file"), nil, 0o600))
	theirs := "/etc"
	if os.Geteuid() == 0 {
		theirs = at("theirs")
		err = errors.Join(err, os.Chown(theirs, 65534, 65534))
	}
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{at("ours"): true, theirs: false, at("open"): false, at("link"): false, at("file"): false, at("nothing"): false, "": false} {
		if got := ownDir(path); got != want {
			t.Errorf("%q is ours: %v", path, got)
		}
	}
	t.Chdir(dir)
	if ownDir("ours") {
		t.Error("a path that depends on where we are is no such directory")
	}
}
