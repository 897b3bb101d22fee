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
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/view"
	"github.com/podunit/podunit/runner/volume"
	"github.com/spf13/cobra"
)

// NewPrune makes podunit volume prune.
func NewPrune(e *cli.Env) *cobra.Command {
	var (
		force   bool
		filters []string
	)
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove volumes that no container mounts and no unit names",
		Long: `Remove volumes that no container mounts and no unit names, running or not, and print their names.
Those that people have given a name are told on stderr, too.

Filters: those of podunit volume ls.`,
		Args: cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			list, err := dangling(e, x, filters)
			if err != nil {
				return err
			}
			if !force {
				if len(list) == 0 {
					return nil
				}
				if yes, err := e.Confirm(question(list)); err != nil || !yes {
					return err
				}
			}
			removed, err := prune(cmd.Context(), e, x, list)
			for _, name := range namesOf(removed) {
				fmt.Fprintln(e.Stdout, name)
			}
			tellNamed(e, removed)
			return err
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&filters, "filter", nil, "only volumes that match `KEY=VALUE`")
	f.BoolVarP(&force, "force", "f", false, "do not ask")
	f.BoolP("all", "a", false, "no effect: named ones go as well in any case")
	_ = f.MarkHidden("all") // podman 6 takes only anonymous ones without it
	return cmd
}

// Prune removes the volumes that match the filters and that no container mounts and no unit names,
// and returns their names.
func Prune(ctx context.Context, e *cli.Env, x *service.Engine, filters []string) (gone []string, err error) {
	list, err := dangling(e, x, filters)
	if err != nil {
		return nil, err
	}
	removed, err := prune(ctx, e, x, list)
	tellNamed(e, removed)
	return namesOf(removed), err
}

func namesOf(rows []view.VolumeRow) (names []string) {
	for _, r := range rows {
		names = append(names, r.Name)
	}
	return names
}

// tellNamed tells which of the removed volumes had a name that people had given.
func tellNamed(e *cli.Env, removed []view.VolumeRow) {
	if names := givenNames(removed); len(names) > 0 {
		fmt.Fprintf(e.Stderr, "podunit: removed with what was in them, although they had names: %s\n", strings.Join(names, ", "))
	}
}

// dangling describes the volumes that nobody uses. It warns of units that cannot be read: while
// there are such, all named volumes are kept, since these units may name them.
func dangling(e *cli.Env, x *service.Engine, filters []string) ([]view.VolumeRow, error) {
	volume.New(x.Containers.Store.GraphRoot()).Sweep() // nobody else looks for what a removal that was killed has left
	claims, err := x.VolumeClaims()
	if err != nil {
		return nil, err
	}
	list, err := view.VolumesNamedBy(x, claims, slices.Concat(filters, []string{"dangling=true"}))
	tellDamaged(e, list)
	if units := claims.Unknown(); err == nil && len(units) > 0 {
		fmt.Fprintf(e.Stderr, "podunit: volumes with names are kept: what %s names cannot be read\n", strings.Join(units, ", "))
	}
	return list, err
}

// question lists what would be removed.
func question(list []view.VolumeRow) string {
	var b strings.Builder
	b.WriteString("WARNING! No container mounts these volumes and no unit names them. They are removed, and what is in them:")
	for _, r := range list {
		b.WriteString("\n  " + r.Name)
		if r.Anonymous {
			b.WriteString(" (anonymous)")
		}
	}
	return b.String()
}

// givenNames are the names that people have given to volumes.
func givenNames(list []view.VolumeRow) []string {
	var names []string
	for _, r := range list {
		if !r.Anonymous {
			names = append(names, r.Name)
		}
	}
	return names
}

// errInUse says that a volume came into use after it was looked at.
var errInUse = errors.New("it is in use")

// prune removes those of the volumes that are not in use by now, and returns them. It leaves a
// volume that another process is filling or removing.
func prune(ctx context.Context, e *cli.Env, x *service.Engine, list []view.VolumeRow) (removed []view.VolumeRow, err error) {
	v := volume.New(x.Containers.Store.GraphRoot())
	v.Event = e.Event
	var faults []error
	for _, r := range list {
		if got, err := v.Get(r.Name); err != nil || got.Foreign || got.Damaged != nil {
			continue // it went just now, or is not for us to judge
		}
		once, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		err := v.Remove(once, r.Name, func() error {
			users, units, err := uses(x, r.Name)
			if err == nil && len(users)+len(units) > 0 {
				err = errInUse
			}
			return err
		})
		cancel()
		switch {
		case errors.Is(err, errInUse), errors.Is(err, volume.ErrBusy) && ctx.Err() == nil:
		case err != nil:
			faults = append(faults, err)
		default:
			removed = append(removed, r)
		}
	}
	return removed, errors.Join(faults...)
}
