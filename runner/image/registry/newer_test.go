// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/safe"
	"golang.org/x/sys/unix"
)

func TestNewer(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	ask := func(name string, local *image.Image) (bool, int) {
		t.Helper()
		before := w.registry.asked
		_, newer, err := w.Newer(ctx, w.name(name), local, w.options())
		if err != nil {
			t.Fatal(err)
		}
		return newer, w.registry.asked - before
	}
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	local := w.pull("app:1")
	if newer, read := ask("app:1", local); newer || read != 0 {
		t.Errorf("the same: newer %v, %d manifests read", newer, read)
	}
	if newer, _ := ask("app:1", nil); !newer {
		t.Error("nothing here: not newer")
	}
	w.registry.push(t, "app:1", "", v1.ImageConfig{Cmd: []string{"new"}}, one())
	sent := w.registry.total()
	if newer, _ := ask("app:1", local); !newer || w.registry.total() != sent {
		t.Errorf("another one: newer %v, %d bytes of blobs sent", newer, w.registry.total()-sent)
	}
}

// TestNewerWithAPipe: where registries.conf cannot be read to its end, nobody waits for it.
func TestNewerWithAPipe(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	pipe := filepath.Join(w.dir, "pipe.conf")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_REGISTRIES_CONF", pipe)
	asked := make(chan error, 1)
	go func() {
		_, _, err := w.Newer(t.Context(), w.name("app:1"), nil, w.options())
		asked <- err
	}()
	select {
	case err := <-asked:
		if !errors.Is(err, safe.ErrNotRegular) {
			t.Errorf("got %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for the pipe")
	}
}

// Each of many names is asked for once, with no other question to the registry, and with a login,
// too.
func TestNewerAsksOnce(t *testing.T) {
	for _, login := range []string{"", "me:secret"} {
		w := newWorld(t)
		w.digests.patience = time.Minute // what is judged is the number of questions
		names := []string{"a:1", "b:1", "c:2", "d/e:1"}
		locals := make(map[string]*image.Image)
		for _, name := range names {
			w.registry.push(t, name, "", v1.ImageConfig{Cmd: []string{name}}, one())
			locals[name] = w.pull(name)
		}
		w.registry.set(func() { w.registry.user, w.registry.pings, w.registry.heads = login, 0, map[string]int{} })
		o := w.options()
		o.User, o.Secret, _ = strings.Cut(login, ":")
		var all sync.WaitGroup
		for _, name := range names {
			all.Go(func() {
				if _, newer, err := w.Newer(t.Context(), w.name(name), locals[name], o); err != nil || newer {
					t.Errorf("%s: newer %v, %v", name, newer, err)
				}
			})
		}
		all.Wait()
		w.registry.set(func() {
			for _, name := range names {
				if n := w.registry.heads[name]; n != 1 {
					t.Errorf("login %q: %s was asked for %d times", login, name, n)
				}
			}
			if w.registry.pings != 0 {
				t.Errorf("login %q: %d pings", login, w.registry.pings)
			}
		})
	}
}

// What the short way cannot tell, the library does: its errors are those that are explained, and a
// registry that has had too many questions is asked again when it said.
func TestNewerTheLongWay(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	local := w.pull("app:1")
	w.registry.set(func() { w.registry.busy = 1 })
	begun := time.Now()
	if _, newer, err := w.Newer(t.Context(), w.name("app:1"), local, w.options()); err != nil || newer || time.Since(begun) < time.Second {
		t.Errorf("after %s: newer %v, %v", time.Since(begun), newer, err)
	}
	if _, _, err := w.Newer(t.Context(), w.name("none:1"), nil, w.options()); err == nil || !strings.Contains(err.Error(), "does not have it") {
		t.Errorf("one that is not there: %v", err)
	}
	w.registry.set(func() { w.registry.user = "me:secret" })
	if _, _, err := w.Newer(t.Context(), w.name("app:1"), local, w.options()); err == nil || !strings.Contains(err.Error(), "denies access") {
		t.Errorf("without a login: %v", err)
	}
	w.registry.set(func() { w.registry.user, w.registry.mute = "", true })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := w.Newer(ctx, w.name("app:1"), local, w.options()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that says nothing: %v", err)
	}
}

// A first question that hangs does not keep the others.
func TestNewerBehindOneThatHangs(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	local := w.pull("app:1")
	w.registry.set(func() { w.registry.slow = "hangs:1" })
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _, _ = w.Newer(ctx, w.name("hangs:1"), nil, w.options())
	}()
	for asked := 0; asked == 0; time.Sleep(time.Millisecond) {
		w.registry.set(func() { asked = w.registry.heads["hangs:1"] })
	}
	if _, newer, err := w.Newer(t.Context(), w.name("app:1"), local, w.options()); err != nil || newer {
		t.Errorf("newer %v, %v", newer, err)
	}
	cancel()
	<-gone
}

// The index is another one when any platform's entry has changed; the image is not.
func TestNewerOfSeveralPlatforms(t *testing.T) {
	w := newWorld(t)
	arm := w.registry.push(t, "many:arm64", "arm64", v1.ImageConfig{}, one())
	amd := w.registry.push(t, "many:amd64", "amd64", v1.ImageConfig{}, map[string][]byte{"x": []byte("amd64")})
	w.registry.list(t, "many:1", map[string]pushed{"amd64": amd, "arm64": arm})
	o := w.options()
	o.Arch = "amd64"
	local, err := w.Pull(context.Background(), w.name("many:1"), o)
	if err != nil {
		t.Fatal(err)
	}
	newer := func() bool {
		t.Helper()
		_, newer, err := w.Newer(context.Background(), w.name("many:1"), local, w.options())
		if err != nil {
			t.Fatal(err)
		}
		return newer
	}
	if newer() {
		t.Error("the same index counts as newer")
	}
	arm = w.registry.push(t, "many:arm64", "arm64", v1.ImageConfig{Cmd: []string{"new"}}, one())
	w.registry.list(t, "many:1", map[string]pushed{"amd64": amd, "arm64": arm})
	if newer() {
		t.Error("a change of another platform counts as newer")
	}
	amd = w.registry.push(t, "many:amd64", "amd64", v1.ImageConfig{Cmd: []string{"new"}}, one())
	w.registry.list(t, "many:1", map[string]pushed{"amd64": amd, "arm64": arm})
	if !newer() {
		t.Error("a change of this platform does not count as newer")
	}
}

// A replaced image that is kept outlives every prune, and goes when it is given free.
func TestKeep(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	old := w.pull("app:1")
	if err := w.Keep(old.ID); err != nil {
		t.Fatal(err)
	}
	w.registry.push(t, "app:1", "", v1.ImageConfig{Cmd: []string{"new"}}, one())
	w.pull("app:1")
	for _, all := range []bool{false, true} {
		if _, _, err := w.Prune(ctx, all, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Lookup(ctx, old.ID); err != nil {
			t.Fatalf("prune, all %v: %v", all, err)
		}
	}
	if err := w.Drop(old.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Lookup(ctx, old.ID); err == nil || !strings.Contains(err.Error(), image.ErrUnknown.Error()) {
		t.Errorf("it is still there: %v", err)
	}
	if err := w.Drop(old.ID); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
}

// An image with a name that somebody gave it stays when it is given free.
func TestDropLeavesWhatHasAName(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	old := w.pull("app:1")
	if err := w.Keep(old.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.Drop(old.ID); err != nil {
		t.Fatal(err)
	}
	got, err := w.Lookup(context.Background(), old.ID)
	if err != nil || len(got.Names) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// One that was never kept, because it failed at its first start, goes as well.
func TestDropOfWhatWasNotKept(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	bad := w.pull("app:1")
	if err := w.Untag(bad.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.Drop(bad.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Lookup(context.Background(), bad.ID); err == nil {
		t.Error("it is still there")
	}
}
