// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	name := func(s string) string { return filepath.Join(dir, s) }
	if err := os.WriteFile(name("env"), []byte("A=b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadFile(name("env"), 4); err != nil || string(data) != "A=b\n" {
		t.Errorf("%q, %v", data, err)
	}
	if err := errors.Join(syscall.Mkfifo(name("pipe"), 0o600), os.Symlink("env", name("link")), os.Symlink("/dev/zero", name("zero"))); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		name("pipe"): ErrNotRegular, name("link"): ErrNotRegular, name("zero"): ErrNotRegular, dir: ErrNotRegular, "/dev/zero": ErrNotRegular,
		name("nowhere"): fs.ErrNotExist,
	} {
		if data, err := ReadFile(path, 1<<20); !errors.Is(err, want) {
			t.Errorf("%s: %d bytes, %v", path, len(data), err)
		}
	}
	if _, err := ReadFile(name("link"), 9); err == nil || !strings.Contains(err.Error(), "name the file itself, env") {
		t.Errorf("a link: %v", err)
	}
	if _, err := ReadFile(name("env"), 3); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a file of more bytes: %v", err)
	}
	// A file of procfs says that it has no bytes.
	if _, err := ReadFile("/proc/self/status", 10); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a file that has more bytes than it says: %v", err)
	}
}

// TestReadGiven: a file that a command line names may be reached by a link, or be a descriptor of
// ours. What could keep the reader waiting, or has no end, is an error at once.
func TestReadGiven(t *testing.T) {
	dir := t.TempDir()
	name := func(s string) string { return filepath.Join(dir, s) }
	if err := errors.Join(os.WriteFile(name("id"), []byte("abc"), 0o600), syscall.Mkfifo(name("pipe"), 0o600), os.Symlink("id", name("link")), os.Symlink("pipe", name("to-pipe"))); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"id", "link"} {
		if data, err := ReadGiven(name(file), 3); err != nil || string(data) != "abc" {
			t.Errorf("%s: %q, %v", file, data, err)
		}
		if _, err := ReadGiven(name(file), 2); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, path := range []string{name("pipe"), name("to-pipe"), "/dev/zero", dir} {
		if data, err := ReadGiven(path, 3); !errors.Is(err, ErrNotRegular) {
			t.Errorf("%s: %d bytes, %v", path, len(data), err)
		}
	}
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if _, err := to.WriteString("piped"); err != nil {
		t.Fatal(err)
	}
	to.Close()
	if data, err := ReadGiven(fmt.Sprintf("/dev/fd/%d", from.Fd()), 5); err != nil || string(data) != "piped" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestReadInRoot has images whose links lead out, and to the kernel.
func TestReadInRoot(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	name := func(s string) string { return filepath.Join(dir, s) }
	if err := errors.Join(os.Mkdir(name("etc"), 0o755), os.WriteFile(name("etc/hosts"), []byte("inside"), 0o600), os.WriteFile(outside, []byte("outside"), 0o600),
		os.Symlink("/etc/hosts", name("absolute")), os.Symlink("../../../../etc/hosts", name("etc/up")), os.Symlink(outside, name("out")),
		os.Symlink("/proc/self/root"+outside, name("magic")), os.Symlink("loop", name("loop")), syscall.Mkfifo(name("pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"/etc/hosts", "absolute", "etc/up"} {
		if data, err := ReadInRoot(dir, file, 9); err != nil || string(data) != "inside" {
			t.Errorf("%s: %q, %v", file, data, err)
		}
		if err := CheckInRoot(dir, file); err != nil {
			t.Errorf("a look at %s: %v", file, err)
		}
	}
	for file, want := range map[string]error{
		"out": fs.ErrNotExist, "magic": fs.ErrNotExist, "etc/hosts/x": fs.ErrNotExist, "nowhere": fs.ErrNotExist, "loop": syscall.ELOOP, "pipe": ErrNotRegular, "etc": ErrNotRegular,
	} {
		if data, err := ReadInRoot(dir, file, 9); !errors.Is(err, want) {
			t.Errorf("%s: %q, %v", file, data, err)
		}
		if err := CheckInRoot(dir, file); !errors.Is(err, want) {
			t.Errorf("a look at %s: %v", file, err)
		}
	}
	if _, err := ReadInRoot(dir, "etc/hosts", 5); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a file of more bytes: %v", err)
	}
	if _, err := ReadInRoot(name("nowhere"), "etc/hosts", 9); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a root that is not there: %v", err)
	}
	if _, err := ReadInRoot("/", "/proc/version", 1<<20); !errors.Is(err, ErrKernel) {
		t.Errorf("a file of procfs: %v", err)
	}
	if err := CheckInRoot("/", "/proc/version"); !errors.Is(err, ErrKernel) {
		t.Errorf("a look at a file of procfs: %v", err)
	}
}
