// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/podunit/podunit/runner/image"
	ours "github.com/podunit/podunit/runner/store"
	"go.podman.io/common/pkg/retry"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/pkg/sysregistriesv2"
	"go.podman.io/image/v5/types"
)

// Newer tells the digest that a registry has for a full name now, and whether that is something
// else than the image in the storage, which may be nil. It asks for the digest alone, which
// registries do not count as a pull. Only where that is unknown here and is one of an index does
// it read the index, to see whether this platform's entry has changed: the index also changes when
// another platform's does. Nothing is downloaded.
func (im *Images) Newer(ctx context.Context, name string, local *image.Image, o image.PullOptions) (digest.Digest, bool, error) {
	named, err := reference.ParseDockerRef(strings.TrimPrefix(name, "docker://"))
	if err != nil {
		return "", false, &image.Error{Name: name, Err: err, Way: "REGISTRY/REPOSITORY[:TAG]"}
	}
	if err := ours.JudgeRegistries(); err != nil {
		return "", false, &image.Error{Name: name, Err: err, Way: "see containers-registries.conf(5)"}
	}
	sys, err := systemContext(o, im.base)
	if err != nil {
		return "", false, err
	}
	src, err := docker.NewReference(named)
	if err != nil {
		return "", false, err
	}
	elsewhere, err := redirected(sys, named)
	if err != nil {
		return "", false, explain(named.String(), reference.Domain(named), err)
	}
	var (
		d     digest.Digest
		newer bool
	)
	if !elsewhere {
		if d, err = im.quick(ctx, sys, named); d != "" && local != nil && has(local, d) {
			return d, false, nil
		}
		if ctx.Err() != nil {
			return "", false, explain(named.String(), reference.Domain(named), errors.Join(context.Cause(ctx), err))
		}
	}
	// What the short way has an answer to is read, and not asked for again. An answer without a
	// digest tells least, and the manifest, or the error in its place, tells more.
	said := (*statusError)(nil)
	ask := !elsewhere && d == "" && !(errors.As(err, &said) && said.status < http.StatusInternalServerError && said.after == 0)
	err = retry.IfNecessary(ctx, func() error {
		d, newer, err = compare(ctx, sys, src, named, local, ask)
		return err
	}, &retry.Options{MaxRetry: 2, IsErrorRetryable: func(err error) bool { return passing(o, err) }})
	if err != nil {
		return "", false, explain(named.String(), reference.Domain(named), err)
	}
	return d, newer, nil
}

// quick asks for a digest by the short way. A registry that is asked too often is left alone for a
// while.
func (im *Images) quick(ctx context.Context, sys *types.SystemContext, named reference.Named) (digest.Digest, error) {
	d, err := im.digests.ask(ctx, sys, named)
	if busy := (*statusError)(nil); errors.As(err, &busy) && busy.after > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(busy.after):
		}
	}
	return d, err
}

// compare asks the library: for the digest, if ask, and for the manifest if that is unknown here.
func compare(ctx context.Context, sys *types.SystemContext, src types.ImageReference, named reference.Named, local *image.Image, ask bool) (digest.Digest, bool, error) {
	if ask {
		d, err := docker.GetDigest(ctx, sys, src)
		if err != nil && !errors.Is(err, digest.ErrDigestInvalidFormat) {
			return "", false, err
		}
		if err == nil && local != nil && has(local, d) {
			return d, false, nil
		}
		// A registry may answer without a digest; the manifest has one all the same.
	}
	source, err := src.NewImageSource(ctx, sys)
	if err != nil {
		return "", false, err
	}
	defer source.Close()
	raw, mime, err := source.GetManifest(ctx, nil)
	if err != nil {
		return "", false, err
	}
	d, err := manifest.Digest(raw)
	if err != nil {
		return "", false, err
	}
	if local == nil {
		return d, true, nil
	}
	if !manifest.MIMETypeIsMultiImage(mime) {
		return d, !has(local, d), nil
	}
	list, err := manifest.ListFromBlob(raw, mime)
	if err != nil {
		return "", false, err
	}
	of := *sys
	// The entry for the image that is here, which need not be one for this machine.
	of.OSChoice, of.ArchitectureChoice, of.VariantChoice = local.Config.OS, local.Config.Architecture, local.Config.Variant
	instance, err := list.ChooseInstance(&of)
	if err != nil {
		return "", false, fmt.Errorf("%s has nothing for %s any more: %w", named, local.Platform(), err)
	}
	return d, !has(local, d) && !has(local, instance), nil
}

// redirected reports whether registries.conf sends the name to another place, of which a mere
// question for the digest knows nothing.
func redirected(sys *types.SystemContext, named reference.Named) (bool, error) {
	registry, err := sysregistriesv2.FindRegistry(sys, named.Name())
	if err != nil || registry == nil {
		return false, err
	}
	if registry.Blocked {
		return false, fmt.Errorf("registry %s is blocked in registries.conf", registry.Prefix)
	}
	return len(registry.Mirrors) > 0 || registry.Location != "" && registry.Location != registry.Prefix, nil
}
