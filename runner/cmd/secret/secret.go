// SPDX-License-Identifier: Apache-2.0

// Package secret holds the verbs of podunit secret, a file for each.
package secret

import (
	"context"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/store"
	"github.com/spf13/cobra"
)

// New makes podunit secret.
func New(e *cli.Env) *cobra.Command {
	return cli.Group("secret", "Manage secrets",
		NewCreate(e),
		NewExists(e),
		NewInspect(e),
		NewLs(e),
		NewRm(e),
	)
}

// open opens the secrets beside the storage, which is not opened for that.
func open(e *cli.Env) (secret.Store, error) {
	o, err := store.Locate(store.Config{RunDir: e.User.RunDir, Rootless: e.User.Rootless()})
	if err != nil {
		return secret.Store{}, err
	}
	return secret.New(o.GraphRoot), nil
}

// complete offers the names of secrets to the shell.
func complete(e *cli.Env) cobra.CompletionFunc {
	return cli.CompleteNames(func(context.Context) ([]string, error) {
		s, err := open(e)
		if err != nil {
			return nil, err
		}
		all, err := s.List()
		return cli.NamesOf(all, func(one secret.Secret) string { return one.Name }), err
	})
}
