// SPDX-License-Identifier: Apache-2.0

package network

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// NewNames makes podunit network names, the ExecStart= of root's podunit-dns.service.
func NewNames(e *cli.Env) *cobra.Command {
	return ofUnit(e, "names", "Serve the names of containers on root's networks", (*service.Engine).ServeNames)
}
