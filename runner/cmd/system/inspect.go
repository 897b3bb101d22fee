// SPDX-License-Identifier: Apache-2.0

package system

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
	"go.podman.io/common/libimage"
)

// NewInspect makes podunit inspect.
func NewInspect(e *cli.Env) *cobra.Command {
	var out, kind string
	var latest, size bool
	cmd := &cobra.Command{
		Use:               "inspect [flags] NAME...",
		Short:             "Show all there is to know about containers, images, volumes or pods",
		ValidArgsFunction: cli.CompleteContainers(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if !slices.Contains([]string{"all", "container", "image", "pod", "volume"}, kind) {
				return fmt.Errorf("--type %q is none of all, container, image, pod, volume", kind)
			}
			x, err := e.Open(ctx)
			if err != nil {
				return err
			}
			if latest {
				records, err := (&cli.Selection{Latest: true}).Resolve(x, args)
				if err != nil {
					return err
				}
				for _, r := range records {
					args = append(args, r.ID)
				}
			}
			if len(args) == 0 {
				return errors.New("inspect what? give a name or ID")
			}
			var all []any
			var errs []error
			for _, name := range args {
				one, err := inspect(ctx, e, x, name, kind)
				if c, is := one.(view.Container); is && err == nil && size {
					err = c.AddSize(x)
					one = c
				}
				if err != nil {
					errs = append(errs, err)
					continue
				}
				all = append(all, one)
			}
			if out == "" || format.IsJSON(out) {
				if all == nil {
					all = []any{}
				}
				return errors.Join(append(errs, format.JSON(e.Stdout, all))...)
			}
			for _, one := range all {
				switch v := one.(type) {
				case view.Container:
					errs = append(errs, format.Each(e.Stdout, out, []view.Container{v}))
				case *libimage.ImageData:
					errs = append(errs, format.Each(e.Stdout, out, []*libimage.ImageData{v}))
				case view.VolumeRow:
					errs = append(errs, format.Each(e.Stdout, out, []view.VolumeRow{v}))
				case view.Pod:
					errs = append(errs, format.Each(e.Stdout, out, []view.Pod{v}))
				}
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().StringVarP(&out, "format", "f", "", "Go `TEMPLATE`, or json")
	cmd.Flags().StringVarP(&kind, "type", "t", "all", "only a container, image, pod or volume of the name")
	cmd.Flags().BoolVarP(&size, "size", "s", false, "how much of the disk a container takes, too")
	cmd.Flags().BoolVarP(&latest, "latest", "l", false, "the container made last")
	return cmd
}

// inspect finds a container, image, volume or pod of the name, in this order.
func inspect(ctx context.Context, e *cli.Env, x *service.Engine, name, kind string) (any, error) {
	want := func(k string) bool { return kind == "all" || kind == k }
	if want("container") {
		find := x.Containers.Lookup
		if kind == "container" {
			find = x.Find
		}
		r, err := find(name)
		if err == nil {
			return view.InspectContainer(ctx, x, r)
		}
		if kind == "container" || !errors.Is(err, container.ErrNotFound) {
			return nil, err
		}
	}
	if want("image") {
		img, err := registry.New(x.Containers.Store, e.User.RunDir).Inspect(ctx, name)
		if err == nil || kind == "image" {
			return img, err
		}
	}
	if want("volume") {
		rows, err := view.Volumes(x, nil)
		if err != nil {
			return nil, err
		}
		v, err := view.VolumeNamed(rows, name)
		if err == nil || kind == "volume" {
			return v, err
		}
	}
	if want("pod") {
		find := x.Pods.Lookup
		if kind == "pod" {
			find = x.FindPod
		}
		p, err := find(name)
		if err == nil {
			return view.InspectPod(x, p)
		}
		if kind == "pod" {
			return nil, err
		}
	}
	// The name of a service comes last: it means the service's container only if nothing else has
	// the name.
	if want("container") {
		if r, err := x.Find(name); err == nil {
			return view.InspectContainer(ctx, x, r)
		}
	}
	if want("pod") {
		if p, err := x.FindPod(name); err == nil {
			return view.InspectPod(x, p)
		}
	}
	return nil, hint.With(fmt.Errorf("no such object: %q", name), "there is no container, image, volume or pod of the name; podunit network inspect shows networks")
}
