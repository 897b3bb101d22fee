// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// ticker writes a line five times a second, says which signals it gets, and ends at TERM.
const ticker = `trap "echo got a signal" HUP INT USR1 USR2 QUIT ALRM; trap "exit 0" TERM; i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.2; done`

// helperOf finds a process of a unit by its name.
func (l *Lab) helperOf(user, systemctl, unit, name string) string {
	l.t.Helper()
	return l.Eventually(user, fmt.Sprintf("for p in $(find /sys/fs/cgroup$(%s show -P ControlGroup %s) -name cgroup.procs -exec cat {} +); do [[ $(cat /proc/$p/comm) != %s* ]] || echo $p; done | grep -x '[0-9]*'", systemctl, unit, name), time.Minute)
}

// killBeside kills the processes beside a container whose names begin with name, all at once, and
// again who has gone on for one of them.
func (l *Lab) killBeside(user, systemctl, unit, name string) {
	l.t.Helper()
	l.MustRun("root", "c=/sys/fs/cgroup"+l.MustRun(user, systemctl+" show -P ControlGroup "+unit)+
		`; for i in {1..600}; do pids=$(for p in $(cat $c/cgroup.procs $c/runtime/cgroup.procs 2>/dev/null); do [[ $(cat /proc/$p/comm 2>/dev/null) != `+name+`* ]] || echo $p; done)
		[ -n "$pids" ] || exit 0; kill -9 $pids; sleep 0.1; done; exit 1`)
}

// moreTicks waits for lines that are written from now on.
func (l *Lab) moreTicks(user, journalctl, unit string) {
	l.t.Helper()
	l.MustRun("root", "journalctl --sync")
	last := l.MustRun(user, journalctl+" -q -n 1 --show-cursor | sed -n 's/^-- cursor: //p'")
	l.Eventually(user, journalctl+" -q -u "+unit+" -o cat --after-cursor '"+last+"' | grep tick", time.Minute)
}

// TestLabHelpers kills what runs beside a container, and sends it what is meant for the container.
func TestLabHelpers(t *testing.T) {
	l := boot(t, labtest.Options{})
	inUnit := strings.ReplaceAll(ticker, "$", "$$")
	for user, s := range map[string]struct{ systemctl, journalctl, dir string }{
		"alice": {"systemctl --user", "journalctl --user", ".config/containers/systemd/"},
		"root":  {"systemctl", "journalctl", "/etc/containers/systemd/"},
	} {
		l.MustRun(user, "podunit pull -q "+image)
		l.WriteFile(user, s.dir+"web.container", "[Unit]\nStartLimitIntervalSec=0\n[Container]\nImage="+image+"\nPublishPort=8500:80\nExec=sh -c '"+inUnit+"'\n[Service]\nRestart=on-failure\nRestartSec=0\n")
		l.WriteFile(user, s.dir+"p.pod", "[Pod]\nPublishPort=8501:80\n[Service]\nRestart=on-failure\nRestartSec=0\n")
		l.WriteFile(user, s.dir+"member.container", "[Container]\nPod=p.pod\nImage="+image+"\nExec=sh -c '"+inUnit+"'\n")
		l.MustRun(user, s.systemctl+" daemon-reload; "+s.systemctl+" start web member")
		t.Run(user+"/what they may", func(t *testing.T) {
			l := l.on(t)
			copier := l.helperOf(user, s.systemctl, "web", "podunit-log")
			guard := l.helperOf(user, s.systemctl, "web", "podunit-guard")
			infra := l.helperOf(user, s.systemctl, "p-pod", "podunit-infra")
			pasta := l.helperOf(user, s.systemctl, "web", "pasta")
			for _, pid := range []string{copier, guard, infra} {
				got := l.MustRun("root", "grep -E '^(Cap|NoNew)' /proc/"+pid+"/status | tr -d '\\t\\n'")
				const none = "0000000000000000"
				if want := "CapInh:" + none + "CapPrm:" + none + "CapEff:" + none + "CapBnd:" + none + "CapAmb:" + none + "NoNewPrivs:1"; got != want {
					t.Errorf("process %s: %s", pid, got)
				}
			}
			t.Logf("pasta: %s", l.MustRun("root", "grep -E '^(Uid|Cap|NoNew|Seccomp:)' /proc/"+pasta+"/status | tr '\\t\\n' '  '"))
			if got := l.MustRun("root", "ls -A /proc/"+infra+"/root/ /proc/"+infra+"/cwd/"); strings.Trim(got, "/procwtd0123456789:\n ") != "" {
				t.Errorf("the root of the pod's process holds %s", got)
			}
			l.MustRun("root", "! test -w /proc/"+infra+"/exe") // through which a container could write to podunit itself
			// With the machine's process IDs a container of the same user finds nothing in them.
			if got := l.MustRun(user, "podunit run --rm --pid host "+image+" sh -c 'for p in /proc/[0-9]*; do ls $p/root/ >/dev/null 2>&1 && cat $p/comm; done; true'"); strings.Contains(got, "podunit") {
				t.Errorf("a container reaches the root of %s", got)
			}
		})
		t.Run(user+"/what they hold while they sleep", func(t *testing.T) {
			l := l.on(t)
			l.MustRun(user, "podunit run -d --name quiet --network none --stop-signal KILL "+image+" sleep 1000")
			for _, pid := range []string{l.helperOf(user, s.systemctl, "quiet", "podunit-log"), l.helperOf(user, s.systemctl, "p-pod", "podunit-infra")} {
				// Three pages of the program at most, and what it has written to. RssFile is in kB.
				l.Eventually("root", "p=$(($(getconf PAGESIZE) / 1024)); [ $(sed -n 's/^RssFile://p' /proc/"+pid+"/status | tr -dc 0-9) -le $((3 * p)) ] && [ $(sed -n 's/^Pss://p' /proc/"+pid+"/smaps_rollup | tr -dc 0-9) -lt $((30 * p)) ]", time.Minute)
				t.Logf("%s kB (PSS)", l.MustRun("root", "cat /proc/"+pid+"/comm; sed -n 's/^Pss://p' /proc/"+pid+"/smaps_rollup | tr -dc 0-9"))
			}
			l.MustRun(user, "podunit rm -f -t 0 quiet")
		})
		t.Run(user+"/signals to the whole unit", func(t *testing.T) {
			l := l.on(t)
			l.moreTicks(user, s.journalctl, "web") // until then it does not hear a signal
			before := l.helperOf(user, s.systemctl, "web", "podunit-log") + l.helperOf(user, s.systemctl, "web", "pasta")
			for i, sig := range []string{"HUP", "INT", "USR1", "USR2", "QUIT", "ALRM"} {
				l.MustRun(user, s.systemctl+" kill -s "+sig+" web")
				l.Eventually(user, fmt.Sprintf("test $(%s -u web -o cat | grep -c 'got a signal') -gt %d", s.journalctl, i), time.Minute)
				l.moreTicks(user, s.journalctl, "web")
			}
			if after := l.helperOf(user, s.systemctl, "web", "podunit-log") + l.helperOf(user, s.systemctl, "web", "pasta"); after != before {
				t.Errorf("helpers were %s, are %s", before, after)
			}
			for _, sig := range []string{"HUP", "USR1", "USR2", "ALRM"} {
				l.MustRun(user, s.systemctl+" kill -s "+sig+" p-pod; "+s.systemctl+" is-active p-pod")
			}
		})
		t.Run(user+"/a killed copier", func(t *testing.T) {
			l := l.on(t)
			main := l.MustRun(user, s.systemctl+" show -P MainPID web")
			for range 5 {
				l.helperOf(user, s.systemctl, "web", "podunit-guard")
				l.MustRun("root", "kill -9 "+l.helperOf(user, s.systemctl, "web", "podunit-log"))
				l.moreTicks(user, s.journalctl, "web")
			}
			if now := l.MustRun(user, s.systemctl+" show -P MainPID web"); now != main {
				t.Errorf("the container was %s, is %s", main, now)
			}
			// No line is missing, or twice.
			lines := l.MustRun(user, "podunit logs systemd-web | grep -o 'tick.*' | sed 's/tick //' | awk 'NR > 1 && $1 != last + 1 {print last, $1} {last = $1}'")
			if lines != "" {
				t.Errorf("lines are not one after the other:\n%s", lines)
			}
			// Whoever stops the container waits for the process that goes on now.
			l.MustRun(user, s.systemctl+" restart web")
		})
		t.Run(user+"/a copier that is killed with its guard", func(t *testing.T) {
			l := l.on(t)
			// Any look at containers starts another one, which is none of who looks: ps | cat has
			// an end.
			main := l.MustRun(user, s.systemctl+" show -P MainPID web")
			l.killBeside(user, s.systemctl, "web", "podunit-")
			l.MustRun(user, "exec 30<>/tmp/held-$USER; podunit ps | cat")
			copier := l.helperOf(user, s.systemctl, "web", "podunit-log")
			l.helperOf(user, s.systemctl, "web", "podunit-guard")
			l.moreTicks(user, s.journalctl, "web")
			l.Eventually(user, s.journalctl+" -u web -o cat | grep 'podunit-log was killed, and is started again'", time.Minute)
			if now := l.MustRun(user, s.systemctl+" show -P MainPID web"); now != main {
				t.Errorf("the container was %s, is %s", main, now)
			}
			if got := l.MustRun("root", "readlink /proc/"+copier+"/fd/*"); strings.Contains(got, "held") {
				t.Errorf("it holds files of who looked:\n%s", got)
			}
			// Nobody noticed that the network ended, too.
			before := l.MustRun(user, s.systemctl+" show -P NRestarts web")
			l.killBeside(user, s.systemctl, "web", "")
			l.MustRun(user, "podunit ps")
			l.Eventually(user, fmt.Sprintf("[ $(%s show -P NRestarts web) -gt %s ] && %s is-active web", s.systemctl, before, s.systemctl), time.Minute)
			// The next case sees that the new one watches the network.
			l.killBeside(user, s.systemctl, "web", "podunit-")
			l.MustRun(user, "podunit logs --tail 1 systemd-web")
			l.moreTicks(user, s.journalctl, "web")
		})
		t.Run(user+"/a killed pasta", func(t *testing.T) {
			l := l.on(t)
			for unit, network := range map[string]string{"web": "network of the container", "p-pod": "network"} {
				before := l.MustRun(user, s.systemctl+" show -P NRestarts "+unit)
				l.MustRun("root", "kill -9 "+l.helperOf(user, s.systemctl, unit, "pasta"))
				l.Eventually(user, fmt.Sprintf("[ $(%s show -P NRestarts %s) -gt %s ] && %s is-active %s", s.systemctl, unit, before, s.systemctl, unit), time.Minute)
				// Who says it ends at once: the journal may not find out any more of which unit
				// it was.
				l.Eventually(user, s.journalctl+" -o cat | grep 'the "+network+" has ended (pasta was killed)'", time.Minute)
				l.helperOf(user, s.systemctl, unit, "pasta")
			}
			l.Eventually(user, s.systemctl+" is-active member", time.Minute)
			if user == "root" {
				return // whose named networks need none
			}
			// One without a log, whose way out is beside its named network.
			l.WriteFile(user, s.dir+"silent.container", "[Unit]\nStartLimitIntervalSec=0\n[Container]\nImage="+image+"\nNetwork=bridge\nPublishPort=8502:80\nLogDriver=none\nExec=sleep infinity\n[Service]\nRestart=on-failure\nRestartSec=0\n")
			l.MustRun(user, s.systemctl+" daemon-reload; "+s.systemctl+" start silent")
			l.MustRun("root", "kill -9 "+l.helperOf(user, s.systemctl, "silent", "pasta"))
			l.Eventually(user, fmt.Sprintf("[ $(%[1]s show -P NRestarts silent) -gt 0 ] && %[1]s is-active silent && %[1]s stop silent", s.systemctl), time.Minute)
		})
		l.MustRun(user, s.systemctl+" stop web p-pod member")
		t.Run(user+"/in one PID namespace with the pod's process", func(t *testing.T) {
			l := l.on(t)
			l.MustRun(user, "podunit pod create --share pid,ipc,uts,net --name shared")
			got := l.MustRun(user, "podunit run --rm --pod shared --privileged "+image+" sh -c 'cat /proc/1/comm; ls -A /proc/1/root/ /proc/1/cwd/; ls -A /proc/1/root/../; ls -l /proc/1/fd | grep -o \"> /.*\"; cp /bin/busybox /proc/1/exe 2>&1; echo x >/proc/1/root/x; echo shm >/dev/shm/here; ls /dev/shm' 2>&1; true")
			t.Log(got)
			if strings.Contains(got, "usr") || strings.Contains(got, "home") || strings.Contains(got, "> /") {
				t.Errorf("it sees the machine:\n%s", got)
			}
			if got := l.MustRun(user, "podunit run --rm --pod shared "+image+" ls /dev/shm"); got != "here" {
				t.Errorf("/dev/shm of the pod holds %q", got)
			}
			l.MustRun(user, "podunit pod rm -f -t 0 shared")
		})
	}
}

// TestLabFiles has containers write into the files that are made for them.
func TestLabFiles(t *testing.T) {
	l := boot(t, labtest.Options{})
	for _, user := range []string{"alice", "root"} {
		l.MustRun(user, "podunit pull -q "+image)
		t.Run(user, func(t *testing.T) {
			l := l.on(t)
			const files = "for f in /etc/hosts /etc/resolv.conf /etc/hostname /run/.containerenv; do "
			run := `r=$(readlink -f ${XDG_RUNTIME_DIR:-/run}); used() { df --output=used -k $r | tail -1; }; before=$(used)
				podunit run -d --name f --stop-signal KILL ` + image + ` sh -c '` + files + `dd if=/dev/zero bs=1M count=8 2>/dev/null >>$f || exit 1; done; sleep 1000'
				podunit exec f sh -c 'while [ $(wc -c </run/.containerenv) -lt 8388608 ]; do sleep 0.1; done'
				echo $(($(used) - before)); podunit rm -f -t 0 f`
			got := strings.Fields(l.MustRun(user, run))
			if kb := 0; len(got) < 2 {
				t.Errorf("%q", got)
			} else if _, err := fmt.Sscan(got[len(got)-2], &kb); err != nil || kb > 4096 {
				t.Errorf("32 MB written into the files take %s kB of the runtime directories' memory (%v)", got[len(got)-2], err)
			}
			// Programs do write names there, and find them.
			if got := l.MustRun(user, "podunit run --rm "+image+" sh -c 'echo 10.1.2.3 here >>/etc/hosts; grep here /etc/hosts'"); got != "10.1.2.3 here" {
				t.Errorf("%q", got)
			}
			l.MustRun(user, "podunit pod create --name p && podunit run -d --pod p --name a --stop-signal KILL "+image+" sleep 1000 && podunit run --rm --pod p "+image+" sh -c 'echo 10.1.2.3 there >>/etc/hosts' && podunit exec a grep there /etc/hosts; podunit pod rm -f -t 0 p")
			if got := l.MustRun(user, "ls $(podunit info --format '{{.Store.GraphRoot}}')/podunit/files"); got != "" {
				t.Errorf("left over: %s", got)
			}
		})
	}
}

// TestLabKeepID runs what differs where containers have a user namespace of their own.
func TestLabKeepID(t *testing.T) {
	l := boot(t, labtest.Options{})
	l.MustRun("alice", "podunit pull -q "+image)
	const ids = "podunit exec $c id -u && podunit exec -u 0 $c sh -c 'id -u; ls /sys/class/net; cat /proc/sys/kernel/hostname'"
	// No ID of another container begins with a name that is waited for.
	for name, c := range map[string]struct{ script, want string }{
		"exec":            {"podunit run -d --userns=keep-id --hostname box --name c --stop-signal KILL " + image + " sleep 1000 >/dev/null; c=c; " + ids, "1000 0 lo box"},
		"exec, attached":  {"podunit run --rm --userns=keep-id --hostname box --name xa --stop-signal KILL " + image + " sleep 1000 & until podunit exec xa true 2>/dev/null; do sleep 0.1; done; c=xa; " + ids + "; podunit rm -f -t 0 xa >/dev/null; wait", "1000 0 lo box"},
		"exec, no net":    {"podunit run -d --userns=keep-id --network none --hostname box --name n --stop-signal KILL " + image + " sleep 1000 >/dev/null; c=n; " + ids, "1000 0 lo box"},
		"exec, a tty":     {"podunit run -d --userns=keep-id --network none --name t --stop-signal KILL " + image + " sleep 1000 >/dev/null; script -qec 'podunit exec -it t id -u' /dev/null | tr -dc '0-9'", "1000"},
		"pod":             {"podunit pod create --userns keep-id --name p >/dev/null && timeout 110 podunit run --rm --pod p " + image + " id -u", "1000"},
		"exec in the pod": {"podunit pod create --userns keep-id --name q >/dev/null && timeout 110 podunit run -d --pod q --name m --stop-signal KILL " + image + " sleep 1000 >/dev/null; c=m; " + ids, "1000 0 lo q"},
	} {
		t.Run(name, func(t *testing.T) {
			l := l.on(t)
			stdout, stderr, code := l.Run("alice", c.script)
			// The name of the machine's interface is not ours to know.
			var got []string
			for _, w := range strings.Fields(stdout) {
				if !strings.HasPrefix(w, "host") && !strings.HasPrefix(w, "eth") && !strings.HasPrefix(w, "en") {
					got = append(got, w)
				}
			}
			if code != 0 || strings.Join(got, " ") != c.want {
				t.Errorf("status %d, %q, want %q\n%s%s", code, got, c.want, stderr, l.MustRun("alice", "journalctl --user -n 25 -o cat"))
			}
		})
	}
	if left := l.MustRun("alice", "ls -d $XDG_RUNTIME_DIR/podunit/containers/*/exec-* 2>/dev/null; podunit pod rm -fa -t 0; podunit rm -fa -t 0 >/dev/null"); strings.Contains(left, "exec-") {
		t.Errorf("left over: %s", left)
	}
}

// TestLabPodStop ends pods: as soon as was asked for, and one whose start fails again and again.
func TestLabPodStop(t *testing.T) {
	l := boot(t, labtest.Options{})
	l.MustRun("alice", "podunit pull -q "+image)
	// Without -t it has its own time, which is so long that this test would end first.
	const pod = "podunit pod create --name p1 >/dev/null && podunit run -d --stop-timeout 100000 --pod p1 --name pa " + image + " sleep 100000 >/dev/null && "
	for _, verb := range []string{"pod stop -t 1 p1", "pod rm -f -t 1 p1"} {
		l.MustRun("alice", pod+"podunit "+verb+"; podunit pod rm -f -t 0 p1 >/dev/null")
	}
	if got := l.MustRun("alice", pod+"systemctl --user show -P TimeoutStopUSec pa; podunit pod rm -f -t 0 p1 >/dev/null"); !strings.HasPrefix(got, "1d") {
		t.Errorf("the unit of a container with a day to stop waits for %s", got)
	}
	l.MustRun("alice", "podunit pod create --restart=on-failure -p 8600:80 --name bad; "+
		`perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 8600, Listen => 1) or die $!; sleep 1000' & until ss -Htln sport = :8600 | grep -q .; do sleep 0.1; done; podunit pod start bad && exit 1; podunit pod rm -f -t 0 bad; kill %1; for i in $(seq 600); do systemctl --user list-units --all --plain --no-legend "bad*" | grep -q . || break; sleep 0.1; done; sleep 1; `+
		"! systemctl --user list-units --all --plain --no-legend 'bad*' | grep . && ! podunit pod exists bad")
}
