// SPDX-License-Identifier: Apache-2.0

//go:build lab

// Package vm tests what needs a kernel of its own, in virtual machines, and what needs a disk that
// forgets: make test-vm. Its tests are not named TestLab, and so are no part of make test.
package vm

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/rootfs"
)

const image = "localhost:5000/busybox"

// boot boots a machine where users have the small image; it is rootfs.Suite if no other is asked for.
func boot(t *testing.T, opt labtest.Options, users ...string) *labtest.Lab {
	t.Helper()
	opt.VM = cmp.Or(opt.VM, rootfs.Suite)
	l := labtest.Boot(t, opt)
	for _, user := range users {
		l.MustRun(user, "podunit pull -q "+image)
	}
	return l
}

// step is a script and what it prints.
type step struct {
	name   string
	user   string // empty: alice and then root
	script string
	// want is the output, error output included, less white space at its ends. A ~ begins a part of
	// it.
	want string
}

// play executes steps in turn. Scripts have $I, the image, $S, systemctl of the user, $D, the
// directory of the user's Quadlet files, and $M, the major number of the machine's disk.
func play(t *testing.T, l *labtest.Lab, steps []step) {
	t.Helper()
	for _, s := range steps {
		users := []string{s.user}
		if s.user == "" {
			users = []string{"alice", "root"}
		}
		for _, user := range users {
			t.Run(s.name+"/"+user, func(t *testing.T) {
				env := "exec 2>&1; I=" + image + "; S='systemctl --user'; D=$HOME/.config/containers/systemd\n"
				if user == "root" {
					env = "exec 2>&1; I=" + image + "; S=systemctl; D=/etc/containers/systemd\n"
				}
				env += "M=$(cut -d : -f 1 /sys/block/vda/dev)\n"
				start := time.Now()
				out, _, _ := l.For(t).Run(user, env+s.script)
				got := strings.TrimSpace(out)
				if part, some := strings.CutPrefix(s.want, "~"); some && !strings.Contains(got, part) || !some && got != s.want {
					t.Errorf("%s\nprints\n%s\nwant\n%s", s.script, got, s.want)
				}
				t.Logf("%.0f s", time.Since(start).Seconds())
			})
		}
	}
}
