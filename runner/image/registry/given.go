// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/podunit/podunit/runner/safe"
)

// The most bytes of a file with credentials and of one with a key; those that people have have some
// hundred.
const (
	credentialsLimit = 8 << 20
	keyLimit         = 1 << 20
)

// Credentials judges a file with credentials before a library reads it: of a device the library would
// read until there is no memory left. No name is no fault.
func Credentials(path string) error { return safe.Readable(path, credentialsLimit) }

// Certificates judges what lies in a directory of certificates for a registry, as Credentials does
// with a file: the library reads all of it whose name ends in one of three ways. Source:
// containers-certs.d(5). No directory is no fault, nor is one that the user may not read: the library
// goes on without it.
func Certificates(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".crt", ".cert", ".key":
			if err := safe.Readable(filepath.Join(dir, e.Name()), keyLimit); err != nil {
				return fmt.Errorf("certificates: %w", err)
			}
		}
	}
	return nil
}

// keys judges files with keys, as podman-pull(1) and podman-push(1) write them, in the same way. They
// may come through pipes, for whose writers the library waits. Which part of a word is the path
// depends on the kind of the key: what is no name of a file is nothing to be read.
func keys(words ...string) error {
	for _, word := range words {
		for part := range strings.SplitSeq(word, ":") {
			_, file, _ := strings.Cut(part, "file=") // of a passphrase
			for _, path := range []string{part, file} {
				if err := safe.Ends(path, keyLimit); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
