// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Faults are the ways in which a registry can fail one repository. Each is a value of
// Registry.Faults.
var Faults = []string{
	"429",     // too many requests, come back in a second
	"500",     // internal server error
	"401",     // the token has expired, and there is no other
	"hang",    // no answer
	"slow",    // each answer takes three seconds
	"digest",  // blobs that are not what their digest says
	"lie",     // a header with the digest of something else
	"break",   // layers end in the middle
	"drip",    // blobs come a few bytes a second, after their first KiB
	"escape",  // errors write on the terminal, and draw a line of their own
	"refused", // connections are closed without an answer
}

// slow is how long an answer of such a registry takes.
const slow = 3 * time.Second

// escapes is the message of such a registry, in JSON: it clears a screen, names a window and begins
// a line.
const escapes = `no\u001b[2J\u001b]0;x\u0007\nforged: line`

// Registry is a proxy before a registry that knows HTTP.
type Registry struct {
	Listen, To string            // host:port
	Delay      time.Duration     // before each answer
	Faults     map[string]string // of repositories, such as web=429
	Log        io.Writer         // a line for each request
}

// Serve listens until ctx ends.
func (r Registry) Serve(ctx context.Context) error {
	for name, fault := range r.Faults {
		if !slices.Contains(Faults, fault) {
			return fmt.Errorf("--fault %s=%s: the faults are %s", name, fault, strings.Join(Faults, ", "))
		}
	}
	s := &http.Server{Addr: r.Listen, Handler: r.handler(), ReadHeaderTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (r Registry) handler() http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.To})
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		fmt.Fprintf(r.Log, "%s %s\n", req.Method, req.URL.Path)
		mu.Unlock()
		select {
		case <-req.Context().Done():
			return
		case <-time.After(r.Delay):
		}
		// /v2/NAME/manifests/TAG, /v2/NAME/blobs/DIGEST
		parts := strings.Split(strings.TrimPrefix(req.URL.Path, "/v2/"), "/")
		fault, kind := r.Faults[parts[0]], ""
		if len(parts) > 1 {
			kind = parts[1]
		}
		switch {
		case fault == "429":
			w.Header().Set("Retry-After", "1")
			http.Error(w, "slow down", http.StatusTooManyRequests)
		case fault == "500":
			http.Error(w, "something is broken", http.StatusInternalServerError)
		case fault == "401":
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Listen+`/token",service="registry",scope="repository:`+parts[0]+`:pull",error="invalid_token"`)
			http.Error(w, "token expired", http.StatusUnauthorized)
		case fault == "hang":
			<-req.Context().Done()
		case fault == "refused":
			panic(http.ErrAbortHandler)
		case fault == "lie" && kind == "manifests" && req.Method == http.MethodHead:
			proxy.ServeHTTP(changed{w, strings.Repeat("0", 64), 0}, req)
		case fault == "slow":
			time.Sleep(slow)
			proxy.ServeHTTP(w, req)
		case fault == "digest" && kind == "blobs" && req.Method == http.MethodGet:
			// A byte more, which its digest does not know.
			proxy.ServeHTTP(changed{w, "", 1}, req)
		case fault == "escape":
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"`+escapes+`"}]}`)
		case fault == "drip" && kind == "blobs" && req.Method == http.MethodGet:
			proxy.ServeHTTP(&dripping{w, req.Context(), 0}, req)
		case fault == "break" && kind == "blobs" && req.Method == http.MethodGet:
			proxy.ServeHTTP(&broken{w, 64}, req)
		default:
			proxy.ServeHTTP(w, req)
		}
	})
}

// changed is an answer with another digest, or with more in it than there was.
type changed struct {
	http.ResponseWriter
	digest string
	more   int
}

func (c changed) WriteHeader(status int) {
	if c.digest != "" {
		c.Header().Set("Docker-Content-Digest", "sha256:"+c.digest)
	}
	if c.more > 0 {
		c.Header().Del("Content-Length")
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c changed) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	if err == nil {
		_, err = c.ResponseWriter.Write([]byte(strings.Repeat(" ", c.more)))
	}
	return n, err
}

// broken is an answer whose connection is cut after some bytes.
type broken struct {
	http.ResponseWriter
	left int
}

func (b *broken) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	if _, err := b.ResponseWriter.Write(p[:n]); err != nil {
		return 0, err
	}
	if b.left == 0 {
		if f, ok := b.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	return n, nil
}

// dripping is an answer of a hundred bytes a second, after its first KiB.
type dripping struct {
	http.ResponseWriter
	ctx  context.Context
	sent int
}

// atOnce is what does not drip: the configuration of an image is whole, and its layers are begun.
const atOnce = 1 << 10

func (d *dripping) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var part int
		part, err = d.ResponseWriter.Write(p[n:min(len(p), n+max(10, atOnce-d.sent))])
		n += part
		d.sent += part
		if f, ok := d.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
		select {
		case <-d.ctx.Done():
			return n, d.ctx.Err()
		case <-time.After(slow / 30):
		}
	}
	return n, err
}
