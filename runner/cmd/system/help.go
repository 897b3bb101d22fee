// SPDX-License-Identifier: Apache-2.0

package system

import (
	"fmt"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/keys/docs"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/spf13/cobra"
)

// NewHelp makes podunit help: cobra's help with one more topic: the keys of unit files.
func NewHelp(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "help [COMMAND | keys [KEY | SECTION]]",
		Short: "Explain a command, or the keys of unit files",
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			if len(args) > 0 && args[0] == "keys" {
				return helpKeys(e, args[1:])
			}
			sub, _, err := root.Find(args)
			if err != nil {
				return hint.With(err, "podunit help lists the commands")
			}
			sub.InitDefaultHelpFlag()
			return sub.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var out []string
			if len(args) == 0 {
				for _, c := range cmd.Root().Commands() {
					if c.IsAvailableCommand() {
						out = append(out, c.Name())
					}
				}
				return append(out, "keys"), cobra.ShellCompDirectiveNoFileComp
			}
			if args[0] == "keys" && len(args) == 1 {
				for _, s := range keys.Sections() {
					out = append(append(out, s.Name), s.Names()...)
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
	}
	return cmd
}

func helpKeys(e *cli.Env, args []string) error {
	if len(args) == 0 {
		args = []string{""}
	}
	for _, name := range args {
		text, err := docs.Help(name)
		if err != nil {
			return err
		}
		fmt.Fprint(e.Stdout, text)
	}
	return nil
}
