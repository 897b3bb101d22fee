// SPDX-License-Identifier: Apache-2.0

// Command full is podunit with all verbs. People call the small program, which hands over to this
// one where it needs to: see package cli.
package main

import (
	"slices"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/podunit/podunit/runner/cmd/quadlet"
	"github.com/podunit/podunit/runner/cmd/secret"
	"github.com/podunit/podunit/runner/cmd/system"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/service"
	"go.podman.io/storage"
)

// version is stamped at build time: -ldflags "-X main.version=...".
var version = "0.0.0-dev"

func main() { cli.Main(program()) }

// program is podunit with all verbs.
func program() cli.Program {
	return cli.Program{
		Version:    version,
		Verbs:      slices.Concat(cmd.Life(), others()),
		Help:       system.NewHelp,
		OpenImages: func(s storage.Store, runDir string) service.Images { return registry.New(s, runDir) },
		ImageNames: image.Names,
	}
}

// others are the verbs that no service uses.
func others() []cli.Verb {
	return []cli.Verb{
		{Name: "auto-update", New: system.NewAutoUpdate},
		{Name: "check", New: quadlet.NewCheck, Plain: true},
		{Name: "image", New: image.New},
		{Name: "images", New: image.NewImages},
		{Name: "info", New: system.NewInfo},
		{Name: "inspect", New: system.NewInspect},
		{Name: "pull", New: image.NewPull},
		{Name: "quadlet", New: quadlet.New, Plain: true},
		{Name: "rmi", New: image.NewRmi},
		{Name: "secret", New: secret.New},
		{Name: "tag", New: image.NewTag},
		{Name: "unshare", New: system.NewUnshare},
		{Name: "untag", New: image.NewUntag},
	}
}
