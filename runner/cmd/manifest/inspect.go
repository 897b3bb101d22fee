// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"context"
	"errors"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/podunit/podunit/runner/format"
	images "github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/spf13/cobra"
)

// NewInspect makes podunit manifest inspect.
func NewInspect(e *cli.Env) *cobra.Command {
	var o images.PullOptions
	var tlsVerify bool
	cmd := &cobra.Command{
		Use:               "inspect [flags] LIST",
		ValidArgsFunction: cli.CompleteImages(e),
		Short:             "Show a list of manifests",
		Long: `Show a list of manifests. One that is not in the storage, or is a single image there, is read from its registry, and
so is what has docker:// before it.`,
		Example: "  podunit manifest inspect docker.io/library/nginx",
		Args:    cli.WantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("tls-verify") {
				o.TLSVerify = &tlsVerify
			}
			im, err := image.Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			if strings.HasPrefix(args[0], "docker://") {
				return remote(cmd.Context(), e, im, args[0], o)
			}
			list, err := im.InspectList(args[0])
			if err == nil {
				return format.JSON(e.Stdout, list)
			}
			if !errors.Is(err, images.ErrUnknown) && !errors.Is(err, registry.ErrNoList) {
				return err
			}
			return remote(cmd.Context(), e, im, args[0], o)
		},
	}
	cmd.Flags().StringVar(&o.AuthFile, "authfile", "", "`FILE` with credentials")
	cmd.Flags().BoolVar(&tlsVerify, "tls-verify", true, "want HTTPS and a valid certificate")
	return cli.Waits(cmd)
}

// remote shows a manifest of a registry.
func remote(ctx context.Context, e *cli.Env, im *registry.Images, name string, o images.PullOptions) error {
	text, isList, err := im.RemoteManifest(ctx, name, o)
	if err != nil {
		return err
	}
	if !isList {
		e.Warn(name + " is no list of manifests but a single image")
	}
	return format.JSON(e.Stdout, text)
}
