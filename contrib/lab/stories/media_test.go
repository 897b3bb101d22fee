// SPDX-License-Identifier: Apache-2.0

//go:build lab

package stories

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// The media pod of testdata/media, whose members are called like their units.
var (
	mediaMembers = []string{"lighttpd", "qbittorrent", "transmission"}
	mediaPorts   = []int{7878, 8988, 8989}
)

// writeMedia puts the media pod's files where user's manager, or the system's for root, reads them.
// edit may change a file on its way. Its services get a minute to end: one that has to be killed on
// a busy machine would be a failed unit.
func writeMedia(t *testing.T, l *labtest.Lab, user, dir string, edit func(string) string) {
	t.Helper()
	files, err := filepath.Glob("../../../testdata/media/*.*")
	if err != nil || len(files) != 4 {
		t.Fatalf("testdata/media: %v, %v", files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if edit != nil {
			text = []byte(edit(string(text)))
		}
		section := "[Container]"
		if filepath.Ext(f) == ".pod" {
			section = "[Pod]"
		}
		l.WriteFile(user, filepath.Join(dir, filepath.Base(f)), string(text)+section+"\nStopTimeout=60\n")
	}
}

// answers waits until each port of the media pod answers on each address, asked by a program in the
// lab.
func answers(l *labtest.Lab, user string, within time.Duration) {
	l.Eventually(user, fmt.Sprintf(`for host in localhost 127.0.0.1 %s; do for port in 7878 8988 8989; do
		curl -fsSL --max-time 5 -o /dev/null "http://$host:$port/" || exit; done; done`, l.Machine.Address()), within)
}

func mainPIDs(l *labtest.Lab, user string, units ...string) map[string]string {
	pids := map[string]string{}
	for _, u := range units {
		pids[u] = property(l, user, u, "MainPID")
	}
	return pids
}

func mediaPod(t *testing.T, l *labtest.Lab) {
	writeMedia(t, l, "alice", ".config/containers/systemd", nil)
	l.MustRun("alice", `mkdir -p ~/media/downloads ~/media/config/{qbittorrent,transmission}
		systemctl --user daemon-reload && systemctl --user start media-pod.service`)
	l.Active("alice", append([]string{"media-pod"}, mediaMembers...)...)
	story := func(name string, tell func(*testing.T, *labtest.Lab)) {
		t.Run(name, func(t *testing.T) { tell(t, l.For(t)) })
	}
	story("its ports answer on loopback and on the machine's address", func(t *testing.T, l *labtest.Lab) {
		answers(l, "alice", time.Minute)
		for _, port := range mediaPorts {
			url := fmt.Sprintf("http://%s:%d/", l.Machine.Address(), port)
			res, err := http.Get(url) // from another machine
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", url, res.Status)
			}
		}
	})
	story("its containers have one address and reach each other on localhost", func(t *testing.T, l *labtest.Lab) {
		var all []string
		for _, name := range mediaMembers {
			out := l.MustRun("alice", `podunit exec systemd-`+name+` sh -ec 'readlink /proc/self/ns/net; hostname -i
				for port in 7878 8988 8989; do wget -q -O /dev/null http://localhost:$port/; done'`)
			all = append(all, out)
		}
		if len(slices.Compact(all)) != 1 {
			t.Errorf("network namespace and address of each: %q", all)
		}
		if host := l.MustRun("alice", "readlink /proc/self/ns/net"); strings.Contains(all[0], host) {
			t.Error("they are in the host's network namespace")
		}
	})
	story("what they write in a shared volume belongs to alice", func(t *testing.T, l *labtest.Lab) {
		l.MustRun("alice", "podunit exec systemd-transmission touch /downloads/here")
		l.MustRun("alice", "podunit exec systemd-qbittorrent test -f /downloads/here")
		if out := l.MustRun("alice", "stat -c %U:%G media/downloads/here; find media -ignore_readdir_race ! -user alice"); out != "alice:alice" {
			t.Errorf("owners: %s", out)
		}
		if n := l.MustRun("alice", "find media/config -type f | wc -l"); n == "0" {
			t.Error("the services wrote nothing in their volumes")
		}
		if _, _, code := l.Run("alice", "podunit exec systemd-lighttpd touch /downloads/there"); code == 0 {
			t.Error("a volume that is mounted read-only was written to")
		}
	})
	story("they live in the time zone of TZ", func(t *testing.T, l *labtest.Lab) {
		for _, name := range mediaMembers {
			if out := l.MustRun("alice", "podunit exec systemd-"+name+" date +%z"); out != "+0800" {
				t.Errorf("%s: %s", name, out)
			}
		}
	})
	story("each is its unit's main process, alone with a small log copier, and there is one pasta", processes)
	story("systemd starts again what is killed, and only that", killed)
	story("when the pod's own process is killed everything comes back", infraKilled)
	nothingLeft(t, l, "alice")
	story("stopping the pod stops all of it", func(t *testing.T, l *labtest.Lab) {
		l.MustRun("alice", "systemctl --user stop media-pod.service")
		for _, u := range append([]string{"media-pod"}, mediaMembers...) {
			// The pod ends with its last container, whose unit may still tidy up.
			l.Eventually("alice", `[ "$(systemctl --user show -P ActiveState `+u+`)" = inactive ]`, time.Minute)
		}
		if out := l.MustRun("alice", "podunit ps -aq; podunit pod ps -q"); out != "" {
			t.Errorf("containers and pods: %s", out)
		}
		nothingLeft(t, l, "alice")
	})
}

// process is one process of a unit as /proc has it.
type process struct {
	pid, parent int
	name        string
	pss, rss    int // kB
	inner       string
}

// unitProcesses are all processes in a unit's cgroup and below it.
func unitProcesses(t *testing.T, l *labtest.Lab, unit string) (list []process) {
	t.Helper()
	out := l.MustRun("root", `cd /sys/fs/cgroup`+property(l, "alice", unit, "ControlGroup")+`
		for p in $(find . -name cgroup.procs -exec cat {} +); do
			set -- $p $(awk '/^PPid/ { print $2 }' /proc/$p/status) $(cat /proc/$p/comm) $(awk '/^Pss:/ { pss = $2 } /^Rss/ { rss = $2 } END { print pss, rss }' /proc/$p/smaps_rollup) $(awk '/^NSpid/ { print $NF }' /proc/$p/status)
			[ $# != 6 ] || echo "$@" # of one that ends meanwhile there is less
		done 2>/dev/null`)
	for line := range strings.SplitSeq(out, "\n") {
		f := strings.Fields(line)
		if len(f) != 6 {
			t.Fatalf("processes of %s: %q", unit, line)
		}
		var p process
		p.name, p.inner = f[2], f[5]
		for i, to := range map[int]*int{0: &p.pid, 1: &p.parent, 3: &p.pss, 4: &p.rss} {
			var err error
			if *to, err = strconv.Atoi(f[i]); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		}
		list = append(list, p)
	}
	return list
}

func processes(t *testing.T, l *labtest.Lab) {
	manager, err := strconv.Atoi(l.MustRun("root", "systemctl show -P MainPID user@1000.service"))
	if err != nil {
		t.Fatal(err)
	}
	// What a helper holds alone if no other container runs, in kB.
	const most = 500
	big := func(p process) bool { return p.name == "podunit-log" && p.rss > most }
	for _, unit := range mediaMembers {
		all := unitProcesses(t, l, unit)
		// The copiers come to rest.
		for deadline := time.Now().Add(time.Minute); (len(all) > 3 || slices.ContainsFunc(all, big)) && time.Now().Before(deadline); {
			time.Sleep(200 * time.Millisecond)
			all = unitProcesses(t, l, unit)
		}
		var main, helpers, guards, pss int
		for _, p := range all {
			if fmt.Sprint(p.pid) == property(l, "alice", unit, "MainPID") {
				main++
				if p.parent != manager {
					t.Errorf("%s: the parent of %s is %d, the manager %d", unit, p.name, p.parent, manager)
				}
				if p.inner != "1" {
					t.Errorf("%s: the main process is %s in the container", unit, p.inner)
				}
				continue
			}
			if p.name == "podunit-guard" {
				guards++ // it has no memory of its own
				if i := slices.IndexFunc(all, func(h process) bool { return h.pid == p.parent }); i < 0 || all[i].name != "podunit-log" || p.rss > most {
					t.Errorf("%s: whose is the guard %d, of %d kB?", unit, p.pid, p.rss)
				}
				continue
			}
			helpers++
			pss += p.pss
			if p.name != "podunit-log" {
				t.Errorf("%s: in its unit runs %s (%d)", unit, p.name, p.pid)
			}
			if p.rss > most {
				t.Errorf("%s: %s holds %d kB, %d at most", unit, p.name, p.rss, most)
			}
		}
		if main != 1 || helpers != 1 || guards != 1 {
			t.Errorf("%s: %d main processes, %d helpers and %d guards", unit, main, helpers, guards)
		}
		if pss > most {
			t.Errorf("%s: proportional set size of the helpers is %d kB, %d at most", unit, pss, most)
		}
		t.Logf("%s: helpers hold %d kB", unit, pss)
	}
	var names []string
	for _, p := range unitProcesses(t, l, "media-pod") {
		names = append(names, strings.TrimSuffix(p.name, ".avx2"))
		t.Logf("media-pod: %s holds %d kB", p.name, p.pss)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"pasta", "podunit-infra"}) {
		t.Errorf("in the pod's unit run %q", names)
	}
	if pastas := l.MustRun("root", `ps -u alice -o pid=,ppid=,stat=,etimes=,comm=,cgroup:200=,args= | awk '$5 ~ /^pasta/'`); strings.Count(pastas, "\n") != 0 || pastas == "" {
		t.Errorf("pastas, one is expected:\n%s", pastas)
	}
}

func killed(t *testing.T, l *labtest.Lab) {
	all := append([]string{"media-pod"}, mediaMembers...)
	for _, victim := range mediaMembers {
		before := mainPIDs(l, "alice", all...)
		l.MustRun("alice", "kill -9 "+before[victim])
		l.Eventually("alice", fmt.Sprintf(`[ "$(systemctl --user show -P MainPID %[1]s)" != %[2]s ] && systemctl --user is-active %[1]s`, victim, before[victim]), time.Minute)
		after := mainPIDs(l, "alice", all...)
		for _, u := range all {
			if (before[u] == after[u]) == (u == victim) {
				t.Errorf("%s was killed; the main process of %s was %s and is %s", victim, u, before[u], after[u])
			}
		}
		if n := property(l, "alice", victim, "NRestarts"); n != "1" {
			t.Errorf("%s was restarted %s times", victim, n)
		}
		for _, ask := range []string{"podunit ps --filter unit=%s.service --format '{{.Restarts}}'", "podunit inspect -f '{{.RestartCount}}' $(podunit ps -q --filter unit=%s.service)"} {
			if n := l.MustRun("alice", fmt.Sprintf(ask, victim)); n != "1" {
				t.Errorf("%s: %s", fmt.Sprintf(ask, victim), n)
			}
		}
	}
	answers(l, "alice", time.Minute)
}

func infraKilled(t *testing.T, l *labtest.Lab) {
	all := append([]string{"media-pod"}, mediaMembers...)
	before := mainPIDs(l, "alice", all...)
	l.MustRun("alice", "kill -9 "+before["media-pod"])
	start := time.Now()
	l.Eventually("alice", fmt.Sprintf(`[ "$(systemctl --user show -P MainPID media-pod)" != %s ]`, before["media-pod"]), time.Minute)
	l.Active("alice", all...)
	answers(l, "alice", time.Minute)
	t.Logf("all back after %v", time.Since(start).Round(100*time.Millisecond))
	for u, pid := range mainPIDs(l, "alice", all...) {
		if pid == before[u] {
			t.Errorf("%s kept its process", u)
		}
	}
}
