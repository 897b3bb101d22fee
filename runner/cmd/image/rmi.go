// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/spf13/cobra"
)

// NewRmi makes podunit rmi.
func NewRmi(e *cli.Env) *cobra.Command {
	var all, force, ignore, noPrune bool
	cmd := &cobra.Command{
		Use:   "rmi [flags] IMAGE...",
		Short: "Remove images from the storage",
		Long: `Remove images. One that has several names only loses the name it is called by.
One that a container stands on is not removed, without --force.

Exit status: 0 done, 1 an image isn't there, 2 an image is in use, 125 another error.`,
		ValidArgsFunction: cli.CompleteImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("rmi wants images, or --all")
			}
			ctx := cmd.Context()
			im, err := Open(ctx, e)
			if err != nil {
				return err
			}
			x, err := e.Open(ctx)
			if err != nil {
				return err
			}
			e.Sweep(ctx, x)
			o := registry.RemoveOptions{Force: force, NoPrune: noPrune, RemoveContainer: func(id string) error { return e.RemoveContainer(ctx, id, nil) }}
			if all {
				reports, err := im.RemoveAll(ctx, o)
				printRemoved(e, reports)
				return removalFault(err)
			}
			var faults []error
			for _, name := range args {
				reports, err := im.Remove(ctx, name, o)
				printRemoved(e, reports)
				if (ignore || force) && errors.Is(err, image.ErrUnknown) {
					err = nil
				}
				faults = append(faults, err)
			}
			return removalFault(errors.Join(faults...))
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&all, "all", "a", false, "remove all images")
	f.BoolVarP(&force, "force", "f", false, "stop and remove containers that stand on them; take all names; an image that isn't there is no error")
	f.BoolVarP(&ignore, "ignore", "i", false, "an image that isn't there is no error")
	f.BoolVar(&noPrune, "no-prune", false, "leave parents without a name")
	return cmd
}

// printRemoved prints which images and names were removed, in podman's words.
func printRemoved(e *cli.Env, reports []*registry.Removed) {
	for _, r := range reports {
		for _, name := range r.Untagged {
			fmt.Fprintf(e.Stdout, "Untagged: %s\n", name)
		}
		if r.Removed {
			fmt.Fprintf(e.Stdout, "Deleted: %s\n", r.ID)
		}
	}
}

// removalFault gives a removal's errors the exit statuses that podman has for them.
func removalFault(err error) error {
	var inUse *registry.InUseError
	switch {
	case errors.As(err, &inUse):
		return cli.WithStatus(err, exitImageInUse)
	case errors.Is(err, image.ErrUnknown):
		return cli.WithStatus(err, exitImageUnknown)
	}
	return err
}
