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

// TestLabStrangers has neighbours, containers and full disks act against root's and alice's
// containers.
func TestLabStrangers(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{})
	for _, s := range []struct {
		name string
		play func(*testing.T, *labtest.Lab)
	}{
		{"bob takes every name that the command line of root's pasta shows", takenNames},
		{"bob takes the lock of root's networks", takenLock},
		{"a volume of a unit that does not run", volumeOfAUnit},
		{"a volume of a unit whose file its user may not read", volumeOfASealedUnit},
		{"services that restart beside prunes", pruneBesideRestarts},
		{"a container that has filled the disk", filledDisk},
		{"a disk that is full under pasta", fullForPasta},
		{"escape sequences", escapes},
		{"a layer that is lost", lostLayer},
		{"a status that is lost", lostStatus},
		{"an exec that is killed", killedExec},
		{"lists that are damaged", damagedLists},
		{"pipes in place of files", pipes},
		{"a system unit of a user without a login, and then with one", ofDave},
	} {
		t.Run(s.name, func(t *testing.T) { s.play(t, l.For(t)) })
	}
}

func takenNames(t *testing.T, l *labtest.Lab) {
	for user, runs := range map[string]string{"root": "65533", "alice": "1000"} { // as whom pasta does
		l.MustRun(user, "podunit run -d --name n "+image+" sleep 1000")
		if left := l.MustRun("root", "ls -A /tmp | grep podunit; true"); left != "" {
			t.Errorf("in /tmp: %s", left)
		}
		if uid := l.MustRun("root", "stat -c %u /proc/$(pgrep pasta)"); uid != runs {
			t.Errorf("pasta of %s runs as %s", user, uid)
		}
		l.MustRun("bob", `for path in $(cat /proc/$(pgrep pasta)/cmdline | tr '\0' '\n' | grep ^/); do mkdir -p $path && touch $path/file; done 2>/dev/null; `+
			map[string]string{"root": "ls /tmp/*/pasta.pid/file", "alice": "! ls /tmp/*/pasta.pid 2>/dev/null"}[user])
		l.MustRun(user, "podunit restart -t 0 n && podunit stop -t 0 n && podunit start n && podunit rm -f -t 0 n")
		l.Gone("root", "pgrep -a pasta")
		l.Gone(user, "podunit ps -aq")
		l.MustRun("bob", "rm -rf /tmp/* 2>/dev/null; true")
	}
}

// takenLock: Podman's lock for root's networks has a name in a directory of everybody's.
func takenLock(t *testing.T, l *labtest.Lab) {
	const lock = "/run/lock/netavark.lock"
	l.MustRun("root", "stat -c %a /run/lock | grep 1777")
	for _, put := range []string{"mkfifo -m 666 " + lock, "ln -s /etc/shadow " + lock, "mkdir " + lock + "; touch " + lock + "/file", "touch " + lock} {
		l.MustRun("root", "rm -f "+lock)
		l.MustRun("bob", put)
		l.MustRun("root", "timeout 60 podunit network create taken && podunit run --rm --network taken "+image+" true && podunit network rm taken")
	}
	// Who can open it can hold it.
	if _, _, code := l.Run("bob", "flock -n "+lock+" true"); code == 0 {
		t.Errorf("bob holds the lock")
	}
}

const quadlets = "/home/alice/.config/containers/systemd/"

func volumeOfAUnit(t *testing.T, l *labtest.Lab) {
	l.WriteFile("alice", quadlets+"keeps.container", "[Container]\nImage="+image+"\nVolume=keeps:/data\nExec=sh -c 'echo precious >/data/file; sleep 1000'\n")
	l.MustRun("alice", "systemctl --user daemon-reload; systemctl --user start keeps; podunit volume create loose >/dev/null")
	l.Eventually("alice", "podunit exec systemd-keeps cat /data/file", time.Minute)
	// What a removal that was killed has left goes, too.
	out := l.MustRun("alice", "v=~/.local/share/containers/storage/volumes; mkdir $v/.removing-gone; systemctl --user stop keeps; podunit volume prune -f 2>&1; podunit volume ls -q; ls -A $v | grep removing; true")
	if !strings.Contains(out, "although they had names: loose") || !strings.HasSuffix(out, "keeps") {
		t.Errorf("prune: %s", out)
	}
	if out, stderr, code := l.Run("alice", "podunit volume rm -a"); code != 2 || !strings.Contains(stderr, "volume keeps is named by keeps.service") {
		t.Errorf("rm -a: %d, %s%s", code, out, stderr)
	}
	if _, stderr, code := l.Run("alice", "podunit volume rm keeps"); code != 0 || !strings.Contains(stderr, "is named by keeps.service; there it begins empty") {
		t.Errorf("rm: %d, %s", code, stderr)
	}
	l.MustRun("alice", "rm "+quadlets+"keeps.container; systemctl --user daemon-reload")
}

// volumeOfASealedUnit: a file with a password in it is root's alone, and the unit alice's. Of such
// files the manager tells what they execute, also of one that it has not loaded.
func volumeOfASealedUnit(t *testing.T, l *labtest.Lab) {
	l.MustRun("root", `cd /etc/systemd/system; umask 077
		printf '[Service]\nUser=alice\nExecStart=/usr/bin/podunit run --rm -v sealed:/data `+image+` true\n' >hers.service
		printf '[Service]\nUser=alice\nExecStart=/usr/bin/podunit run --rm -v sealed-%%i:/data `+image+` true\n' >hers@.service
		printf '[Service]\nExecStart=/usr/bin/podunit run --rm -v roots:/data `+image+` true\n' >roots.service; systemctl daemon-reload`)
	out := l.MustRun("alice", "for v in sealed sealed-1 roots; do podunit volume create $v; done >/dev/null; podunit volume prune -f 2>&1; podunit volume ls -q")
	if !strings.HasSuffix(out, "although they had names: roots\nsealed\nsealed-1") {
		t.Errorf("prune: %s", out)
	}
	l.MustRun("root", "rm /etc/systemd/system/hers* /etc/systemd/system/roots.service; systemctl daemon-reload")
	l.MustRun("alice", "podunit volume rm sealed sealed-1")
}

// pruneBesideRestarts: in the moments in which a container of a unit does not exist, a prune
// takes none of its volumes. The transient one is that of a container started by hand.
func pruneBesideRestarts(t *testing.T, l *labtest.Lab) {
	l.WriteFile("alice", quadlets+"again.container", "[Container]\nImage="+image+"\nVolume=again:/data\nExec=sh -c 'touch /data/first; sleep 0.1'\n[Service]\nRestart=always\nRestartSec=0\n[Unit]\nStartLimitIntervalSec=0\n")
	l.MustRun("alice", "systemctl --user daemon-reload; systemctl --user start again")
	l.Eventually("alice", "ls ~/.local/share/containers/storage/volumes/again/_data/first", time.Minute)
	l.MustRun("alice", "touch ~/.local/share/containers/storage/volumes/again/_data/precious")
	out := l.MustRun("alice", "for i in $(seq 50); do podunit volume prune -f; done; ls ~/.local/share/containers/storage/volumes/again/_data")
	if !strings.HasSuffix(out, "first\nprecious") {
		t.Errorf("the volume went: %s", out)
	}
	l.MustRun("alice", "systemctl --user stop again; rm "+quadlets+"again.container; systemctl --user daemon-reload; podunit volume rm again")
}

func filledDisk(t *testing.T, l *labtest.Lab) {
	l.MustRun("root", small)
	out, stderr, code := l.Run("alice", "podunit run -d --name f "+image+" sh -c 'dd if=/dev/zero of=/fill bs=4k; dd if=/dev/zero of=/fill2 bs=1; sleep 1000' >/dev/null;"+
		"for i in $(seq 600); do podunit exec f ls /fill2 && break; sleep 0.1; done; df --output=avail /mnt | tail -1; podunit rm -f -t 0 f; s=$?; podunit ps -aq; exit $s")
	if code != 0 || !strings.HasSuffix(strings.TrimSpace(out), "f") {
		t.Errorf("status %d, %s%s", code, out, stderr)
	}
	l.MustRun("alice", works)
	l.MustRun("root", "umount /mnt; rm -f /home/alice/.config/containers/storage.conf")
}

// fullForPasta: no pasta of a start that fails lives on, whatever is full.
func fullForPasta(t *testing.T, l *labtest.Lab) {
	l.MustRun("root", works) // the image is there
	for _, full := range []string{"/tmp", "/run"} {
		l.MustRun("root", fmt.Sprintf("dd if=/dev/zero of=%s/fill bs=4k 2>/dev/null; true", full))
		out, stderr, _ := l.Run("root", "podunit run --rm -p 18099:80 "+image+" true")
		l.MustRun("root", fmt.Sprintf("rm %s/fill", full))
		t.Logf("with a full %s: %s%s", full, out, stderr)
		l.Gone("root", "pgrep -a pasta")
		l.MustRun("root", "podunit run --rm -p 18099:80 "+image+" true")
	}
}

func escapes(t *testing.T, l *labtest.Lab) {
	for user, systemctl := range map[string]string{"alice": "systemctl --user", "root": "systemctl"} {
		out := l.MustRun(user, `podunit run -d --rm --name esc --label "evil=$(printf 'a\033[2Jb\nforged row')" `+image+` sh -c "$(printf 'sleep 1000 #\033]0;x\007\nroot')" >/dev/null
		podunit ps; podunit ps --format 'table {{.Names}} {{.Labels}}'; podunit rm -f -t 0 esc >/dev/null`)
		if strings.ContainsAny(out, "\x1b\x07") || strings.Contains(out, "\nforged") {
			t.Errorf("%q", out)
		}
		// The status of a unit, which systemctl writes on terminals as it is, has the last words of a
		// check in it. The manager takes backslashes out of it.
		out = l.MustRun(user, `podunit run -d --name hl --network none --stop-signal KILL --sdnotify healthy --health-cmd "printf 'no\033[2J\033]0;x\007'; exit 1" --health-interval 1s --health-retries 1000 `+image+` sleep 1000 >/dev/null 2>&1 &
		for i in $(seq 600); do s=$(`+systemctl+` show -P StatusText hl); case $s in *'check failed'*) break ;; esac; sleep 0.1; done; echo "$s"; podunit rm -f -t 0 hl >/dev/null; wait`)
		if strings.ContainsAny(out, "\x1b\x07") || !strings.Contains(out, "the last check failed: no") {
			t.Errorf("the status of a unit: %q", out)
		}
	}
}

const storageOfBob = "/home/bob/.local/share/containers/storage"

func lostLayer(t *testing.T, l *labtest.Lab) {
	l.MustRun("bob", "podunit pull -q localhost:5000/nginx")
	l.MustRun("bob", `podunit unshare sh -c 'cd `+storageOfBob+`/overlay && for d in */diff; do [ -e $d/usr/sbin/nginx ] && rm -rf $d; done; true'`)
	out := l.MustRun("bob", "podunit run --rm localhost:5000/nginx nginx -v 2>&1")
	if !strings.Contains(out, "is damaged") || !strings.Contains(out, "; pulling it anew") || !strings.Contains(out, "nginx version") {
		t.Errorf("%s", out)
	}
}

// lostStatus: what runs is shown, and is stopped and removed as ever.
func lostStatus(t *testing.T, l *labtest.Lab) {
	for user, rest := range map[string]struct{ run, systemctl string }{"bob": {"$XDG_RUNTIME_DIR", "systemctl --user"}, "root": {"/run", "systemctl"}} {
		// The service is up a moment before the command begins, and until then the container is
		// one that never ran.
		out := l.MustRun(user, "podunit run -d --name lost -p 18098:80 "+image+" sh -c 'echo begun; exec sleep 1000' >/dev/null; until podunit logs lost | grep -q begun; do sleep 0.1; done; rm "+rest.run+"/podunit/containers/*/status.json; podunit ps --format '{{.Names}} {{.State}}'; podunit exec lost echo in it")
		if out != "lost running\nin it" {
			t.Errorf("%s: %s", user, out)
		}
		l.MustRun(user, "podunit stop -t 0 lost && podunit start lost && rm "+rest.run+"/podunit/containers/*/status.json && podunit rm -f -t 0 lost")
		l.Gone("root", "pgrep -a pasta")
		l.Gone(user, "podunit ps -aq; "+rest.systemctl+" is-active lost | grep -x active")
	}
}

// killedExec: neither its scope stays, nor a file, nor does it hold up the container's end.
func killedExec(t *testing.T, l *labtest.Lab) {
	for user, rest := range map[string]struct{ run, systemctl string }{"bob": {"$XDG_RUNTIME_DIR", "systemctl --user"}, "root": {"/run", "systemctl"}} {
		l.MustRun(user, "podunit run -d --name ke --network none "+image+" sleep 1000 >/dev/null; podunit exec ke sleep 2001 & until pgrep -x -f 'sleep 2001'; do sleep 0.1; done; kill -9 $!; wait; podunit exec ke true; ls "+rest.run+"/podunit/containers/*/exec-* 2>/dev/null && exit 1; podunit rm -f -t 0 ke")
		l.Gone(user, rest.systemctl+" list-units --all --plain --no-legend 'podunit-*.scope'; pgrep -x -f 'sleep 2001'; ls "+rest.run+"/podunit/containers")
	}
}

// damagedLists: an empty list of images is told, with a way out that works.
func damagedLists(t *testing.T, l *labtest.Lab) {
	l.MustRun("bob", "podunit pull -q "+image+"; podunit volume create kept >/dev/null")
	list := storageOfBob + "/overlay-images/images.json"
	l.MustRun("bob", ": >"+list)
	_, stderr, code := l.Run("bob", "podunit images")
	hint := "podunit unshare mv " + list + " " + list + ".damaged"
	if code == 0 || !strings.Contains(stderr, "the list is damaged") || !strings.Contains(stderr, hint) {
		t.Errorf("%d, %s", code, stderr)
	}
	l.MustRun("bob", hint+" && podunit run --rm "+image+" true")
	l.MustRun("bob", "head -c 20 "+storageOfBob+"/overlay-layers/layers.json >~/x && cp ~/x "+storageOfBob+"/overlay-layers/layers.json")
	_, stderr, code = l.Run("bob", "podunit rmi -a -f")
	hint = "podunit unshare sh -c 'rm -rf " + storageOfBob + "/overlay*'"
	if code == 0 || !strings.Contains(stderr, hint) {
		t.Errorf("%d, %s", code, stderr)
	}
	if out := l.MustRun("bob", hint+" && podunit run --rm "+image+" true && podunit volume ls -q"); !strings.Contains(out, "kept") {
		t.Errorf("the volume went: %s", out)
	}
}

// pipes: where a file is expected lies a pipe that nobody writes. It is refused, or SIGTERM ends
// the verb.
func pipes(t *testing.T, l *labtest.Lab) {
	out := l.MustRun("bob", `mkdir pipes; cd pipes; mkfifo p; podunit pull -q `+image+` >/dev/null; podunit volume create piped >/dev/null
		t() { timeout -k 60 2 podunit "$@" >/dev/null 2>&1 </dev/null; s=$?; [ $s = 124 ] || [ $s = 125 ] || echo "[$s] $*"; }
		t rm --cidfile p & t pod rm --pod-id-file p & t run --rm --security-opt seccomp=$PWD/p `+image+` true & t run --rm --hosts-file $PWD/p `+image+` true &
		t kube play p & t kube down p & t secret create piped p & t volume import piped p & t load -i p & t import p & t login --authfile p -u a -p b localhost:5000 &
		t push --sign-by-sigstore-private-key p `+image+` & t artifact add localhost:5000/piped:1 p & t manifest add --authfile p list docker://`+image+` &
		wait; podunit create --name piped `+image+` true >/dev/null; podunit unshare dd if=/dev/zero of=$(podunit volume inspect -f '{{.Mountpoint}}' piped)/big bs=1M count=1 2>/dev/null
		t export -o p piped & t save -o p `+image+` & t save --format oci-archive -o p `+image+` & t volume export -o p piped & wait
		podunit export piped | { head -c 1 >begun; sleep 60; } & until [ -s begun ]; do sleep 0.1; done; pkill -TERM -x -f 'podunit export piped' || echo "no export to end"
		for i in $(seq 300); do pgrep -x -f 'podunit export piped' >/dev/null || break; sleep 0.1; done; pkill -KILL -x -f 'podunit export piped' && echo "deaf: export without a reader"; pkill -x -f 'sleep 60'; wait
		rm begun; podunit volume ls --format '{{printf "%150000s" .Name}}' | { head -c 1 >begun; sleep 60; } & until [ -s begun ]; do sleep 0.1; done; pkill -TERM -x -f 'podunit volume ls --format .*' || echo "no list to end"
		for i in $(seq 300); do pgrep -x -f 'podunit volume ls --format .*' >/dev/null || break; sleep 0.1; done; pkill -KILL -x -f 'podunit volume ls --format .*' && echo "deaf: a list without a reader"; pkill -x -f 'sleep 60'; wait
		podunit rm piped >/dev/null; podunit volume rm piped >/dev/null; podunit ps -aq
		c=~/.config/containers; mkdir -p $c; for f in containers.conf storage.conf registries.conf policy.json auth.json; do
			mkfifo $c/$f; for v in ps info doctor 'rmi nosuch' 'logout localhost:5000'; do timeout -k 60 2 podunit $v >/dev/null 2>&1 || [ $? != 137 ] || echo "deaf: $f, $v" & done; wait; rm $c/$f
		done`)
	if out != "" {
		t.Errorf("%s", out)
	}
}

// ofDave: dave has containers in units of the system, and no manager: the first half without a
// login, the second with one.
func ofDave(t *testing.T, ll *labtest.Lab) {
	l := &Lab{Lab: ll, t: t, user: "alice"}
	const unit = "/etc/containers/systemd/his.container"
	head := "[Unit]\nStartLimitIntervalSec=0\n[Container]\nImage=" + image + "\nContainerName=his\nStopSignal=USR1\n"
	tail := "[Service]\nUser=dave\nRestart=on-failure\nRestartSec=0\n"
	start := func(keys string) {
		t.Helper()
		l.WriteFile("root", unit, head+keys+tail)
		l.MustRun("root", "systemctl daemon-reload; timeout 100 systemctl restart his")
	}
	const login = "XDG_RUNTIME_DIR=/run/user/1003 "
	l.MustRun("root", "loginctl disable-linger dave; ! test -e /run/user/1003")
	for _, as := range []string{"", login} {
		if as != "" {
			l.MustRun("root", "loginctl enable-linger dave")
			l.Eventually("root", "test -d /run/user/1003", time.Minute)
		}
		his := func(command string) string { return "runuser -l dave -c '" + as + command + "'" }
		start("StopTimeout=61\nPublishPort=8640:80\nVolume=/data\nHealthCmd=true\nHealthInterval=1s\n" +
			`Exec=sh -c 'trap "echo heard it; exit 0" USR1; echo kept >/data/file; i=0; while :; do i=$$((i+1)); echo tick $$i; sleep 0.2; done'` + "\n")
		main := l.MustRun("root", "systemctl show -P MainPID his")
		l.Eventually("root", his("podunit exec his grep kept /data/file"), time.Minute)
		// The container is his, whoever has which runtime directory, and no removal takes what it
		// has.
		got := l.MustRun("root", his("podunit ps --format {{.Names}}={{.State}}; podunit rm his; podunit volume prune -f; podunit exec his cat /data/file")+" 2>&1")
		if !strings.Contains(got, "his=running") || !strings.Contains(got, "cannot remove container") || !strings.HasSuffix(got, "kept") {
			t.Errorf("%s", got)
		}
		// A health check sees that nobody copies its lines any more.
		l.killBeside("root", "systemctl", "his", "podunit-[lg]")
		l.helperOf("root", "systemctl", "his", "podunit-log")
		l.moreTicks("root", "journalctl", "his")
		if now := l.MustRun("root", "systemctl show -P MainPID his"); now != main {
			t.Errorf("the container was %s, is %s", main, now)
		}
		if as == login { // the rest does not depend on it
			l.MustRun("root", "systemctl stop his; rm "+unit+"; systemctl daemon-reload; loginctl disable-linger dave")
			break
		}
		l.MustRun("root", "kill -9 "+l.helperOf("root", "systemctl", "his", "pasta"))
		l.Eventually("root", "[ $(systemctl show -P NRestarts his) -gt 0 ] && systemctl is-active his", time.Minute)
		l.helperOf("root", "systemctl", "his", "pasta")
		l.moreTicks("root", "journalctl", "his")
		// The unit's own limit follows StopTimeout=, and the container hears its signal.
		if got := l.MustRun("root", "systemctl show -P TimeoutStopUSec his; systemctl stop his"); got != "1min 31s" {
			t.Errorf("%q", got)
		}
		// Who copies it ends with it: the journal may not find out any more of which unit it was.
		l.Eventually("root", "journalctl -q -o cat CONTAINER_NAME=his | grep 'heard it'", time.Minute)
		// What the container says is its own affair only. From a user the manager takes no process of
		// others for the main one anyway; but it would believe an error.
		l.WriteFile("root", "/home/dave/say", say("MAINPID=1\nERRNO=7\nSTATUS=a")+"\n"+say("READY=1")+"\nsystemd-notify --status=done\nmkdir -p /sys/fs/cgroup/a/b && echo 0 >/sys/fs/cgroup/a/b/cgroup.procs && echo below\nexec sleep infinity\n")
		start("StopTimeout=1\nNetwork=none\nNotify=true\nPodmanArgs=--privileged\nVolume=/usr:/usr:ro\nVolume=/usr/lib:/lib:ro\nVolume=/usr/lib64:/lib64:ro\nVolume=/home/dave/say:/say:ro\nExec=sh /say\n")
		l.Eventually("root", "systemctl show -P StatusText his | grep -x done && journalctl -q -o cat -u his | grep below", time.Minute)
		if got := strings.Fields(l.MustRun("root", "systemctl show -P MainPID -P StatusErrno his")); len(got) != 2 || got[0] == "1" || got[0] == "0" || got[1] != "0" {
			t.Errorf("the main process and the error are %q", got)
		}
		// It has cgroups of its own, and goes with them.
		l.MustRun("root", "systemctl stop his; "+his("test -z \"$(podunit ps -aq)\""))
		// A pipe in place of a file keeps nobody waiting.
		l.WriteFile("root", unit, head+"EnvironmentFile=/home/dave/env\n"+tail)
		got = l.MustRun("root", "rm -f /home/dave/env; mkfifo -m 666 /home/dave/env; systemctl daemon-reload; timeout 100 systemctl start his; echo $?; systemctl stop his; systemctl reset-failed his || true")
		if got != "1" {
			t.Errorf("%q", got)
		}
		l.Eventually("root", "journalctl -q -o cat -t his | grep 'not a regular file but a pipe'", time.Minute)
		l.MustRun("root", "rm "+unit+" /home/dave/env /home/dave/say; systemctl daemon-reload")
	}
	l.Gone("root", "pgrep -u dave -a 'podunit|pasta'")
}
