// SPDX-License-Identifier: Apache-2.0

// Package quadlet holds the verbs about unit files: podunit check, and those of podunit quadlet, a
// file for each.
package quadlet

import (
	"context"
	"fmt"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/manage"
	"github.com/spf13/cobra"
)

// New makes podunit quadlet.
func New(e *cli.Env) *cobra.Command {
	return cli.Group("quadlet", "Install, list, show, edit and remove unit files",
		NewInstall(e), NewList(e), NewPrint(e), NewRm(e), NewEdit(e))
}

// openStore is where this user's unit files are; root's are the system's.
func openStore(e *cli.Env) (manage.Store, error) {
	warned := map[string]bool{} // the records are read more than once
	s := manage.Store{Search: searchPath(e, e.User.UID == 0), Warn: func(message string) {
		if !warned[message] {
			warned[message] = true
			e.Warn(message)
		}
	}}
	var err error
	s.Dir, err = s.Search.InstallDir()
	return s, err
}

// sayAllButLast prints every error but the last, which it returns to be printed in the usual way.
func sayAllButLast(e *cli.Env, errs []error) error {
	for i, err := range errs {
		if i == len(errs)-1 {
			return err
		}
		e.Complain(err)
	}
	return nil
}

// reloadFor has systemd run its generators, and tells which services of changed unit files must be restarted.
func reloadFor(ctx context.Context, e *cli.Env, s manage.Store, changed []string) error {
	m, err := e.Manager(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.Reload(ctx); err != nil {
		return err
	}
	stale, err := s.Stale(changed, services(ctx, m))
	if err != nil || len(stale) == 0 {
		return err
	}
	scope := ""
	if e.User.UID != 0 {
		scope = " --user"
	}
	fmt.Fprintf(e.Stderr, "podunit: still running as before the change; to apply it: systemctl%s restart %s\n", scope, strings.Join(stale, " "))
	return nil
}

// complete offers the names of unit files.
func complete(e *cli.Env) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		s, err := openStore(e)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		s.Warn = nil // the shell's line is no place for it
		entries, err := s.List()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []string
		for _, x := range entries {
			out = append(out, x.Name)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
