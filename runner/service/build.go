// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"os/exec"

	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/store"
)

// NoBuilderError says that buildah is not installed.
type NoBuilderError struct{ Err error }

func (NoBuilderError) Error() string   { return "buildah, which builds images, is not installed" }
func (e NoBuilderError) Unwrap() error { return e.Err }

// Hint is the way out.
func (NoBuilderError) Hint() string { return "apt install buildah" }

// Builder is the command that builds an image in the storage of the user's containers: buildah, which
// is to be executed in their namespaces. The words of the build come after it.
func Builder(user rootless.Identity) ([]string, error) {
	path, err := exec.LookPath("buildah")
	if errors.Is(err, exec.ErrNotFound) {
		return nil, NoBuilderError{err}
	}
	if err != nil {
		return nil, err
	}
	at, err := store.Locate(store.Config{RunDir: user.RunDir, Rootless: user.Rootless()})
	if err != nil {
		return nil, err
	}
	words := []string{path, "--root", at.GraphRoot, "--runroot", at.RunRoot}
	if at.GraphDriverName != "" {
		words = append(words, "--storage-driver", at.GraphDriverName)
	}
	return append(words, "build"), nil
}
