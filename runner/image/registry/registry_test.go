// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// registry is a registry for tests: it serves what push has put into it, counts what
// it serves, and can be slow, silent, or picky about who asks.
type registry struct {
	*httptest.Server
	host string

	mu        sync.Mutex
	blobs     map[digest.Digest][]byte
	manifests map[string][]byte // by REPOSITORY:TAG and REPOSITORY@DIGEST
	types     map[string]string
	sent      map[digest.Digest]int64 // bytes of each blob
	asked     int                     // manifests served, HEAD requests not counted
	heads     map[string]int          // HEAD requests for manifests, by REPOSITORY:TAG
	pings     int                     // GET /v2/
	slow      string                  // REPOSITORY:TAG that has no answer
	busy      int                     // how many requests for manifests are answered with 429
	fails     []int                   // statuses that requests for manifests get first
	rate      int                     // bytes per second of a blob; 0 is no limit
	hang      map[digest.Digest]int   // a blob after so many bytes of which nothing comes
	mute      bool                    // nothing comes at all
	user      string                  // USER:PASSWORD that is asked for
	breaks    map[digest.Digest]int   // how often the connection breaks in the middle of it
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{
		blobs: map[digest.Digest][]byte{}, manifests: map[string][]byte{}, types: map[string]string{},
		sent: map[digest.Digest]int64{}, hang: map[digest.Digest]int{}, breaks: map[digest.Digest]int{},
		heads: map[string]int{},
	}
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		r.CloseClientConnections()
		r.Close()
	})
	r.host = strings.TrimPrefix(r.URL, "http://")
	return r
}

func (r *registry) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// counts gives the bytes that were sent of each blob.
func (r *registry) counts() map[digest.Digest]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.sent)
}

func (r *registry) total() int64 {
	var n int64
	for _, s := range r.counts() {
		n += s
	}
	return n
}

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	mute, user := r.mute, r.user
	if req.URL.Path == "/v2/" {
		r.pings++
	}
	r.mu.Unlock()
	if mute {
		<-req.Context().Done()
		return
	}
	if user != "" {
		if name, secret, _ := req.BasicAuth(); name+":"+secret != user {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			fault(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
			return
		}
	}
	path := strings.TrimPrefix(req.URL.Path, "/v2/")
	switch repository, rest, _ := cutLast(path, "/manifests/"); {
	case path == "":
		return
	case strings.HasSuffix(path, "/tags/list"):
		r.tags(w, strings.TrimSuffix(path, "/tags/list"))
	case rest != "":
		key := repository + ":" + rest
		if strings.HasPrefix(rest, "sha256:") {
			key = repository + "@" + rest
		}
		r.manifest(w, req, key)
	default:
		_, d, _ := cutLast(path, "/blobs/")
		r.blob(w, req, digest.Digest(d))
	}
}

func (r *registry) tags(w http.ResponseWriter, repository string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var tags []string
	for key := range r.manifests {
		if tag, ok := strings.CutPrefix(key, repository+":"); ok {
			tags = append(tags, tag)
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"name": repository, "tags": tags})
}

func (r *registry) manifest(w http.ResponseWriter, req *http.Request, key string) {
	r.mu.Lock()
	data, ok := r.manifests[key]
	mime := r.types[key]
	switch {
	case req.Method == http.MethodHead:
		r.heads[key]++
	case ok && req.Method == http.MethodGet:
		r.asked++
	}
	slow := key == r.slow
	busy := r.busy > 0
	if busy {
		r.busy--
	}
	status := 0
	if len(r.fails) > 0 {
		status, r.fails = r.fails[0], r.fails[1:]
	}
	r.mu.Unlock()
	if status != 0 {
		http.Error(w, "no answer today", status)
		return
	}
	if slow {
		<-req.Context().Done()
		return
	}
	if busy {
		w.Header().Set("Retry-After", "1")
		fault(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many requests")
		return
	}
	if !ok {
		fault(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	w.Header().Set("Content-Type", mime)
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(data).String())
	if req.Method == http.MethodGet {
		_, _ = w.Write(data)
	}
}

func (r *registry) blob(w http.ResponseWriter, req *http.Request, d digest.Digest) {
	r.mu.Lock()
	data, ok := r.blobs[d]
	rate := r.rate
	hang, hangs := r.hang[d]
	breaks := r.breaks[d] > 0
	if breaks {
		r.breaks[d]--
	}
	r.mu.Unlock()
	if !ok {
		fault(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown")
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	step := 32 << 10
	if rate > 0 {
		step = max(rate/50, 1)
	}
	for sent := 0; sent < len(data); {
		if hangs && sent >= hang {
			w.(http.Flusher).Flush()
			<-req.Context().Done()
			return
		}
		if breaks && sent > len(data)/2 {
			panic(http.ErrAbortHandler)
		}
		n := min(step, len(data)-sent)
		if hangs {
			n = min(n, hang-sent)
		}
		m, err := w.Write(data[sent : sent+n])
		r.set(func() { r.sent[d] += int64(m) })
		if err != nil {
			return
		}
		sent += m
		if rate > 0 {
			w.(http.Flusher).Flush()
			time.Sleep(time.Second / 50)
		}
	}
}

func fault(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// pushed is an image in the registry.
type pushed struct {
	manifest digest.Digest
	config   digest.Digest
	layers   []digest.Digest
	sizes    []int64
}

// push makes an image of these layers, each a map of paths to contents, and puts it
// under repository:tag. An arch other than "" makes it an image for that one.
func (r *registry) push(t *testing.T, name, arch string, c v1.ImageConfig, layers ...map[string][]byte) pushed {
	t.Helper()
	if arch == "" {
		arch = runtime.GOARCH
	}
	var p pushed
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	config := v1.Image{Platform: v1.Platform{OS: "linux", Architecture: arch}, Config: c, RootFS: v1.RootFS{Type: "layers"}}
	for _, files := range layers {
		plain, packed := layer(t, files)
		d := digest.FromBytes(packed)
		r.set(func() { r.blobs[d] = packed })
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(plain))
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: v1.MediaTypeImageLayerGzip, Digest: d, Size: int64(len(packed))})
		p.layers, p.sizes = append(p.layers, d), append(p.sizes, int64(len(packed)))
	}
	blob := asJSON(t, config)
	p.config = digest.FromBytes(blob)
	m.Config = v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: p.config, Size: int64(len(blob))}
	r.set(func() { r.blobs[p.config] = blob })
	p.manifest = r.put(name, v1.MediaTypeImageManifest, asJSON(t, m))
	return p
}

// list puts a manifest list of these images, by architecture, under name.
func (r *registry) list(t *testing.T, name string, images map[string]pushed) digest.Digest {
	t.Helper()
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	repository, _, _ := cutLast(name, ":")
	for arch, p := range images {
		data := r.manifests[repository+"@"+p.manifest.String()]
		index.Manifests = append(index.Manifests, v1.Descriptor{
			MediaType: v1.MediaTypeImageManifest, Digest: p.manifest, Size: int64(len(data)),
			Platform: &v1.Platform{OS: "linux", Architecture: arch},
		})
	}
	return r.put(name, v1.MediaTypeImageIndex, asJSON(t, index))
}

func (r *registry) put(name, mime string, data []byte) digest.Digest {
	d := digest.FromBytes(data)
	repository, _, _ := cutLast(name, ":")
	r.set(func() {
		for _, key := range []string{name, repository + "@" + d.String()} {
			r.manifests[key], r.types[key] = data, mime
		}
	})
	return d
}

// layer packs files; the contents of a directory, "x/", are ignored.
func layer(t *testing.T, files map[string][]byte) (plain, packed []byte) {
	t.Helper()
	var b, z bytes.Buffer
	w := tar.NewWriter(&b)
	for name, data := range files {
		h := &tar.Header{Name: name, Mode: 0o755, Size: int64(len(data)), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	g, _ := gzip.NewWriterLevel(&z, gzip.BestSpeed)
	_, _ = g.Write(b.Bytes())
	g.Close()
	return b.Bytes(), z.Bytes()
}

// random gives bytes that do not compress, always the same for a seed.
func random(seed int64, size int) []byte {
	data := make([]byte, size)
	rand.New(rand.NewSource(seed)).Read(data)
	return data
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
