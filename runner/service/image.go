// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/ledger"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/pkg/config"
)

// startWindow is by how much a report of progress extends a unit's start timeout. It
// exceeds the time after which a silent registry is given up, so that the pull ends with
// its own error and not with systemd's.
const startWindow = 90 * time.Second

// drawing has a pull show on a terminal how it gets on. The function that it returns takes the
// drawing away.
type drawing func(image.PullOptions) (image.PullOptions, func())

// findImage finds the image of a container, pulled by policy if need be. draw shows a pull that no
// service manager is told of; nil shows nothing.
func (e *Engine) findImage(ctx context.Context, c *spec.Container, draw drawing) (container.Image, error) {
	if c.Rootfs != nil {
		return container.Image{}, nil
	}
	p := c.Pull
	policy, err := config.ParsePullPolicy(p.Policy)
	if err != nil {
		return container.Image{}, fmt.Errorf("--pull %q: %w", p.Policy, err)
	}
	o := image.PullOptions{
		Policy: policy, OS: p.OS, Arch: p.Arch, Variant: p.Variant,
		AuthFile: p.AuthFile, CertDir: p.CertDir, TLSVerify: p.TLSVerify,
		Log: e.Log, Online: e.waitOnline,
	}
	o.User, o.Secret, _ = strings.Cut(p.Creds, ":")
	if p.Retry != spec.DefaultRetry {
		retries := int(p.Retry)
		o.Retries = &retries
	}
	if p.RetryDelay != nil {
		o.RetryDelay = *p.RetryDelay
	}
	if !p.Quiet {
		o.Report = ReportPull(e.Notify)
		if o.Report == nil && draw != nil {
			var done func()
			o, done = draw(o)
			defer done()
		}
	}
	img, err := e.Images.Pull(ctx, c.Image, o)
	if err != nil {
		return container.Image{}, err
	}
	name := img.Name
	if name == "" && len(img.Names) > 0 {
		name = img.Names[0]
	}
	if unit := e.startingUnit(); unit != "" {
		img = e.instead(ctx, unit, c.Image, img)
	}
	return container.Image{ID: img.ID, Name: name, Digest: img.Digest.String(), Config: img.Config.Config, Health: imageHealth(img.Health)}, nil
}

// imageHealth is the health check of an image; a zero field was not set there.
func imageHealth(h *image.HealthCheck) *spec.HealthCheck {
	if h == nil || len(h.Test) == 0 {
		return nil
	}
	said := func(d time.Duration) *time.Duration {
		if d <= 0 {
			return nil
		}
		return &d
	}
	check := &spec.HealthCheck{Test: h.Test, Interval: said(h.Interval), Timeout: said(h.Timeout), StartPeriod: said(h.StartPeriod)}
	if h.Retries > 0 {
		retries := uint(h.Retries)
		check.Retries = &retries
	}
	return check
}

// instead returns the image that a unit is to run. It is the one that its reference means, except
// where an update has found that the unit fails with it: then it is the one before.
func (e *Engine) instead(ctx context.Context, unit, reference string, current *image.Image) *image.Image {
	id := ledger.Instead(ledger.Dir(e.Containers.Store.GraphRoot()), unit, reference, current.ID)
	if id == "" {
		return current
	}
	older, err := e.Images.Pull(ctx, id, image.PullOptions{Policy: image.PullNever})
	if err != nil {
		e.Warn(fmt.Sprintf("%s failed with the present image of %s, and the one before is gone: %v", unit, reference, err))
		return current
	}
	return older
}

// ReportPull tells the service manager how a pull gets on: a line for the status, and
// more time as long as bytes move. Without a manager it is nil.
func ReportPull(manager notify.Socket) func(image.Progress) {
	if !manager.Present() {
		return nil
	}
	return func(p image.Progress) {
		extend := ""
		if p.Moved {
			extend = notify.ExtendTimeout(startWindow)
		}
		// If the message is lost, one line of status is missing; the next comes in a second.
		_ = manager.Send(notify.Status(p.String()), extend)
	}
}
