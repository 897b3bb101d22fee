// SPDX-License-Identifier: Apache-2.0

package system

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/terminal"
	"github.com/spf13/cobra"
	"go.podman.io/storage"
)

// errDamage says that the storage is damaged.
var errDamage = errors.New("damage detected in local storage")

// NewCheck makes podunit system check.
func NewCheck(e *cli.Env) *cobra.Command {
	var quick, repair, force bool
	var oldest time.Duration
	cmd := &cobra.Command{
		Use:   "check [flags]",
		Short: "Look whether images and layers in the storage are whole",
		Args:  cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := store.Open(cmd.Context(), store.Config{RunDir: e.User.RunDir, Rootless: e.User.Rootless()})
			if err != nil {
				return err
			}
			o := storage.CheckEverything()
			if quick {
				o = storage.CheckMost()
			}
			o.LayerUnreferencedMaximumAge = &oldest
			report, err := store.Check(s, o)
			if err != nil {
				return err
			}
			damaged := printDamage(e, report)
			if !damaged {
				return nil
			}
			if !repair && !force {
				return hint.With(errDamage, "podunit system check --repair removes what is damaged; images are pulled again by the next start")
			}
			r := storage.RepairOptions{RemoveContainers: force}
			if errs := s.Repair(report, &r); len(errs) > 0 {
				return errors.Join(errs...)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.DurationVarP(&oldest, "max", "m", 24*time.Hour, "a layer that nobody needs is damage when it is older than this `TIME`")
	f.BoolVarP(&quick, "quick", "q", false, "leave out what takes long: the contents of layers")
	f.BoolVarP(&repair, "repair", "r", false, "remove what is damaged")
	f.BoolVarP(&force, "force", "f", false, "remove what is damaged, and the containers that stand on it")
	return cmd
}

// printDamage prints what a check has found, and reports whether that is anything.
func printDamage(e *cli.Env, r storage.CheckReport) bool {
	found := false
	show := func(kind string, all map[string][]error) {
		for _, id := range slices.Sorted(maps.Keys(all)) {
			found = true
			fmt.Fprintf(e.Stdout, "Damaged %s %s:\n", kind, id)
			for _, err := range all[id] {
				fmt.Fprintf(e.Stdout, "  %s\n", terminal.Line(err.Error())) // it names files of an image
			}
		}
	}
	show("layer", r.Layers)
	show("layer", r.ROLayers)
	show("image", r.Images)
	show("image", r.ROImages)
	show("container", r.Containers)
	return found
}
