// SPDX-License-Identifier: Apache-2.0

package container

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/podunit/podunit/runner/runc"
	"golang.org/x/sys/unix"
)

// TestAStreamOfTheUnitsThatIsNotTheJournals is handed on with StandardOutput=append:, and nothing of it is
// copied; the journal's is, for a program could not open such a /dev/stdout.
func TestAStreamOfTheUnitsThatIsNotTheJournals(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	journal, other := os.NewFile(uintptr(fds[0]), "journal"), os.NewFile(uintptr(fds[1]), "other")
	defer journal.Close()
	defer other.Close()
	for name, c := range map[string]struct {
		ours               runc.Streams
		direct             bool
		stdoutIs, stderrIs bool // ours, not copied
		copied             bool
	}{
		"both are the journal's":                  {runc.Streams{Stdout: journal, Stderr: journal}, true, false, false, true},
		"stdout is a file":                        {runc.Streams{Stdout: file, Stderr: journal}, true, true, false, true},
		"stderr is a file":                        {runc.Streams{Stdout: journal, Stderr: file}, true, false, true, true},
		"both are files":                          {runc.Streams{Stdout: file, Stderr: file}, true, true, true, false},
		"not in a unit, or a driver is asked for": {runc.Streams{Stdout: file, Stderr: file}, false, false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := pipes(c.ours, c.direct)
			if err != nil {
				t.Fatal(err)
			}
			if stdout, stderr := o.Stdout == c.ours.Stdout, o.Stderr == c.ours.Stderr; stdout != c.stdoutIs || stderr != c.stderrIs || o.copied() != c.copied {
				t.Errorf("stdout handed on %t, stderr %t, copied %t", stdout, stderr, o.copied())
			}
			if o.stdout != nil {
				if _, err := io.WriteString(o.Stdout, "x"); err != nil {
					t.Error(err)
				}
				if n, err := o.stdout.Read(make([]byte, 2)); n != 1 || err != nil {
					t.Errorf("%d bytes, %v", n, err)
				}
			}
			if err := o.give(&owner{uid: os.Getuid(), gid: os.Getgid()}); err != nil {
				t.Error(err)
			}
			for range 2 { // safe to repeat
				if err := o.close(); err != nil {
					t.Error(err)
				}
			}
			for _, f := range []*os.File{file, journal} {
				if _, err := f.Stat(); err != nil {
					t.Errorf("a stream of ours was closed: %v", err)
				}
			}
		})
	}
}
