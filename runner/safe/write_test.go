// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// errCut is the power going away.
var errCut = errors.New("cut")

// plate is a disk that forgets, at a cut, all that was not synced: of a file its content,
// of a directory its entries. What it may still have written by itself it has, too: a test
// judges every combination.
type plate struct {
	steps, cutAt int
	entries      map[string]*inode // as programs see them
	kept         map[string]*inode // as the directory was synced last
}

type inode struct{ now, kept []byte }

func (p *plate) step() error {
	if p.steps++; p.steps > p.cutAt {
		return errCut
	}
	return nil
}

type plateFile struct {
	p *plate
	n *inode
}

func (f plateFile) Write(data []byte) (int, error) {
	if err := f.p.step(); err != nil {
		f.n.now = append(f.n.now, data[:len(data)/2]...)
		return 0, err
	}
	f.n.now = append(f.n.now, data...)
	return len(data), nil
}

func (f plateFile) Sync() error {
	if err := f.p.step(); err != nil {
		return err
	}
	f.n.kept = bytes.Clone(f.n.now)
	return nil
}

func (f plateFile) Close() error { return f.p.step() }

func (p *plate) create(path string, _ fs.FileMode) (file, error) {
	if err := p.step(); err != nil {
		return nil, err
	}
	n := &inode{}
	p.entries[path] = n
	return plateFile{p, n}, nil
}

func (p *plate) rename(from, to string) error {
	if err := p.step(); err != nil {
		return err
	}
	p.entries[to] = p.entries[from]
	delete(p.entries, from)
	return nil
}

func (p *plate) remove(path string) error {
	if err := p.step(); err != nil {
		return err
	}
	delete(p.entries, path)
	return nil
}

func (p *plate) syncDir(string) error {
	if err := p.step(); err != nil {
		return err
	}
	p.kept = maps.Clone(p.entries)
	return nil
}

// after lists what a reader may find at path once the power is back.
func (p *plate) after(path string) []string {
	var found []string
	for _, dir := range []map[string]*inode{p.kept, p.entries} {
		if n := dir[path]; n != nil {
			found = append(found, string(n.kept), string(n.now))
		} else {
			found = append(found, "nothing")
		}
	}
	return found
}

// TestCut cuts the power at every step of a write. There is the old content or the new
// one, and the new one for sure once Write has returned.
func TestCut(t *testing.T) {
	for _, old := range []string{"nothing", "old"} {
		for cutAt := 0; ; cutAt++ {
			p := &plate{cutAt: cutAt, entries: map[string]*inode{}}
			if old != "nothing" {
				p.entries["f"] = &inode{[]byte(old), []byte(old)}
			}
			p.kept = maps.Clone(p.entries)
			err := put(p, "f", []byte("new content"), 0o600, true)
			for _, got := range p.after("f") {
				if got != "new content" && (got != old || err == nil) {
					t.Errorf("was %q, cut after %d steps: %q (%v)", old, cutAt, got, err)
				}
			}
			if err == nil {
				if cutAt < 6 {
					t.Errorf("the write has %d steps: create, write, sync, rename, sync the directory and close are six", cutAt)
				}
				break
			}
		}
	}
}

// TestWrite writes on a real disk: content, mode, nothing left beside it, no link followed.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "f"), filepath.Join(dir, "victim")
	if err := errors.Join(os.WriteFile(victim, []byte("precious"), 0o644), os.WriteFile(path+making, []byte("of a dead writer, and longer"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "one" {
		t.Errorf("%q, %v", b, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if err := os.Symlink(victim, path+making); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("two"), 0o600); err == nil {
		t.Error("a link was followed")
	}
	if err := errors.Join(os.Remove(path+making), unix.Mkfifo(path+making, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, []byte("two"), 0o600); err == nil {
		t.Error("a FIFO was written")
	}
	if err := errors.Join(os.Remove(path+making), os.Link(victim, path+making)); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, []byte("two"), 0o600); !errors.Is(err, ErrNotOurs) {
		t.Errorf("a second name of another file was written: %v", err)
	}
	if os.Geteuid() == 0 {
		if err := errors.Join(os.Remove(path+making), os.WriteFile(path+making, nil, 0o666), os.Chown(path+making, 7, 7)); err != nil {
			t.Fatal(err)
		}
		if err := Replace(path, []byte("two"), 0o600); !errors.Is(err, ErrNotOurs) {
			t.Errorf("a stranger's file took the place of ours: %v", err)
		}
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "precious" {
		t.Errorf("the file behind the link: %q, %v", b, err)
	}
}

// TestWriteOverLink puts a file in the place of a link, as a process ID file in a directory
// where others can write; what the link leads to stays.
func TestWriteOverLink(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "pid"), filepath.Join(dir, "victim")
	if err := errors.Join(os.WriteFile(victim, []byte("precious"), 0o644), os.Symlink(victim, path)); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, []byte("7\n"), 0o644); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{path: "7\n", victim: "precious"} {
		if b, err := os.ReadFile(name); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

// TestWriteDevice leaves in its place what is no file.
func TestWriteDevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, nil, 0o644); err == nil {
		t.Error("a FIFO was replaced")
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 || left[0].Type() != fs.ModeNamedPipe {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestWriteAtOnce has many write one file: what is there afterwards is one's whole content.
func TestWriteAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var wait sync.WaitGroup
	for i := range 32 {
		wait.Go(func() {
			line := strings.Repeat(fmt.Sprintf("%02d", i), 5000)
			if err := Replace(path, []byte(line), 0o600); err != nil {
				t.Error(err)
			}
			b, err := os.ReadFile(path)
			if err != nil || len(b) != 10000 || strings.Repeat(string(b[:2]), 5000) != string(b) {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		})
	}
	wait.Wait()
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestWriteBesideLock: a container that can write in the directory may hold the lock of the file
// that is written aside. That is an error in the end, and of somebody else's file at once.
func TestWriteBesideLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	held, err := os.Create(path + making)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	write := func() { ended <- put(disk{20 * time.Millisecond}, path, []byte("1"), 0o600, false) }
	for _, want := range []error{unix.EWOULDBLOCK, ErrNotOurs} {
		go write()
		select {
		case err := <-ended:
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		case <-time.After(time.Minute):
			t.Fatal("it waits for the lock")
		}
		if err := os.Link(path+making, path+".second"); err != nil && errors.Is(want, unix.EWOULDBLOCK) {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Remove(path+".second"), held.Close(), put(disk{time.Minute}, path, []byte("1"), 0o600, false)); err != nil {
		t.Error(err)
	}
}
