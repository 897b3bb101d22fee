// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/download"
	"go.podman.io/image/v5/types"
)

// noise is what this process may write in that time without unpacking anything.
const noise = 16 << 10

// meter watches a pull: what came, whether the registry is silent, what is complete.
//
// The library tells when a blob begins and ends, and between the two it first
// downloads and then unpacks, silently. The file it downloads to tells the two apart:
// when its length is the blob's, what is left is unpacking, and that is no fault of the
// registry.
type meter struct {
	work   *download.Dir  // nil for artifacts, of which the library tells all
	layers *download.Note // of this pull; may be nil
	host   string
	limit  time.Duration // of silence

	events chan types.ProgressProperties

	mu      sync.Mutex
	p       image.Progress
	moved   bool
	begun   map[digest.Digest]int64 // blobs being copied and their lengths, -1 if unknown
	apart   map[digest.Digest]int64 // blobs to put aside once they are complete, and their lengths
	offsets map[digest.Digest]int64 // as the library reports them
	files   map[string]int64        // the most that was seen of each file
	all     []digest.Digest         // every blob this pull began
	silent  time.Duration           // waited for the registry, beyond what its speed excuses
	drips   bool                    // something came in that time
	started bool                    // a blob was begun or found in this attempt
	written int64                   // bytes this process had written when it was last looked at
}

func newMeter(w *download.Dir, name, host string, limit time.Duration) *meter {
	return &meter{
		work: w, host: host, limit: limit,
		events:  make(chan types.ProgressProperties),
		p:       image.Progress{Name: name},
		begun:   make(map[digest.Digest]int64),
		apart:   make(map[digest.Digest]int64),
		offsets: make(map[digest.Digest]int64),
		files:   make(map[string]int64),
	}
}

// attempt begins the pull, or begins it anew: what was received of unfinished blobs is
// gone, the silence is not.
func (m *meter) attempt() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Done, m.p.Total, m.p.Layers, m.p.LayersDone, m.p.Parts = 0, 0, 0, 0, nil
	m.started = false
	clear(m.begun)
	clear(m.apart)
	clear(m.offsets)
	clear(m.files)
}

// giveUp is how long a pull that was told to end may take before it is left to end
// with the process.
const giveUp = time.Second

// errAbandoned is a pull that did not end in time when it was told to. It goes on until
// the process ends, which should be soon: unpacking heeds no context. The storage and
// the next pull remove what is half-written.
var errAbandoned = fmt.Errorf("%w, while a layer was being unpacked", context.Canceled)

// run pulls and watches it. The context that pull gets ends when ctx does, after what is
// complete was put aside, and when the registry is silent for too long: then the error
// is a *StallError.
func (m *meter) run(ctx context.Context, interval time.Duration, report func(image.Progress), pull func(context.Context) (types.ImageReference, error)) (types.ImageReference, error) {
	pulling, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	watching, stop := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		m.watch(watching, interval, report, cancel)
	}()
	defer func() {
		stop()
		<-watched
	}()

	var ref types.ImageReference
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		ref, err = pull(pulling)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		m.measure(0)
		cancel(context.Canceled)
		select {
		case <-done:
		case <-time.After(giveUp):
			go m.drain(done)
			return nil, errAbandoned
		}
	}
	if err != nil {
		if cause := context.Cause(pulling); cause != nil {
			return nil, cause
		}
	}
	return ref, err
}

// watch runs until ctx ends. It calls report every interval, and cancel with a
// *StallError when the registry is silent for too long.
func (m *meter) watch(ctx context.Context, interval time.Duration, report func(image.Progress), cancel context.CancelCauseFunc) {
	tick := time.NewTicker(download.Look)
	defer tick.Stop()
	last, reported := time.Now(), time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-m.events:
			m.event(e)
		case now := <-tick.C:
			// A machine that slept did not wait for the registry.
			m.measure(min(now.Sub(last), 2*download.Look))
			last = now
			if m.limit > 0 && m.silence() >= m.limit {
				cancel(m.stall())
			}
			if report != nil && now.Sub(reported) >= interval {
				report(m.progress())
				reported = now
			}
		}
	}
}

// drain takes events until done is closed, so that no sender waits for ever.
func (m *meter) drain(done <-chan struct{}) {
	for {
		select {
		case <-m.events:
		case <-done:
			return
		}
	}
}

func (m *meter) event(e types.ProgressProperties) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := e.Artifact.Digest
	m.started, m.moved = true, true
	switch e.Event {
	case types.ProgressEventNewArtifact:
		m.begun[d], m.apart[d] = e.Artifact.Size, e.Artifact.Size
		m.excuse(perBlob)
		m.all = append(m.all, d)
		m.layers.Add(d.String())
		m.p.Layers++
		m.p.Total += max(e.Artifact.Size, 0)
		m.p.Parts = append(m.p.Parts, image.Part{Digest: d.String(), Total: e.Artifact.Size})
	case types.ProgressEventRead:
		// It may be a while until so little gets to the file.
		m.drips = m.drips || m.silent > 0 && int64(e.Offset) > m.offsets[d]
		if m.work == nil {
			m.excuse(time.Duration(int64(e.Offset)-m.offsets[d]) * time.Second / floor)
		}
		m.offsets[d] = int64(e.Offset)
		m.blob(d).Done = m.offsets[d]
	case types.ProgressEventDone:
		delete(m.begun, d)
		m.offsets[d] = max(e.Artifact.Size, int64(e.Offset))
		m.p.LayersDone++
		m.blob(d).Done, m.blob(d).Complete = m.offsets[d], true
		m.excuse(perBlob)
	case types.ProgressEventSkipped:
		m.excuse(perBlob)
		m.all = append(m.all, d) // an earlier pull may have left the blob
		m.p.Layers++
		m.p.LayersDone++
		m.p.Parts = append(m.p.Parts, image.Part{Digest: d.String(), Total: e.Artifact.Size, Complete: true, There: true})
	}
}

// blob is the last one with a digest that was begun, to write down how far it has come.
func (m *meter) blob(d digest.Digest) *image.Part {
	for i := len(m.p.Parts) - 1; i >= 0; i-- {
		if m.p.Parts[i].Digest == d.String() {
			return &m.p.Parts[i]
		}
	}
	return &image.Part{} // of an attempt before
}

// A registry may be slow, but not so slow that a pull never ends: below floor bytes a
// second the wait for it counts as silence, but for what a request takes, however little
// it brings.
const (
	floor   = 1 << 10
	perBlob = 5 * time.Second
)

// excuse takes from the silence what has been waited for in vain.
func (m *meter) excuse(d time.Duration) { m.silent = max(0, m.silent-d) }

// measure looks at the files; dt is the time since it last did.
func (m *meter) measure(dt time.Duration) {
	var sizes map[string]int64
	if m.work != nil {
		sizes = m.work.Sizes()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	complete := make(map[int64][]string)
	for path, size := range sizes {
		if size > m.files[path] {
			m.excuse(time.Duration(size-m.files[path]) * time.Second / floor)
			m.files[path] = size
			m.moved, m.drips = true, m.silent > 0
		}
		complete[size] = append(complete[size], path)
	}
	var inFiles, offsets int64
	for _, size := range m.files {
		inFiles += size
	}
	for _, offset := range m.offsets {
		offsets += offset
	}
	m.p.Done = min(max(m.p.Done, inFiles, offsets), m.p.Total)

	waiting := !m.started
	for _, size := range m.begun {
		waiting = waiting || len(complete[size]) == 0
	}
	for d, size := range m.apart {
		for _, path := range complete[size] {
			if m.work.Keep(d, path) {
				delete(m.apart, d)
				break
			}
		}
	}
	if waiting {
		m.silent += dt
	} else if w := written(); w > m.written+noise {
		m.written, m.moved = w, true
	}
}

func (m *meter) silence() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.silent
}

// stall tells what the registry was silent with.
func (m *meter) stall() *image.StallError {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &image.StallError{Host: m.host, Limit: m.limit, Slow: m.drips, Early: !m.started}
}

// progress gives the state and begins a new period for Moved.
func (m *meter) progress() image.Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.p
	p.Parts = slices.Clone(m.p.Parts)
	p.Moved, m.moved = m.moved, false
	return p
}

// blobs lists every blob that was begun.
func (m *meter) blobs() []digest.Digest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all
}

// written is what this process has written so far, to files and to the pipe of the
// one that unpacks. Source: proc(5), /proc/pid/io, wchar.
func written() int64 {
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(data, []byte("wchar: "))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, _ := strconv.ParseInt(string(line), 10, 64)
	return n
}
