// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/kube/manifest"
)

func TestFilesAreFresh(t *testing.T) {
	for path, want := range Files() {
		got, err := os.ReadFile("../../../" + path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale, run: go run ./runner/kube/docs/write (%v)", path, err)
		}
	}
}

// TestEveryRowIsDrawn: a type that no kind leads to would vanish from the page.
func TestEveryRowIsDrawn(t *testing.T) {
	text := string(page())
	if got, want := strings.Count(text, "\n| `"), len(manifest.Fields())+len(manifest.Annotations()); got != want {
		t.Errorf("%d rows are drawn, there are %d", got, want)
	}
}
