// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"errors"
	"io"
	"os"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// NewExport makes podunit export.
func NewExport(e *cli.Env) *cobra.Command {
	var output string
	var latest bool
	cmd := &cobra.Command{
		Use:               "export [flags] CONTAINER",
		Short:             "Write the files of a container as a tar archive",
		Long:              "Write the files of a container as a tar archive, without those of its volumes.",
		ValidArgsFunction: cli.CompleteContainers(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, r, err := only(cmd, e, latest, args)
			if err != nil {
				return err
			}
			if err := ToFile(e, output, func(w io.Writer) error { return x.Containers.Export(r, w) }); err != nil {
				return err
			}
			x.Containers.Tell(r, "export")
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to `FILE`, not to stdout")
	latestFlag(cmd, &latest)
	return cmd
}

// ToFile writes an archive to a file, or to our output where that is none; not to a terminal. After
// a failure there is no file.
func ToFile(e *cli.Env, path string, write func(io.Writer) error) (err error) {
	if path == "" || path == "-" {
		if f, ok := e.Stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			return hint.With(errors.New("refusing to write an archive to a terminal"), "--output FILE, or a redirection")
		}
		return write(e.Stdout)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err = errors.Join(write(f), f.Close()); err != nil {
		if st, serr := os.Lstat(path); serr == nil && st.Mode().IsRegular() {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}
