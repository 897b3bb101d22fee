// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// NewBuild makes podunit build, which buildah does in our place: in the namespaces and the storage
// of the user's containers. The words are buildah's, and so is what it says.
func NewBuild(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build [flags] [CONTEXT]",
		Short: "Build an image from a Containerfile, with buildah",
		Long: `Build an image from a Containerfile. Buildah does that, in the namespaces and the storage of podunit, and
takes the same words: buildah build --help lists them.`,
		Example:            "  podunit build -t app .",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			words, err := service.Builder(e.User)
			if err != nil {
				return err
			}
			err = syscall.Exec(words[0], append(words, args...), os.Environ())
			return fmt.Errorf("%s: %w", words[0], err)
		},
	}
	// These flags are declared for help and completion only: buildah reads them.
	for _, s := range keys.Sections() {
		if s.Name != "Build" {
			continue
		}
		for _, k := range s.Keys {
			if name := strings.TrimSuffix(strings.TrimPrefix(k.Flag, "--"), "="); name != "" && cmd.Flags().Lookup(name) == nil {
				cmd.Flags().String(name, "", k.Doc)
			}
		}
	}
	return cmd
}

// NewBuildGroup makes podunit buildx or builder, words that people with Docker put before build.
func NewBuildGroup(word string) func(*cli.Env) *cobra.Command {
	return func(e *cli.Env) *cobra.Command {
		cmd := cli.Group(word, "Build an image from a Containerfile, with buildah", NewBuild(e))
		cmd.Hidden = true
		return cmd
	}
}
