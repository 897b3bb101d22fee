// SPDX-License-Identifier: Apache-2.0

package cut

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain has the test be the program that is killed, and the one that executes it.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 2 && os.Args[1] == "child":
		fmt.Fprintln(os.Stderr, Child(os.Args[2:]))
		os.Exit(125)
	case len(os.Args) > 1 && os.Args[1] == "rest":
		if err := Rest(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	case len(os.Args) > 2 && os.Args[1] == "victim":
		if err := victim(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// victim changes something six times, with much between that changes nothing.
func victim(dir string) error {
	f, err := os.Create(filepath.Join(dir, "one"))
	if err != nil {
		return err
	}
	for range 3 {
		if _, err := f.WriteString("hello\n"); err != nil {
			return err
		}
	}
	_ = os.Mkdir(dir, 0o700)                     // it is there
	_ = os.Remove(filepath.Join(dir, "nothing")) // it is not there
	fmt.Fprint(os.Stderr)                        // no file
	if _, err := os.ReadFile("/proc/self/status"); err != nil {
		return err
	}
	done := make(chan error)
	go func() { done <- os.Mkdir(filepath.Join(dir, "two"), 0o700) }()
	if err := <-done; err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return os.Rename(filepath.Join(dir, "one"), filepath.Join(dir, "three")) },
		func() error { return os.Symlink("three", filepath.Join(dir, "four")) },
		func() error { return os.Remove(filepath.Join(dir, "three")) },
		f.Close,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// ours is the path of this program, which plays all parts.
func ours(t *testing.T) string {
	if os.Geteuid() != 0 {
		t.Skip("only root gets a filter without no_new_privs")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

func TestRun(t *testing.T) {
	self := ours(t)
	const dir = "DIR"
	calls := []string{"openat DIR/one", "write DIR/one", "mkdirat DIR/two", "renameat DIR/one DIR/three", "symlinkat DIR/four", "unlinkat DIR/three"}
	left := []string{"", "one", "one", "one two", "three two", "four three two", "four two"}
	for at := range len(calls) + 2 {
		temp := t.TempDir()
		res, err := Run(context.Background(), filepath.Base(self), at, []string{self, "child"}, []string{self, "rest"}, []string{self, "victim", temp})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		entries, err := os.ReadDir(temp)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		code, n := 128+9, at
		if at == 0 || at > len(calls) {
			code, n = 0, len(calls)
		}
		want := left[len(left)-1]
		if code != 0 {
			want = left[at-1]
		}
		got := strings.ReplaceAll(strings.Join(res.Calls, "\n"), temp, dir)
		if res.Code != code || res.Killed != (code != 0) || got != strings.Join(calls[:n], "\n") || strings.Join(names, " ") != want {
			t.Errorf("before %d: %+v\nleft %q, want %q and\n%s", at, res, names, want, strings.Join(calls[:n], "\n"))
		}
	}
	if res, err := Run(context.Background(), "somebody", 1, []string{self, "child"}, []string{self, "rest"}, []string{self, "victim", t.TempDir()}); err != nil || res.Code != 0 || len(res.Calls) > 0 {
		t.Errorf("a program of another name: %+v, %v", res, err)
	}
}

// TestRest: what a command has started goes on writing when the command's end is long past.
func TestRest(t *testing.T) {
	self := ours(t)
	defer func(d time.Duration) { linger = d }(linger)
	linger = 50 * time.Millisecond
	dir := t.TempDir()
	path, ended := filepath.Join(dir, "late"), filepath.Join(dir, "ended")
	script := "(until [ -e " + ended + " ]; do sleep 0.1; done; echo written >" + path + ") >/dev/null 2>&1 &"
	res, err := Run(t.Context(), "somebody", 0, []string{self, "child"}, []string{self, "rest"}, []string{"sh", "-c", script})
	if _, serr := os.Stat(path); err != nil || res.Code != 0 || serr == nil {
		t.Fatalf("%+v, %v; the file: %v", res, err, serr)
	}
	if err := os.WriteFile(ended, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if string(text) == "written\n" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%q, %v", text, err)
		}
	}
}

// TestServe: of all that a manager executes, the program with the words of the order is killed, once.
func TestServe(t *testing.T) {
	self := ours(t)
	for order, want := range map[string]struct{ left, calls string }{
		"2 victim\n":      {"a/one b/four b/two c/four c/two", "openat DIR/a/one write DIR/a/one"},
		"2 victim anew":   {"a/one b/one c/one", "openat DIR/c/one write DIR/c/one"},
		"4 victim DIR/b":  {"a/four a/two b/one b/two c/four c/two", "openat DIR/b/one write DIR/b/one mkdirat DIR/b/two renameat DIR/b/one DIR/b/three"},
		"7 victim DIR/c":  {"a/four a/two b/four b/two c/four c/two", "openat DIR/c/one write DIR/c/one mkdirat DIR/c/two renameat DIR/c/one DIR/c/three symlinkat DIR/c/four unlinkat DIR/c/three"},
		"1 victim DIR/ab": {"a/four a/two b/four b/two c/four c/two", ""},
		"":                {"a/four a/two b/four b/two c/four c/two", ""},
	} {
		dir, orders := t.TempDir(), t.TempDir()
		plain := func(s string) string { return strings.ReplaceAll(s, dir, "DIR") }
		if err := os.WriteFile(filepath.Join(orders, "at"), []byte(strings.ReplaceAll(strings.TrimSuffix(order, " anew"), "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
		manager := exec.Command(self, "child", "sh", "-c", `for d in a b c; do mkdir "$1/$d"; "$0" victim "$1/$d"; case $3 in *anew) sleep 0.01; touch "$2/at" ;; esac; done; exit 0`, self, dir, orders, order)
		if err := manager.Start(); err != nil {
			t.Fatal(err)
		}
		err := Serve(filepath.Base(self), manager.Process.Pid, orders)
		if werr := manager.Wait(); err != nil || werr != nil {
			t.Fatal(err, werr)
		}
		left, _ := filepath.Glob(dir + "/*/*")
		calls, _ := os.ReadFile(filepath.Join(orders, "calls")) // none if none has counted
		if got := strings.ReplaceAll(plain(strings.Join(left, " ")), "DIR/", ""); got != want.left {
			t.Errorf("%q: left %s, want %s", order, got, want.left)
		}
		if got := strings.Join(strings.Fields(plain(string(calls))), " "); got != want.calls {
			t.Errorf("%q: calls %s, want %s", order, got, want.calls)
		}
	}
}
