// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/volume"
	"github.com/spf13/cobra"
)

// NewCreate makes podunit volume create.
func NewCreate(e *cli.Env) *cobra.Command {
	var (
		driver            string
		ignore            bool
		given, options    []string
		uid, gid          int
		labelled, drivers = map[string]string{}, map[string]string{}
	)
	cmd := &cobra.Command{
		Use:   "create [flags] [NAME]",
		Short: "Create a volume",
		Long: `Create a volume and print its name, one of 64 random digits if none is given.

Options of the driver local: o=uid=UID,gid=GID,nocopy or uid=UID, gid=GID, nocopy, copy.`,
		Args: cli.WantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if driver != "local" {
				return &spec.NotBuilt{What: "volume driver " + driver, Issue: spec.IssueVolumes}
			}
			if err := errors.Join(assign(labelled, given, "--label"), assign(drivers, options, "--opt")); err != nil {
				return err
			}
			o := volume.Options{Labels: labelled, Options: drivers, UID: uid, GID: gid, Anonymous: len(args) == 0}
			if err := ownerOptions(&o); err != nil {
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
	f.StringVarP(&driver, "driver", "d", "local", "the only one is local")
	f.IntVar(&gid, "gid", 0, "group of the volume, as containers count")
	f.BoolVar(&ignore, "ignore", false, "a volume that is there already is no error")
	f.StringArrayVarP(&given, "label", "l", nil, "`KEY[=VALUE]` to find it by")
	f.StringArrayVarP(&options, "opt", "o", nil, "`KEY[=VALUE]` for the driver")
	f.IntVar(&uid, "uid", 0, "owner of the volume, as containers count")
	return cmd
}

func assign(to map[string]string, given []string, flag string) error {
	for _, g := range given {
		k, v, _ := strings.Cut(g, "=")
		if k == "" {
			return fmt.Errorf("%s %q: want KEY[=VALUE]", flag, g)
		}
		to[k] = v
	}
	return nil
}

// ownerOptions reads the options of the driver local. Those that mount something are
// another issue's.
func ownerOptions(o *volume.Options) error {
	words := make(map[string]string)
	for k, v := range o.Options {
		if k != "o" {
			words[k] = v
			continue
		}
		for w := range strings.SplitSeq(v, ",") {
			if w == "" {
				continue
			}
			k, v, _ := strings.Cut(w, "=")
			words[k] = v
		}
	}
	for k, v := range words {
		var err error
		switch k {
		case "uid":
			o.UID, err = strconv.Atoi(v)
		case "gid":
			o.GID, err = strconv.Atoi(v)
		case "copy", "nocopy":
		default:
			err = &spec.NotBuilt{What: "volume option " + k, Issue: spec.IssueVolumes}
		}
		if err != nil {
			return fmt.Errorf("--opt %s=%s: %w", k, v, err)
		}
	}
	return nil
}
