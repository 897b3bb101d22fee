// SPDX-License-Identifier: Apache-2.0

package quadlet

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/manage"
	"github.com/spf13/cobra"
)

// NewRm makes podunit quadlet rm.
func NewRm(e *cli.Env) *cobra.Command {
	var (
		opt    manage.RemoveOptions
		reload bool
	)
	cmd := &cobra.Command{
		Use:   "rm [flags] NAME...",
		Short: "Remove unit files",
		Long: `Remove unit files, with the application that they belong to: the files that were installed with them.
NAME may also be that of an application, .NAME.app.`,
		ValidArgsFunction: complete(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && !opt.All {
				return errors.New("name the unit files to remove, or give --all")
			}
			s, err := openStore(e)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			m, err := e.Manager(ctx)
			if err != nil {
				return err
			}
			defer m.Close()
			removed, errs := s.Remove(ctx, args, opt, services(ctx, m))
			for _, name := range removed {
				fmt.Fprintln(e.Stdout, name)
			}
			for i, err := range errs {
				if errors.Is(err, manage.ErrActive) {
					errs[i] = hint.With(err, "--force stops it first")
				}
			}
			if reload {
				if err := m.Reload(ctx); err != nil {
					errs = append(errs, err)
				}
			}
			return sayAllButLast(e, errs)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&opt.All, "all", "a", false, "remove every unit file in the search path")
	f.BoolVarP(&opt.Force, "force", "f", false, "stop services that are active")
	f.BoolVarP(&opt.Ignore, "ignore", "i", false, "a file that does not exist is no error")
	f.BoolVar(&reload, "reload-systemd", true, "have systemd read the files afterwards")
	return cmd
}
