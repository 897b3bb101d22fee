// SPDX-License-Identifier: Apache-2.0

package quadlet

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd"
)

// program is podunit with the verbs of this package, and those that units run.
var program = cli.Program{Verbs: append(cmd.Life(), cli.Verb{Name: "check", New: NewCheck}, cli.Verb{Name: "quadlet", New: New})}

// verb runs a command line of a user whose files are under home.
func verb(home string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	e := &cli.Env{Program: program, Stdout: &out, Stderr: &errs, Lookup: func(name string) (string, bool) {
		v, ok := map[string]string{"HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, ".config"), "XDG_RUNTIME_DIR": filepath.Join(home, "run"),
			"QUADLET_UNIT_DIRS": filepath.Join(home, ".config/containers/systemd"), "EDITOR": filepath.Join(home, "editor")}[name]
		return v, ok
	}}
	e.User.UID, e.User.GID = 4_000_000, 4_000_000
	status = cli.Run(context.Background(), e, args)
	return status, out.String(), errs.String()
}

func unitFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCheckVerb(t *testing.T) {
	dir := unitFiles(t, map[string]string{
		"bad/a.container": "[Container]\nImage=docker.io/library/nginx\nPublishPrt=8080:80\nPublishPort=99999:80\n", "warn/b.container": "[Container]\nImage=nginx\n",
		"many/a.container": "[Container]\nImage=a.b/c\nVolume=data.volume:/d\nPod=p.pod\n", "many/data.volume": "", "many/all.quadlets": "# FileName=p\n[Pod]\n",
		"many/broken.volume": "[Volume]\nVolumName=x\n", "many/c.container": "[Container]\nImage=a.b/c\nVolume=broken.volume:/d\n",
		"many/d.container": "[Container]\nImage=a.b/c\nPublishPort=8080:80\n", "many/e.container": "[Container]\nImage=a.b/c\nPublishPort=8080:80\n",
		"good/c.volume": "", "pod/bad.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers: [{name: c, imagee: x}]\n",
		"pod/zone.yaml": "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec:\n  schedule: '@daily'\n  timeZone: Mars/Base\n  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: a.b/c}]}}}}\n",
		"pod/good.yml":  "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers: [{name: c, image: a.b/c}]\n",
	})
	for _, c := range []struct {
		name           string
		args           []string
		status         int
		stdout, stderr string
	}{
		{"a directory", []string{dir + "/bad"}, 1, "bad/a.container:3:1: error: unsupported key 'PublishPrt' in group 'Container'\n    3 | PublishPrt=8080:80\n      | ^^^^^^^^^^\n  hint: did you mean PublishPort=?\n", "2 errors, 0 warnings in 1 unit file"},
		{"a file", []string{dir + "/bad/a.container"}, 1, "a.container:4:13: error: PublishPort=99999:80 is refused by the runner: host port: ", "2 errors"},
		{"a file among others", []string{dir + "/many/a.container"}, 0, "", "0 errors, 0 warnings in 1 unit file"},
		{"a file that needs a broken one", []string{dir + "/many/c.container"}, 1, "c.container:3:8: error: Volume= needs broken.volume, which has an error", "1 error, 0 warnings in 1 unit file"},
		{"files of which one clashes with another", []string{dir + "/many/a.container", dir + "/many/d.container"}, 1, "d.container:3:13: error: host port 8080/tcp is published by e.container too", "1 error, 0 warnings in 2 unit files"},
		{"warnings", []string{dir + "/warn"}, 0, "b.container:2:7: warning: ", "0 errors, 1 warning"},
		{"strict", []string{"--strict", dir + "/warn"}, 1, "warning", "0 errors, 1 warning"},
		{"all is well", []string{"--strict", dir + "/good"}, 0, "", "0 errors, 0 warnings in 1 unit file"},
		{"Kubernetes YAML", []string{dir + "/pod/bad.yaml"}, 1, "pod/bad.yaml:5:26: error: spec.containers[0].imagee: unknown field", "2 errors, 0 warnings in 1 file"},
		{"Kubernetes YAML that is well", []string{dir + "/pod/good.yml", dir + "/good"}, 0, "", "0 errors, 0 warnings in 2 files"},
		{"Kubernetes YAML that is not there", []string{dir + "/pod/none.json"}, 1, "pod/none.json: error: cannot be read: no such file or directory", ""},
		{"JSON", []string{"--format", "json", dir + "/bad"}, 1, `"column": 13`, ""},
		{"nothing in JSON", []string{"--format", "json", dir + "/good"}, 0, "[]\n", ""},
		{"a path that is not there", []string{dir + "/none"}, 1, "none: error: cannot be read: no such file or directory", ""},
		{"a file of another type", []string{dir}, 1, "error", ""},
		{"an unknown format", []string{"--format", "xml", dir + "/good"}, 125, "", "none of text, json, sarif"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, stdout, stderr := verb(t.TempDir(), append([]string{"check"}, c.args...)...)
			if status != c.status || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("status %d\nstdout:\n%s\nstderr:\n%s", status, stdout, stderr)
			}
		})
	}
	if _, err := os.Stat("/usr/share/zoneinfo"); err == nil { // without the database only the manager can tell
		status, stdout, _ := verb(t.TempDir(), "check", dir+"/pod/zone.yaml")
		if status != 1 || !strings.Contains(stdout, `zone.yaml:6:13: error: spec.timeZone: this machine knows no time zone "Mars/Base"`) {
			t.Errorf("a time zone that is nowhere: status %d\n%s", status, stdout)
		}
	}
	var log struct {
		Version string
		Runs    []struct {
			Results []struct{ RuleID, Level string }
		}
	}
	_, stdout, _ := verb(t.TempDir(), "check", "--format", "sarif", dir+"/bad")
	if err := json.Unmarshal([]byte(stdout), &log); err != nil || log.Version != "2.1.0" || len(log.Runs) != 1 || len(log.Runs[0].Results) != 2 || log.Runs[0].Results[0].Level != "error" {
		t.Errorf("SARIF: %v\n%s", err, stdout)
	}
}

func TestQuadletVerbs(t *testing.T) {
	src := unitFiles(t, map[string]string{"web.container": "[Container]\nImage=localhost/web\n", "web.env": "A=1\n", "bad.container": "[Container]\nImag=x\n"})
	home := unitFiles(t, map[string]string{"editor": "#!/bin/sh\necho '[Container]' > \"$1\"\necho \"$LINE\" >> \"$1\"\n"})
	dir := filepath.Join(home, ".config/containers/systemd")
	if status, stdout, stderr := verb(home, "quadlet", "install", "--dry-run", src+"/web.container"); status != 0 || !strings.Contains(stdout, "+Image=localhost/web") {
		t.Errorf("dry run: %d\n%s%s", status, stdout, stderr)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the dry run made the directory")
	}
	if status, _, stderr := verb(home, "quadlet", "install", src+"/bad.container"); status != 125 || !strings.Contains(stderr, "did you mean Image=?") || !strings.Contains(stderr, "nothing is installed") {
		t.Errorf("a bad file: %d\n%s", status, stderr)
	}
	status, stdout, stderr := verb(home, "quadlet", "install", "--reload-systemd=false", src+"/web.container", src+"/web.env")
	if status != 0 || stdout != dir+"/web.container\n"+dir+"/web.env\n" {
		t.Errorf("install: %d\n%s%s", status, stdout, stderr)
	}
	if status, _, stderr := verb(home, "quadlet", "install", "--reload-systemd=false", src+"/web.container"); status != 125 || !strings.Contains(stderr, "--replace overwrites it") {
		t.Errorf("install twice: %d\n%s", status, stderr)
	}
	if status, stdout, stderr := verb(home, "quadlet", "install", "--dry-run", src+"/web.container"); status != 125 || stdout != "" || !strings.Contains(stderr, "already exists") {
		t.Errorf("a dry run of what is refused: %d\n%s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := verb(home, "quadlet", "install", "--dry-run", "--replace", src+"/web.container"); status != 0 || stdout != "" {
		t.Errorf("a dry run of no change: %d\n%s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := verb(home, "quadlet", "install", "--dry-run", src+"/bad.container"); status != 125 || stdout != "" || !strings.Contains(stderr, "nothing is installed") {
		t.Errorf("a dry run with errors: %d\n%s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := verb(home, "quadlet", "install", "--dry-run", "--force", src+"/bad.container"); status != 0 || !strings.Contains(stdout, "+Imag=x") {
		t.Errorf("a forced dry run: %d\n%s%s", status, stdout, stderr)
	}
	if _, _, stderr := verb(home, "quadlet", "install", "--reload-systemd=false", src+"/web.container", src+"/web.env"); strings.Count(stderr, "hint: --replace overwrites it") != 2 {
		t.Errorf("each error has its hint:\n%s", stderr)
	}
	if status, stdout, _ := verb(home, "quadlet", "cat", "web.container"); status != 0 || stdout != "[Container]\nImage=localhost/web\n" {
		t.Errorf("print: %d %q", status, stdout)
	}
	if status, _, stderr := verb(home, "quadlet", "print", "none.container"); status != 125 || !strings.Contains(stderr, "could not locate none.container") {
		t.Errorf("print: %d %q", status, stderr)
	}
	if status, _, stderr := verb(home, "quadlet", "print", "web"); status != 125 || !strings.Contains(stderr, "did you mean web.container?") {
		t.Errorf("print without its ending: %d %q", status, stderr)
	}
	t.Setenv("LINE", "Image=localhost/edited")
	if status, stdout, stderr := verb(home, "quadlet", "edit", "--reload-systemd=false", "web.container"); status != 0 || stdout != dir+"/web.container\n" {
		t.Errorf("edit: %d\n%s%s", status, stdout, stderr)
	}
	if data, _ := os.ReadFile(dir + "/web.container"); string(data) != "[Container]\nImage=localhost/edited\n" {
		t.Errorf("edited: %q", data)
	}
	if err := os.MkdirAll(dir+"/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/sub/deep.container", []byte("[Container]\nImage=localhost/deep\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, stdout, stderr := verb(home, "quadlet", "edit", "--reload-systemd=false", "deep.container"); status != 0 || stdout != dir+"/sub/deep.container\n" {
		t.Errorf("edit in a subdirectory: %d\n%s%s", status, stdout, stderr)
	}
	t.Setenv("LINE", "Imgae=localhost/edited")
	status, _, stderr = verb(home, "quadlet", "edit", "--reload-systemd=false", "web.container")
	if status != 125 || !strings.Contains(stderr, "did you mean Image=?") || !strings.Contains(stderr, "the draft is ") {
		t.Errorf("a bad edit: %d\n%s", status, stderr)
	}
	if _, draft, ok := strings.Cut(strings.TrimSpace(stderr), "the draft is "); ok {
		os.RemoveAll(filepath.Dir(draft))
	}
	if status, _, stderr := verb(home, "quadlet", "rm"); status != 125 || !strings.Contains(stderr, "--all") {
		t.Errorf("rm without names: %d %q", status, stderr)
	}
	if status, _, stderr := verb(home, "quadlet", "list", "--filter", "colour=x"); status != 125 || !strings.Contains(stderr, "there are name, status and pod") {
		t.Errorf("an unknown filter: %d %q", status, stderr)
	}
}

func TestFetch(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/x/web.container":
		case "/named":
			w.Header().Set("Content-Disposition", `attachment; filename="../other.container"`)
		default:
			http.NotFound(w, r)
		}
		_, _ = w.Write([]byte("[Container]\n")) // what is missing is noticed
	}))
	defer server.Close()
	for path, want := range map[string]string{"/x/web.container?raw=1": "web.container", "/named": "other.container", "/none": "404 Not Found"} {
		name, data, err := fetch(context.Background(), server.URL+path)
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if name != want || string(data) != "[Container]\n" {
			t.Errorf("%s: %q %q", path, name, data)
		}
	}
}
