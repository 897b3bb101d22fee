// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"

	"github.com/podunit/podunit/runner/format"
	"github.com/spf13/cobra"
)

type versions struct {
	Version   string
	GoVersion string
	OsArch    string //nolint:revive // podman's spelling
}

// versionInfo keeps podman's shape: scripts ask for {{.Client.Version}}.
type versionInfo struct{ Client versions }

func newVersionCommand(e *env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "version [flags]",
		Short: "Show the version of podunit",
		Args:  wantArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			v := versionInfo{versions{version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}}
			switch {
			case out == "":
				_, err := fmt.Fprintf(e.stdout, "Version:     %s\nGo Version:  %s\nOS/Arch:     %s\n", v.Client.Version, v.Client.GoVersion, v.Client.OsArch)
				return err
			case format.IsJSON(out):
				return format.JSON(e.stdout, v)
			}
			return format.Each(e.stdout, out, []versionInfo{v})
		},
	}
	cmd.Flags().StringVarP(&out, "format", "f", "", "Go `TEMPLATE`, or json")
	return cmd
}
