// SPDX-License-Identifier: Apache-2.0

//go:build !quick

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"
)

// newUnshareCommand shows the user's files as the user's containers see them.
func newUnshareCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unshare [COMMAND [ARG...]]",
		Short: "Run a command in the user namespace of your containers",
		Args:  cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				shell, ok := e.lookup("SHELL")
				if !ok {
					shell = "/bin/sh"
				}
				args = []string{shell}
			}
			path, err := exec.LookPath(args[0])
			if err != nil {
				fmt.Fprintf(e.stderr, "podunit: error: %v\n", err)
				if errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
					return exitStatus(exitNotFound)
				}
				return exitStatus(exitNotExecutable)
			}
			return syscall.Exec(path, args, os.Environ())
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}
