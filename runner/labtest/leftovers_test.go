// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// Lab is a machine, with what the stories here have in common.
type Lab struct {
	*labtest.Lab
	t    testing.TB
	user string // whose traces count
}

func boot(t testing.TB, opt labtest.Options) *Lab {
	t.Helper()
	return &Lab{Lab: labtest.Boot(t, opt), t: t, user: "alice"}
}

// on is the lab for a subtest.
func (l *Lab) on(t testing.TB) *Lab { return &Lab{Lab: l.For(t), t: t, user: l.user} }

// traces lists, a line each, all that podunit can leave on a machine: files of the storage and of
// the runtime directories, processes, namespaces, mounts, cgroups, containers and layers the
// storage knows. IDs, PIDs and random names are left out, so two lists of like states are the same.
// What lies inside layers and volumes is not looked at.
const traces = `
find $storage $run/podunit $run/containers \( -path '*/diff/*' -o -path '*/_data/*' -o -path "$run/*/merged/*" \) -prune -o -printf 'file %p\n'
find /tmp /var/tmp \( $files \) -printf 'file %p\n'
ps -eo uid=,cgroup:300=,args= | awk "$processes"' {$2 = ""; print "process", $0}'
readlink /proc/[0-9]*/ns/net | sort -u | sed 's/.*/a network namespace/'
readlink /proc/[0-9]*/ns/user | sort -u | sed 's/.*/a user namespace/'
cat /proc/[0-9]*/mountinfo 2>/dev/null | awk '$5 ~ /podunit|containers.storage|\/netns/ || $9 == "nsfs" {print "mount", $5}' | sort -u
find $cgroups -type d -path "$units" -printf 'cgroup %p\n'
for f in overlay-containers/containers overlay-containers/volatile-containers overlay-layers/layers overlay-layers/volatile-layers; do
	[ ! -e $storage/$f.json ] || jq -r '.[].id' $storage/$f.json | sed "s,^,$f ,"
done`

// places are where traces of a user's podunit are.
var places = map[string]string{
	"alice": `storage=/home/alice/.local/share/containers/storage run=/run/user/1000 files='-uid 1000 -o -uid +99999' ` +
		`processes='$1 >= 1000 && $1 != 65534 && $2 !~ /\/lab-/' cgroups=/sys/fs/cgroup/user.slice/user-1000.slice units='*app.slice*'`,
	"dave": `storage=/home/dave/.local/share/containers/storage run=/run/podunit-user/1003 files='-uid 1003 -o -uid +99999' ` +
		`processes='$1 >= 1000 && $1 != 65534 && $2 !~ /\/lab-/' cgroups=/sys/fs/cgroup/system.slice units='*'`,
	"root": `storage=/var/lib/containers/storage run=/run files='-uid 0' processes='$2 ~ /:\/system.slice/' cgroups=/sys/fs/cgroup/system.slice units='*'`,
}

// traces gives the list, sorted.
func (l *Lab) traces() []string {
	l.t.Helper()
	const plain = ` | sed -E 's/[0-9a-f]{32,64}/ID/g; s/[0-9a-f]{12}/ID/g; s,/l/[A-Z0-9]{26},/l/LINK,; s,/userns/[0-9]+,/userns/PID,; s/[0-9]{8,}/N/g' | sort`
	return strings.Split(l.MustRun("root", "set -o pipefail; "+places[l.user]+"; {"+traces+"\n} 2>/dev/null"+plain), "\n")
}

// settled gives the list when no manager has anything to do, and it is the same twice: what has just
// run may still be on its way out.
func (l *Lab) settled() []string {
	l.t.Helper()
	l.Gone("root", "systemctl list-jobs --no-legend --plain | grep -v '^No jobs'")
	l.Gone("alice", "systemctl --user list-jobs --no-legend --plain | grep -v '^No jobs'; systemctl --user list-units --no-legend --plain --type=service,scope,mount,socket --state=activating,deactivating")
	before := l.traces()
	for deadline := time.Now().Add(time.Minute); ; {
		time.Sleep(300 * time.Millisecond)
		after := l.traces()
		if slices.Equal(before, after) {
			return after
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("the machine does not come to rest: new:\n%s\ngone:\n%s", strings.Join(added(before, after), "\n"), strings.Join(added(after, before), "\n"))
		}
		before = after
	}
}

// added gives the lines of after that are not in before; a line that comes more often counts.
func added(before, after []string) []string {
	have := map[string]int{}
	for _, line := range before {
		have[line]++
	}
	var more []string
	for _, line := range after {
		if have[line]--; have[line] < 0 {
			more = append(more, line)
		}
	}
	return more
}

// same fails unless the machine is as it was, and says whether it is.
func (l *Lab) same(t testing.TB, before []string, what string) bool {
	t.Helper()
	// A program that runs may just have a second process.
	for patience := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		after := l.traces()
		left, lost := added(before, after), added(after, before)
		if len(left)+len(lost) == 0 {
			return true
		}
		if time.Now().After(patience) {
			t.Errorf("%s: left over:\n%s\nmissing:\n%s", what, strings.Join(left, "\n"), strings.Join(lost, "\n"))
			return false
		}
	}
}
