// SPDX-License-Identifier: Apache-2.0

package system

import (
	"bytes"
	"errors"
	"testing"

	"github.com/podunit/podunit/runner/cli"
	"go.podman.io/storage"
)

// TestStrangersNamesOfFiles: what is wrong with a layer names files of an image, which do nothing
// to a terminal.
func TestStrangersNamesOfFiles(t *testing.T) {
	var out bytes.Buffer
	e := &cli.Env{Stdout: &out}
	report := storage.CheckReport{Layers: map[string][]error{"abc": {errors.New("file a\x1b[2J\nb is missing")}}}
	if !printDamage(e, report) || out.String() != "Damaged layer abc:\n  file a\\x1b[2J\\nb is missing\n" {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	if err := printFindings(e, "", []finding{{State: "error", Check: "images", Text: "a\x1b[2J\nb", Mend: "rm"}}); err != nil || out.String() != "error    images: a\\x1b[2J\\nb\n         mend: rm\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
