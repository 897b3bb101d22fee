// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"os/exec"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/store"
)

// Builder is the command that builds an image in the storage of the user's containers: buildah, which
// is to be executed in their namespaces. The words of the build come after it.
func Builder(user rootless.Identity) ([]string, error) {
	path, err := exec.LookPath("buildah")
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			err = errors.New("buildah, which builds images, is not installed")
		}
		return nil, hint.With(err, "apt install buildah")
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
