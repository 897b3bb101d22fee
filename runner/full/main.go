// SPDX-License-Identifier: Apache-2.0

// Command full is podunit with all verbs. People call the small program, which hands over to this
// one where it needs to: see package cli.
package main

import (
	"context"
	"errors"
	"slices"

	"github.com/podunit/podunit/runner/bundle/cdi"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd"
	"github.com/podunit/podunit/runner/cmd/artifact"
	"github.com/podunit/podunit/runner/cmd/byhand"
	"github.com/podunit/podunit/runner/cmd/container"
	"github.com/podunit/podunit/runner/cmd/generate"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/podunit/podunit/runner/cmd/kube"
	"github.com/podunit/podunit/runner/cmd/manifest"
	"github.com/podunit/podunit/runner/cmd/quadlet"
	"github.com/podunit/podunit/runner/cmd/secret"
	"github.com/podunit/podunit/runner/cmd/system"
	images "github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/bars"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/service"
	"go.podman.io/storage"
)

// version is stamped at build time: -ldflags "-X main.version=...".
var version = "0.0.0-dev"

func main() { cli.Main(program()) }

// program is podunit with all verbs.
func program() cli.Program {
	return cli.Program{
		Version:    version,
		Verbs:      whole(cmd.Life(), others()),
		Help:       system.NewHelp,
		OpenImages: func(s storage.Store, runDir string) service.Images { return registry.New(s, runDir) },
		DrawPull:   bars.Draw,
		ImageNames: image.Names,

		InjectDevices: cdi.Inject,
		RemoveImage:   removeImage,
	}
}

// removeImage removes an image, or the name it is called by. One that somebody uses stays, and one
// that is gone is no error.
func removeImage(ctx context.Context, s storage.Store, runDir, name string) error {
	_, err := registry.New(s, runDir).Remove(ctx, name, registry.RemoveOptions{})
	if errors.As(err, new(*registry.InUseError)) || errors.Is(err, images.ErrUnknown) {
		return nil
	}
	return err
}

// whole are the verbs of both lists; of one that is in both, there is more in the second.
func whole(some, more []cli.Verb) []cli.Verb {
	isMore := func(v cli.Verb) bool {
		return slices.ContainsFunc(more, func(m cli.Verb) bool { return m.Name == v.Name })
	}
	return slices.Concat(slices.DeleteFunc(some, isMore), more)
}

// others are the verbs that no service uses.
func others() []cli.Verb {
	return []cli.Verb{
		{Name: "artifact", New: artifact.New},
		{Name: "attach", New: container.NewAttach},
		{Name: "auto-update", New: system.NewAutoUpdate},
		{Name: "build", New: image.NewBuild},
		{Name: "builder", New: image.NewBuildGroup("builder")},
		{Name: "buildx", New: image.NewBuildGroup("buildx")},
		{Name: "check", New: quadlet.NewCheck, Plain: true},
		{Name: "commit", New: byhand.NewCommit},
		{Name: "container", New: newContainer},
		{Name: "cp", New: byhand.NewCp},
		{Name: "diff", New: byhand.NewDiff},
		{Name: "doctor", New: system.NewDoctor},
		{Name: "events", New: system.NewEvents},
		{Name: "export", New: byhand.NewExport},
		{Name: "generate", New: generate.New},
		{Name: "history", New: image.NewHistory},
		{Name: "image", New: image.New},
		{Name: "images", New: image.NewImages},
		{Name: "import", New: image.NewImport},
		{Name: "info", New: system.NewInfo},
		{Name: "inspect", New: system.NewInspect},
		{Name: "kube", New: kube.New},
		{Name: "load", New: image.NewLoad},
		{Name: "login", New: image.NewLogin},
		{Name: "logout", New: image.NewLogout},
		{Name: "manifest", New: manifest.New},
		{Name: "pause", New: byhand.NewPause},
		{Name: "play", New: kube.NewPlayGroup},
		{Name: "pod", New: newPod},
		{Name: "port", New: byhand.NewPort},
		{Name: "pull", New: image.NewPull},
		{Name: "push", New: image.NewPush},
		{Name: "quadlet", New: quadlet.New, Plain: true},
		{Name: "rename", New: byhand.NewRename},
		{Name: "rmi", New: image.NewRmi},
		{Name: "save", New: image.NewSave},
		{Name: "search", New: image.NewSearch},
		{Name: "secret", New: secret.New},
		{Name: "system", New: system.New},
		{Name: "tag", New: image.NewTag},
		{Name: "top", New: byhand.NewTop},
		{Name: "unpause", New: byhand.NewUnpause},
		{Name: "unshare", New: system.NewUnshare},
		{Name: "untag", New: image.NewUntag},
		{Name: "update", New: byhand.NewUpdate},
		{Name: "wait", New: byhand.NewWait},
	}
}
