// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/secret"
	"github.com/spf13/cobra"
)

// NewRm makes podunit secret rm.
func NewRm(e *cli.Env) *cobra.Command {
	var all, ignore bool
	cmd := &cobra.Command{
		Use:               "rm [flags] SECRET...",
		Aliases:           []string{"remove"},
		Short:             "Remove secrets",
		Long:              "Remove secrets, and print their IDs. A container that has one keeps it, and does not start again.",
		ValidArgsFunction: cli.CompleteSecrets(e),
		RunE: func(_ *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("secret rm wants secrets, or --all")
			}
			s, err := e.Secrets()
			if err != nil {
				return err
			}
			if all {
				list, err := s.List()
				if err != nil {
					return err
				}
				for _, one := range list {
					args = append(args, one.ID)
				}
			}
			var faults []error
			for _, name := range args {
				id, err := s.Remove(name)
				switch {
				case err == nil:
					e.Happened("secret", "remove", id, name)
					fmt.Fprintln(e.Stdout, id)
				case !ignore || !errors.Is(err, secret.ErrNotFound):
					faults = append(faults, err)
				}
			}
			return errors.Join(faults...)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all secrets")
	cmd.Flags().BoolVarP(&ignore, "ignore", "i", false, "a secret that isn't there is no error")
	return cmd
}
