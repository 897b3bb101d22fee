// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"os"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/spf13/cobra"
)

// NewImport makes podunit volume import.
func NewImport(e *cli.Env) *cobra.Command {
	return cli.Waits(&cobra.Command{
		Use:               "import VOLUME FILE",
		Short:             "Unpack a tar archive into a volume",
		Long:              "Unpack a tar archive, compressed or not, into a volume that exists, over what is there; - is stdin.",
		Args:              cli.WantArgs(2, 2),
		ValidArgsFunction: cli.CompleteFirst(complete(e)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			v, err := open(e)
			if err != nil {
				return err
			}
			in := e.Stdin
			if args[1] != "-" {
				if in, err = os.Open(args[1]); err != nil {
					return err
				}
				defer in.Close()
			}
			if in == nil || cli.IsTerminal(in) {
				return hint.With(errors.New("cannot read an archive from a terminal"), "give a FILE, or a redirection")
			}
			return v.Import(cmd.Context(), args[0], in)
		},
	})
}
