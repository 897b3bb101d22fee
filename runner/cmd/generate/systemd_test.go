// SPDX-License-Identifier: Apache-2.0

package generate

import (
	"bytes"
	"os"
	"testing"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/export"
	"github.com/podunit/podunit/runner/rootless"
)

// TestTellOfLinger: who is not in /etc/passwd, but of a directory, is told as well.
func TestTellOfLinger(t *testing.T) {
	for _, c := range []struct {
		uid   int
		login string
		tells bool
	}{{1<<31 - 3, "carol", true}, {1<<31 - 3, "", false}, {0, "root", false}} {
		var out bytes.Buffer
		tellOfLinger(&cli.Env{Stderr: &out, User: rootless.Identity{UID: c.uid}, Lookup: func(name string) (string, bool) { return c.login, name == "USER" }})
		if (out.Len() > 0) != c.tells {
			t.Errorf("%d %s: %q", c.uid, c.login, out.String())
		}
	}
}

// TestList: services as JSON are their texts, or the paths of files that are there.
func TestList(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	services := []export.File{{Name: "container-b.service", Text: "[Unit]\n# <b>\n", Mode: 0o644}, {Name: "container-a.service", Text: "[Unit]\n", Mode: 0o644}}
	for files, want := range map[bool]string{
		false: "{\n    \"container-a\": \"[Unit]\\n\",\n    \"container-b\": \"[Unit]\\n# <b>\\n\"\n}\n",
		true:  "{\n    \"container-a\": \"" + dir + "/container-a.service\",\n    \"container-b\": \"" + dir + "/container-b.service\"\n}\n",
	} {
		var out bytes.Buffer
		if err := list(&cli.Env{Stdout: &out, Stderr: &out}, services, files); err != nil || out.String() != want {
			t.Errorf("files %v: %v\n%s", files, err, out.String())
		}
	}
	if text, err := os.ReadFile("container-b.service"); err != nil || string(text) != services[0].Text {
		t.Errorf("%q, %v", text, err)
	}
}
