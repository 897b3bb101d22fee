// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"fmt"
	"os"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
)

// NewCreate makes podunit pod create.
func NewCreate(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "create [flags] [NAME]",
		Short:   "Create a pod without starting it",
		Example: "  podunit pod create --publish 8080:80 web\n  podunit run -d --pod web docker.io/library/nginx",
	}
	flags := spec.PodFlags(cmd.Flags())
	cmd.SetFlagErrorFunc(cli.FlagError)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := flags.Pod(args, e.Host())
		if err != nil {
			return err
		}
		x, err := e.OpenToRun(cmd.Context())
		if err != nil {
			return err
		}
		r, err := x.CreatePod(cmd.Context(), *p, os.Args)
		if err != nil {
			return err
		}
		fmt.Fprintln(e.Stdout, r.ID)
		return nil
	}
	return cmd
}
