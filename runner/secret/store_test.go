// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.podman.io/common/pkg/secrets"
	"golang.org/x/sys/unix"
)

func TestStore(t *testing.T) {
	s := New(t.TempDir())
	if all, err := s.List(); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	first, err := s.Create("db", []byte("pa\n"), Options{Labels: map[string]string{"a": "b"}})
	if err != nil || len(first) != idLength {
		t.Fatalf("%q, %v", first, err)
	}
	for _, name := range []string{"db", first, first[:5]} {
		one, value, err := s.Value(name)
		if err != nil || one.Name != "db" || string(value) != "pa\n" || one.Labels["a"] != "b" || one.Driver != "file" {
			t.Errorf("%s: %+v, %q, %v", name, one, value, err)
		}
	}
	if _, err := s.Create("db", []byte("x"), Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("the name once more: %v", err)
	}
	if id, err := s.Create("db", []byte("x"), Options{Ignore: true}); err != nil || id != first {
		t.Errorf("ignored: %q, %v", id, err)
	}
	second, err := s.Create("db", []byte("new"), Options{Replace: true})
	if err != nil || second == first {
		t.Fatalf("replaced: %q, %v", second, err)
	}
	one, value, err := s.Value("db")
	if err != nil || string(value) != "new" || !one.UpdatedAt.After(one.CreatedAt) {
		t.Errorf("%+v, %q, %v", one, value, err)
	}
	if _, err := s.Lookup(first); !errors.Is(err, ErrNotFound) {
		t.Errorf("the old ID: %v", err)
	}
	if b, _ := os.ReadFile(filepath.Join(s.dir, driverDir, dataName)); strings.Contains(string(b), first) {
		t.Errorf("the old value is still there: %s", b)
	}
	if id, err := s.Remove("db"); err != nil || id != second {
		t.Errorf("removed: %q, %v", id, err)
	}
	if _, _, err := s.Value("db"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after its removal: %v", err)
	}
}

func TestRefused(t *testing.T) {
	s := New(t.TempDir())
	for _, c := range []struct {
		name  string
		value []byte
		o     Options
		want  error
	}{
		{"", []byte("x"), Options{}, ErrName},
		{"a/b", []byte("x"), Options{}, ErrName},
		{"a=b", []byte("x"), Options{}, ErrName},
		{strings.Repeat("n", 254), []byte("x"), Options{}, ErrName},
		{"a", nil, Options{}, ErrSize},
		{"a", make([]byte, MaxSize), Options{}, ErrSize},
		{"a", []byte("x"), Options{Driver: "vault"}, ErrDriver},
	} {
		if _, err := s.Create(c.name, c.value, c.o); !errors.Is(err, c.want) {
			t.Errorf("%.10q: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := s.Create("most", make([]byte, MaxSize-1), Options{}); err != nil {
		t.Error(err)
	}
}

func TestAmbiguous(t *testing.T) {
	l := list{Secrets: map[string]Secret{"abc": {ID: "abc"}, "abd": {ID: "abd"}}}
	if _, err := l.find("ab"); !errors.Is(err, ErrAmbiguous) {
		t.Error(err)
	}
	if one, err := l.find("abc"); err != nil || one.ID != "abc" {
		t.Errorf("%v, %v", one, err)
	}
	if _, err := l.find(""); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestPodmanAgrees has podman's own library read what was written here, and the other way round.
func TestPodmanAgrees(t *testing.T) {
	root := t.TempDir()
	s := New(root)
	if _, err := s.Create("ours", []byte("one"), Options{Labels: map[string]string{"k": "v"}}); err != nil {
		t.Fatal(err)
	}
	manager := func() *secrets.SecretsManager {
		m, err := secrets.NewManager(filepath.Join(root, "secrets"))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	one, value, err := manager().LookupSecretData("ours")
	if err != nil || string(value) != "one" || one.Labels["k"] != "v" {
		t.Fatalf("%+v, %q, %v", one, value, err)
	}
	path := map[string]string{"path": filepath.Join(root, "secrets", "filedriver")}
	if _, err := manager().Store("theirs", []byte("two"), "file", secrets.StoreOptions{DriverOpts: path}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create("ours", []byte("three"), Options{Replace: true}); err != nil {
		t.Fatal(err)
	}
	if _, value, err := s.Value("theirs"); err != nil || string(value) != "two" {
		t.Errorf("theirs: %q, %v", value, err)
	}
	if _, value, err := manager().LookupSecretData("ours"); err != nil || string(value) != "three" {
		t.Errorf("ours, replaced: %q, %v", value, err)
	}
	if _, err := s.Remove("theirs"); err != nil {
		t.Error(err)
	}
	if _, err := manager().Delete("ours"); err != nil {
		t.Error(err)
	}
}

// TestShellDriver keeps values with commands.
func TestShellDriver(t *testing.T) {
	s, dir := New(t.TempDir()), t.TempDir()
	o := Options{Driver: "shell", DriverOptions: map[string]string{
		"list": "ls " + dir, "lookup": "cat " + dir + "/$SECRET_ID", "store": "cat >" + dir + "/$SECRET_ID", "delete": "rm " + dir + "/$SECRET_ID",
	}}
	if _, err := s.Create("a", []byte("value"), o); err != nil {
		t.Fatal(err)
	}
	if _, value, err := s.Value("a"); err != nil || string(value) != "value" {
		t.Errorf("%q, %v", value, err)
	}
	if _, err := s.Remove("a"); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestNothingIsTorn writes with each of the two files unable to grow: what was there stays as it was.
func TestNothingIsTorn(t *testing.T) {
	s := New(t.TempDir())
	if _, err := s.Create("a", []byte("first"), Options{}); err != nil {
		t.Fatal(err)
	}
	files := []string{filepath.Join(s.dir, listName), filepath.Join(s.dir, driverDir, dataName)}
	for _, f := range files {
		// Held open, so that no later file gets its number.
		held, err := os.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		before, err := held.Stat()
		if err != nil {
			t.Fatal(err)
		}
		// The new one is another file, so that a cut leaves the old or the new.
		if _, err := s.Create("a", []byte("again"), Options{Replace: true}); err != nil {
			t.Fatal(err)
		}
		after, err := os.Stat(f)
		if err != nil || os.SameFile(before, after) {
			t.Errorf("%s was rewritten in its place: %v", f, err)
		}
		if after.Mode().Perm() != 0o600 {
			t.Errorf("%s is for others, too: %v", f, after.Mode())
		}
	}
	var left []string
	_ = filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".new") {
			left = append(left, path)
		}
		return err
	})
	if len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	// Under a limit on the size of files, the list can be read and nothing is lost.
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 10, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Create("b", []byte("never"), Options{})
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Error("what was not written was made")
	}
	if _, value, err := s.Value("a"); err != nil || string(value) != "again" {
		t.Errorf("%q, %v", value, err)
	}
}

// TestCutShort makes what a power cut leaves: a value without a name, and a name without a value.
func TestCutShort(t *testing.T) {
	s := New(t.TempDir())
	if _, err := s.Create("a", []byte("x"), Options{}); err != nil {
		t.Fatal(err)
	}
	d := fileDriver{filepath.Join(s.dir, driverDir)}
	if err := d.Store("0123456789abcdef012345678", []byte("orphan")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create("b", []byte("y"), Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lookup("0123456789abcdef012345678"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a value without a name stays: %v", err)
	}
	one, err := s.Lookup("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(one.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove("a"); err != nil {
		t.Errorf("a name without a value cannot be removed: %v", err)
	}
	all, err := s.List()
	if names := func() (n []string) {
		for _, one := range all {
			n = append(n, one.Name)
		}
		return n
	}(); err != nil || !slices.Equal(names, []string{"b"}) {
		t.Errorf("%v, %v", names, err)
	}
}

func TestTorn(t *testing.T) {
	s := New(t.TempDir())
	if _, err := s.Create("a", []byte("x"), Options{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(s.dir, listName), 20); err != nil {
		t.Fatal(err)
	}
	var torn *TornError
	if _, err := s.List(); !errors.As(err, &torn) || torn.Path != filepath.Join(s.dir, listName) || !strings.Contains(torn.Hint(), s.dir) {
		t.Errorf("%v", err)
	}
}
