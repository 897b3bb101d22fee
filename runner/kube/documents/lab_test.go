// SPDX-License-Identifier: Apache-2.0

//go:build lab

package documents

import (
	"archive/tar"
	"bytes"
	"cmp"
	_ "embed"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/machine"
)

//go:embed play.sh
var playScript []byte

// atOnce is how many documents are played side by side.
const atOnce = "3"

// TestLabDocuments plays documents, as alice and some as root, and looks inside. PODUNIT_DOCUMENTS
// says which, by patterns of names such as * or "probe-* env-order". Without it, or for ci, it is
// those that say so.
func TestLabDocuments(t *testing.T) {
	patterns := strings.Fields(cmp.Or(os.Getenv("PODUNIT_DOCUMENTS"), "ci"))
	var chosen []document
	for _, d := range load(t) {
		match := slices.Contains(patterns, "ci") && d.ci
		for _, pattern := range patterns {
			ok, err := path.Match(pattern, d.name)
			if err != nil {
				t.Fatal(err)
			}
			match = match || ok
		}
		if match {
			chosen = append(chosen, d)
		}
	}
	l := labtest.Boot(t, labtest.Options{})
	for _, user := range []string{"alice", "root"} {
		var list []document
		for _, d := range chosen {
			if user != "root" || d.root {
				list = append(list, d)
			}
		}
		if len(list) > 0 {
			t.Run(user, func(t *testing.T) { play(t, l.For(t), user, list) })
		}
	}
}

// play plays documents as one user and judges what came of each.
func play(t *testing.T, l *labtest.Lab, user string, list []document) {
	l.MustCommand(machine.Command{User: user, Args: []string{"mkdir -p d && tar -C d -x"}, Stdin: bytes.NewReader(packed(t, list))})
	for _, image := range []string{"busybox:1", "busybox:2", "nginx:1", "redis:1"} {
		l.MustRun(user, "podunit pull -q localhost:5000/"+image)
	}
	l.MustCommand(machine.Command{User: user, Timeout: 20 * time.Minute, Args: []string{
		`cd d && ls -d */ | tr -d / | xargs -P ` + atOnce + ` -I NAME sh -c 'timeout -k 5 300 bash ./play.sh "$PWD/NAME" || echo it hangs >NAME/late.out'`}})
	out := txtar.Parse([]byte(l.MustRun(user, `cd d && for f in */*.out */*.err */*.code; do echo "-- $f --"; cat "$f"; echo; done`)))
	results := map[string]string{}
	for _, f := range out.Files {
		results[f.Name] = strings.TrimSuffix(string(f.Data), "\n")
	}
	for _, d := range list {
		t.Run(d.name, func(t *testing.T) { judge(t, d, func(name string) string { return results[d.name+"/"+name] }) })
	}
	if left := l.MustRun(user, `podunit ps -a --format '{{.Names}}'; podunit pod ps --format '{{.Name}}'; podunit volume ls -q; podunit secret ls -q
		find ${XDG_RUNTIME_DIR:-/run}/podunit/kube -mindepth 2 2>/dev/null; true`); left != "" {
		t.Errorf("left over:\n%s", left)
	}
}

// judge compares what came of a document with what it announces.
func judge(t *testing.T, d document, result func(string) string) {
	if result("late.out") != "" {
		t.Errorf("after five minutes it has come so far: play %q, check %q, down %q", result("play.code"), result("check.out"), result("down.code"))
	}
	code, stderr := strings.TrimSpace(result("play.code")), result("play.err")
	want := "0"
	if d.parts["refused"] != "" {
		want = "125"
	}
	if code != want {
		t.Errorf("kube play ends with %q, want %s\n%s", code, want, stderr)
	}
	announced := slices.Concat(d.lines("refused"), d.lines("notes"), d.lines("says"))
	for _, line := range announced {
		if !strings.Contains(stderr, line) {
			t.Errorf("nobody said: %s\nbut:\n%s", line, stderr)
		}
	}
	if len(announced) == 0 && strings.TrimSpace(stderr) != "" {
		t.Errorf("not announced: %s", stderr)
	}
	if d.parts["refused"] != "" && strings.TrimSpace(result("play.out")) != "" {
		t.Errorf("it is refused, and something was made: %s", result("play.out"))
	}
	if got, want := strings.TrimSpace(result("check.out")), strings.TrimSpace(d.parts["want"]); d.parts["check"] != "" && got != want {
		t.Errorf("check prints\n%s\nwant\n%s", got, want)
	}
	if got := strings.TrimSpace(result("down.code")); got != "0" && d.parts["refused"] == "" {
		t.Errorf("kube down ends with %q\n%s", got, result("down.err"))
	}
}

// packed is the directory of the documents as an archive.
func packed(t *testing.T, list []document) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name string, data []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	add("play.sh", playScript)
	for _, d := range list {
		var names []string
		for _, f := range d.files {
			add(d.name+"/"+f.Name, f.Data)
		}
		for _, s := range d.sources() {
			names = append(names, s.Name)
		}
		add(d.name+"/files", []byte(strings.Join(names, " ")+"\n"))
		add(d.name+"/args", []byte(strings.Join(d.args, " ")+"\n"))
		for _, part := range []string{"setup", "check"} {
			if text, ok := d.parts[part]; ok {
				add(d.name+"/"+part, []byte(text))
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
