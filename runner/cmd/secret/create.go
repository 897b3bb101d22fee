// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// NewCreate makes podunit secret create.
func NewCreate(e *cli.Env) *cobra.Command {
	var (
		o       secret.Options
		fromEnv bool
		labels  []string
	)
	cmd := &cobra.Command{
		Use:   "create [flags] NAME FILE|-",
		Short: "Keep a secret",
		Long: `Keep the content of a file, or of standard input, as a secret, and print its ID.

Drivers: file keeps it in a file of yours, not encrypted; pass encrypts it with gpg, as pass(1) does;
shell has commands of your own keep it. A container gets it with --secret NAME, or Secret=NAME in a
.container file, and has it at its next start.`,
		Example: "  podunit secret create db-password password.txt\n  printf %s hunter2 | podunit secret create --replace db-password -",
		Args:    cli.WantArgs(2, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			if o.Replace && o.Ignore {
				return errors.New("--replace and --ignore exclude each other")
			}
			value, err := read(e, args[1], fromEnv)
			if err != nil {
				return err
			}
			if o.Labels, err = cli.Assignments("--label", labels, false); err != nil {
				return err
			}
			conf, err := service.ReadConf(e.Modules)
			if err != nil {
				return err
			}
			if o.Driver == "" {
				o.Driver = conf.Secrets.Driver
			}
			if len(o.DriverOptions) == 0 {
				o.DriverOptions = conf.Secrets.Opts
			}
			s, err := e.Secrets()
			if err != nil {
				return err
			}
			id, err := s.Create(args[0], value, o)
			if errors.Is(err, secret.ErrInUse) {
				return hint.With(err, "podunit secret create --replace %s %s", args[0], args[1])
			}
			if err != nil {
				return err
			}
			e.Happened("secret", "create", id, args[0])
			_, err = fmt.Fprintln(e.Stdout, id)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.Driver, "driver", "d", "", "file, pass or shell; default: that of containers.conf(5)")
	f.StringToStringVar(&o.DriverOptions, "driver-opts", nil, "`KEY=VALUE` for the driver; one with a comma goes in quotes")
	f.BoolVar(&fromEnv, "env", false, "FILE is the name of a variable")
	f.BoolVar(&o.Ignore, "ignore", false, "a secret of that name stays, and is no error")
	f.StringArrayVarP(&labels, "label", "l", nil, "`KEY[=VALUE]` to find it by")
	f.BoolVar(&o.Replace, "replace", false, "a secret of that name goes")
	return cli.Waits(cmd)
}

// read reads the value: from a variable, standard input or a file. A value that is too long is not
// read to its end.
func read(e *cli.Env, from string, variable bool) ([]byte, error) {
	if variable {
		value, ok := e.Lookup(from)
		if !ok {
			return nil, fmt.Errorf("there is no variable %s", from)
		}
		return []byte(value), nil
	}
	in := e.Stdin
	switch {
	case from != "-":
		f, err := os.Open(from)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	case term.IsTerminal(int(in.Fd())):
		return nil, errors.New("standard input is a terminal, which would show the secret: pipe it in, or name a file")
	}
	return io.ReadAll(io.LimitReader(in, secret.MaxSize))
}
