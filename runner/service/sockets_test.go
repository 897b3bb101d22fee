// SPDX-License-Identifier: Apache-2.0

package service

import (
	"os"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"golang.org/x/sys/unix"
)

// TestNamedDescriptors hands on one descriptor by its number: the container has it under that
// number, and empty files where nobody asked for anything.
func TestNamedDescriptors(t *testing.T) {
	const number = 90
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if err := unix.Dup3(int(w.Fd()), number, 0); err != nil {
		t.Fatal(err)
	}
	e := &Engine{Config: Config{Lookup: func(string) (string, bool) { return "", false }}}
	record := &container.Record{}
	record.Spec.PreserveFD = []int{number}
	s, err := e.takeSockets(record, nil)
	if err != nil || len(s.Files) != number-firstSocket+1 {
		t.Fatalf("%d files, %v", len(s.Files), err)
	}
	for i, f := range s.Files {
		defer f.Close()
		if i < len(s.Files)-1 && f.Name() != os.DevNull {
			t.Errorf("descriptor %d is %s", i+firstSocket, f.Name())
		}
	}
	if _, err := s.Files[len(s.Files)-1].WriteString("x"); err != nil {
		t.Error(err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("what the container writes to it: %d, %v", n, err)
	}
	record.Spec.PreserveFD = []int{number + 1}
	if _, err := e.takeSockets(record, nil); err == nil {
		t.Error("a descriptor that nobody opened is no error")
	}
	// What is open is ours, and not for a container.
	if _, err := Handed(0, []int{int(r.Fd())}); err == nil {
		t.Error("a descriptor that this process has opened is handed on")
	}
}
