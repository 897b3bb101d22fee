// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/podunit/podunit/runner/image/download"
	"go.podman.io/image/v5/types"
)

// What counts as the registry's silence, and what as work of our own.
func TestSilence(t *testing.T) {
	w := newWorld(t)
	work, err := download.NewDir(t.Context(), w.store)
	if err != nil {
		t.Fatal(err)
	}
	defer work.Close(nil)
	file := filepath.Join(work.Path, "container_images_storage1", "1")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	m := newMeter(work, "x", "host", time.Minute)
	blob := types.BlobInfo{Digest: digest.FromBytes(make([]byte, 100<<10)), Size: 100 << 10}
	for _, c := range []struct {
		name   string
		do     func()
		silent time.Duration
		done   int64
	}{
		{"before anything came", func() {}, time.Second, 0},
		{"still nothing", func() {}, 2 * time.Second, 0},
		{"a blob begins", func() { m.event(types.ProgressProperties{Event: types.ProgressEventNewArtifact, Artifact: blob}) }, time.Second, 0},
		{"bytes come", func() { _ = writeFile(file, 60<<10) }, time.Second, 60 << 10},
		{"a few bytes come", func() { _ = writeFile(file, 60<<10+512) }, 1500 * time.Millisecond, 60<<10 + 512},
		{"none come", func() {}, 2500 * time.Millisecond, 60<<10 + 512},
		{"a retry does not end the silence", func() {
			m.attempt()
			_ = os.Remove(file)
		}, 3500 * time.Millisecond, 0},
		{"the blob is complete", func() {
			m.event(types.ProgressProperties{Event: types.ProgressEventNewArtifact, Artifact: blob})
			_ = writeFile(file, 100<<10)
		}, 0, 100 << 10},
		{"it is unpacked for long", func() {}, 0, 100 << 10},
		{"it is done, the next has not begun", func() {
			m.event(types.ProgressProperties{Event: types.ProgressEventDone, Artifact: blob, Offset: 100 << 10})
		}, 0, 100 << 10},
	} {
		c.do()
		m.measure(time.Second)
		if got := m.silence(); got != c.silent {
			t.Errorf("%s: silent for %s, want %s", c.name, got, c.silent)
		}
		if p := m.progress(); p.Done != c.done {
			t.Errorf("%s: %d bytes, want %d", c.name, p.Done, c.done)
		}
	}
	if _, err := os.Stat(filepath.Join(work.Blobs, blob.Digest.String()+download.Unverified)); err != nil {
		t.Errorf("what is complete was not put aside: %v", err)
	}
	if !work.Resume() {
		t.Error("it is not there for the next pull")
	}
}

// Unpacking heeds no context: a pull that was told to end is left behind in time.
func TestAbandon(t *testing.T) {
	w := newWorld(t)
	work, err := download.NewDir(t.Context(), w.store)
	if err != nil {
		t.Fatal(err)
	}
	defer work.Close(nil)
	m := newMeter(work, "x", "host", time.Minute)
	ctx, cancel := context.WithCancel(context.Background())
	release := make(chan struct{})
	ended := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, cancel)
	begun := time.Now()
	_, err = m.run(ctx, time.Second, nil, func(context.Context) (types.ImageReference, error) {
		defer close(ended)
		<-release
		// Nobody watches any more, and still nobody is kept waiting.
		m.events <- types.ProgressProperties{Event: types.ProgressEventDone}
		return nil, nil
	})
	if !errors.Is(err, errAbandoned) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %s", took)
	}
	close(release)
	<-ended
}
