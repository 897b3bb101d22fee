// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.podman.io/storage/pkg/configfile"
	"golang.org/x/sys/unix"
)

// settingsLimit is the most bytes that a file of settings may have: the largest that distributions
// bring have 40 kB.
const settingsLimit = 8 << 20

// Settings judges the files that one of the ecosystem's configurations is read from, before its
// library opens them: it would wait for ever where one is a pipe, and read for ever where one is a
// device. Files may be reached by links, may be /dev/null, which says nothing, and may be
// descriptors of this process. What is not there is no fault here. The error is a *fs.PathError.
// Source: containers.conf(5), containers-storage.conf(5).
func Settings(file configfile.File) error {
	paths, err := configfile.GetSearchPaths(&file)
	if err != nil {
		return err
	}
	names := paths.MainFiles
	if paths.ExtraOverrideFile != "" {
		names = append(names, paths.ExtraOverrideFile)
	}
	for _, module := range file.Modules {
		if filepath.IsAbs(module) {
			names = append(names, module)
		}
		for _, dir := range paths.ModuleDirectories {
			names = append(names, filepath.Join(dir, module))
		}
	}
	for _, dir := range paths.DropInDirectories {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // its reader says it
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), "."+file.Extension) {
				names = append(names, filepath.Join(dir, e.Name()))
			}
		}
	}
	for _, name := range names {
		if err := Readable(name, settingsLimit); err != nil {
			return err
		}
	}
	return nil
}

// Readable tells whether what is under a name can be read to its end by somebody who just opens it:
// a regular file of at most limit bytes, /dev/null, or a descriptor of this process. A name that
// leads nowhere, or that may not be looked at, is left to the reader, as is a directory, which no
// reader waits for. The error is a *fs.PathError.
func Readable(name string, limit int64) error { return judge(name, limit, false) }

// Ends is Readable for what may come through a pipe as well, whose reader waits for its writer.
func Ends(name string, limit int64) error { return judge(name, limit, true) }

func judge(name string, limit int64, pipes bool) error {
	var st unix.Stat_t
	if Own(name) || unix.Stat(name, &st) != nil {
		return nil
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if st.Size > limit {
			return &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%w: it has %d bytes and may have %d", ErrTooLarge, st.Size, limit)}
		}
		return nil
	case unix.S_IFDIR:
		return nil
	case unix.S_IFIFO:
		if pipes {
			return nil
		}
		return &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%w but a pipe", ErrNotRegular)}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3) { // /dev/null. Source: the kernel's devices.txt
		return nil
	}
	return &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%w but a device or socket", ErrNotRegular)}
}
