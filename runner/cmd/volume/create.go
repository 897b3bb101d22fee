// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/volume"
	"github.com/spf13/cobra"
)

// NewCreate makes podunit volume create.
func NewCreate(e *cli.Env) *cobra.Command {
	var (
		driver         string
		ignore         bool
		given, options []string
		uid, gid       int
	)
	cmd := &cobra.Command{
		Use:   "create [flags] [NAME]",
		Short: "Create a volume",
		Long: `Create a volume and print its name, one of 64 random digits if none is given.

Options of the driver local: o=uid=UID,gid=GID,nocopy or uid=UID, gid=GID, nocopy, copy; and what mount(8) takes: device=, type=
and o=OPTION,... for what is to be mounted whenever a container uses the volume: a directory (type=bind) or a tmpfs, and
anything else for root. The driver image takes image=NAME.`,
		Args: cli.WantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := volume.CheckDriver(driver); err != nil {
				return err
			}
			labelled, err := cli.Assignments("--label", given, false)
			drivers, fault := cli.Assignments("--opt", options, false)
			if err := errors.Join(err, fault); err != nil {
				return err
			}
			o := volume.Options{Labels: labelled, UID: uid, GID: gid, Anonymous: len(args) == 0}
			if err := errors.Join(o.Read(drivers), o.Check(driver, e.User.Rootless())); err != nil {
				return err
			}
			name := container.NewID()
			if len(args) > 0 {
				name = args[0]
			}
			v, err := open(e)
			if err != nil {
				return err
			}
			made, err := v.Create(name, o)
			if errors.Is(err, volume.ErrExists) && ignore {
				made, err = v.Get(name)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.Stdout, made.Name)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVarP(&driver, "driver", "d", "local", "local or image")
	f.IntVar(&gid, "gid", 0, "group of the volume, as containers count")
	f.BoolVar(&ignore, "ignore", false, "a volume that is there already is no error")
	f.StringArrayVarP(&given, "label", "l", nil, "`KEY[=VALUE]` to find it by")
	f.StringArrayVarP(&options, "opt", "o", nil, "`KEY[=VALUE]` for the driver")
	f.IntVar(&uid, "uid", 0, "owner of the volume, as containers count")
	return cmd
}
