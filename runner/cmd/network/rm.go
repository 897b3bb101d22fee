// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
	"go.podman.io/common/libnetwork/types"
)

// inUseError says that containers or pods are on a network that is to be removed.
type inUseError struct {
	name  string
	users []view.NetworkUser
}

func (e inUseError) Error() string {
	return fmt.Sprintf("%q has associated containers with it. Use -f to forcibly delete containers and pods: network is being used", e.name)
}

// Hint says who they are.
func (e inUseError) Hint() string {
	var who []string
	for _, u := range e.users {
		kind := "container "
		if u.Pod {
			kind = "pod "
		}
		who = append(who, kind+u.Name)
	}
	return "on it: " + strings.Join(who, ", ") + "; stop the units of those that have one, or podunit network rm -f " + e.name
}

// NewRm makes podunit network rm.
func NewRm(e *cli.Env) *cobra.Command {
	var force bool
	var timeout cli.StopTimeout
	cmd := &cobra.Command{
		Use:     "rm [flags] NETWORK...",
		Aliases: []string{"remove"},
		Short:   "Remove networks",
		Long: `Remove networks. One that a container or pod is on, running or not, is not removed without --force. A unit that
does not run has no container or pod: its network can go.

Exit status: 0 done, 1 a network isn't there, 2 a network is in use, 125 another error.`,
		Args:              cli.WantArgs(1, -1),
		ValidArgsFunction: cli.CompleteNetworks(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.OpenToRun(cmd.Context())
			if err != nil {
				return err
			}
			if !x.InService() {
				e.Sweep(cmd.Context(), x)
			}
			var faults []error
			for _, name := range args {
				removed, err := remove(cmd.Context(), e, x, name, force, &timeout)
				switch {
				case err != nil:
					faults = append(faults, err)
				case removed:
					fmt.Fprintln(e.Stdout, name)
				}
			}
			return errors.Join(faults...)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "remove containers and pods that are on it; a network that isn't there is no error")
	timeout.Flag(cmd)
	return cmd
}

// remove removes a network; with force also the containers and pods on it, and then a network that
// does not exist is no error. It reports whether it removed one.
func remove(ctx context.Context, e *cli.Env, x *service.Engine, name string, force bool, timeout *cli.StopTimeout) (removed bool, err error) {
	n, err := x.Networks().Get(name)
	switch {
	case errors.As(err, &netavark.NotFoundError{}) && force:
		return false, nil
	case errors.As(err, &netavark.NotFoundError{}):
		return false, cli.WithStatus(err, exitUnknown)
	case err != nil:
		return false, err
	}
	if force && n.Name != x.Networks().Default() {
		if err := evict(ctx, e, x, n, timeout); err != nil {
			return false, err
		}
	}
	err = x.Networks().Remove(ctx, n.Name, unused(x))
	if errors.As(err, &inUseError{}) {
		err = cli.WithStatus(err, exitInUse)
	}
	if err == nil {
		e.Happened("network", "remove", n.ID, n.Name)
	}
	return err == nil, err
}

// usersOf are the containers and pods on a network.
func usersOf(x *service.Engine, n types.Network) ([]view.NetworkUser, error) {
	users, err := view.NetworkUsers(x)
	return append(users[n.Name], users[n.ID]...), err
}

// unused returns an inUseError if a container or pod is on a network.
func unused(x *service.Engine) func(types.Network) error {
	return func(n types.Network) error {
		users, err := usersOf(x, n)
		if err == nil && len(users) > 0 {
			err = inUseError{n.Name, users}
		}
		return err
	}
}

// evict removes the containers and pods on a network. One that goes meanwhile is no error.
func evict(ctx context.Context, e *cli.Env, x *service.Engine, n types.Network, timeout *cli.StopTimeout) error {
	users, err := usersOf(x, n)
	if err != nil {
		return err
	}
	for _, u := range users {
		if !u.Pod {
			if err := e.RemoveContainer(ctx, u.ID, timeout); err != nil && !errors.Is(err, container.ErrNotFound) {
				return fmt.Errorf("container %s: %w", u.Name, err)
			}
			continue
		}
		p, err := x.Pods.Lookup(u.ID)
		if err == nil {
			err = x.RemovePod(ctx, p, true, timeout.Or(pod.OwnTimes))
		}
		if err != nil && !errors.Is(err, pod.ErrNotFound) {
			return fmt.Errorf("pod %s: %w", u.Name, err)
		}
	}
	return nil
}
