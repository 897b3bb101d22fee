// SPDX-License-Identifier: Apache-2.0

// Package image holds the verbs of podunit image, and those with images of their own, a file for
// each.
package image

import (
	"context"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/store"
	"github.com/spf13/cobra"
)

// Exit statuses of rmi and image exists. Source: podman-rmi(1), podman-image-exists(1).
const (
	exitImageUnknown = 1
	exitImageInUse   = 2
)

// New makes podunit image.
func New(e *cli.Env) *cobra.Command {
	rm := NewRmi(e)
	rm.Use, rm.Aliases = "rm [flags] IMAGE...", []string{"remove"}
	return cli.Group("image", "Manage images",
		NewBuild(e),
		NewDiff(e),
		NewExists(e),
		NewHistory(e),
		NewImport(e),
		NewInspect(e),
		NewList(e),
		NewLoad(e),
		NewPrune(e),
		NewPull(e),
		NewPush(e),
		rm,
		NewSave(e),
		NewSearch(e),
		NewTag(e),
		NewTree(e),
		NewUntag(e),
	)
}

// Open opens the storage for verbs that need nothing but images.
func Open(ctx context.Context, e *cli.Env) (*registry.Images, error) {
	s, err := store.Open(ctx, store.Config{RunDir: e.User.RunDir, Rootless: e.User.Rootless()})
	if err != nil {
		return nil, err
	}
	return registry.New(s, e.User.RunDir), nil
}

// Names lists the names of images in the storage, for the shell.
func Names(ctx context.Context, e *cli.Env) ([]string, error) {
	im, err := Open(ctx, e)
	if err != nil {
		return nil, err
	}
	return im.Names()
}
