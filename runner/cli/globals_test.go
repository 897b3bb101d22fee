// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/store"
)

// answer runs podunit version, or another plain verb, by a name.
func answer(called string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	e := &Env{
		Program: Program{Version: "1.2", Verbs: []Verb{{Name: "version", New: NewVersion, Plain: true}}},
		Called:  called, Stdout: &out, Stderr: &errs, Lookup: func(string) (string, bool) { return "", false },
	}
	status = Run(context.Background(), e, args)
	return status, out.String(), errs.String()
}

func TestCalledPodman(t *testing.T) {
	for called, want := range map[string]string{
		"podunit": "podunit version 1.2\n", "/usr/bin/podman": "podman version 5.4.2\n", "docker": "podman version 5.4.2\n", "": "podunit version 1.2\n",
	} {
		if _, got, _ := answer(called, "--version"); got != want {
			t.Errorf("%s --version: %q, want %q", called, got, want)
		}
	}
	if _, got, _ := answer("podman", "version", "--format", "{{.Client.Version}}"); got != "5.4.2\n" {
		t.Errorf("%q", got)
	}
	if _, _, got := answer("podman", "frobnicate"); !strings.HasPrefix(got, "Error: ") {
		t.Errorf("%q", got)
	}
}

func TestGlobalsOfPodman(t *testing.T) {
	for line, want := range map[string]string{
		"--root x version":                  "invalid argument \"x\" for \"--root\" flag: it is not an absolute path",
		"--pull-option a version":           "invalid argument \"a\" for \"--pull-option\" flag: it is not NAME=VALUE",
		"--url ssh://me@there/x version":    "--url ssh://me@there/x: not here",
		"--hooks-dir /x version":            "--hooks-dir /x: not here\n  hint: no hooks run",
		"--volumepath /x version":           "--volumepath /x: not here\n  hint: volumes lie in the storage",
		"--remote version":                  "--remote: not here\n  hint: podunit works on this machine only",
		"version --url x":                   "--url x: not here",
		"--out /nonexistent/dir/f version":  "--out: open /nonexistent/dir/f",
		"--runtime=crun --url /x frobnicat": "--url /x: not here",
		"--runtime=crun frobnicat":          "there is no podunit frobnicat",
	} {
		if status, _, got := answer("podunit", strings.Fields(line)...); status != ExitRunner || !strings.HasPrefix(got, "podunit: error: "+want) {
			t.Errorf("%s: %d %s", line, status, got)
		}
	}
	for line, want := range map[string]string{"--cgroup-manager=cgroupfs version": "--cgroup-manager cgroupfs has no effect: each container", "--events-backend file version": "--events-backend file has no effect", "--syslog version": "--syslog true has no effect: what podunit says", "--conmon /x --tmpdir /y version": "--conmon /x has no effect"} {
		if status, out, got := answer("podunit", strings.Fields(line)...); status != 0 || out == "" || !strings.HasPrefix(got, "podunit: warning: "+want) {
			t.Errorf("%s: %d %s%s", line, status, out, got)
		}
	}
	for _, line := range []string{"--remote=false --syslog=false version", "--cgroup-manager=systemd version", "--cgroup-manager systemd --events-backend journald version"} {
		if status, out, got := answer("podunit", strings.Fields(line)...); status != 0 || out == "" {
			t.Errorf("%s: %d %s", line, status, got)
		}
	}
}

// TestChoices: what the flags before the verb say of the storage is in the environment, for this
// process and what it starts.
func TestChoices(t *testing.T) {
	t.Setenv("REGISTRY_AUTH_FILE", "/of/the/environment")
	for line, want := range map[string]string{
		"version": "",
		"--root /x --storage-opt additionalimagestore=/i version":                `{"Root":"/x","Options":["additionalimagestore=/i"]}`,
		"--runroot /r --imagestore /i --storage-driver overlay version":          `{"RunRoot":"/r","ImageStore":"/i","Driver":"overlay"}`,
		"--pull-option a=b --transient-store=false version":                      `{"PullOptions":["a=b"],"Transient":false}`,
		"--network-config-dir /n --cdi-spec-dir /c --runtime-flag debug version": `{"NetworkDir":"/n","CDIDirs":["/c"],"RuntimeFlags":["debug"]}`,
		"--config /d version": "",
	} {
		t.Setenv(store.ChoiceVariable, "")
		if status, out, errs := answer("podunit", strings.Fields(line)...); status != 0 || out == "" || errs != "" || os.Getenv(store.ChoiceVariable) != want {
			t.Errorf("%s: %d %s%s, %s", line, status, out, errs, os.Getenv(store.ChoiceVariable))
		}
	}
	// One that another has started has what that was told, but for what it is told itself.
	t.Setenv(store.ChoiceVariable, `{"Root":"/x","RunRoot":"/r","Options":["a=b"],"Transient":true}`)
	for range 2 { // as the full program, which gets the same words
		answer("podunit", "--root", "/z", "--storage-opt", "c=d", "version")
	}
	if got := os.Getenv(store.ChoiceVariable); got != `{"Root":"/z","Options":["c=d"],"Transient":true}` {
		t.Errorf("one within another: %s", got)
	}
	if got := os.Getenv("REGISTRY_AUTH_FILE"); got != "/d/config.json" {
		t.Errorf("--config: %q", got)
	}
}

func TestOut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out")
	if _, out, errs := answer("podunit", "--out", file, "version"); out != "" || errs != "" {
		t.Errorf("%q %q", out, errs)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "1.2") {
		t.Errorf("%q, %v", text, err)
	}
	if status, out, errs := answer("podunit", "--noout", "version"); status != 0 || out+errs != "" {
		t.Errorf("%d %q %q", status, out, errs)
	}
}
