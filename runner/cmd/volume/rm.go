// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/volume"
	"github.com/spf13/cobra"
)

// NewRm makes podunit volume rm.
func NewRm(e *cli.Env) *cobra.Command {
	var all, force bool
	var timeout cli.StopTimeout
	cmd := &cobra.Command{
		Use:     "rm [flags] VOLUME...",
		Aliases: []string{"remove"},
		Short:   "Remove volumes and what is in them",
		Long: `Remove volumes. One that a container mounts is not removed, without --force. One that a
unit names goes only when it is named here, too, and not with --all.

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
			var faults []error
			for _, name := range args {
				_, gone := v.Get(name)
				if err := remove(cmd.Context(), e, v, name, all, force, &timeout); err != nil {
					faults = append(faults, err)
					continue
				}
				if !errors.Is(gone, volume.ErrNotFound) {
					fmt.Fprintln(e.Stdout, name)
				}
			}
			return errors.Join(faults...)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all volumes of podunit that no unit names")
	timeout.Flag(cmd)
	cmd.Flags().BoolVarP(&force, "force", "f", false, "stop and remove containers that mount it; a volume that isn't there is no error")
	return cmd
}

func remove(ctx context.Context, e *cli.Env, v *volume.Volumes, name string, all, force bool, timeout *cli.StopTimeout) error {
	got, err := v.Get(name)
	if errors.Is(err, volume.ErrNotFound) {
		if force || all {
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
	x, err := e.Open(ctx)
	if err != nil {
		return err
	}
	users, units, err := uses(x, name)
	if err != nil {
		return err
	}
	if len(units) > 0 && all {
		return cli.WithStatus(hint.With(named(name, units), "podunit volume rm %s removes it all the same", name), exitVolumeInUse)
	}
	if force {
		for _, u := range users {
			if err := e.RemoveContainer(ctx, u.ID, timeout); err != nil && !errors.Is(err, container.ErrNotFound) {
				return fmt.Errorf("container %s: %w", u.Name, err)
			}
		}
	}
	wait, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	err = v.Remove(wait, name, func() error {
		users, _, err := uses(x, name)
		if err == nil && len(users) > 0 {
			u := users[0].Name
			err = cli.WithStatus(hint.With(fmt.Errorf("volume %s is in use by container %s", name, u), "podunit rm -f %s, or --force, which does that", u), exitVolumeInUse)
		}
		return err
	})
	if err == nil && len(units) > 0 {
		fmt.Fprintf(e.Stderr, "podunit: %v; there it begins empty\n", named(name, units))
	}
	return err
}

// lockWait is how long a removal waits for a process that fills the volume.
const lockWait = 15 * time.Second

// named says which units name a volume.
func named(volume string, units []string) error {
	return fmt.Errorf("volume %s is named by %s", volume, strings.Join(units, ", "))
}

// uses asks which containers mount a volume now, and which units name it.
func uses(x *service.Engine, name string) (users []service.VolumeUser, units []string, err error) {
	all, err := x.VolumeUsers()
	if err != nil {
		return nil, nil, err
	}
	claims, err := x.VolumeClaims()
	if err != nil {
		return nil, nil, err
	}
	return slices.DeleteFunc(all, func(u service.VolumeUser) bool { return !slices.Contains(u.Volumes, name) }), claims.Of(name), nil
}
