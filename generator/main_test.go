// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// call runs the generator with a file tree under root and returns what it said.
func call(root string, env1 map[string]string, args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = run(env{
		args: args, stdout: &out, stderr: &err, root: root, kmsg: filepath.Join(root, "kmsg"),
		getenv: func(name string) string { return env1[name] },
	})
	return status, out.String(), err.String()
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCommandLine(t *testing.T) {
	root := t.TempDir()
	for _, c := range []struct {
		name           string
		args           []string
		status         int
		stdout, stderr string
	}{
		{"version", []string{"g", "-version"}, 0, version + "\n", ""},
		{"two dashes", []string{"g", "--version=true"}, 0, version + "\n", ""},
		{"help", []string{"g", "-h"}, 0, "", "Usage: podunit-generator"},
		{"long help", []string{"g", "--help"}, 0, "", "Usage: podunit-generator"},
		{"an unknown flag", []string{"g", "-frob"}, 2, "", "Usage: podunit-generator"},
		{"no directory", []string{"g", "-no-kmsg-log"}, 1, "", "Missing output directory argument"},
		{"nothing to do", []string{"g", "-no-kmsg-log", "-v", root + "/none/out"}, 0, "", "No files parsed from [" + root + "/run/containers/systemd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, stdout, stderr := call(root, nil, c.args...)
			if status != c.status || stdout != c.stdout || !strings.Contains(stderr, c.stderr) {
				t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
			}
		})
	}
	if _, err := os.Stat(root + "/none"); err == nil {
		t.Error("the output directory was made although there was nothing to write")
	}
}

func TestModeByName(t *testing.T) {
	q := t.TempDir()
	put(t, q+"/a.volume", "")
	env1 := map[string]string{"QUADLET_UNIT_DIRS": q}
	for name, user := range map[string]bool{
		"/x/user-generators/podunit-user-generator": true, "/user/podunit-system-generator": false, "podunit-generator": false,
	} {
		_, stdout, _ := call("", env1, name, "-dryrun")
		if got := strings.Contains(stdout, "podman-user-wait-network-online.service"); got != user {
			t.Errorf("%s: user mode %v", name, got)
		}
	}
	if _, stdout, _ := call("", env1, "podunit-user-generator", "-user=false", "-dryrun"); !strings.Contains(stdout, "network-online.target") {
		t.Error("-user=false does not override the name")
	}
}

// TestPeer: called as Podman's test suite does, a faulty file leaves no unit, and the later of two files that claim
// one name wins.
func TestPeer(t *testing.T) {
	q, out := t.TempDir(), t.TempDir()
	put(t, q+"/bad.container", "[Container]\nBOGUS=1\n")
	put(t, q+"/same.container", "[Container]\nImage=localhost/a\n")
	put(t, q+"/same.kube", "[Kube]\nYaml=a.yml\n")
	env1 := map[string]string{"QUADLET_UNIT_DIRS": q, "PODMAN": "/usr/bin/podman"}
	status, _, stderr := call("", env1, "podunit-system-generator", "--no-kmsg-log", out)
	if want := `converting "bad.container": unsupported key 'BOGUS' in group 'Container' in ` + q + "/bad.container"; status != 1 || !strings.Contains(stderr, want) {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
	if _, err := os.Stat(out + "/bad.service"); err == nil {
		t.Error("the faulty file left a unit")
	}
	if data, _ := os.ReadFile(out + "/same.service"); !strings.Contains(string(data), "kube play") {
		t.Errorf("same.service is\n%s", data)
	}
	delete(env1, "PODMAN")
	call("", env1, "podunit-system-generator", "--no-kmsg-log", out)
	if data, _ := os.ReadFile(out + "/bad.service"); !strings.Contains(string(data), "BOGUS") {
		t.Errorf("bad.service is\n%s", data)
	}
}

func TestKmsg(t *testing.T) {
	root, q, out := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, q+"/a.container", "[Container]\nImage=nginx\nTypo=1\n")
	put(t, root+"/kmsg", "")
	env1 := map[string]string{"QUADLET_UNIT_DIRS": q}
	_, _, stderr := call(root, env1, "g", out)
	data, _ := os.ReadFile(root + "/kmsg")
	pid := os.Getpid()
	if stderr != "" || !strings.Contains(string(data), fmt.Sprintf(`<3>quadlet-generator[%d]: converting "a.container"`, pid)) {
		t.Errorf("kernel log %q, stderr %q", data, stderr)
	}
	if err := os.Remove(root + "/kmsg"); err != nil {
		t.Fatal(err)
	}
	if _, _, stderr := call(root, env1, "g", out); !strings.Contains(stderr, "quadlet-generator[") {
		t.Errorf("without a kernel log stderr is %q", stderr)
	}
}

// TestHostileTree: what is no regular file, cannot be read or loops gives an error, at once.
func TestHostileTree(t *testing.T) {
	q, out := t.TempDir(), t.TempDir()
	put(t, q+"/good.container", "[Container]\nImage=localhost/a\n")
	put(t, q+"/nul.container", "[Container]\nImage=a\x00b\n")
	put(t, q+"/utf8.container", "[Container]\nImage=a\xffb\n")
	put(t, q+"/long.container", "[Container]\nImage=localhost/a\nLabel="+strings.Repeat("x", 1<<20)+"\n")
	put(t, q+"/many.container", "[Container]\n"+strings.Repeat("Unknown=1\n", 100000))
	put(t, q+"/"+strings.Repeat("n", 240)+".container", "[Container]\nImage=localhost/a\n")
	put(t, q+"/"+strings.Repeat("p", 250)+".pod", "")
	put(t, q+"/dots...volume", "")
	for _, link := range [][2]string{{"loop.container", "loop.container"}, {".", "self"}, {"/dev/zero", "zero.container"}, {"nowhere", "dangling.pod"}, {"..", "up"}} {
		name, target := link[1], link[0]
		if err := os.Symlink(target, q+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(q+"/fifo.container", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop.volume", q+"/loop.volume"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(q+"/dir.volume", 0o755); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	status, _, stderr := call("", map[string]string{"QUADLET_UNIT_DIRS": q}, "g", "-no-kmsg-log", out, out, out)
	if status != 1 || time.Since(start) > time.Minute {
		t.Errorf("status %d after %s", status, time.Since(start))
	}
	for _, want := range []string{
		"a NUL byte in " + q + "/nul.container:2:8", "invalid UTF-8 in " + q + "/utf8.container:2:8", "line is longer than the 1048576 bytes",
		`loading "zero.container": cannot be read: is not a regular file`, `loading "fifo.container": cannot be read: is not a regular file`,
		`loading "loop.volume": cannot be read: too many levels of symbolic links`, `loading "dir.volume": cannot be read: is a directory`,
		`loading "dangling.pod": cannot be read: no such file`, "is longer than the 255 bytes that systemd accepts",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("nothing says %q", want)
		}
	}
	if lines := strings.Count(stderr, "\n"); lines > 200 {
		t.Errorf("%d lines of log", lines)
	}
	for _, unit := range []string{"good", "nul", "utf8", "long", "many", "zero", "fifo", "loop-volume", "dir-volume", "dangling-pod"} {
		if _, err := os.Stat(out + "/" + unit + ".service"); err != nil {
			t.Error(err)
		}
	}
}

func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	q, out := t.TempDir(), t.TempDir()
	put(t, q+"/a.container", "[Container]\nImage=localhost/a\n")
	if err := os.Chmod(q+"/a.container", 0); err != nil {
		t.Fatal(err)
	}
	_, _, stderr := call("", map[string]string{"QUADLET_UNIT_DIRS": q}, "g", "-no-kmsg-log", out, out, out)
	if !strings.Contains(stderr, "cannot be read: permission denied") {
		t.Errorf("stderr %q", stderr)
	}
}

// TestConcurrentRuns: two runs that write into one directory do not mix, and the last to write has read last.
func TestConcurrentRuns(t *testing.T) {
	q, out := t.TempDir(), t.TempDir()
	set := func(n int) {
		for i := range 20 {
			path := fmt.Sprintf("%s/u%d.volume", q, i)
			if err := os.WriteFile(path+".new", fmt.Appendf(nil, "[Volume]\nVolumeName=set%d\n", n), 0o644); err != nil {
				t.Error(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Error(err)
			}
		}
	}
	var wg sync.WaitGroup
	for n := range 10 {
		set(n)
		for range 3 {
			wg.Go(func() {
				call("", map[string]string{"QUADLET_UNIT_DIRS": q}, "g", "-no-kmsg-log", out, out, out)
			})
		}
	}
	wg.Wait()
	for i := range 20 {
		data, err := os.ReadFile(fmt.Sprintf("%s/u%d-volume.service", out, i))
		if err != nil || !strings.Contains(string(data), "VolumeName=set9\n") || !strings.HasSuffix(string(data), "RemainAfterExit=yes\n") {
			t.Errorf("u%d: %v\n%s", i, err, data)
		}
	}
	if left, _ := filepath.Glob(out + "/.podunit*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestReplacesWhatIsThere(t *testing.T) {
	q, out := t.TempDir(), t.TempDir()
	put(t, q+"/a.volume", "[Install]\nWantedBy=x.target\nAlias=b.service\n")
	put(t, out+"/a-volume.service", strings.Repeat("old\n", 1000))
	put(t, out+"/b.service", "old")
	if err := os.MkdirAll(out+"/x.target.wants", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", out+"/x.target.wants/a-volume.service"); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := call("", map[string]string{"QUADLET_UNIT_DIRS": q}, "g", "-no-kmsg-log", out, out, out); status != 0 {
		t.Fatal(stderr)
	}
	for path, want := range map[string]string{"b.service": "a-volume.service", "x.target.wants/a-volume.service": "../a-volume.service"} {
		if got, _ := os.Readlink(out + "/" + path); got != want {
			t.Errorf("%s -> %q, want %q", path, got, want)
		}
	}
	if data, _ := os.ReadFile(out + "/a-volume.service"); strings.Contains(string(data), "old") {
		t.Error("the old unit is still there")
	}
	// An output directory that is none.
	put(t, q+"/file", "")
	if status, _, stderr := call("", map[string]string{"QUADLET_UNIT_DIRS": q}, "g", "-no-kmsg-log", q+"/file/out"); status != 1 || !strings.Contains(stderr, "output directory") {
		t.Errorf("status %d: %s", status, stderr)
	}
}

// BenchmarkRun is the whole run but for the start of the process: read, convert, write.
func BenchmarkRun(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		q, out := b.TempDir(), b.TempDir()
		for i := range n {
			text := fmt.Sprintf("[Container]\nImage=docker.io/library/nginx:1.29\nPublishPort=%d:80\nVolume=%%h/data:/data\n[Install]\nWantedBy=default.target\n", 1000+i)
			if err := os.WriteFile(fmt.Sprintf("%s/web%d.container", q, i), []byte(text), 0o644); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if status, _, stderr := call("", map[string]string{"QUADLET_UNIT_DIRS": q}, "g", "-no-kmsg-log", out, out, out); status != 0 {
					b.Fatal(stderr)
				}
			}
		})
	}
}

// TestMode: what a unit file hides from others, its unit hides too, whichever of its sources hides it.
func TestMode(t *testing.T) {
	root := t.TempDir()
	in := root + "/etc/containers/systemd/"
	for name, mode := range map[string]os.FileMode{
		"open.container": 0o644, "secret.container": 0o600, "group.container": 0o640, "broken.container": 0o600, "dropped.container": 0o644, "dropped.container.d/10.conf": 0o600, "all.quadlets": 0o600,
	} {
		text := "[Container]\nImage=localhost/a\n"
		switch {
		case strings.HasPrefix(name, "broken"):
			text += "Passwrd=x\n"
		case strings.HasPrefix(name, "all"):
			text = "# FileName=part\n" + text
		}
		put(t, in+name, text)
		if err := os.Chmod(in+name, mode); err != nil {
			t.Fatal(err)
		}
	}
	// Longer than what one read takes.
	put(t, in+"long.container", "[Container]\nImage=localhost/a\n#"+strings.Repeat("x", 8000)+"\n")
	if err := os.Chmod(in+"long.container", 0o600); err != nil {
		t.Fatal(err)
	}
	out := root + "/out"
	for range 2 { // the second run replaces the units of the first
		call(root, nil, "g", "-no-kmsg-log", out, out+".early", out+".late")
		for name, want := range map[string]os.FileMode{"open": 0o644, "secret": 0o600, "group": 0o640, "broken": 0o600, "dropped": 0o600, "part": 0o600, "long": 0o600} {
			st, err := os.Stat(out + "/" + name + ".service")
			if err != nil {
				t.Fatal(err)
			}
			if st.Mode().Perm() != want {
				t.Errorf("%s.service has mode %o, want %o", name, st.Mode().Perm(), want)
			}
		}
	}
}
