// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// NewStart makes podunit start.
func NewStart(e *cli.Env) *cobra.Command {
	var attach, interactive, sigProxy bool
	var sel cli.Selection
	cmd := &cobra.Command{
		Use:   "start [flags] CONTAINER...",
		Short: "Start containers that exist",
		Args: func(cmd *cobra.Command, args []string) error {
			if sel.All || sel.Latest || len(sel.Filters) > 0 {
				return nil
			}
			return cli.WantArgs(1, -1)(cmd, args)
		},
		ValidArgsFunction: cli.CompleteContainers(e, cli.EndedOnly),
		RunE: func(cmd *cobra.Command, args []string) error {
			a := service.Attachment{Attach: attach, Stdin: interactive}
			switch given := cmd.Flags().Changed("sig-proxy"); {
			case attach && len(args) > 1:
				return errors.New("--attach takes one container")
			case given && sigProxy && !attach:
				return errors.New("--sig-proxy is for --attach")
			case given:
				a.SigProxy = &sigProxy
			}
			x, err := e.OpenToStart(cmd.Context())
			if err != nil {
				return err
			}
			if sel.All || sel.Latest || len(sel.Filters) > 0 {
				if args, err = stopped(x, &sel, args); err != nil {
					return err
				}
			}
			var errs []error
			for _, name := range args {
				code, err := start(cmd.Context(), e, x, name, a)
				if err == nil && code != 0 {
					return cli.ExitStatus(code)
				}
				errs = append(errs, cli.Ended(0, err))
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVarP(&attach, "attach", "a", false, "attach to its output and wait for its end")
	cmd.Flags().BoolVarP(&interactive, "interactive", "i", false, "with --attach: pass our stdin on")
	cmd.Flags().BoolVar(&sigProxy, "sig-proxy", true, "with --attach: pass signals on to it")
	cli.Refuse(cmd.Flags(), "detach-keys", "", noDetaching)
	cmd.Flags().BoolVar(&sel.All, "all", false, "start all containers that do not run")
	cmd.Flags().BoolVarP(&sel.Latest, "latest", "l", false, "start the container made last")
	sel.FilterFlag(cmd)
	return cmd
}

// stopped are the IDs of the containers that are chosen by anything but their names and do not run.
// The one made last is among them if it runs, too: to start it is no error, and prints its ID.
func stopped(x *service.Engine, sel *cli.Selection, args []string) ([]string, error) {
	records, err := sel.Resolve(x, args)
	var ids []string
	for _, r := range records {
		if s, err := x.Containers.Status(r.ID); err == nil && (s.PID == 0 || sel.Latest) {
			ids = append(ids, r.ID)
		}
	}
	return ids, err
}

// start starts a container that exists and prints its name, unless this process is to become the
// container's.
func start(ctx context.Context, e *cli.Env, x *service.Engine, name string, a service.Attachment) (int, error) {
	find := x.Find
	if x.InService() {
		find = x.Containers.Lookup // it is the ID
	}
	r, err := find(name)
	if err != nil {
		return 0, err
	}
	if s, err := x.Containers.Status(r.ID); a.Attach && err == nil && s.PID != 0 {
		return follow(ctx, e, x, r, following{stdin: a.Stdin, proxy: a.SigProxy == nil || *a.SigProxy})
	}
	code, err := x.Start(ctx, r, a)
	if err == nil && !a.Attach && !x.InService() {
		fmt.Fprintln(e.Stdout, name)
	}
	return code, err
}
