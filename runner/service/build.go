// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/podunit/podunit/runner/hint"
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
	chosen, err := store.Chosen()
	if err != nil {
		return nil, err
	}
	// A transient store is about containers only, and those of a build go with its end.
	for flag, given := range map[string]bool{"pull-option": len(chosen.PullOptions) > 0, "network-config-dir": chosen.NetworkDir != "", "cdi-spec-dir": len(chosen.CDIDirs) > 0, "runtime-flag": len(chosen.RuntimeFlags) > 0} {
		if given {
			return nil, hint.With(fmt.Errorf("--%s before the verb: buildah, which builds images, has no such flag", flag), "leave it out for a build; what storage.conf(5) and containers.conf(5) say holds for buildah as well")
		}
	}
	words := []string{path, "--root", at.GraphRoot, "--runroot", at.RunRoot}
	if at.GraphDriverName != "" {
		words = append(words, "--storage-driver", at.GraphDriverName) // with it buildah takes no options from storage.conf(5)
	}
	if chosen.ImageStore != "" {
		words = append(words, "--imagestore", chosen.ImageStore)
	}
	for _, option := range at.GraphDriverOptions {
		words = append(words, "--storage-opt", inCommas(option))
	}
	return append(words, "build"), nil
}

// inCommas is a word as buildah takes one that has commas: as a line of comma-separated values.
func inCommas(word string) string {
	if !strings.ContainsAny(word, ",\"") {
		return word
	}
	return `"` + strings.ReplaceAll(word, `"`, `""`) + `"`
}
