// SPDX-License-Identifier: Apache-2.0

package image

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/image/registry"
	"go.podman.io/common/pkg/auth"
)

// writing is how long whoever changes the file with credentials takes for it at most.
const writing = time.Minute

// tidyCredentials judges the file with credentials, which the library reads, and removes what a
// login or logout was writing beside the file with credentials when it was killed: it holds
// passwords. files are those that flags name; without any, it is the usual one. Podman, buildah and
// skopeo write it, too, and none of them takes a lock, so what is young stays. Files of others stay
// as well. Source: go.podman.io/storage/pkg/ioutils, NewAtomicFileWriter.
func tidyCredentials(e *cli.Env, files ...string) error {
	path := cmp.Or(append(files, auth.GetDefaultAuthFile(), usualCredentials(e))...)
	if err := registry.Credentials(path); err != nil {
		return err
	}
	dir, err := os.OpenRoot(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // what follows says so, where it matters
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	left, err := fs.Glob(dir.FS(), ".tmp-*")
	for _, name := range left {
		st, there := dir.Lstat(name)
		if there != nil || !strings.HasPrefix(name, ".tmp-"+filepath.Base(path)) || !st.Mode().IsRegular() || time.Since(st.ModTime()) < writing {
			continue
		}
		// In a directory like /tmp it may be a stranger's.
		if sys, ok := st.Sys().(*syscall.Stat_t); !ok || int(sys.Uid) != os.Geteuid() {
			continue
		}
		if gone := dir.Remove(name); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// usualCredentials is where Podman keeps credentials, if no flag and no variable says otherwise:
// containers-auth.json(5).
func usualCredentials(e *cli.Env) string {
	dir := e.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		return fmt.Sprintf("/run/containers/%d/auth.json", os.Getuid())
	}
	return filepath.Join(dir, "containers/auth.json")
}
