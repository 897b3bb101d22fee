// SPDX-License-Identifier: Apache-2.0

// Package manifest holds the verbs of podunit manifest, a file for each.
package manifest

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/spf13/cobra"
)

// New makes podunit manifest.
func New(e *cli.Env) *cobra.Command {
	rm := image.NewRmi(e)
	rm.Use, rm.Short = "rm [flags] LIST...", "Remove lists of manifests from the storage"
	return cli.Group("manifest COMMAND", "Manage lists of manifests: one name for the images of several platforms",
		NewCreate(e), NewAdd(e), NewAnnotate(e), NewExists(e), NewInspect(e), NewPush(e), NewRemove(e), rm)
}

// listedFlags are the flags that describe an image in a list.
func listedFlags(cmd *cobra.Command, i *registry.Listed, annotations *[]string) {
	f := cmd.Flags()
	f.StringVar(&i.OS, "os", "", "it is for `OS`")
	f.StringVar(&i.Arch, "arch", "", "it is for `ARCH`")
	f.StringVar(&i.Variant, "variant", "", "it is for `VARIANT` of the architecture")
	f.StringVar(&i.OSVersion, "os-version", "", "it is for `VERSION` of the system")
	f.StringSliceVar(&i.Features, "features", nil, "it needs `FEATURES` of the processor")
	f.StringArrayVar(annotations, "annotation", nil, "`KEY=VALUE`, an annotation of it")
}
