// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/cli"
	"go.podman.io/common/pkg/auth"
)

// writing is how long whoever changes the file with credentials takes for it at most.
const writing = time.Minute

// tidyCredentials removes what a login or logout was writing beside the file with credentials when it was killed: it
// holds passwords. files are those that flags name; without any, it is the usual one. Podman, buildah and skopeo write
// it, too, and none of them takes a lock, so what is young stays.
// Source: go.podman.io/storage/pkg/ioutils, NewAtomicFileWriter.
func tidyCredentials(e *cli.Env, files ...string) error {
	path := ""
	for _, f := range append(files, auth.GetDefaultAuthFile(), usualCredentials(e)) {
		if path == "" {
			path = f
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".tmp-"+filepath.Base(path)) {
			continue
		}
		if st, statErr := entry.Info(); statErr != nil || !st.Mode().IsRegular() || time.Since(st.ModTime()) < writing {
			continue
		}
		if gone := os.Remove(filepath.Join(filepath.Dir(path), entry.Name())); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// usualCredentials is where Podman keeps credentials, if no flag and no variable says otherwise: containers-auth.json(5).
func usualCredentials(e *cli.Env) string {
	dir := e.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		return fmt.Sprintf("/run/containers/%d/auth.json", os.Getuid())
	}
	return filepath.Join(dir, "containers/auth.json")
}
