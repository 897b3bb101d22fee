// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/journal"
	"go.podman.io/common/pkg/config"
)

// TestEvents: what is done to images is told, and what is only looked for is not.
func TestEvents(t *testing.T) {
	w := newWorld(t)
	var told []string
	w.event = func(e journal.Event) {
		if e.Type != "image" || len(e.ID) != 64 {
			t.Errorf("%+v", e)
		}
		told = append(told, e.Status+" "+e.Name)
	}
	ctx := context.Background()
	archive := filepath.Join(w.dir, "app.tar")
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	w.pull("app:1")
	name, missing := w.name("app:1"), w.options()
	missing.Policy = config.PullPolicyMissing
	if _, err := w.Pull(ctx, name, missing); err != nil {
		t.Fatal(err)
	}
	if err := w.Tag(name, "other:1"); err != nil {
		t.Error(err)
	}
	if err := w.Save(ctx, []string{name}, "docker-archive", archive, SendOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := w.Remove(ctx, "other:1", RemoveOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := w.Remove(ctx, name, RemoveOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := w.LoadArchive(ctx, archive, nil); err != nil {
		t.Error(err)
	}
	if _, err := w.Remove(ctx, "nosuch", RemoveOptions{}); err == nil {
		t.Error("one that is not there was removed")
	}
	want := []string{"pull " + name, "tag other:1", "save " + name, "untag localhost/other:1", "untag " + name, "remove " + name, "loadfromarchive " + name}
	if strings.Join(told, ", ") != strings.Join(want, ", ") {
		t.Errorf("told %q\nwant %q", told, want)
	}
}
