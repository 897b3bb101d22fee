// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestFaults(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Docker-Content-Digest", "sha256:right")
		size := 1000
		if strings.Contains(req.URL.Path, "drip/blobs") {
			size += atOnce
		}
		_, _ = w.Write(bytes.Repeat([]byte("x"), size))
	}))
	defer behind.Close()
	var log bytes.Buffer
	faults := map[string]string{}
	for _, f := range Faults {
		faults["r"+f] = f
	}
	r := Registry{To: strings.TrimPrefix(behind.URL, "http://"), Faults: faults, Log: &log}
	front := httptest.NewServer(r.handler())
	defer front.Close()
	ask := func(method, path string) string {
		limit := time.Minute
		switch {
		case strings.Contains(path, "hang"):
			limit = 300 * time.Millisecond // no answer comes, however long one waits
		case strings.Contains(path, "drip/blobs"):
			limit = 3 * time.Second // its begin comes, and no end
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, method, front.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return "no answer"
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err != nil && strings.Contains(path, "drip") && len(data) >= atOnce && len(data) < atOnce+1000 {
			return "a part"
		}
		if err != nil {
			return fmt.Sprintf("%d bytes and no more", len(data))
		}
		return fmt.Sprintf("%d %s %d", res.StatusCode, res.Header.Get("Docker-Content-Digest"), len(data))
	}
	for request, want := range map[string]string{
		"GET /v2/fine/manifests/1": "200 sha256:right 1000", "GET /v2/r429/manifests/1": "429  10", "HEAD /v2/r500/manifests/1": "500  0",
		"GET /v2/r401/manifests/1": "401  14", "GET /v2/rhang/manifests/1": "no answer", "GET /v2/rrefused/manifests/1": "no answer",
		"GET /v2/rdigest/blobs/1": "200 sha256:right 1001", "HEAD /v2/rlie/manifests/1": "200 sha256:" + strings.Repeat("0", 64) + " 0",
		"GET /v2/rbreak/blobs/1": "64 bytes and no more", "GET /v2/rbreak/manifests/1": "200 sha256:right 1000",
		"GET /v2/rdrip/blobs/1": "a part", "GET /v2/rdrip/manifests/1": "200 sha256:right 1000", "GET /v2/rescape/manifests/1": "403  84",
	} {
		method, path, _ := strings.Cut(request, " ")
		if got := ask(method, path); got != want {
			t.Errorf("%s: %s; want %s", request, got, want)
		}
	}
	if !strings.Contains(log.String(), "HEAD /v2/r500/manifests/1\n") {
		t.Errorf("log: %s", &log)
	}
	r.Faults = map[string]string{"a": "418"}
	if err := r.Serve(context.Background()); err == nil || !strings.Contains(err.Error(), "--fault a=418") {
		t.Error(err)
	}
}
