// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/spf13/cobra"
	"go.podman.io/common/pkg/auth"
	"go.podman.io/image/v5/types"
)

// NewLogin makes podunit login.
func NewLogin(e *cli.Env) *cobra.Command {
	var o auth.LoginOptions
	var tlsVerify bool
	var secretName string
	cmd := &cobra.Command{
		Use:   "login [flags] [REGISTRY]",
		Short: "Log in to a registry",
		Long: `Log in to a registry. Podman, buildah and skopeo read the same file, which is gone after a reboot; one
that stays is --authfile ~/.config/containers/auth.json.`,
		Args: cli.WantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Stdin, o.Stdout = e.Stdin, e.Stdout
			o.AcceptUnspecifiedRegistry, o.AcceptRepositories = true, true
			if secretName != "" {
				if err := fromSecret(e, secretName, &o); err != nil {
					return err
				}
			}
			if err := tidyCredentials(e, o.AuthFile, o.DockerCompatAuthFile); err != nil {
				return err
			}
			if err := registry.Certificates(o.CertDir); err != nil {
				return err
			}
			return auth.Login(cmd.Context(), authenticated(cmd, tlsVerify), &o, args)
		},
	}
	cmd.Flags().AddFlagSet(auth.GetLoginFlags(&o))
	cmd.Flags().BoolVar(&tlsVerify, "tls-verify", true, "want HTTPS and a valid certificate")
	cmd.Flags().StringVar(&secretName, "secret", "", "the password is the value of this `SECRET`, whose name is the user's where --username names none")
	return cli.Waits(cmd)
}

// fromSecret takes the password of a login from a secret.
func fromSecret(e *cli.Env, name string, o *auth.LoginOptions) error {
	if o.Password != "" || o.StdinPassword {
		return errors.New("--secret is a password: --password and --password-stdin exclude it")
	}
	secrets, err := e.Secrets()
	if err != nil {
		return err
	}
	found, value, err := secrets.Value(name)
	if err != nil {
		return err
	}
	o.Password = string(value)
	if o.Username == "" {
		o.Username = found.Name
	}
	return nil
}

// authenticated tells the libraries about the registry.
func authenticated(cmd *cobra.Command, tlsVerify bool) *types.SystemContext {
	if f := cmd.Flags().Lookup("tls-verify"); f != nil && f.Changed {
		return registry.ContextFor(&tlsVerify)
	}
	return registry.ContextFor(nil)
}
