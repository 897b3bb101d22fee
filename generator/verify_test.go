// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/podunit/podunit/generator/keys"
)

// TestSystemdLoads has systemd itself load what the golden cases give: not a word from
// `systemd-analyze verify`.
func TestSystemdLoads(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	for path, a := range goldenCases(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) {
			// The programs must exist to be loaded without complaint; the working directories of a
			// case do not.
			w := layOut(t, a.Files)
			w.result(t, append(a.Comment, "\nenv: PODUNIT=/bin/true\n"...))
			units, err := filepath.Glob(w.out + "/*.service")
			if err != nil {
				t.Fatal(err)
			}
			if len(units) == 0 {
				return
			}
			verify(t, analyze, w, units)
		})
	}
}

// verify loads units with systemd and fails for anything it says about them.
func verify(t *testing.T, analyze string, w world, units []string) {
	t.Helper()
	var args []string
	for _, u := range units {
		// Templates are loaded as an instance.
		if base := filepath.Base(u); strings.Contains(base, "@.") {
			instance := filepath.Join(filepath.Dir(u), strings.Replace(base, "@.", "@inst.", 1))
			if _, err := os.Lstat(instance); err != nil {
				if err := os.Symlink(base, instance); err != nil {
					t.Fatal(err)
				}
			}
			u = instance
		}
		args = append(args, u)
	}
	cmd := exec.Command(analyze, append([]string{"verify", "--man=no", "--recursive-errors=no"}, args...)...)
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+w.out+":", "SYSTEMD_LOG_COLOR=0")
	out, _ := cmd.CombinedOutput()
	for line := range strings.SplitSeq(string(out), "\n") {
		if strings.Contains(line, w.out) || strings.Contains(line, ".service:") {
			if !expectedOfSystemd(line) {
				t.Errorf("systemd: %s", line)
			}
		}
	}
}

// expectedOfSystemd are complaints that a case asks for, or that come from the machine the test
// runs on.
func expectedOfSystemd(line string) bool {
	for _, s := range []string{
		"Unknown key name 'Foo'", "Unknown key 'UpheldBy'", "Unknown key 'Foo'", "Unknown key 'WantedBY'", "/%p-other.service: Invalid argument", "Unknown section '", "is not executable: No such file",
	} {
		if strings.Contains(line, s) {
			return true
		}
	}
	return false
}

// TestSystemdLoadsAnything gives every key values of all kinds; whatever the generator lets pass,
// systemd loads.
func TestSystemdLoadsAnything(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	r := rand.New(rand.NewPCG(3, 4))
	alphabet := []rune("abz019 \t\"'\\;,.:=/-_@+#[]{}()$*?~!ä€\u00a0")
	special := []string{"/a/../b", "/a/../b:/x", "type=bind,src=/a/./b/..,dst=/c", "/a//b/", "//", "/", ".", "..", "./x y", "\\x20\\t", "\"a b\" 'c'", "a=b c=d", "true", "/dev/null:/x", "type=bind,src=/a b,dst=/c", "-/x", "a.service", "x y z", "\\"}
	value := func() string {
		if r.IntN(3) == 0 {
			return special[r.IntN(len(special))]
		}
		var b strings.Builder
		for range r.IntN(10) {
			b.WriteRune(alphabet[r.IntN(len(alphabet))])
		}
		return b.String()
	}
	needs := map[string]string{
		"Container": "Image=localhost/a\n", "Kube": "Yaml=a.yml\n", "Image": "Image=localhost/a\n", "Build": "ImageTag=localhost/a\nSetWorkingDirectory=unit\n", "Artifact": "Artifact=localhost/a\n",
	}
	var files []txtar.File
	for _, s := range keys.Sections() {
		if s.Ext == "" {
			continue
		}
		for _, k := range s.Keys {
			if k.Name == "ServiceName" {
				continue
			}
			for i := range 3 {
				text := "[" + s.Name + "]\n" + needs[s.Name] + k.Name + "=" + value() + "\n" + k.Name + "=" + value() + "\n[Install]\nWantedBy=default.target\n"
				files = append(files, txtar.File{Name: "in/" + strings.ToLower(k.Name) + strconv.Itoa(i) + s.Ext, Data: []byte(text)})
			}
		}
	}
	w := layOut(t, files)
	w.result(t, []byte("env: PODUNIT=/bin/true\n"))
	units, err := filepath.Glob(w.out + "/*.service")
	if err != nil || len(units) < 500 {
		t.Fatalf("%d units, %v", len(units), err)
	}
	for chunk := range slices.Chunk(units, 100) {
		verify(t, analyze, w, chunk)
	}
}
