// SPDX-License-Identifier: Apache-2.0

package system

import (
	"errors"
	"fmt"
	"strings"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/byhand"
	"github.com/podunit/podunit/runner/cmd/volume"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/spf13/cobra"
)

// NewPrune makes podunit system prune.
func NewPrune(e *cli.Env) *cobra.Command {
	var all, force, volumes bool
	var filters []string
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove what nobody uses: pods, containers and images, and with --volumes volumes",
		Long: `Remove pods that have ended, containers that do not run, and images on which no container stands; with
--volumes, volumes that no container mounts and no unit names as well.`,
		Args: cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if volumes && len(filters) > 0 {
				return errors.New("--filter is not for volumes: podunit volume prune has filters of its own")
			}
			if !force {
				yes, err := e.Confirm(pruneWarning(all, volumes))
				if err != nil || !yes {
					return err
				}
			}
			return prune(cmd, e, all, volumes, filters)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&all, "all", "a", false, "also images with a name")
	f.BoolVarP(&force, "force", "f", false, "do not ask")
	f.BoolVar(&volumes, "volumes", false, "also volumes, with what is in them")
	f.StringArrayVar(&filters, "filter", nil, "only what matches `KEY=VALUE`: until=TIME, label=NAME[=VALUE]")
	cli.Refuse(cmd.Flags(), "build", "false", "buildah rm --all, and buildah prune")
	cli.Refuse(cmd.Flags(), "external", "false", "the tool that made such containers removes them: buildah rm --all")
	return cmd
}

func pruneWarning(all, volumes bool) string {
	what := []string{"all stopped containers", "all pods that have ended"}
	if volumes {
		what = append(what, "all volumes not used by at least one container")
	}
	if all {
		what = append(what, "all images without at least one container associated with them")
	} else {
		what = append(what, "all dangling images")
	}
	return "WARNING! This command removes:\n\t- " + strings.Join(what, "\n\t- ") + "\n"
}

func prune(cmd *cobra.Command, e *cli.Env, all, volumes bool, filters []string) error {
	ctx := cmd.Context()
	x, err := e.OpenToRun(ctx)
	if err != nil {
		return err
	}
	before, err := takeStock(ctx, e, x)
	if err != nil {
		return err
	}
	var errs []error
	list := func(heading string, ids []string, err error) {
		if len(ids) > 0 {
			fmt.Fprintf(e.Stdout, "%s\n%s\n", heading, strings.Join(ids, "\n"))
		}
		errs = append(errs, err)
	}
	if len(filters) == 0 { // pods have no filters
		pods, err := byhand.PrunePods(ctx, x)
		list("Deleted Pods", pods, err)
	}
	containers, err := byhand.Prune(ctx, x, filters)
	list("Deleted Containers", containers, err)
	reports, _, err := registry.New(x.Containers.Store, e.User.RunDir).Prune(ctx, all, filters)
	var images []string
	for _, r := range reports {
		if r.Removed {
			images = append(images, r.ID)
		}
	}
	list("Deleted Images", images, err)
	if volumes {
		names, err := volume.Prune(ctx, e, x, nil)
		list("Deleted Volumes", names, err)
	}
	after, err := takeStock(ctx, e, x)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	fmt.Fprintf(e.Stdout, "Total reclaimed space: %s\n", units.HumanSize(float64(max(0, before.total()-after.total()))))
	return errors.Join(errs...)
}

// total is how much everything takes, in bytes.
func (d stock) total() int64 {
	var n int64
	for _, r := range d.rows() {
		n += r.RawSize
	}
	return n
}
