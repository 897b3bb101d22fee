// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"golang.org/x/sys/unix"
)

// TestYAMLOfAPipe: a pipe is refused, which nobody may ever write, with the way that takes it.
func TestYAMLOfAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sources(t.Context(), &cli.Env{}, []string{pipe}); err == nil || !strings.Contains(hint.Of(err), "standard input: < "+pipe) {
		t.Errorf("%v, hint %q", err, hint.Of(err))
	}
	if _, err := sources(t.Context(), &cli.Env{}, []string{filepath.Dir(pipe)}); err == nil || hint.Of(err) != "" {
		t.Errorf("a directory: %v, hint %q", err, hint.Of(err))
	}
}

// TestYAMLOfTheWeb: no message shows the password of an address.
func TestYAMLOfTheWeb(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "hidden" || r.URL.Path != "/pod.yaml" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte("kind: Pod"))
	}))
	defer server.Close()
	at := strings.Replace(server.URL, "//", "//me:hidden@", 1)
	got, err := sources(t.Context(), &cli.Env{}, []string{at + "/pod.yaml"})
	if err != nil || len(got) != 1 || string(got[0].Data) != "kind: Pod" || got[0].Name != strings.Replace(at, "hidden", "xxxxx", 1)+"/pod.yaml" {
		t.Errorf("%v, %v", got, err)
	}
	for i, address := range []string{at + "/other.yaml", at + "/pod.yaml", at + "/%zz"} {
		if i == 1 {
			server.Close()
		}
		if _, err := sources(t.Context(), &cli.Env{}, []string{address}); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
