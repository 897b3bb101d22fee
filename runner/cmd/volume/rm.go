// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/view"
	"github.com/podunit/podunit/runner/volume"
	"github.com/spf13/cobra"
)

// NewRm makes podunit volume rm.
func NewRm(e *cli.Env) *cobra.Command {
	var all, force bool
	cmd := &cobra.Command{
		Use:     "rm [flags] VOLUME...",
		Aliases: []string{"remove"},
		Short:   "Remove volumes and what is in them",
		Long: `Remove volumes. One that a container mounts is not removed, without --force.

Exit status: 0 done, 1 a volume isn't there, 2 a volume is in use, 125 another error.`,
		ValidArgsFunction: complete(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("volume rm wants volumes, or --all")
			}
			v, err := open(e)
			if err != nil {
				return err
			}
			if all {
				list, err := v.List()
				if err != nil {
					return err
				}
				for _, one := range list {
					if !one.Foreign {
						args = append(args, one.Name)
					}
				}
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			users, err := view.VolumeUsers(x)
			if err != nil {
				return err
			}
			var faults []error
			for _, name := range args {
				if err := remove(cmd.Context(), e, v, name, users, force); err != nil {
					faults = append(faults, err)
					continue
				}
				fmt.Fprintln(e.Stdout, name)
			}
			return errors.Join(faults...)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all volumes of podunit")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "stop and remove containers that mount it; a volume that isn't there is no error")
	return cmd
}

func remove(ctx context.Context, e *cli.Env, v *volume.Volumes, name string, users []view.VolumeUser, force bool) error {
	got, err := v.Get(name)
	if errors.Is(err, volume.ErrNotFound) {
		if force {
			return nil
		}
		return cli.WithStatus(err, exitVolumeUnknown)
	}
	if err != nil {
		return err
	}
	if got.Foreign && !force {
		return hint.With(fmt.Errorf("volume %s was made by another tool, whose containers may use it", name), "podman volume rm %s; --force removes it nonetheless", name)
	}
	for _, u := range users {
		if !slices.Contains(u.Volumes, name) {
			continue
		}
		if !force {
			return cli.WithStatus(hint.With(fmt.Errorf("volume %s is in use by container %s", name, u.Name), "podunit rm -f %s, or --force, which does that", u.Name), exitVolumeInUse)
		}
		if err := e.RemoveContainer(ctx, u.ID); err != nil {
			return fmt.Errorf("container %s: %w", u.Name, err)
		}
	}
	return v.Remove(name)
}
