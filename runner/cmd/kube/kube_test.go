// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
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
	for i, address := range []string{at + "/other.yaml", at + "/pod.yaml", at + "/%zz", "https://me:hidden/x@host/", "https://me:hidden?x@host/", "https://me:%hidden@host/"} {
		if i == 1 {
			server.Close()
		}
		if _, err := sources(t.Context(), &cli.Env{}, []string{address}); err == nil || strings.Contains(err.Error(), "hi") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestWriteNew: a file has its name when all of it is written, for its owner alone; a full disk
// leaves none, and what is there stays.
func TestWriteNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pod.yaml")
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(unix.SIGXFSZ)
	full := unix.Rlimit{Cur: 1, Max: limit.Max}
	err := unix.Setrlimit(unix.RLIMIT_FSIZE, &full)
	if err == nil {
		err = writeNew(path, []byte("kind: Pod\n"))
	}
	if rerr := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); rerr != nil {
		t.Fatal(rerr)
	}
	signal.Reset(unix.SIGXFSZ)
	if _, serr := os.Stat(path); !errors.Is(err, unix.EFBIG) || !errors.Is(serr, os.ErrNotExist) {
		t.Errorf("on a full disk: %v; the file: %v", err, serr)
	}
	if err := writeNew(path, []byte("kind: Pod\n")); err != nil {
		t.Error(err)
	}
	if err := writeNew(path, []byte("another")); !errors.Is(err, os.ErrExist) || hint.Of(err) == "" {
		t.Errorf("over a file that is there: %v; the way out: %q", err, hint.Of(err))
	}
	st, err := os.Stat(path)
	text, rerr := os.ReadFile(path)
	if err = errors.Join(err, rerr); err != nil || st.Mode() != 0o600 || string(text) != "kind: Pod\n" {
		t.Errorf("%v: %q, %v", st, text, err)
	}
}
