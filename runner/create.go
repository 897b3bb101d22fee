// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
)

func newCreateCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "create [flags] IMAGE [COMMAND [ARG...]]",
		Short:             "Create a container without starting it",
		ValidArgsFunction: completeImages(e),
	}
	flags := spec.ContainerFlags(cmd.Flags())
	cmd.SetFlagErrorFunc(flagError)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := flags.Container(args, e.host())
		if err != nil {
			return err
		}
		if flags.Defaulted("sdnotify") {
			c.SdNotify = "conmon"
		}
		if c.Detach {
			return errors.New("create does not start the container, so --detach says nothing; leave it out")
		}
		x, err := e.open(cmd.Context())
		if err != nil {
			return err
		}
		r, err := x.Create(cmd.Context(), c, os.Args)
		if err != nil {
			return err
		}
		fmt.Fprintln(e.stdout, r.ID)
		return nil
	}
	return cmd
}
