// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/spf13/cobra"
)

// NewMount makes podunit volume mount.
func NewMount(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "mount VOLUME",
		Short: "Print the directory of a volume",
		Long: `Print the directory of a volume. Its files are there whether or not a container has it: nothing needs to be mounted.
A user looks at them with podunit unshare. What a volume with type=, device= or of the driver image stands for is mounted
at each start, where only that container sees it; there podunit volume mount is an error.`,
		Example:           "  podunit unshare ls -l \"$(podunit volume mount data)\"",
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: complete(e),
		RunE:              func(_ *cobra.Command, args []string) error { return show(e, args[0], true) },
	}
}

// NewUnmount makes podunit volume unmount.
func NewUnmount(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:               "unmount VOLUME",
		Aliases:           []string{"umount"},
		Short:             "Print the name of a volume, of which nothing is mounted",
		Long:              "Print the name of a volume. Nothing has to be unmounted: podunit volume mount mounts nothing.",
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: complete(e),
		RunE:              func(_ *cobra.Command, args []string) error { return show(e, args[0], false) },
	}
}

// show prints the directory or the name of a volume that is a directory.
func show(e *cli.Env, name string, dir bool) error {
	v, err := open(e)
	if err != nil {
		return err
	}
	got, err := v.Get(name)
	if err != nil {
		return err
	}
	if got.Damaged != nil {
		return got.Damaged
	}
	if _, any := got.What(); any {
		return hint.With(fmt.Errorf("volume %s: what it stands for is mounted at each start of a container, for that container alone", name),
			"podunit run --rm --volume %s:/mnt IMAGE looks at it, podunit cp and podunit exec of a container that has it", name)
	}
	word := got.Name
	if dir {
		word = got.Dir
	}
	_, err = fmt.Fprintln(e.Stdout, word)
	return err
}
