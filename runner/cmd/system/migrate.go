// SPDX-License-Identifier: Apache-2.0

package system

import (
	"errors"
	"fmt"
	"slices"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/pod"
	"github.com/spf13/cobra"
)

// NewMigrate makes podunit system migrate.
func NewMigrate(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Stop all containers, so that a change of /etc/subuid takes effect",
		Long: `Stop all containers and pods that run. The namespaces of a user's containers last as long as one of them
runs: what starts afterwards has the IDs that /etc/subuid and /etc/subgid say then. Nothing in the storage is to migrate.`,
		Args: cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			x, err := e.OpenToRun(cmd.Context())
			if err != nil {
				return err
			}
			containers, err := x.Containers.List()
			errs := []error{err}
			runs := func(r container.Record) bool {
				s, err := x.Containers.Status(r.ID)
				return err != nil || s.PID != 0 // the stop tells what is wrong with it
			}
			containers = slices.DeleteFunc(containers, func(r container.Record) bool { return !runs(r) })
			pods, err := x.Pods.List()
			errs = append(errs, err)
			for _, p := range pods {
				if x.Pods.Status(p).InfraPID != 0 {
					errs = append(errs, x.StopPod(cmd.Context(), p, pod.OwnTimes))
				}
			}
			for _, r := range containers {
				if runs(r) { // else it went with its pod
					if err := x.Stop(cmd.Context(), r, x.StopTimeoutOf(r)); err != nil {
						errs = append(errs, err)
						continue
					}
				}
				fmt.Fprintln(e.Stdout, "stopped "+r.ID)
			}
			return errors.Join(errs...)
		},
	}
	cli.Refuse(cmd.Flags(), "new-runtime", "", "--runtime names one, and GlobalArgs=--runtime=PATH in a unit file")
	return cmd
}
