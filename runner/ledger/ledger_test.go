// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDamagedFileIsMovedAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, restFile)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := Open(dir)
	if err == nil || b == nil || len(b.Trials) > 0 {
		t.Errorf("%+v, %v", b, err)
	}
	if _, err := os.Stat(path + ".damaged"); err != nil {
		t.Error(err)
	}
	if b, err = Open(dir); err != nil || b == nil {
		t.Error(err)
	}
}

func TestInstead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "update")
	b, err := Open(dir)
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
