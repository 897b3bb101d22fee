// SPDX-License-Identifier: Apache-2.0

package served

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/unit"
)

// TestDownOfAShell: what a service has played is taken down by that service only, whatever the files
// name.
func TestDownOfAShell(t *testing.T) {
	e := &cli.Env{Lookup: func(string) (string, bool) { return "", false }}
	cmd := New(e, func(context.Context, *service.Engine, []string, bool) error {
		t.Error("the files are looked at")
		return nil
	})
	cmd.SetArgs([]string{"down", "--service-container=true", "tv.yaml"})
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), "only a service executes this") {
		t.Errorf("from a shell: %v", err)
	}
}

// TestDownOnceMore: the second down of a stop opens no storage, as the play's note is gone. A note
// that it cannot look at may be there.
func TestDownOnceMore(t *testing.T) {
	graph := t.TempDir()
	x := &service.Engine{Own: unit.Own{Name: "tv.service", Exec: true}}
	failed := errors.New("no storage")
	opens := func(want bool, when string) {
		t.Helper()
		opened := 0
		err := downOwn(t.Context(), x, graph, false, func(context.Context) (*service.Engine, error) {
			opened++
			return nil, failed
		})
		if (opened == 1) != want || opened > 1 || errors.Is(err, failed) != want || !want && err != nil {
			t.Errorf("%s: it opens the storage %d times, %v", when, opened, err)
		}
	}
	opens(false, "nothing was played")
	dir := filepath.Join(graph, "podunit", "kube", "plays")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(dir, "tv.service.json")
	if err := os.WriteFile(note, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	opens(true, "a note that nobody understands")
	if err := os.Remove(note); err != nil {
		t.Fatal(err)
	}
	opens(false, "it was taken down")
	if err := os.Symlink("tv.service.json", note); err != nil {
		t.Fatal(err)
	}
	opens(true, "a note that cannot be looked at")
}
