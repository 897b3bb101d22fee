// SPDX-License-Identifier: Apache-2.0

//go:build lab

package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

const labImage = "localhost:5000/busybox"

// who runs the units of a test, and how they are spoken to.
type who struct{ user, systemctl, journalctl, dir string }

var everybody = []who{
	{"alice", "systemctl --user", "journalctl --user", ".config/containers/systemd/"},
	{"root", "systemctl", "journalctl", "/etc/containers/systemd/"},
}

// TestLabHealth checks containers in services of a user and of root.
func TestLabHealth(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{})
	for _, w := range everybody {
		l.MustRun(w.user, "podunit pull -q "+labImage)
		for _, c := range []struct {
			name string
			see  func(*testing.T, *labtest.Lab, who)
		}{
			{"well, unwell and well again", seeChanges},
			{"killed and restarted", seeActions},
			{"killed whole at its time limit", seeLimit},
			{"with the rights of the container", seeRights},
			{"in the namespaces of the container", seeNamespaces},
			{"by a program that stays", seeChecker},
			{"by the runtime each time", seeNoChecker},
			{"a check at the start", seeStartup},
			{"what waits for a healthy one", seeReadiness},
			{"one that ends before it is healthy", seeEnd},
			{"the image's check", seeImage},
			{"many checks and nothing to tell", seeSilence},
		} {
			t.Run(w.user+"/"+c.name, func(t *testing.T) { c.see(t, l.For(t), w) })
		}
	}
}

// TestLabHealthCost counts what a check takes of the processors, the manager's part included,
// beside podman's.
func TestLabHealthCost(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{})
	w := everybody[0]
	l.MustRun(w.user, "podunit pull -q "+labImage)
	// spent runs a service 20 times and tells the processor time of all that the user has, in
	// microseconds.
	spent := func(service string) (usec int) {
		out := l.MustRun(w.user, `set -e; stat=/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cpu.stat; s=`+service+`
			used() { sed -n 's/^usage_usec //p' $stat; }
			before=$(used)
			for i in $(seq 20); do systemctl --user reset-failed $s; systemctl --user start $s; while systemctl --user is-active -q $s; do sleep 0.05; done; done
			echo $(( $(used) - before ))`)
		if _, err := fmt.Sscan(out, &usec); err != nil {
			t.Fatal(err)
		}
		return usec
	}
	// The larger part is the runtime's: crun has no Go to start, and copies no program of its own
	// first.
	for _, runtime := range []string{"runc", "crun"} {
		w.unit(l, "cost", "GlobalArgs=--runtime="+runtime+"\nExec=sleep infinity\nHealthCmd=true\nHealthInterval=1h\n", "")
		l.MustRun(w.user, w.systemctl+" start cost && podman --runtime="+runtime+" run -q -d --name peer --pids-limit 0 --network none --health-cmd true --health-interval 1h "+labImage+" sleep infinity")
		w.becomes(l, "cost", "healthy")
		l.Eventually(w.user, "[ $(podman inspect -f '{{.State.Health.Status}}' peer) = healthy ]", time.Minute)
		ours := spent("$(systemctl --user list-units --all --no-legend --plain 'podunit-health-*.service' | cut -d' ' -f1)")
		theirs := spent("$(systemctl --user list-units --all --no-legend --plain \"$(podman inspect -f '{{.Id}}' peer)-*.service\" | cut -d' ' -f1)")
		t.Logf("20 checks with %s: %d ms, podman %d ms, %.2f of that", runtime, ours/1000, theirs/1000, float64(ours)/float64(theirs))
		if ours >= theirs {
			t.Errorf("a check with %s takes %d µs, of podman %d µs", runtime, ours/20, theirs/20)
		}
		l.MustRun(w.user, "podman rm -f -t 0 peer >/dev/null")
		w.forget(t, l, "cost")
	}
}

// TestLabHealthOfUser checks the container of a system unit with User=, whose manager takes no
// orders from that user.
func TestLabHealthOfUser(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{})
	const file = "/etc/containers/systemd/clock.container"
	// dave does not log in, and would have no directory for what runs.
	l.MustRun("root", "systemd-run --quiet --unit holds-1003 -p Requires=user-runtime-dir@1003.service -p After=user-runtime-dir@1003.service sleep infinity")
	l.MustRun("dave", "podunit pull -q "+labImage)
	l.WriteFile("root", file, "[Container]\nImage="+labImage+"\nContainerName=clock\nNetwork=none\nStopSignal=KILL\nExec=sh -c 'touch /ok; exec sleep infinity'\n"+
		"HealthStartupCmd=test -e /ok\nHealthStartupInterval=1s\nHealthCmd=test -e /ok\nHealthInterval=1s\nHealthRetries=2\nHealthOnFailure=kill\n[Service]\nUser=dave\nRestart=always\nRestartSec=100ms\n")
	l.MustRun("root", "systemctl daemon-reload && systemctl start clock")
	dave := who{user: "dave"}
	dave.becomes(l, "clock", "healthy")
	// That of an earlier start may be on its way out.
	oneClock := func() { l.Eventually("root", "pgrep -u dave -x podunit-clock | wc -l | grep -x 1", time.Minute) }
	oneClock()
	l.Eventually("root", "[ $(grep -s ^Pss: /proc/$(pgrep -u dave -x podunit-clock)/smaps_rollup | tr -dc 0-9) -lt 1000 ]", time.Minute)
	t.Logf("the clock holds %s kB", l.MustRun("root", "grep ^Pss: /proc/$(pgrep -u dave -x podunit-clock)/smaps_rollup | tr -dc 0-9"))
	l.Eventually("root", "journalctl -q -o cat -u clock | grep 'container clock is healthy'", time.Minute)
	l.MustRun("dave", "podunit exec clock rm /ok")
	l.Eventually("root", "[ $(systemctl show -P NRestarts clock) -ge 1 ] && systemctl is-active clock", time.Minute)
	l.Eventually("root", "journalctl -q -o cat -u clock | grep 'container clock is unhealthy after 2 failures in a row'", time.Minute)
	dave.becomes(l, "clock", "healthy")
	oneClock()
	l.MustRun("root", "systemctl stop clock; rm "+file+"; systemctl daemon-reload")
	l.Gone("root", "pgrep -u dave -a podunit")
	// Ready when healthy, also here.
	l.WriteFile("root", file, "[Container]\nImage="+labImage+"\nContainerName=clock\nNetwork=none\nStopSignal=KILL\nExec=sh -c 'sleep 2; touch /ok; exec sleep infinity'\n"+
		"Notify=healthy\nHealthCmd=test -e /ok\nHealthInterval=1s\n[Service]\nUser=dave\nExecStartPost=podunit exec clock test -e /ok\n")
	l.MustRun("root", "systemctl daemon-reload && systemctl start clock")
	oneClock()
	l.MustRun("root", "systemctl stop clock")
}

// unit writes a file, and starts its unit if command is start.
func (w who) unit(l *labtest.Lab, name, container, rest string) {
	l.WriteFile(w.user, w.dir+name+".container", "[Container]\nImage="+labImage+"\nContainerName="+name+"\nNetwork=none\nStopSignal=KILL\n"+container+rest)
	l.MustRun(w.user, w.systemctl+" daemon-reload")
}

// forget stops a unit and removes its file. Then nothing of its checks may be left.
func (w who) forget(t *testing.T, l *labtest.Lab, names ...string) {
	t.Helper()
	for _, name := range names {
		l.Run(w.user, w.systemctl+" stop "+name+"; "+w.systemctl+" reset-failed "+name+"; rm -f "+w.dir+name+".container")
	}
	l.MustRun(w.user, w.systemctl+" daemon-reload")
	l.Gone(w.user, w.systemctl+" list-units --all --no-legend 'podunit-health-*'")
	l.Gone("root", "find /sys/fs/cgroup -name podunit-check 2>/dev/null")
}

func (w who) status(l *labtest.Lab, name string) string {
	return l.MustRun(w.user, "podunit inspect -f '{{.State.Health.Status}}' "+name)
}

// becomes waits until a container has a status.
func (w who) becomes(l *labtest.Lab, name, status string) {
	l.Eventually(w.user, fmt.Sprintf("[ $(podunit inspect -f '{{.State.Health.Status}}' %s) = %s ]", name, status), time.Minute)
}

func seeChanges(t *testing.T, l *labtest.Lab, w who) {
	w.unit(l, "well", "Exec=sh -c 'touch /ok; exec sleep infinity'\nHealthCmd=test -e /ok || { echo it is not; exit 3; }\nHealthInterval=1s\nHealthRetries=2\n", "")
	l.MustRun(w.user, w.systemctl+" start well")
	w.becomes(l, "well", "healthy")
	if got := l.MustRun(w.user, "podunit healthcheck run well"); got != "" {
		t.Errorf("a healthy one says %q", got)
	}
	l.MustRun(w.user, "podunit exec well rm /ok")
	w.becomes(l, "well", "unhealthy")
	if got := l.MustRun(w.user, "podunit ps --format '{{.Status}}' --filter health=unhealthy"); !strings.HasSuffix(got, " (unhealthy)") || !strings.HasPrefix(got, "Up ") {
		t.Errorf("ps: %q", got)
	}
	stdout, _, code := l.Run(w.user, "podunit healthcheck run well")
	if code != 1 || stdout != "unhealthy\n" {
		t.Errorf("by hand: status %d, %q", code, stdout)
	}
	if got := l.MustRun(w.user, "podunit inspect well | jq -r '.[0].State.Health.Log[-1] | \"\\(.ExitCode) \\(.Output)\"'"); got != "1 it is not\n" {
		t.Errorf("inspect: %q", got)
	}
	l.MustRun(w.user, "podunit exec well touch /ok")
	w.becomes(l, "well", "healthy")
	l.Eventually(w.user, w.journalctl+" -q -o cat -u well | grep -c 'container well is' | grep -x 3", time.Minute)
	got := l.MustRun(w.user, w.journalctl+" -q -o cat -u well | grep 'container well is'")
	if want := "container well is healthy\ncontainer well is unhealthy after 2 failures in a row; the last check failed: it is not\ncontainer well is healthy"; got != want {
		t.Errorf("the journal has\n%s\nwant\n%s", got, want)
	}
	w.forget(t, l, "well")
}

func seeActions(t *testing.T, l *labtest.Lab, w who) {
	for _, action := range []string{"kill", "restart", "stop"} {
		w.unit(l, "ill", "Exec=sleep infinity\nHealthCmd=false\nHealthInterval=1s\nHealthRetries=1\nHealthStartPeriod=2s\nHealthOnFailure="+action+"\n", "[Service]\nRestart=on-failure\nRestartSec=100ms\n")
		l.MustRun(w.user, w.systemctl+" start ill")
		before := l.MustRun(w.user, w.systemctl+" show -P InvocationID ill")
		switch action {
		case "stop":
			l.Eventually(w.user, "[ $("+w.systemctl+" show -P ActiveState ill) = inactive -o $("+w.systemctl+" show -P ActiveState ill) = failed ]", time.Minute)
			if got := l.MustRun(w.user, w.systemctl+" show -P NRestarts ill"); got != "0" {
				t.Errorf("stop: restarted %s times", got)
			}
		default:
			l.Eventually(w.user, "[ $("+w.systemctl+" show -P InvocationID ill) != "+before+" ] && "+w.systemctl+" is-active ill", time.Minute)
			restarts := l.MustRun(w.user, w.systemctl+" show -P NRestarts ill")
			if (action == "kill") != (restarts != "0") {
				t.Errorf("%s: the manager restarted it by itself %s times", action, restarts)
			}
			// The next start's checks begin anew, and those of the last one have ended.
			w.becomes(l, "ill", "starting")
			l.Eventually(w.user, w.systemctl+" list-units --no-legend 'podunit-health-*.timer' | wc -l | grep -x 1", time.Minute)
		}
		w.forget(t, l, "ill")
	}
}

func seeLimit(t *testing.T, l *labtest.Lab, w who) {
	for _, runtime := range []string{"runc", "crun"} {
		w.unit(l, "slow", "GlobalArgs=--runtime="+runtime+"\nExec=sleep infinity\nHealthCmd=echo begun; setsid sleep 4711 & sleep 4711\nHealthInterval=1s\nHealthTimeout=4s\nHealthRetries=1\n", "")
		l.MustRun(w.user, w.systemctl+" start slow")
		w.becomes(l, "slow", "unhealthy")
		// A busy machine may not have begun the first before its time was over.
		l.Eventually(w.user, "podunit inspect -f '{{range .State.Health.Log}}{{.ExitCode}} {{.Output}}{{end}}' slow | grep -x -- '-1 begun'", time.Minute)
		l.MustRun(w.user, w.systemctl+" stop 'podunit-health-*.timer'")
		l.Gone(w.user, w.systemctl+" list-units --no-legend 'podunit-health-*.service'")
		l.Gone("root", "pgrep -fa '^sleep 4711'") // with a check that ended at its time, all of it has ended
		w.forget(t, l, "slow")
	}
}

func seeRights(t *testing.T, l *labtest.Lab, w who) {
	const show = `grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:)' /proc/self/status; pwd; id; ulimit -n; ls -l /proc/self/ns | sed 's/.* //' | sort; env | grep -v -E '^(PWD|SHLVL|_)=' | sort; umask`
	w.unit(l, "rights", "User=1234\nWorkingDir=/tmp\nEnvironment=A=b\nNoNewPrivileges=yes\nAddCapability=NET_RAW\nUlimit=nofile=321:321\nExec=sh -c '{ . /show; } >/tmp/m 2>&1; mv /tmp/m /tmp/main; exec sleep infinity'\n"+
		"Volume=%h/show:/show:ro\nHealthCmd={ . /show; } >/tmp/c 2>&1; mv /tmp/c /tmp/check; cat /proc/self/cgroup >/tmp/g; mv /tmp/g /tmp/cgroup; test -e /tmp/main\nHealthInterval=1s\n", "")
	l.WriteFile(w.user, "show", show+"\n")
	l.MustRun(w.user, w.systemctl+" start rights")
	w.becomes(l, "rights", "healthy")
	if got := l.MustRun(w.user, "podunit exec rights diff /tmp/main /tmp/check && podunit exec rights grep ^0: /tmp/cgroup"); got != "0::/podunit-check" {
		t.Errorf("the check differs from the container:\n%s", got)
	}
	w.forget(t, l, "rights")
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// stays tells the processes of a container's check, which is at rest.
func stays(l *labtest.Lab, name string) []string {
	return strings.Fields(l.MustRun("root", "find /sys/fs/cgroup -path '*/"+name+".service/*/podunit-check' -exec cat {}/cgroup.procs ';' 2>/dev/null || true"))
}

// seeChecker runs checks again and again, with faults in between. Each writes a line into /tmp/n,
// so that none is executed twice.
func seeChecker(t *testing.T, l *labtest.Lab, w who) {
	const show = `cat /proc/self/cgroup | grep ^0: | tr -d '\n'; echo; cat /proc/self/attr/current; grep -v -E '^(Name|State|Tgid|Pid|PPid|NS|FDSize|Vm|Rss|Sig|Hug|volun|nonvol|Core)' /proc/self/status; cat /proc/self/limits; pwd; id; ls -l /proc/self/ns | sed 's/.* //' | sort; env | grep -v -E '^(PWD|SHLVL|_)=' | sort; umask`
	l.WriteFile(w.user, "show", show+"\n")
	numbers := ""
	for i := range 500 {
		numbers += fmt.Sprintln(i + 1)
	}
	runtime := "runc"
	if w.user == "root" {
		runtime = "crun"
	}
	w.unit(l, "stays", "GlobalArgs=--runtime="+runtime+"\nUser=1234\nWorkingDir=/tmp\nEnvironment=A=b\nNoNewPrivileges=yes\nAddCapability=NET_RAW\nUlimit=nofile=321:321\nSecret=word,type=env,target=WORD\n"+
		"Volume=%h/show:/show:ro\nExec=sleep infinity\nHealthInterval=disable\nHealthRetries=1\nHealthCmd=echo x >>n; if test -e next; then . ./next; else . /show >check 2>&1; fi\n", "")
	l.MustRun(w.user, "printf secret | podunit secret create --replace word - >/dev/null; "+w.systemctl+" start stays")
	next := func(command string) {
		l.MustRun(w.user, "podunit exec stays sh -c "+quoted("echo "+quoted(command)+" >next"))
	}
	runs := 0
	check := func(want int, outcome string) []string {
		t.Helper()
		runs++
		stdout, stderr, code := l.Run(w.user, "podunit healthcheck run stays")
		log := l.MustRun(w.user, "podunit inspect stays | jq -r '.[0].State.Health.Log[-1] | \"\\(.ExitCode) \\(.Output)\"'")
		if code != want || strings.TrimSpace(log) != strings.TrimSpace(outcome) {
			t.Errorf("%s: check %d: %d, %s%s, %q; want %d, %q", runtime, runs, code, stdout, stderr, log, want, outcome)
		}
		if n := l.MustRun(w.user, "podunit exec stays grep -c . n"); n != fmt.Sprint(runs) {
			t.Errorf("%s: %d checks have begun %s times", runtime, runs, n)
		}
		return stays(l, "stays")
	}
	first := check(0, "0")
	if diff, _, code := l.Run(w.user, "podunit exec stays sh -c '. /show >exec 2>&1; grep -q WORD=secret exec && sed s,/podunit-check,/, check | diff exec -'"); code != 0 {
		t.Errorf("%s: the check differs from exec:\n%s", runtime, diff)
	}
	if again := check(0, "0"); len(first) != 1 || len(again) != 1 || first[0] != again[0] {
		t.Errorf("%s: after the first check %v is there, then %v", runtime, first, again)
	}
	if got := l.MustRun("root", "cat /proc/"+first[0]+"/comm; readlink /proc/"+first[0]+"/exe; ls /proc/"+first[0]+"/fd | wc -l"); got != "podunit-checker\n/memfd:podunit-checker (deleted)\n4" {
		t.Errorf("%s: what stays is %q", runtime, got)
	}
	l.MustRun("root", "kill -9 "+first[0])
	second := check(0, "0")
	if len(second) != 1 || second[0] == first[0] {
		t.Errorf("%s: after %v was killed, %v is there", runtime, first, second)
	}
	// Somebody who ends it under a check fails that check, which is not executed again.
	next("kill -9 $PPID; sleep 4713")
	if left := check(1, "1"); len(left) != 0 {
		t.Errorf("%s: %v is left of a check that was cut", runtime, left)
	}
	next("setsid sleep 4713 >/dev/null 2>&1 & exit 3")
	if left := check(1, "1"); len(left) != 0 {
		t.Errorf("%s: %v is left of a check", runtime, left)
	}
	l.Gone("root", "pgrep -fa '^sleep 4713'")
	next("seq 500000 >/dev/stdout; exec nosuch")
	third := check(1, "1 "+numbers[:500])
	if len(third) != 1 {
		t.Errorf("%s: %v", runtime, third)
	}
	l.MustRun(w.user, "podunit pause stays && podunit unpause stays")
	if pids := check(1, "1 "+numbers[:500]); len(pids) != 1 || pids[0] != third[0] {
		t.Errorf("%s: after a pause %v is there, before %v", runtime, pids, third)
	}
	for command, want := range map[string]string{
		`["CMD","nosuch"]`:  `1 command not found in the container: exec: "nosuch": executable file not found in $PATH`,
		`["CMD","/show/x"]`: `1 command not found in the container: exec: "/show/x"`,
		`["CMD","/tmp"]`:    `1 command cannot be executed in the container: exec: "/tmp"`,
	} {
		l.Run(w.user, "podunit update --health-cmd "+quoted(command)+" stays && podunit healthcheck run stays")
		if log := l.MustRun(w.user, "podunit inspect stays | jq -r '.[0].State.Health.Log[-1] | \"\\(.ExitCode) \\(.Output)\"'"); !strings.HasPrefix(log, want) {
			t.Errorf("%s: %s: %q", runtime, command, log)
		}
	}
	if pids := stays(l, "stays"); len(pids) != 1 || pids[0] != third[0] {
		t.Errorf("%s: after what could not be executed, %v is there, before %v", runtime, pids, third)
	}
	l.MustRun(w.user, w.systemctl+" restart stays; podunit healthcheck run stays || true")
	if pids := stays(l, "stays"); len(pids) != 1 || pids[0] == third[0] {
		t.Errorf("%s: after a restart %v is there, before %v", runtime, pids, third)
	}
	w.forget(t, l, "stays")
	l.Gone("root", "pgrep -xa podunit-checker")
}

// seeNoChecker has containers in which nothing may stay, or can.
func seeNoChecker(t *testing.T, l *labtest.Lab, w who) {
	// Whoever waits for questions gets an error, or is killed.
	l.MustRun(w.user, `jq '.syscalls |= map(.names -= ["accept4"])' /usr/share/containers/seccomp.json >refuses.json; jq '.syscalls += [{"names": ["accept4"], "action": "SCMP_ACT_KILL_PROCESS"}]' refuses.json >kills.json`)
	options := map[string]string{"tracer": "AddCapability=SYS_PTRACE", "refuses": "SeccompProfile=%h/refuses.json"}
	if w.user == "root" {
		options = map[string]string{"machine": "PodmanArgs=--pid=host", "kills": "SeccompProfile=%h/kills.json"}
	}
	for name, option := range options {
		w.unit(l, name, option+"\nExec=sleep infinity\nHealthCmd=echo x >>/tmp/n; echo said\nHealthInterval=disable\n", "")
		l.MustRun(w.user, w.systemctl+" start "+name+" && podunit healthcheck run "+name+" && podunit healthcheck run "+name)
		if got := l.MustRun(w.user, "podunit inspect -f '{{range .State.Health.Log}}{{.ExitCode}} {{.Output}}{{end}}' "+name+"; podunit exec "+name+" grep -c . /tmp/n"); got != "0 said\n0 said\n\n2" {
			t.Errorf("%s: %q", name, got)
		}
		if pids := stays(l, name); len(pids) > 0 {
			t.Errorf("%s: %v stays", name, pids)
		}
		w.forget(t, l, name)
	}
}

// seeNamespaces has a container with a user namespace of its own, which does not own all others.
func seeNamespaces(t *testing.T, l *labtest.Lab, w who) {
	userNS := "UserNS=keep-id\n"
	if w.user == "root" {
		userNS = "UIDMap=0:0:65536\nGIDMap=0:0:65536\n"
	}
	w.unit(l, "inside", userNS+"Network=\nNetwork=pasta\nExec=sleep infinity\nHealthInterval=1s\nHealthRetries=1\n"+
		"HealthCmd={ readlink /proc/self/ns/net; readlink /proc/self/ns/uts; readlink /proc/self/ns/user; } >/tmp/c && mv /tmp/c /tmp/check && "+
		"{ readlink /proc/1/ns/net; readlink /proc/1/ns/uts; readlink /proc/1/ns/user; } >/tmp/main && diff /tmp/main /tmp/check\n", "")
	l.MustRun(w.user, w.systemctl+" start inside")
	w.becomes(l, "inside", "healthy")
	if got := l.MustRun(w.user, "podunit exec inside readlink /proc/self/ns/net && podunit exec inside head -n 1 /tmp/check"); strings.Fields(got)[0] != strings.Fields(got)[1] {
		t.Errorf("exec and the check are in two networks: %s", got)
	}
	w.forget(t, l, "inside")
}

func seeStartup(t *testing.T, l *labtest.Lab, w who) {
	w.unit(l, "late", "Exec=sleep infinity\nHealthCmd=echo regular; false\nHealthInterval=1s\nHealthRetries=1\nHealthStartupCmd=test -e /up\nHealthStartupInterval=1s\n", "")
	l.MustRun(w.user, w.systemctl+" start late")
	if got := w.status(l, "late"); got != "starting" {
		t.Errorf("at first it is %s", got)
	}
	l.MustRun(w.user, "podunit exec late touch /up")
	// It passes, and then the other one runs at once and fails.
	w.becomes(l, "late", "unhealthy")
	got := l.Eventually(w.user, "lines=$("+w.journalctl+" -q -o cat -u late | grep -o 'container late is [a-z]*'); echo \"$lines\"; [ $(echo \"$lines\" | wc -l) -ge 2 ]", time.Minute)
	if want := "container late is healthy\ncontainer late is unhealthy"; got != want {
		t.Errorf("the journal has\n%s", got)
	}
	l.Eventually(w.user, w.systemctl+" list-units --no-legend 'podunit-health-*.timer' | wc -l | grep -x 1", time.Minute)
	w.forget(t, l, "late")

	w.unit(l, "never", "Exec=sleep infinity\nHealthCmd=true\nHealthStartupCmd=false\nHealthStartupInterval=1s\nHealthStartupRetries=2\n", "")
	l.MustRun(w.user, w.systemctl+" start never")
	before := l.MustRun(w.user, w.systemctl+" show -P InvocationID never")
	l.Eventually(w.user, "[ $("+w.systemctl+" show -P InvocationID never) != "+before+" ]", time.Minute)
	w.forget(t, l, "never")
}

func seeReadiness(t *testing.T, l *labtest.Lab, w who) {
	w.unit(l, "db", "Exec=sleep infinity\nNotify=healthy\nHealthCmd=test -e /ready || { echo the database is not ready; false; }\nHealthInterval=1s\n", "")
	// Five that need it, of one file.
	const needs = "[Unit]\nRequires=db.service\nAfter=db.service\n"
	w.unit(l, "app@", "ContainerName=app-%i\nExec=sleep infinity\n", needs+"[Service]\nExecStartPre=podunit exec db test -e /ready\n")
	names := strings.Fields("app@1 app@2 app@3 app@4 app@5")
	l.MustRun(w.user, w.systemctl+" start --no-block "+strings.Join(names, " "))
	l.Eventually(w.user, w.systemctl+" show -P StatusText db | grep -F 'not healthy yet; the last check failed: the database is not ready'", time.Minute)
	if got := l.MustRun(w.user, w.systemctl+" show -P ActiveState db"); got != "activating" {
		t.Errorf("db is %s", got)
	}
	l.MustRun(w.user, "podunit exec db touch /ready")
	l.Active(w.user, append(names, "db")...)
	// No runner is left, once those that have just told of their readiness have ended, and the
	// check goes on.
	l.Gone("root", "pgrep -fa '^[^ ]*podunit run'")
	if got := l.MustRun(w.user, "cat /proc/$("+w.systemctl+" show -P MainPID db)/comm"); got != "sleep" {
		t.Errorf("its main process is %s", got)
	}
	l.MustRun(w.user, "podunit exec db rm /ready")
	w.becomes(l, "db", "unhealthy")
	w.forget(t, l, append(names, "app@", "db")...)

	w.unit(l, "db", "Exec=sleep infinity\nNotify=healthy\nHealthCmd=echo no table; false\nHealthInterval=1s\n", "[Service]\nTimeoutStartSec=10\n")
	w.unit(l, "app@", "ContainerName=app-%i\nExec=sleep infinity\n", needs)
	if _, stderr, code := l.Run(w.user, w.systemctl+" start "+strings.Join(names, " ")); code == 0 || strings.Count(stderr, "A dependency job for app@") != len(names) {
		t.Errorf("they start without their database: %d, %s", code, stderr)
	}
	if got, _, _ := l.Run(w.user, w.systemctl+" status db"); !strings.Contains(got, "the last check failed: no table") {
		t.Errorf("the status does not say why:\n%s", got)
	}
	// Its sleep does not listen to SIGTERM; the runner stops it as it is to be stopped.
	if got := l.MustRun(w.user, w.journalctl+" -q -o cat -u db | grep -i 'stop-sigterm. timed out' || true"); got != "" {
		t.Errorf("the manager waits for the container: %s", got)
	}
	w.forget(t, l, append(names, "app@", "db")...)
}

func seeEnd(t *testing.T, l *labtest.Lab, w who) {
	w.unit(l, "short", "Exec=sh -c 'until test -e /twice; do sleep 0.2; done; exit 7'\nNotify=healthy\nHealthCmd=! test -e /once || touch /twice; touch /once; false\nHealthInterval=1s\n", "")
	if _, _, code := l.Run(w.user, w.systemctl+" start short"); code == 0 {
		t.Error("it has started")
	}
	if got := l.MustRun(w.user, w.systemctl+" show -P Result short; "+w.systemctl+" show -P ExecMainStatus short"); got != "exit-code\n7" {
		t.Errorf("it ended with %q", got)
	}
	if got := l.MustRun(w.user, w.systemctl+" show -P StatusText short"); got != "error: container short ended before it was healthy; the last check failed" {
		t.Errorf("its status is %q", got)
	}
	w.forget(t, l, "short")
}

func seeImage(t *testing.T, l *labtest.Lab, w who) {
	// Both kinds of media types: Docker's, and OCI's with a field that its specification lacks.
	l.MustRun(w.user, `set -e; d=$(mktemp -d); skopeo copy -q --src-tls-verify=false docker://`+labImage+` dir:$d
		c=$(jq -r .config.digest $d/manifest.json); c=${c#sha256:}
		jq -c '.config.Healthcheck={Test:["CMD-SHELL","echo from the image"],Interval:1000000000,Retries:2}' $d/$c >$d/new; rm $d/$c; n=$(sha256sum $d/new | cut -d' ' -f1); mv $d/new $d/$n
		jq -c --arg d sha256:$n --argjson s $(stat -c %s $d/$n) '.config.digest=$d | .config.size=$s' $d/manifest.json >$d/m; mv $d/m $d/manifest.json
		skopeo copy -q --dest-tls-verify=false dir:$d docker://localhost:5000/checked; rm -r $d; podunit pull -q localhost:5000/checked`)
	for name, more := range map[string]string{"image": "", "less": "HealthRetries=9\n"} {
		w.unit(l, name, "Image=localhost:5000/checked\nExec=sleep infinity\n"+more, "")
		l.MustRun(w.user, w.systemctl+" start "+name)
		w.becomes(l, name, "healthy")
	}
	if got := l.MustRun(w.user, "podunit inspect -f '{{.Config.Healthcheck.Retries}} {{.Config.Healthcheck.Interval}} {{(index .State.Health.Log 0).Output}}' image less"); got != "2 1s from the image\n\n9 1s from the image\n" {
		t.Errorf("%q", got)
	}
	if got := l.MustRun(w.user, "podunit run --rm -d --name none --no-healthcheck localhost:5000/checked sleep 100 >/dev/null; podunit inspect -f '{{.State.Health}}' none; podunit rm -f -t 0 none >/dev/null"); got != "<nil>" {
		t.Errorf("--no-healthcheck: %q", got)
	}
	w.forget(t, l, "image", "less")
}

func seeSilence(t *testing.T, l *labtest.Lab, w who) {
	w.unit(l, "quiet", "Exec=sleep infinity\nHealthCmd=echo said; echo x >>/tmp/n\nHealthInterval=100ms\n", "")
	l.MustRun(w.user, w.systemctl+" start quiet")
	w.becomes(l, "quiet", "healthy")
	l.Eventually(w.user, w.journalctl+" -q -o cat -u quiet | grep 'container quiet is healthy'", time.Minute)
	// Seen from outside: an exec would tell of its scope.
	n := "/proc/" + l.MustRun(w.user, w.systemctl+" show -P MainPID quiet") + "/root/tmp/n"
	before := l.MustRun("root", "wc -l <"+n)
	l.MustRun("root", "journalctl --sync")
	l.MustRun(w.user, w.journalctl+" -q -n 1 --show-cursor | sed -n 's/^-- cursor: //p' >~/cursor")
	l.Eventually("root", "[ $(wc -l <"+n+") -ge $(( "+before+" + 20 )) ]", 2*time.Minute)
	l.MustRun("root", "journalctl --sync")
	got := l.MustRun(w.user, w.journalctl+` -q -o json --after-cursor="$(cat ~/cursor)" | jq -r '"\(._COMM) \(.MESSAGE)"' | grep -i -E 'health|podunit|quiet' || true`)
	if got != "" {
		t.Errorf("20 checks have told\n%s", got)
	}
	// At most that of the check that runs, with the name of its directory and the lines below it.
	l.Eventually("root", "n=$(ls -R /sys/fs/cgroup 2>/dev/null | grep -c podunit-health); echo $n lines; [ $n -le 3 ]", time.Minute)
	w.forget(t, l, "quiet")
}
