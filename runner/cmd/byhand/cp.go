// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// NewCp makes podunit cp.
func NewCp(e *cli.Env) *cobra.Command {
	var archive bool
	var o container.CopyOptions
	cmd := &cobra.Command{
		Use:               "cp [flags] [CONTAINER:]SOURCE [CONTAINER:]TARGET",
		ValidArgsFunction: cli.CompletePaths(e),
		Short:             "Copy files from and to containers",
		Long: `Copy a file or a directory between a container and the host, or between two containers, running
or not. Into a directory that exists it is copied with its name; else TARGET is its new name. Of
DIRECTORY/. what is in it is copied. A - on the side of the host is a tar archive on stdin or stdout.`,
		Example: "  podunit cp web:/etc/nginx/nginx.conf .\n  podunit cp site/. web:/usr/share/nginx/html",
		Args:    cli.WantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.KeepOwners = !archive
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			from, err := place(x, args[0])
			if err != nil {
				return err
			}
			to, err := place(x, args[1])
			switch {
			case err != nil:
				return err
			case from.Container == nil && to.Container == nil:
				return hint.With(errors.New("neither side is a container"), "write it as CONTAINER:PATH")
			case from.Path == "" || to.Path == "":
				return errors.New("a path is empty; write CONTAINER:PATH")
			case from.Container == nil && from.Path == "-":
				return x.Containers.CopyIn(cmd.Context(), e.Stdin, to, o)
			case to.Container == nil && to.Path == "-":
				if f, ok := e.Stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
					return errors.New("refusing to write an archive to a terminal")
				}
				return x.Containers.CopyOut(cmd.Context(), from, e.Stdout)
			}
			return x.Containers.Copy(cmd.Context(), from, to, o)
		},
	}
	cmd.Flags().BoolVarP(&archive, "archive", "a", true, "give files in a container to the user of its first process")
	cmd.Flags().BoolVar(&o.Overwrite, "overwrite", false, "a file may take the place of a directory, and a directory that of a file")
	return cli.Waits(cmd)
}

// place reads CONTAINER:PATH or PATH. A path with a slash or a dot in front is one of the host.
func place(x *service.Engine, text string) (container.Place, error) {
	name, path, ok := strings.Cut(text, ":")
	if !ok || strings.HasPrefix(text, "/") || strings.HasPrefix(text, ".") {
		return container.Place{Path: text}, nil
	}
	r, err := x.Find(name)
	if err != nil {
		return container.Place{}, fmt.Errorf("%q: %w", text, err)
	}
	return container.Place{Container: &r, Path: path}, nil
}
