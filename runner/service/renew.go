// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/ledger"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/step"
)

// Renew gives a container that was made by hand another image and starts its service again, which
// has another name than the container where that was renamed while it ran. The container keeps its
// ID, name, settings and volumes. What it wrote outside of volumes is gone, as with every update of
// a container.
//
// Until that is done, a note on disk has all that the container is, so that FinishRenewals can
// complete a renewal that was cut. After an error the note stays only if the container itself is
// gone, or if ctx has ended the start of its service.
func (e *Engine) Renew(ctx context.Context, r container.Record, imageID, service string) error {
	renewed := r
	if err := e.setImage(ctx, &renewed, imageID); err != nil {
		return err
	}
	n := renewal{Name: r.Name, Service: service, Record: renewed}
	if err := e.noteRenewal(n); err != nil {
		return err
	}
	step.Crash("renewal noted")
	err := e.StopUnit(ctx, n.Service)
	if err == nil {
		err = e.finishRenewal(ctx, n)
	}
	if err == nil {
		return nil
	}
	if now, lerr := e.Containers.Lookup(r.ID); lerr == nil && now.ImageID != renewed.ImageID {
		return errors.Join(err, e.dropRenewal(r.ID))
	}
	return err
}

// FinishRenewals completes renewals that were cut.
func (e *Engine) FinishRenewals(ctx context.Context) error {
	files, err := os.ReadDir(e.renewals())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), ".json")
		if !ok {
			continue
		}
		var n renewal
		data, err := os.ReadFile(filepath.Join(e.renewals(), f.Name()))
		if err == nil {
			err = json.Unmarshal(data, &n)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.Name(), err))
			continue
		}
		n.Record.ID, n.Record.Name = id, n.Name
		late, err := e.overtaken(n.Record)
		switch {
		case err != nil:
		case late:
			err = e.dropRenewal(id)
		default:
			if err = e.obey(ctx, &n); err == nil {
				err = e.finishRenewal(ctx, n)
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// overtaken reports whether a renewal that was cut is not to be completed: the container runs, so
// that nothing was taken from it yet, or somebody has given its name to another one or removed its
// pod.
func (e *Engine) overtaken(r container.Record) (bool, error) {
	s, err := e.Containers.Status(r.ID)
	if err != nil || s.PID != 0 {
		return err == nil, err
	}
	if r.PodID != "" {
		if _, err := e.Pods.Lookup(r.PodID); errors.Is(err, pod.ErrNotFound) {
			return true, nil
		}
	}
	named, err := e.Containers.LookupExact(r.Name)
	if errors.Is(err, container.ErrNotFound) {
		return false, nil
	}
	return named.ID != r.ID, err
}

// obey completes a cut renewal with the image before, if an update has found since that the unit
// fails with the new one.
func (e *Engine) obey(ctx context.Context, n *renewal) error {
	r := &n.Record
	id := ledger.Instead(ledger.Dir(e.Containers.Store.GraphRoot()), cmp.Or(n.Service, serviceName(*r)), r.Spec.Image, r.ImageID)
	if id == "" {
		return nil
	}
	if err := e.setImage(ctx, r, id); err != nil {
		return fmt.Errorf("%s fails with its new image, and the one before: %w", r.Name, err)
	}
	return nil
}

// setImage changes the image in a record to another one of the storage.
func (e *Engine) setImage(ctx context.Context, r *container.Record, imageID string) error {
	img, err := e.Images.Pull(ctx, imageID, image.PullOptions{Policy: image.PullNever})
	if err != nil {
		return err
	}
	r.ImageID, r.Digest, r.Config = img.ID, img.Digest.String(), img.Config.Config
	return nil
}

// finishRenewal makes the container anew and starts its service. The note of it goes when that is
// done, or has failed. It stays when ctx ends the start: then FinishRenewals starts the service.
func (e *Engine) finishRenewal(ctx context.Context, n renewal) error {
	r := n.Record
	err := e.WithLock(ctx, r.Name, func(*container.Lock) error {
		old, err := e.Containers.Lookup(r.ID)
		switch {
		case errors.Is(err, container.ErrNotFound): // made with --rm, or cut
		case err != nil:
			return err
		case old.ImageID == r.ImageID:
			return nil
		default:
			if err := e.Containers.Remove(ctx, old, true, false, e.StopTimeoutOf(old)); err != nil {
				return err
			}
		}
		step.Crash("renewal removed")
		// A renewal that was cut may have left half of the container, which has this ID.
		if err := e.Containers.SweepOrphans(ctx); err != nil {
			e.Warn(fmt.Sprintf("remains of earlier containers: %v", err))
		}
		return e.addContainer(ctx, &r)
	})
	if err != nil {
		return err
	}
	step.Crash("renewal created")
	err = e.startService(ctx, r, Transient{Name: n.Service})
	if err != nil && ctx.Err() != nil {
		return err
	}
	return errors.Join(err, e.dropRenewal(r.ID))
}

// renewal is the content of the note; a record itself leaves ID and name to the storage.
type renewal struct {
	Name    string
	Service string // the one to start again, which who updates the container looks after
	Record  container.Record
}

func (e *Engine) renewals() string {
	return filepath.Join(e.Containers.Store.GraphRoot(), "podunit", "renewals")
}

func (e *Engine) noteRenewal(n renewal) error {
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(e.renewals(), 0o700); err != nil {
		return err
	}
	return safe.Write(filepath.Join(e.renewals(), n.Record.ID+".json"), data, 0o600)
}

func (e *Engine) dropRenewal(id string) error {
	return safe.Remove(filepath.Join(e.renewals(), id+".json"))
}
