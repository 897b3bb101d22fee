// SPDX-License-Identifier: Apache-2.0

package download

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestShare: what somebody left who was killed goes with the next one, and not what another one uses.
func TestShare(t *testing.T) {
	dir := t.TempDir()
	own, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	left := func() (names []string) {
		for _, e := range entries(own, ".") {
			name := e.Name()
			if strings.HasPrefix(name, mark) {
				name = mark
			}
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}
	one, _, err := Share(own)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"blobs", "layers", "pull-1", "container_images_storage1"} {
		if err := os.MkdirAll(filepath.Join(dir, name, "in"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "container_images_oci2"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	two, made, err := Share(own)
	if err != nil {
		t.Fatal(err)
	}
	Mark(own)()
	Mark(own) // and is killed
	if len(made) > 0 {
		t.Errorf("marks of the living: %q", made)
	}
	all := []string{"blobs", "container_images_oci2", "container_images_storage1", "layers", mark, "pull-1"}
	if got := left(); !slices.Equal(got, all) {
		t.Errorf("while another uses it: %q", got)
	}
	one.Close()
	sweepShared(own)
	if got := left(); !slices.Equal(got, all) {
		t.Errorf("while the second one uses it: %q", got)
	}
	two.Close()
	three, made, err := Share(own)
	if err != nil {
		t.Fatal(err)
	}
	defer three.Close()
	if got := left(); !slices.Equal(got, []string{"blobs", "layers", mark, "pull-1"}) || len(made) != 1 {
		t.Errorf("after both: %q", got)
	}
}
