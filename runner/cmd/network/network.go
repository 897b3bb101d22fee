// SPDX-License-Identifier: Apache-2.0

// Package network holds the verbs of podunit network, a file for each.
package network

import (
	"context"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// Exit statuses of network rm and network exists. Source: podman-network-rm(1).
const (
	exitUnknown = 1
	exitInUse   = 2
)

// New makes podunit network.
func New(e *cli.Env) *cobra.Command {
	return cli.Group("network", "Manage named networks",
		NewConnect(e),
		NewCreate(e),
		NewDisconnect(e),
		NewExists(e),
		NewHold(e),
		NewInspect(e),
		NewLs(e),
		NewNames(e),
		NewPrune(e),
		NewReload(e),
		NewRm(e),
		NewUpdate(e),
	)
}

// rows describes the networks that pass all filters.
func rows(ctx context.Context, e *cli.Env, filters []string) ([]view.NetworkRow, error) {
	x, err := e.Open(ctx)
	if err != nil {
		return nil, err
	}
	list, faults, err := view.Networks(x, filters)
	for _, fault := range faults {
		e.Warn(fault.Error())
	}
	return list, err
}

// named finds networks by name or ID among rows.
func named(x *netavark.Store, list []view.NetworkRow, nameOrID string) (view.NetworkRow, error) {
	n, err := x.Get(nameOrID)
	if err != nil {
		return view.NetworkRow{}, err
	}
	for _, r := range list {
		if r.Name == n.Name {
			return r, nil
		}
	}
	return view.NetworkRow{}, fmt.Errorf("%s: %w", nameOrID, netavark.NotFoundError{Name: nameOrID})
}
