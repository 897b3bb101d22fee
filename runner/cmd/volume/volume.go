// SPDX-License-Identifier: Apache-2.0

// Package volume holds the verbs of podunit volume, a file for each.
package volume

import (
	"context"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/view"
	"github.com/podunit/podunit/runner/volume"
	"github.com/spf13/cobra"
)

// Exit statuses of volume rm and volume exists. Source: podman-volume-rm(1).
const (
	exitVolumeUnknown = 1
	exitVolumeInUse   = 2
)

// New makes podunit volume.
func New(e *cli.Env) *cobra.Command {
	return cli.Group("volume", "Manage named volumes",
		NewCreate(e),
		NewExists(e),
		NewExport(e),
		NewImport(e),
		NewInspect(e),
		NewLs(e),
		NewMount(e),
		NewPrune(e),
		NewReload(e),
		NewRm(e),
		NewUnmount(e),
	)
}

// open opens the volumes of the storage, which is not opened for that.
func open(e *cli.Env) (*volume.Volumes, error) {
	o, err := store.Locate(store.Config{RunDir: e.User.RunDir, Rootless: e.User.Rootless()})
	if err != nil {
		return nil, err
	}
	v := volume.New(o.GraphRoot)
	v.Event = e.Event
	return v, nil
}

// rows describes the volumes that pass all filters.
func rows(ctx context.Context, e *cli.Env, filters []string) ([]view.VolumeRow, error) {
	x, err := e.Open(ctx)
	if err != nil {
		return nil, err
	}
	list, err := view.Volumes(x, filters)
	tellDamaged(e, list)
	return list, err
}

// tellDamaged tells of the volumes whose record cannot be read.
func tellDamaged(e *cli.Env, list []view.VolumeRow) {
	for _, r := range list {
		if r.Damaged != nil {
			fmt.Fprintf(e.Stderr, "podunit: volume %s: its record cannot be read: %v\n", r.Name, r.Damaged)
		}
	}
}

// complete offers the names of volumes to the shell.
func complete(e *cli.Env) cobra.CompletionFunc {
	return cli.CompleteNames(func(context.Context) ([]string, error) {
		v, err := open(e)
		if err != nil {
			return nil, err
		}
		all, err := v.List()
		return cli.NamesOf(all, func(one *volume.Volume) string { return one.Name }), err
	})
}
