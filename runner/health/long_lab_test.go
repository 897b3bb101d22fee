// SPDX-License-Identifier: Apache-2.0

//go:build lab

package health

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// TestLongHealth leaves many containers with checks alone for a while: what is there at the end is
// what was there at the beginning, and nobody has told of anything. PODUNIT_HEALTH_LONG says for
// how long, and how many have a check how often: 10m 100x5s is ten minutes, and a hundred
// containers with a check every five seconds, which takes a quarter of a core. It takes its time,
// so make test does not run it.
func TestLongHealth(t *testing.T) {
	words := strings.Fields(cmp.Or(os.Getenv("PODUNIT_HEALTH_LONG"), "10m 100x5s"))
	last, err := time.ParseDuration(words[0])
	if err != nil {
		t.Fatal(err)
	}
	l := labtest.Boot(t, labtest.Options{})
	// As root: a user has 200 keys of the kernel, and each container takes one.
	w := everybody[1]
	l.MustRun(w.user, "podunit pull -q "+labImage)
	l.WriteFile("root", "/root/look", longLook)
	all, rate := 0, 0.0 // checks a second
	for i, word := range words[1:] {
		number, every, _ := strings.Cut(word, "x")
		count, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		interval, err := time.ParseDuration(every)
		if err != nil {
			t.Fatal(err)
		}
		all, rate = all+count, rate+float64(count)/interval.Seconds()
		name := fmt.Sprintf("many%d", i)
		l.WriteFile(w.user, w.dir+name+"@.container", "[Container]\nImage="+labImage+"\nContainerName="+name+"-%i\nNetwork=none\nStopSignal=KILL\n"+
			"Exec=sleep infinity\nHealthCmd=echo said; echo x >>/tmp/n\nHealthInterval="+every+"\n")
		l.MustRun(w.user, w.systemctl+" daemon-reload")
		for n := range count {
			l.MustRun(w.user, fmt.Sprintf("%s start %s@%d", w.systemctl, name, n))
		}
	}
	l.Eventually(w.user, fmt.Sprintf("[ $(podunit ps -q --filter health=healthy | wc -l) = %d ]", all), 10*time.Minute)
	l.MustRun("root", "journalctl --sync; journalctl -q -n 1 --show-cursor | sed -n 's/^-- cursor: //p' >/cursor")
	checks := func() int {
		n, err := strconv.Atoi(l.MustRun("root", "cat $(pgrep -x sleep | sed 's|.*|/proc/&/root/tmp/n|') | wc -l"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	spent := func() int {
		n, err := strconv.Atoi(l.MustRun("root", "sed -n 's/^usage_usec //p' /sys/fs/cgroup/system.slice/cpu.stat"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	look := func() string { return l.MustRun("root", "sh /root/look") }
	before, checked, used, since := look(), checks(), spent(), time.Now()
	time.Sleep(last)
	took, used, checked := time.Since(since), spent()-used, checks()-checked
	after := look()
	t.Logf("%s: %d checks in %v, of %d ms of the processors each; at the beginning and at the end:\n%s\n%s",
		words, checked, took.Round(time.Second), used/1000/max(1, checked), before, after)
	if before != after {
		t.Errorf("something has changed")
	}
	// Of a machine that is too busy the manager leaves out checks, and that would be another test.
	if least := int(took.Seconds() * rate * 3 / 4); checked < least {
		t.Errorf("%d checks, expected are %d or more", checked, least)
	}
	// All that anybody told, but for the commands of this test, which are sessions of a sort.
	if got := l.MustRun("root", `journalctl --sync; journalctl -q -o json --after-cursor="$(cat /cursor)" | jq -r 'select((._SYSTEMD_UNIT // "")+(.UNIT // "")+(.USER_UNIT // "") | test("lab-|systemd-journald") | not) | "\(._COMM) \(.MESSAGE)"' | head -n 20`); got != "" {
		t.Errorf("the journal has\n%s", got)
	}
}

// longLook prints how many processes, units, cgroups, descriptors and files in /run there are,
// without those of checks that run right now: the least of many looks.
const longLook = `
base=/sys/fs/cgroup/system.slice
least() { for i in $(seq 8); do "$@"; sleep 0.2; done | sort -n | head -n 1; }
inside() { find $base ! -path '*/podunit-health-*' ! -path '*/podunit-check*' "$@" 2>/dev/null; }
processes() { inside -name cgroup.procs -exec cat {} + | wc -l; }
cgroups() { inside -type d | wc -l; }
units() { systemctl list-units --all --no-legend --plain | grep -v -e '^podunit-health-.*service' -e '^lab-' | wc -l; }
descriptors() { find $(inside -name cgroup.procs -exec cat {} + | sed 's|.*|/proc/&/fd|') /proc/1/fd -mindepth 1 -maxdepth 1 2>/dev/null | wc -l; }
files() { find /run -xdev 2>/dev/null | grep -v -e podunit-health -e podunit-check -e lab- | wc -l; }
echo "processes $(least processes) cgroups $(least cgroups) units $(least units) descriptors $(least descriptors) files $(least files)"
`
