// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestConfigOf tells images from lists, and both from what has been damaged.
func TestConfigOf(t *testing.T) {
	for manifest, want := range map[string]string{
		`{"schemaVersion":2,"config":{"digest":"sha256:1"},"layers":[]}`:                                                        "sha256:1",
		`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"digest":"sha256:1"}}`: "sha256:1",
		`{"schemaVersion":2,"manifests":[{"digest":"sha256:1"}]}`:                                                               "",
		`{"schemaVersion":2,"manifests":[]}`:                                                                                    "",
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"}`:                                             "",
		`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":null}`:          "",
		`{"schemaVersion":1,"fsLayers":[],"config":{"digest":"sha256:1"}}`:                                                      "first schema",
		`{"schemaVersion":2,"manifests":[],"config":{"digest":"sha256:1"}}`:                                                     "neither",
		`{"schemaVersion":2}`: "neither",
		`{}`:                  "neither",
		`null`:                "neither",
		`{"schemaVersion":`:   "unexpected end",
		``:                    "unexpected end",
	} {
		got, err := configOf([]byte(manifest))
		if err != nil && (want == "" || !strings.Contains(err.Error(), want)) || err == nil && string(got) != want {
			t.Errorf("%s: %q, %v; want %q", manifest, got, err, want)
		}
	}
}

func TestStallLimit(t *testing.T) {
	for text, want := range map[string]time.Duration{"": time.Minute, "5m": 5 * time.Minute, "0": -1, "-3s": 0, "soon": 0} {
		got, err := stallLimit(text)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

// TestWhole looks at the directories of layers by the short names that the topmost has for
// those below.
func TestWhole(t *testing.T) {
	driver := t.TempDir()
	for _, id := range []string{"top", "low"} {
		if err := os.MkdirAll(filepath.Join(driver, id, "diff"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(driver, "l"), 0o700), os.Symlink("../low/diff", filepath.Join(driver, "l", "LOW")),
		os.WriteFile(filepath.Join(driver, "top", "lower"), []byte("l/LOW"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if !whole(driver, "top") {
		t.Error("all is there")
	}
	if whole(driver, "low") || whole(driver, "none") {
		t.Error("what has no list is not known")
	}
	lower := filepath.Join(driver, "top", "lower")
	if err := checkLower(lower); err != nil {
		t.Error(err)
	}
	for _, lost := range []string{"", "\x00\x00\x00\x00\x00"} { // as a power cut leaves it
		if err := os.WriteFile(lower, []byte(lost), 0o600); err != nil {
			t.Fatal(err)
		}
		if whole(driver, "top") || checkLower(lower) == nil {
			t.Errorf("%q is a list of layers", lost)
		}
	}
	if err := errors.Join(os.WriteFile(lower, []byte("l/LOW"), 0o600), os.RemoveAll(filepath.Join(driver, "low", "diff"))); err != nil {
		t.Fatal(err)
	}
	if whole(driver, "top") {
		t.Error("a directory is lost")
	}
}
