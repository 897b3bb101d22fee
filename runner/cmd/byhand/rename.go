// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"fmt"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
)

// NewRename makes podunit rename.
func NewRename(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:               "rename CONTAINER NAME",
		Short:             "Give a container another name",
		Args:              cli.WantArgs(2, 2),
		ValidArgsFunction: cli.CompleteContainers(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := strings.TrimPrefix(args[1], "/")
			if err := spec.CheckName(name); err != nil {
				return fmt.Errorf("name %q: %w", name, err)
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			r, err := x.Find(args[0])
			if err != nil {
				return err
			}
			return x.Rename(cmd.Context(), r, name)
		},
	}
}
