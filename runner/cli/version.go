// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/podunit/podunit/runner/format"
	"github.com/spf13/cobra"
)

// Versions is what a program was made from.
type Versions struct {
	APIVersion string // of Podman, by whose name we are called
	Version    string
	GoVersion  string
	OsArch     string //nolint:revive // podman's spelling
	Os         string //nolint:revive // podman's spelling
}

// versionInfo keeps podman's shape: scripts ask for {{.Client.Version}}.
type versionInfo struct{ Client Versions }

// Versions tells what this program was made from.
func (e *Env) Versions() Versions {
	v := Versions{PodmanVersion, e.Program.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, runtime.GOOS}
	if e.asPodman() {
		v.Version = PodmanVersion
	}
	return v
}

// PodmanVersion is the version of Podman whose command line ours is. Scripts that call us podman
// compare it with the one that they need.
const PodmanVersion = "5.4.2"

// asPodman reports whether the program was called by the name of podman or docker.
func (e *Env) asPodman() bool {
	name := filepath.Base(e.Called)
	return name == "podman" || name == "docker"
}

// NewVersion makes podunit version.
func NewVersion(e *Env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "version [flags]",
		Short: "Show the version of podunit",
		Args:  WantArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			v := versionInfo{e.Versions()}
			switch {
			case out == "":
				_, err := fmt.Fprintf(e.Stdout, "Version:     %s\nGo Version:  %s\nOS/Arch:     %s\n", v.Client.Version, v.Client.GoVersion, v.Client.OsArch)
				return err
			case format.IsJSON(out):
				return format.JSON(e.Stdout, v)
			}
			return format.Each(e.Stdout, out, []versionInfo{v})
		},
	}
	cmd.Flags().StringVarP(&out, "format", "f", "", "Go `TEMPLATE`, or json")
	return cmd
}
