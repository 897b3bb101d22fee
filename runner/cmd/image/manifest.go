// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/safe"
	"github.com/spf13/cobra"
)

// NewManifest makes podunit manifest.
func NewManifest(e *cli.Env) *cobra.Command {
	rm := NewRmi(e)
	rm.Use, rm.Short = "rm [flags] LIST...", "Remove lists of manifests from the storage"
	return cli.Group("manifest COMMAND", "Manage lists of manifests: one name for the images of several platforms",
		newManifestCreate(e), newManifestAdd(e), newManifestAnnotate(e), newManifestExists(e), newManifestInspect(e), newManifestPush(e), newManifestRemove(e), rm)
}

// listedFlags are what is said of an image in a list.
func listedFlags(cmd *cobra.Command, i *registry.Listed, annotations *[]string) {
	f := cmd.Flags()
	f.StringVar(&i.OS, "os", "", "it is for `OS`")
	f.StringVar(&i.Arch, "arch", "", "it is for `ARCH`")
	f.StringVar(&i.Variant, "variant", "", "it is for `VARIANT` of the architecture")
	f.StringVar(&i.OSVersion, "os-version", "", "it is for `VERSION` of the system")
	f.StringArrayVar(annotations, "annotation", nil, "`KEY=VALUE`, an annotation of it")
}

func newManifestCreate(e *cli.Env) *cobra.Command {
	var all, amend, tlsVerify bool
	cmd := &cobra.Command{
		Use:   "create [flags] LIST [IMAGE...]",
		Short: "Make a list of manifests",
		Args:  cli.WantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id, err := im.ListID(args[0])
			if err != nil {
				return err
			}
			if id == "" || !amend {
				if id, err = im.CreateList(args[0]); err != nil {
					return err
				}
			}
			for _, name := range args[1:] {
				i := registry.Listed{Image: name, All: all}
				if cmd.Flags().Changed("tls-verify") {
					i.TLSVerify = &tlsVerify
				}
				if id, err = im.AddToList(cmd.Context(), args[0], i); err != nil {
					return err
				}
			}
			fmt.Fprintln(e.Stdout, id)
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, "of images that are lists, all images")
	f.BoolVarP(&amend, "amend", "a", false, "add to the list if it is there")
	f.BoolVar(&tlsVerify, "tls-verify", true, "want HTTPS and a valid certificate")
	return cmd
}

func newManifestAdd(e *cli.Env) *cobra.Command {
	var i registry.Listed
	var annotations []string
	var creds string
	var tlsVerify bool
	cmd := &cobra.Command{
		Use:   "add [flags] LIST IMAGE...",
		Short: "Add images to a list of manifests",
		Args:  cli.WantArgs(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("tls-verify") {
				i.TLSVerify = &tlsVerify
			}
			var err error
			if i.Annotations, err = cli.Assignments("--annotation", annotations, true); err != nil {
				return err
			}
			if i.User, i.Secret, err = credentials(e, creds); err != nil {
				return err
			}
			im, err := open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id := ""
			for _, name := range args[1:] {
				i.Image = name
				if id, err = im.AddToList(cmd.Context(), args[0], i); err != nil {
					return err
				}
			}
			fmt.Fprintln(e.Stdout, id)
			return nil
		},
	}
	listedFlags(cmd, &i, &annotations)
	f := cmd.Flags()
	f.BoolVar(&i.All, "all", false, "of an image that is a list, all images")
	f.StringVar(&i.AuthFile, "authfile", "", "`FILE` with credentials")
	f.StringVar(&i.CertDir, "cert-dir", "", "`DIR` with certificates for the registry")
	f.StringVar(&creds, "creds", "", "`USER[:PASSWORD]` for the registry")
	f.BoolVar(&tlsVerify, "tls-verify", true, "want HTTPS and a valid certificate")
	return cmd
}

func newManifestAnnotate(e *cli.Env) *cobra.Command {
	var i registry.Listed
	var annotations []string
	cmd := &cobra.Command{
		Use:   "annotate [flags] LIST DIGEST",
		Short: "Say something of an image in a list of manifests",
		Args:  cli.WantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if i.Annotations, err = cli.Assignments("--annotation", annotations, true); err != nil {
				return err
			}
			im, err := open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id, err := im.AnnotateList(args[0], args[1], i)
			if err != nil {
				return err
			}
			fmt.Fprintln(e.Stdout, id)
			return nil
		},
	}
	listedFlags(cmd, &i, &annotations)
	return cmd
}

func newManifestRemove(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "remove LIST DIGEST",
		Short: "Take an image from a list of manifests",
		Args:  cli.WantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id, err := im.RemoveFromList(args[0], args[1])
			if err != nil {
				return err
			}
			fmt.Fprintln(e.Stdout, id)
			return nil
		},
	}
}

func newManifestExists(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "exists LIST",
		Short: "Tell by the exit status whether a list of manifests exists: 0 or 1",
		Args:  cli.WantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id, err := im.ListID(args[0])
			if err == nil && id == "" {
				return cli.ExitStatus(1)
			}
			return err
		},
	}
}

func newManifestInspect(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect LIST",
		Short: "Show a list of manifests",
		Args:  cli.WantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := open(cmd.Context(), e)
			if err != nil {
				return err
			}
			list, err := im.InspectList(args[0])
			if err != nil {
				return err
			}
			return format.JSON(e.Stdout, list)
		},
	}
}

func newManifestPush(e *cli.Env) *cobra.Command {
	var flags sendFlags
	var all, rm bool
	cmd := &cobra.Command{
		Use:   "push [flags] LIST [DESTINATION]",
		Short: "Copy a list of manifests, with its images, to a registry",
		Args:  cli.WantArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !all {
				return errors.New("--all=false: a list without its images is of no use to anybody")
			}
			o, err := flags.options(e)
			if err != nil {
				return err
			}
			im, err := open(cmd.Context(), e)
			if err != nil {
				return err
			}
			to := ""
			if len(args) > 1 {
				to = args[1]
			}
			d, err := im.PushList(cmd.Context(), args[0], to, o)
			if err != nil {
				return err
			}
			if flags.digestFile != "" {
				if err := safe.Replace(flags.digestFile, []byte(d.String()), 0o644); err != nil {
					return err
				}
			}
			if !rm {
				return nil
			}
			_, err = im.Remove(cmd.Context(), args[0], registry.RemoveOptions{})
			return err
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVarP(&flags.format, "format", "f", "", "`FORMAT` of the manifests: oci or v2s2")
	cmd.Flags().BoolVar(&all, "all", true, "also the images")
	cmd.Flags().BoolVar(&rm, "rm", false, "remove the list from the storage afterwards")
	return cmd
}
