// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
	"go.podman.io/common/libnetwork/types"
)

// inUseError is of a network that containers or pods are on.
type inUseError struct{ name string }

func (e inUseError) Error() string {
	return fmt.Sprintf("%q has associated containers with it. Use -f to forcibly delete containers and pods: network is being used", e.name)
}

// NewRm makes podunit network rm.
func NewRm(e *cli.Env) *cobra.Command {
	var (
		force   bool
		timeout int
	)
	cmd := &cobra.Command{
		Use:     "rm [flags] NETWORK...",
		Aliases: []string{"remove"},
		Short:   "Remove networks",
		Long: `Remove networks. One that a container or pod is on, running or not, is not removed without --force.

Exit status: 0 done, 1 a network isn't there, 2 a network is in use, 125 another error.`,
		Args:              cli.WantArgs(1, -1),
		ValidArgsFunction: complete(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.OpenToRun(cmd.Context())
			if err != nil {
				return err
			}
			var faults []error
			for _, name := range args {
				wait := x.StopTimeout()
				if cmd.Flags().Changed("time") {
					wait = time.Duration(timeout) * time.Second
				}
				_, gone := x.Networks().Get(name)
				if err := remove(cmd.Context(), x, name, force, wait); err != nil {
					faults = append(faults, err)
					continue
				}
				if !errors.As(gone, &netavark.NotFoundError{}) {
					fmt.Fprintln(e.Stdout, name)
				}
			}
			return errors.Join(faults...)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "remove containers and pods that are on it; a network that isn't there is no error")
	cmd.Flags().IntVarP(&timeout, "time", "t", 10, "`SECONDS` between the stop signal and SIGKILL, with --force")
	return cmd
}

// remove removes a network, with force who is on it as well.
func remove(ctx context.Context, x *service.Engine, name string, force bool, wait time.Duration) error {
	n, err := x.Networks().Get(name)
	if errors.As(err, &netavark.NotFoundError{}) {
		if force {
			return nil
		}
		return cli.WithStatus(err, exitUnknown)
	}
	if err != nil {
		return err
	}
	if force && n.Name != x.Networks().Default() {
		if err := evict(ctx, x, n, wait); err != nil {
			return err
		}
	}
	err = x.Networks().Remove(n.Name, unused(x))
	if errors.As(err, &inUseError{}) {
		return cli.WithStatus(err, exitInUse)
	}
	return err
}

// usersOf are who is on a network.
func usersOf(x *service.Engine, n types.Network) ([]view.NetworkUser, error) {
	users, err := view.NetworkUsers(x)
	return append(users[n.Name], users[n.ID]...), err
}

// unused makes sure that nobody is on a network.
func unused(x *service.Engine) func(types.Network) error {
	return func(n types.Network) error {
		users, err := usersOf(x, n)
		if err == nil && len(users) > 0 {
			err = inUseError{n.Name}
		}
		return err
	}
}

// evict removes who is on a network.
func evict(ctx context.Context, x *service.Engine, n types.Network, wait time.Duration) error {
	users, err := usersOf(x, n)
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.Pod {
			p, err := x.Pods.Lookup(u.ID)
			if err == nil {
				err = x.RemovePod(ctx, p, true, wait)
			}
			if err != nil {
				return fmt.Errorf("pod %s: %w", u.Name, err)
			}
			continue
		}
		r, err := x.Containers.Lookup(u.ID)
		if err == nil {
			err = x.Remove(ctx, r, service.Removal{Force: true, Timeout: wait})
		}
		if err != nil {
			return fmt.Errorf("container %s: %w", u.Name, err)
		}
	}
	return nil
}
