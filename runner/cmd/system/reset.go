// SPDX-License-Identifier: Apache-2.0

package system

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

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
