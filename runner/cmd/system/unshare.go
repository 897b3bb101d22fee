// SPDX-License-Identifier: Apache-2.0

package system

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// NewUnshare makes podunit unshare, which shows the user's files as the user's containers see them.
func NewUnshare(e *cli.Env) *cobra.Command {
	var network bool
	cmd := &cobra.Command{
		Use:   "unshare [flags] [COMMAND [ARG...]]",
		Short: "Run a command in the user namespace of your containers",
		Args:  cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if network && !e.User.Rootless() {
				return errors.New("--rootless-netns is for a user without root: root's named networks are on the machine itself")
			}
			if len(args) == 0 {
				shell, ok := e.Lookup("SHELL")
				if !ok {
					shell = "/bin/sh"
				}
				args = []string{shell}
			}
			path, err := exec.LookPath(args[0])
			if err != nil {
				fmt.Fprintf(e.Stderr, "podunit: error: %v\n", err)
				if errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
					return cli.ExitStatus(cli.ExitNotFound)
				}
				return cli.ExitStatus(cli.ExitNotExecutable)
			}
			run := func() error { return syscall.Exec(path, args, os.Environ()) }
			if !network {
				return run()
			}
			shared, ok := netavark.ReadShared(service.SharedDir(filepath.Join(e.User.RunDir, "podunit")))
			if !ok {
				return netavark.NoNamespaceError{Unit: service.NamespaceUnit}
			}
			return netns.Inside([]string{process.Namespace(shared.PID, "net")}, run)
		},
	}
	cmd.Flags().BoolVar(&network, "rootless-netns", false, "in the network namespace of your named networks, too")
	cmd.Flags().SetInterspersed(false)
	return cmd
}
