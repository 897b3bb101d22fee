// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"
	"os"
	"testing"

	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// TestStreamsThatGoElsewhere: what is not the journal's stream gets the container's output, be it a
// socket, too.
func TestStreamsThatGoElsewhere(t *testing.T) {
	var st unix.Stat_t
	if err := unix.Fstat(1, &st); err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	for name, c := range map[string]struct {
		unit, driver, stream string
		is                   bool
	}{
		"the journal's":         {"a.service", "", own, false},
		"another inode":         {"a.service", "", fmt.Sprintf("%d:%d", st.Dev, st.Ino+1), true},
		"another device":        {"a.service", "", fmt.Sprintf("%d:%d", st.Dev+1, st.Ino), true},
		"none is the journal's": {"a.service", "", "", true},
		"a driver is asked for": {"a.service", "journald", "", false},
		"in no unit":            {"", "", "", false},
	} {
		t.Setenv("JOURNAL_STREAM", c.stream)
		l := Launch{Unit: c.unit, Record: &Record{Spec: spec.Container{Log: spec.Log{Driver: c.driver}}}}
		if stdout, _ := l.elsewhere(); (stdout == os.Stdout) != c.is || stdout != nil && !c.is {
			t.Errorf("%s: %v", name, stdout)
		}
	}
}

// TestNoStreamOfOursIsTheContainers: the runtime makes the container's user the owner of what it
// gets.
func TestNoStreamOfOursIsTheContainers(t *testing.T) {
	var r Record
	r.Spec.Log.Driver = logJournald
	o, err := openOutput(r)
	if err != nil {
		t.Fatal(err)
	}
	if o.Stdout == os.Stdout || o.Stderr == os.Stderr || o.stdout == nil || o.stderr == nil {
		t.Errorf("%+v", o)
	}
	for range 2 { // safe to repeat
		if err := o.close(); err != nil {
			t.Error(err)
		}
	}
}
