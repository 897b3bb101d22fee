// SPDX-License-Identifier: Apache-2.0

package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/service"
	"go.podman.io/image/v5/docker/reference"
)

// pinFile is the drop-in that --pin writes.
const pinFile = "50-podunit-pin.conf"

// setPins writes and removes the drop-ins, and makes the manager read them.
func (a *autoUpdate) setPins(ctx context.Context, x *service.Engine) error {
	var errs []error
	for _, name := range a.pin {
		errs = append(errs, a.setPin(ctx, x, withSuffix(name)))
	}
	for _, name := range a.unpin {
		errs = append(errs, a.removePin(ctx, x, withSuffix(name)))
	}
	m, err := a.env.Manager(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	defer m.Close()
	return errors.Join(append(errs, m.Reload(ctx))...)
}

func withSuffix(name string) string { return strings.TrimSuffix(name, ".service") + ".service" }

func (a *autoUpdate) setPin(ctx context.Context, x *service.Engine, unit string) error {
	path, err := a.pinPath(ctx, x, unit)
	if err != nil {
		return err
	}
	all, err := x.Containers.List()
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Unit != unit {
			continue
		}
		named, err := reference.ParseNormalizedNamed(r.ImageName)
		if err != nil || r.Digest == "" {
			return fmt.Errorf("%s: its image %s has no digest of a registry", unit, r.ImageName)
		}
		pinned := reference.TrimNamed(named).String() + "@" + r.Digest
		text := fmt.Sprintf("# Written by podunit auto-update --pin; --unpin takes it away.\n[Container]\nImage=%s\n", pinned)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := safe.Write(path, []byte(text), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(a.env.Stdout, "%s stays with %s: %s\n", unit, pinned, path)
		return nil
	}
	return hint.With(fmt.Errorf("%s has no container, so there is no image to stay with", unit), "start it first")
}

func (a *autoUpdate) removePin(ctx context.Context, x *service.Engine, unit string) error {
	path, err := a.pinPath(ctx, x, unit)
	if err != nil {
		return err
	}
	err = os.Remove(path)
	_ = os.Remove(filepath.Dir(path)) // it stays if there is more in it; who was killed has left it empty
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is not pinned", unit)
	case err != nil:
		return err
	}
	fmt.Fprintf(a.env.Stdout, "%s is updated again\n", unit)
	return nil
}

// pinPath is the path of a unit's drop-in. It is always among this user's files, who may not write
// the system's.
func (a *autoUpdate) pinPath(ctx context.Context, x *service.Engine, unit string) (string, error) {
	p, err := x.Unit(ctx, unit)
	if err != nil {
		return "", err
	}
	if !p.Exists() {
		return "", fmt.Errorf("there is no unit %s", unit)
	}
	source := filepath.Base(p.SourcePath)
	if filepath.Ext(source) != ".container" {
		return "", hint.With(fmt.Errorf("%s is not made from a .container file", unit), "write the digest in the place of the tag where its image is named: IMAGE@sha256:…")
	}
	return filepath.Join(ownQuadlets(a.env), source+".d", pinFile), nil
}

// ownQuadlets is the directory for this user's own files.
func ownQuadlets(e *cli.Env) string {
	if dir := configHome(e); dir != "" {
		return filepath.Join(dir, "containers", "systemd")
	}
	return "/etc/containers/systemd"
}
