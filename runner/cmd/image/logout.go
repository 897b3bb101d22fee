// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
	"go.podman.io/common/pkg/auth"
)

// NewLogout makes podunit logout.
func NewLogout(e *cli.Env) *cobra.Command {
	var o auth.LogoutOptions
	cmd := &cobra.Command{
		Use:   "logout [flags] [REGISTRY]",
		Short: "Forget the credentials for a registry",
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.All && len(args) > 0 {
				return errors.New("--all takes no arguments")
			}
			o.Stdout = e.Stdout
			o.AcceptUnspecifiedRegistry, o.AcceptRepositories = true, true
			if err := tidyCredentials(e, o.AuthFile, o.DockerCompatAuthFile); err != nil {
				return err
			}
			return auth.Logout(authenticated(cmd, true), &o, args)
		},
	}
	cmd.Flags().AddFlagSet(auth.GetLogoutFlags(&o))
	return cli.Waits(cmd)
}
