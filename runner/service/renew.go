// SPDX-License-Identifier: Apache-2.0

package service

import (
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
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/step"
)

// Renew has a container that somebody made by hand stand on another image, and starts its service
// again. It keeps its ID, its name, its settings and its volumes; what it wrote outside of volumes
// is gone, as with every update of a container.
//
// What the container is lies in a file of its own until that is done: a cut in between is completed
// by FinishRenewals.
func (e *Engine) Renew(ctx context.Context, r container.Record, imageID string) error {
	img, err := e.Images.Pull(ctx, imageID, image.PullOptions{Policy: image.PullNever})
	if err != nil {
		return err
	}
	renewed := r
	renewed.ImageID, renewed.Digest, renewed.Config = img.ID, img.Digest.String(), img.Config.Config
	if err := e.noteRenewal(renewed); err != nil {
		return err
	}
	step.Crash("renewal noted")
	if err := e.StopUnit(ctx, serviceName(r)); err != nil {
		return errors.Join(err, e.dropRenewal(r.ID))
	}
	return e.finishRenewal(ctx, renewed)
}

// FinishRenewals completes what a cut has left of Renew.
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
		if s, err := e.Containers.Status(id); err == nil && s.PID != 0 {
			errs = append(errs, e.dropRenewal(id)) // it runs: nothing was taken from it yet
			continue
		}
		errs = append(errs, e.finishRenewal(ctx, n.Record))
	}
	return errors.Join(errs...)
}

// finishRenewal makes the container anew and starts its service. The note of it goes as soon as
// the container is there.
func (e *Engine) finishRenewal(ctx context.Context, r container.Record) error {
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
		return e.Containers.Create(ctx, &r)
	})
	if err != nil {
		return err
	}
	step.Crash("renewal created")
	if err := e.dropRenewal(r.ID); err != nil {
		return err
	}
	return e.startService(ctx, r, Transient{})
}

// renewal is the content of the note; a record itself leaves ID and name to the storage.
type renewal struct {
	Name   string
	Record container.Record
}

func (e *Engine) renewals() string {
	return filepath.Join(e.Containers.Store.GraphRoot(), "podunit", "renewals")
}

func (e *Engine) noteRenewal(r container.Record) error {
	data, err := json.Marshal(renewal{r.Name, r})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(e.renewals(), 0o700); err != nil {
		return err
	}
	return safe.Write(filepath.Join(e.renewals(), r.ID+".json"), data, 0o600)
}

func (e *Engine) dropRenewal(id string) error {
	err := os.Remove(filepath.Join(e.renewals(), id+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
