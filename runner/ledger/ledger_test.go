// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestDamagedFileIsMovedAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, restFile)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, damage, err := Open(dir)
	if damage == nil || err != nil || b == nil || len(b.Trials) > 0 {
		t.Errorf("%+v, %v, %v", b, damage, err)
	}
	if _, err := os.Stat(path + ".damaged"); err != nil {
		t.Error(err)
	}
	if b, damage, err = Open(dir); damage != nil || err != nil || b == nil {
		t.Error(damage, err)
	}
}

// A file that cannot be read may be whole: nothing is moved, and there is no ledger that could be
// saved over it.
func TestUnreadableFileStays(t *testing.T) {
	for _, name := range []string{heldFile, restFile} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil { // a read gives an error, to root too
			t.Fatal(err)
		}
		if b, damage, err := Open(dir); b != nil || damage != nil || err == nil {
			t.Errorf("%s: %+v, %v, %v", name, b, damage, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestInstead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "update")
	b, _, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	b.Hold(Held{Unit: "web.service", Container: "web", Reference: "r/web:1", BadID: "bad", ImageID: "old"})
	if err := b.Save(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ unit, reference, current, want string }{
		{"web.service", "r/web:1", "bad", "old"},
		{"web.service", "r/web:1", "next", ""},
		{"web.service", "r/web:2", "bad", ""},
		{"api.service", "r/web:1", "bad", ""},
	} {
		if got := Instead(dir, c.unit, c.reference, c.current); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	b.Release("web.service", "web")
	if err := b.Save(); err != nil {
		t.Fatal(err)
	}
	if got := Instead(dir, "web.service", "r/web:1", "bad"); got != "" {
		t.Errorf("released, and still %q", got)
	}
}

// A digest that failed a unit is refused also when another has failed it since.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	b, _, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	bad := func(text string) Held {
		return Held{Unit: "web", Container: "c", Reference: "r", Bad: digest.FromString(text), BadID: text, ImageID: "old"}
	}
	b.Hold(bad("first"))
	b.Hold(bad("first")) // its rollback was cut, and done again
	b.Hold(bad("second"))
	if err := b.Save(); err != nil {
		t.Fatal(err)
	}
	if b, _, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"first": true, "second": true, "third": false} {
		if got := b.FailedWith("web", "c", "r", digest.FromString(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if len(b.Held) != 1 || len(b.Kept) != 1 || !b.Kept[0].Bad || b.Kept[0].ImageID != "first" {
		t.Errorf("held %v, kept %v", b.Held, b.Kept)
	}
}

// TestSweep: of a Save that was killed nothing stays.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	b, _, err := Open(dir)
	if err == nil {
		err = errors.Join(b.Save(), os.WriteFile(filepath.Join(dir, restFile+".new"), []byte("{"), 0o600), Sweep(dir), Sweep(dir))
	}
	left, lerr := os.ReadDir(dir)
	if err != nil || lerr != nil || len(left) != 1 || left[0].Name() != restFile {
		t.Errorf("left: %v, %v, %v", left, err, lerr)
	}
}
