// SPDX-License-Identifier: Apache-2.0

package system

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
	"go.podman.io/storage"
)

// New makes podunit system.
func New(e *cli.Env) *cobra.Command {
	return cli.Group("system COMMAND", "Look after the machine's containers as a whole",
		NewCheck(e), NewDf(e), NewEvents(e), NewInfo(e), NewMigrate(e), NewPrune(e), NewReset(e))
}

// errDamage says that the storage is damaged.
var errDamage = errors.New("damage detected in local storage")

// NewCheck makes podunit system check.
func NewCheck(e *cli.Env) *cobra.Command {
	var quick, repair, force bool
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
				fmt.Fprintf(e.Stdout, "  %v\n", err)
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

// NewReset makes podunit system reset.
func NewReset(e *cli.Env) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "reset [flags]",
		Short: "Remove all containers, pods, images and volumes",
		Long: `Remove all containers and pods, running or not, all images, and all volumes with what is in them. Unit
files stay, and so do networks.`,
		Args: cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !force {
				yes, err := e.Confirm("WARNING! This will remove:\n        - all containers\n        - all pods\n        - all images\n        - all volumes")
				if err != nil || !yes {
					return err
				}
			}
			return reset(cmd, e)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	return cmd
}

func reset(cmd *cobra.Command, e *cli.Env) error {
	ctx := cmd.Context()
	x, err := e.OpenToRun(ctx)
	if err != nil {
		return err
	}
	pods, err := x.Pods.List()
	errs := []error{err}
	for _, p := range pods {
		errs = append(errs, x.RemovePod(ctx, p, true, pod.OwnTimes))
	}
	containers, err := x.Containers.List()
	errs = append(errs, err)
	for _, r := range containers {
		errs = append(errs, x.Remove(ctx, r, service.Removal{Force: true, Volumes: true, Timeout: x.StopTimeoutOf(r)}))
	}
	im := registry.New(x.Containers.Store, e.User.RunDir)
	_, err = im.RemoveAll(ctx, registry.RemoveOptions{Force: true, RemoveContainer: func(id string) error { return e.RemoveContainer(ctx, id, nil) }})
	errs = append(errs, err)
	rows, err := view.Volumes(x, nil)
	errs = append(errs, err)
	for _, v := range rows {
		errs = append(errs, x.Containers.Volumes.Remove(ctx, v.Name, nil))
	}
	return errors.Join(errs...)
}
