// SPDX-License-Identifier: Apache-2.0

// Command podunit runs containers and pods as ordinary systemd services. It
// lives only for a transition (a start, a stop, an exec, a question) and leaves
// the watching to systemd.
//
// This is the program that services execute. It links the verbs of a container's life and
// hands everything else over to the one in the directory full: see package cli.
package main

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/service"
	_ "github.com/podunit/podunit/runner/single"
	"go.podman.io/storage"
)

// version is stamped at build time: -ldflags "-X main.version=...".
var version = "0.0.0-dev"

func main() {
	cli.Main(cli.Program{
		Version:    version,
		Verbs:      cmd.Life(),
		OpenImages: func(s storage.Store, runDir string) service.Images { return image.New(s, runDir) },
		Small:      true,
	})
}
