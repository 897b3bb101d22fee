// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestFilesAreFresh(t *testing.T) {
	for path, want := range Files() {
		got, err := os.ReadFile("../../../" + path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale, run: go run ./generator/keys/docs/write (%v)", path, err)
		}
	}
}

func TestHelp(t *testing.T) {
	for name, want := range map[string]string{
		"": "[Quadlet]  in any file.", "pod": "PodName=", "publishport": "in [Kube]", "PublishPort=": "Flag: --publish", "[Image]": "AllTags=",
	} {
		got, err := Help(name)
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("Help(%q) lacks %q: %v", name, want, err)
		}
	}
	if _, err := Help("PublishPrt"); err == nil || !strings.Contains(err.Error(), "did you mean PublishPort?") {
		t.Errorf("a misspelt key: %v", err)
	}
}

func TestManIsClean(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is not installed")
	}
	cmd := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z")
	cmd.Stdin = bytes.NewReader(Man())
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}
