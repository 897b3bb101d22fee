// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/service"
)

// Build says which images are built: one for which there is a directory that is named like it and has
// a Containerfile or Dockerfile. Source: podman-kube-play(1), --build.
type Build struct {
	// Asked is --build, nil if it was not given: then those are built that are not there.
	Asked *bool
	// Dir is where the directories of the images are.
	Dir string
}

// directory is where an image is built, empty if there is no such place.
func (b Build) directory(name string) string {
	last, _, _ := strings.Cut(path.Base(name), "@")
	last, _, _ = strings.Cut(last, ":")
	if b.Dir == "" || last == "" || last == "." || last == ".." || last == "/" {
		return ""
	}
	dir := filepath.Join(b.Dir, last)
	for _, file := range []string{"Containerfile", "Dockerfile"} {
		if st, err := os.Stat(filepath.Join(dir, file)); err == nil && st.Mode().IsRegular() {
			return dir
		}
	}
	return ""
}

// build builds images, and changes their containers to the names of the built ones.
func (w *work) build(ctx context.Context) error {
	if w.Build.Asked != nil && !*w.Build.Asked {
		return nil
	}
	var done []string
	for _, p := range w.st.Plan.Pods {
		for _, c := range p.Containers {
			dir := w.Build.directory(c.Spec.Image)
			if dir == "" {
				continue
			}
			if !slices.Contains(done, c.Spec.Image) {
				if w.Build.Asked == nil {
					if _, err := w.Images.Pull(ctx, c.Spec.Image, image.PullOptions{Policy: image.PullNever}); err == nil {
						continue // it is there
					}
				}
				if err := w.buildOne(ctx, c.Spec.Image, dir); err != nil {
					return fmt.Errorf("image %s of container %s: %w", c.Spec.Image, c.Name, err)
				}
				done = append(done, c.Spec.Image)
			}
			c.Spec.Pull.Policy = "never"
		}
	}
	return nil
}

// buildOne has buildah build an image; the manager waits as long as it takes.
func (w *work) buildOne(ctx context.Context, name, dir string) error {
	words, err := service.Builder(w.User)
	if errors.As(err, new(service.NoBuilderError)) {
		return hint.With(err, "apt install buildah, or leave the directory %s alone with --build=false", dir)
	}
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, words[0], append(words[1:], "-t", name, dir)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stderr, os.Stderr // standard output is for what was made
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, notify.Env+"=") })
	cmd.WaitDelay = stopMargin
	if err := cmd.Start(); err != nil {
		return err
	}
	over := make(chan struct{})
	go func() {
		for {
			_ = w.Notify.Send(notify.Status("building "+name), notify.ExtendTimeout(startTime)) // only a line less
			select {
			case <-over:
				return
			case <-time.After(startTime / 3):
			}
		}
	}()
	err = cmd.Wait()
	close(over)
	if failed := (&exec.ExitError{}); errors.As(err, &failed) {
		return fmt.Errorf("buildah build in %s: %w", dir, err)
	}
	return err
}
