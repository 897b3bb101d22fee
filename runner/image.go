// SPDX-License-Identifier: Apache-2.0

//go:build !quick

package main

import (
	"errors"
	"fmt"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/image"
	"github.com/spf13/cobra"
	"go.podman.io/common/libimage"
)

// Exit statuses of rmi and image exists. Source: podman-rmi(1), podman-image-exists(1).
const (
	exitImageUnknown = 1
	exitImageInUse   = 2
)

func newImageCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Manage images",
		Args:  wantVerb,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	rm := newRmiCommand(e)
	rm.Use, rm.Aliases = "rm [flags] IMAGE...", []string{"remove"}
	cmd.AddCommand(
		newImageExistsCommand(e),
		newImageInspectCommand(e),
		newImageListCommand(e),
		newImagePruneCommand(e),
		newPullCommand(e),
		rm,
		newTagCommand(e),
		newUntagCommand(e),
	)
	return cmd
}

func newRmiCommand(e *env) *cobra.Command {
	var all, force, ignore, noPrune bool
	cmd := &cobra.Command{
		Use:   "rmi [flags] IMAGE...",
		Short: "Remove images from the storage",
		Long: `Remove images. One that has several names only loses the name it is called by.
One that a container stands on is not removed, without --force.

Exit status: 0 done, 1 an image isn't there, 2 an image is in use, 125 another error.`,
		ValidArgsFunction: completeImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("rmi wants images, or --all")
			}
			ctx := cmd.Context()
			im, err := e.openImages(ctx)
			if err != nil {
				return err
			}
			o := image.RemoveOptions{Force: force, NoPrune: noPrune, RemoveContainer: func(id string) error { return e.removeContainer(ctx, id) }}
			if all {
				reports, err := im.RemoveAll(ctx, o)
				e.removed(reports)
				return removalFault(err)
			}
			var faults []error
			for _, name := range args {
				reports, err := im.Remove(ctx, name, o)
				e.removed(reports)
				if ignore && errors.Is(err, image.ErrUnknown) {
					err = nil
				}
				faults = append(faults, err)
			}
			return removalFault(errors.Join(faults...))
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&all, "all", "a", false, "remove all images")
	f.BoolVarP(&force, "force", "f", false, "stop and remove containers that stand on them; take all names")
	f.BoolVarP(&ignore, "ignore", "i", false, "an image that isn't there is no error")
	f.BoolVar(&noPrune, "no-prune", false, "leave parents without a name")
	return cmd
}

// removed prints what became of images, in podman's words.
func (e *env) removed(reports []*image.Removed) {
	for _, r := range reports {
		for _, name := range r.Untagged {
			fmt.Fprintf(e.stdout, "Untagged: %s\n", name)
		}
		if r.Removed {
			fmt.Fprintf(e.stdout, "Deleted: %s\n", r.ID)
		}
	}
}

// removalFault gives a removal's errors the exit statuses that podman has for them.
func removalFault(err error) error {
	var inUse *image.InUseError
	switch {
	case errors.As(err, &inUse):
		return withStatus(err, exitImageInUse)
	case errors.Is(err, image.ErrUnknown):
		return withStatus(err, exitImageUnknown)
	}
	return err
}

func newImageExistsCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:               "exists IMAGE",
		Short:             "Tell by the exit status whether an image is in the storage",
		Long:              "Exit status: 0 it is there, 1 it isn't, 125 an error.",
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := e.openImages(cmd.Context())
			if err != nil {
				return err
			}
			_, err = im.Lookup(cmd.Context(), args[0])
			if errors.Is(err, image.ErrUnknown) {
				return exitStatus(exitImageUnknown)
			}
			return err
		},
	}
}

func newImageInspectCommand(e *env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:               "inspect [flags] IMAGE...",
		Short:             "Show all there is to know of images",
		Args:              wantArgs(1, -1),
		ValidArgsFunction: completeImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := e.openImages(cmd.Context())
			if err != nil {
				return err
			}
			var all []*libimage.ImageData
			var faults []error
			for _, name := range args {
				data, err := im.Inspect(cmd.Context(), name)
				if err != nil {
					faults = append(faults, err)
					continue
				}
				all = append(all, data)
			}
			if err := format.Each(e.stdout, out, all); err != nil {
				return err
			}
			return errors.Join(faults...)
		},
	}
	cmd.Flags().StringVarP(&out, "format", "f", "", "Go `TEMPLATE`, or json")
	completeFormat[libimage.ImageData](cmd)
	return cmd
}

func newImagePruneCommand(e *env) *cobra.Command {
	var all, force bool
	var filters []string
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove images that no container stands on",
		Long: `Remove images without a name on which no container stands, and print their IDs; with
--all, those with a name as well. What interrupted pulls have left for the next one goes, too.

Filters: until=TIME, label=KEY[=VALUE], and those of podunit images.`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !force {
				what := "all images without a name"
				if all {
					what = "all images that no container stands on"
				}
				yes, err := e.confirm("WARNING! This removes " + what + ".")
				if err != nil || !yes {
					return err
				}
			}
			im, err := e.openImages(cmd.Context())
			if err != nil {
				return err
			}
			reports, freed, err := im.Prune(cmd.Context(), all, filters)
			for _, r := range reports {
				if r.Removed {
					fmt.Fprintln(e.stdout, r.ID)
				}
			}
			if freed > 0 {
				fmt.Fprintf(e.stderr, "podunit: interrupted pulls had left %s\n", units.HumanSize(float64(freed)))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&all, "all", "a", false, "also images with a name")
	f.StringArrayVar(&filters, "filter", nil, "only images that match `KEY=VALUE`")
	f.BoolVarP(&force, "force", "f", false, "do not ask")
	return cmd
}

func newTagCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:               "tag IMAGE NAME...",
		Short:             "Give an image further names",
		Args:              wantArgs(2, -1),
		ValidArgsFunction: completeImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := e.openImages(cmd.Context())
			if err != nil {
				return err
			}
			return im.Tag(args[0], args[1:]...)
		},
	}
}

func newUntagCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:               "untag IMAGE [NAME...]",
		Short:             "Take names from an image, or all of them",
		Args:              wantArgs(1, -1),
		ValidArgsFunction: completeImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := e.openImages(cmd.Context())
			if err != nil {
				return err
			}
			return im.Untag(args[0], args[1:]...)
		},
	}
}
