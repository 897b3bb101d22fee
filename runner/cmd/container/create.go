// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"os"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
)

// NewCreate makes podunit create.
func NewCreate(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "create [flags] IMAGE [COMMAND [ARG...]]",
		Short:             "Create a container without starting it",
		ValidArgsFunction: cli.CompleteFirst(cli.CompleteImages(e)),
	}
	flags := spec.ContainerFlags(cmd.Flags())
	cmd.SetFlagErrorFunc(cli.FlagError)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := flags.Container(args, e.Host())
		if err != nil {
			return err
		}
		if flags.Defaulted("sdnotify") {
			c.SdNotify = "conmon"
		}
		if c.Detach {
			return errors.New("create does not start the container, so --detach says nothing; leave it out")
		}
		x, err := e.Open(cmd.Context())
		if err != nil {
			return err
		}
		r, err := x.Create(cmd.Context(), c, os.Args)
		if err != nil {
			return err
		}
		fmt.Fprintln(e.Stdout, r.ID)
		return nil
	}
	return cmd
}
