// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/spf13/cobra"
)

// NewImport makes podunit import.
func NewImport(e *cli.Env) *cobra.Command {
	var o registry.Imported
	var quiet bool
	cmd := &cobra.Command{
		Use:     "import [flags] ARCHIVE|URL|- [NAME]",
		Short:   "Make an image of an archive of files",
		Example: "  podunit export web | podunit import --change 'CMD [\"/bin/sh\"]' - web:copy",
		Args:    cli.WantArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				o.Name = args[1]
			}
			o.Progress = progress(e, quiet)
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			path := args[0]
			if !strings.HasPrefix(path, "http://") && !strings.HasPrefix(path, "https://") {
				file, drop, err := inFile(cmd.Context(), e, im, path)
				if err != nil {
					return err
				}
				defer drop()
				path = file
			}
			id, err := im.Import(cmd.Context(), path, o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.Stdout, "sha256:%s\n", id)
			return err
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.Changes, "change", "c", nil, "Dockerfile `INSTRUCTION`: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR")
	f.StringVarP(&o.Message, "message", "m", "", "comment in the history")
	f.StringVar(&o.OS, "os", "", "the image is for `OS`")
	f.StringVar(&o.Arch, "arch", "", "the image is for `ARCH`")
	cli.Refuse(f, "variant", "", "podunit build --platform OS/ARCH/VARIANT, of a Containerfile with FROM scratch and ADD ARCHIVE /")
	f.BoolVarP(&quiet, "quiet", "q", false, "say nothing of the progress")
	return cli.Waits(cmd)
}
