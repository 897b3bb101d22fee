// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/download"
	"go.podman.io/storage"
)

func names(list []Summary) string {
	var all []string
	for _, s := range list {
		all = append(all, s.Names...)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestListAndInspect(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.registry.push(t, "web:1", "", v1.ImageConfig{Labels: map[string]string{"tier": "front"}, User: "7"}, one())
	w.registry.push(t, "db:1", "", v1.ImageConfig{}, one(), map[string][]byte{"data": random(1, 100_000)})
	web, db := w.pull("web:1"), w.pull("db:1")
	for filter, want := range map[string]string{
		"":                   w.name("db:1") + " " + w.name("web:1"),
		"label=tier":         w.name("web:1"),
		"label=tier=back":    "",
		"reference=*/db":     w.name("db:1"),
		"id=" + web.ID[:12]:  w.name("web:1"),
		"dangling=true":      "",
		"containers=true":    "",
		"containers=false":   w.name("db:1") + " " + w.name("web:1"),
		"since=" + web.ID:    w.name("db:1"),
		"intermediate=false": w.name("db:1") + " " + w.name("web:1"),
	} {
		var filters []string
		if filter != "" {
			filters = []string{filter}
		}
		list, err := w.List(ctx, filters)
		if err != nil || names(list) != want {
			t.Errorf("filter %q: %q, %v; want %q", filter, names(list), err, want)
		}
	}
	if _, err := w.List(ctx, []string{"foo=bar"}); err == nil {
		t.Error("an unknown filter is no error")
	}
	list, err := w.List(ctx, []string{"id=" + db.ID})
	if err != nil || len(list) != 1 || list[0].Size < 100_000 || list[0].Os != "linux" || list[0].RepoDigests[0] != w.name("db@"+db.Digest.String()) {
		t.Errorf("%+v, %v", list, err)
	}
	data, err := w.Inspect(ctx, w.name("web:1"))
	if err != nil || data.ID != web.ID || data.User != "7" || data.Labels["tier"] != "front" || data.Size <= 0 {
		t.Errorf("%+v, %v", data, err)
	}
	if _, err := w.Inspect(ctx, "nothing"); !errors.Is(err, image.ErrUnknown) {
		t.Errorf("inspect what isn't there: %v", err)
	}
	all, err := w.Names()
	if err != nil || !slices.Contains(all, w.name("web:1")) || !slices.Contains(all, "web:1") || !slices.Contains(all, web.ID[:12]) {
		t.Errorf("names %v, %v", all, err)
	}
}

func TestTagAndRemove(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	img := w.pull("app:1")
	if err := w.Tag(img.ID, "mine", "example.com/mine:2"); err != nil {
		t.Fatal(err)
	}
	if err := w.Tag(img.ID, "No Name"); err == nil {
		t.Error("a name that is none was given")
	}
	if got, err := w.Lookup(ctx, "mine"); err != nil || got.Name != "localhost/mine:latest" {
		t.Errorf("a short name is one of localhost: %+v, %v", got, err)
	}
	reports, err := w.Remove(ctx, "example.com/mine:2", RemoveOptions{})
	if err != nil || len(reports) != 1 || reports[0].Removed || !slices.Equal(reports[0].Untagged, []string{"example.com/mine:2"}) {
		t.Errorf("of several names one goes: %+v, %v", reports, err)
	}
	if _, err := w.Remove(ctx, img.ID, RemoveOptions{}); err == nil || !strings.Contains(err.Error(), "more than one tag") {
		t.Errorf("by its ID, with two names: %v", err)
	}
	if err := w.Untag("mine", "mine"); err != nil {
		t.Error(err)
	}
	if err := w.Untag(img.ID, "mine"); err == nil {
		t.Error("a name that it doesn't have was taken")
	}
	reports, err = w.Remove(ctx, w.name("app:1"), RemoveOptions{})
	if err != nil || len(reports) != 1 || !reports[0].Removed {
		t.Errorf("with its last name it goes: %+v, %v", reports, err)
	}
	if _, err := w.Remove(ctx, w.name("app:1"), RemoveOptions{}); !errors.Is(err, image.ErrUnknown) {
		t.Errorf("twice: %v", err)
	}
	layers, err := w.store.Layers()
	if err != nil || len(layers) != 0 {
		t.Errorf("%d layers left, %v", len(layers), err)
	}
}

// container makes a container on an image, of podunit or of another tool.
func (w *world) container(img *image.Image, name string, ours bool) string {
	w.t.Helper()
	metadata := "theirs"
	if ours {
		data, _ := json.Marshal(map[string]int{"Podunit": 1})
		metadata = string(data)
	}
	c, err := w.store.CreateContainer("", []string{name}, img.ID, "", metadata, &storage.ContainerOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return c.ID
}

func TestRemoveInUse(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	img := w.pull("app:1")
	id := w.container(img, "web", true)
	var inUse *InUseError
	_, err := w.Remove(ctx, w.name("app:1"), RemoveOptions{})
	if !errors.As(err, &inUse) || !slices.Equal(inUse.Containers, []string{"web"}) || !strings.Contains(inUse.Hint(), "podunit rm -f web") {
		t.Errorf("in use: %v", err)
	}
	if reports, _, err := w.Prune(ctx, true, nil); err != nil || len(reports) != 0 {
		t.Errorf("prune leaves what is in use: %+v, %v", reports, err)
	}
	if _, err := w.RemoveAll(ctx, RemoveOptions{}); !errors.As(err, &inUse) {
		t.Errorf("all: %v", err)
	}
	var removed []string
	o := RemoveOptions{Force: true, RemoveContainer: func(id string) error {
		removed = append(removed, id)
		return w.store.DeleteContainer(id)
	}}
	theirs := w.container(img, "other", false)
	if _, err := w.Remove(ctx, img.ID, o); !errors.As(err, &inUse) || len(removed) != 0 || !strings.Contains(inUse.Hint(), "podman rm") {
		t.Errorf("another tool's container stays, also by force: %v, %v", err, removed)
	}
	if err := w.store.DeleteContainer(theirs); err != nil {
		t.Fatal(err)
	}
	if reports, err := w.RemoveAll(ctx, o); err != nil || !slices.Equal(removed, []string{id}) || len(reports) != 1 {
		t.Errorf("by force: %+v, %v, %v", reports, err, removed)
	}
}

func TestPrune(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	old := w.pull("app:1")
	w.registry.push(t, "app:1", "", v1.ImageConfig{Cmd: []string{"new"}}, one())
	young := w.pull("app:1")
	reports, _, err := w.Prune(ctx, false, nil)
	if err != nil || len(reports) != 1 || reports[0].ID != old.ID {
		t.Errorf("without a name: %+v, %v", reports, err)
	}
	// What an interrupted pull has left: a blob, and a layer nobody stands on.
	work, err := download.NewDir(t.Context(), w.store)
	if err != nil {
		t.Fatal(err)
	}
	path := work.Path + "/blob"
	if err := writeFile(path, 1000); err != nil {
		t.Fatal(err)
	}
	if !work.Keep(young.Digest, path) {
		t.Fatal("not kept")
	}
	work.Close(nil)
	layer, err := w.store.CreateLayer("", "", nil, "", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	reports, freed, err := w.Prune(ctx, true, nil)
	if err != nil || len(reports) != 1 || reports[0].ID != young.ID || freed != 1000 {
		t.Errorf("all: %+v, %d, %v", reports, freed, err)
	}
	if _, err := w.store.Layer(layer.ID); err != nil {
		t.Errorf("a young layer may be that of a running pull: %v", err)
	}
	if _, err := w.dropOrphans(0, nil); err != nil {
		t.Error(err)
	}
	if left, err := w.store.Layers(); err != nil || len(left) != 0 {
		t.Errorf("%d layers left, %v", len(left), err)
	}
	if left := w.files(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
