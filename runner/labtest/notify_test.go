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

// speaker is a container that speaks to the service manager with the machine's own programs.
// It finds them below /usr, whatever the image is.
const speaker = "[Unit]\nStartLimitIntervalSec=0\n[Container]\nImage=" + image + "\nNetwork=none\nNotify=true\nStopSignal=KILL\n" +
	"Volume=/usr:/usr:ro\nVolume=/usr/lib:/lib:ro\nVolume=/usr/lib64:/lib64:ro\n"

// say is a command that sends a message and has ended when it has.
func say(message string) string {
	return fmt.Sprintf(`perl -MSocket -e 'socket(S, AF_UNIX, SOCK_DGRAM, 0); defined send(S, "%s", 0, sockaddr_un($ENV{NOTIFY_SOCKET})) or die $!'`,
		strings.ReplaceAll(message, "\n", `\n`))
}

// TestLabNotify has containers speak to the service manager.
func TestLabNotify(t *testing.T) {
	l := boot(t, labtest.Options{})
	for user, s := range map[string]struct{ systemctl, dir string }{
		"alice": {"systemctl --user", ".config/containers/systemd/"},
		"root":  {"systemctl", "/etc/containers/systemd/"},
	} {
		l.MustRun(user, "podunit pull -q "+image)
		t.Run(user+"/a sender that ends at once", func(t *testing.T) {
			l := l.on(t)
			l.WriteFile(user, s.dir+"speaker.container", speaker+"Exec=sh /say\nVolume=%h/say:/say:ro\n[Service]\nTimeoutStartSec=60\n")
			l.WriteFile(user, "say", say("READY=1")+"\nexec sleep infinity\n")
			l.MustRun(user, s.systemctl+" daemon-reload")
			for i := range 30 {
				if _, stderr, code := l.Run(user, s.systemctl+" restart speaker"); code != 0 {
					t.Fatalf("start %d: %s%s", i+1, stderr, l.MustRun(user, s.systemctl+" status speaker; true"))
				}
			}
		})
		t.Run(user+"/a sender in namespaces of its own", func(t *testing.T) {
			l := l.on(t)
			l.WriteFile(user, s.dir+"speaker.container", speaker+"PodmanArgs=--security-opt seccomp=unconfined --security-opt unmask=all\nExec=sh /say\nVolume=%h/say:/say:ro\n[Service]\nTimeoutStartSec=60\n")
			l.WriteFile(user, "say", "export NOTIFY_SOCKET\nunshare -U -r -p -f "+say("READY=1\nSTATUS=from far below")+" || exit 1\nexec sleep infinity\n")
			l.MustRun(user, s.systemctl+" daemon-reload")
			for range 5 {
				l.MustRun(user, s.systemctl+" restart speaker || { "+s.systemctl+" status speaker; exit 1; }")
			}
			if got := l.MustRun(user, s.systemctl+" show -P StatusText speaker"); got != "from far below" {
				t.Errorf("status %q", got)
			}
		})
		t.Run(user+"/what is not its own affair", func(t *testing.T) {
			l := l.on(t)
			victim := l.MustRun(user, "systemd-run --quiet "+strings.TrimPrefix(s.systemctl, "systemctl")+" --unit victim sleep infinity; "+s.systemctl+" show -P MainPID victim")
			l.WriteFile(user, s.dir+"speaker.container", speaker+"Exec=sh /say\nVolume=%h/say:/say:ro\n[Service]\nTimeoutStartSec=60\nFileDescriptorStoreMax=5\n")
			l.WriteFile(user, "say", say("MAINPID="+victim+"\nSTATUS=a\x01b")+"\n"+say("WATCHDOG=trigger")+"\n"+say("READY=1")+"\n"+say("FDSTORE=1")+"\nsystemd-notify --status=done\nexec sleep infinity\n")
			l.MustRun(user, s.systemctl+" daemon-reload; "+s.systemctl+" restart speaker")
			l.Eventually(user, s.systemctl+" show -P StatusText speaker | grep -x done", time.Minute)
			got := l.MustRun(user, s.systemctl+" show -P MainPID -P NFileDescriptorStore -P ActiveState speaker; cat /proc/$("+s.systemctl+" show -P MainPID speaker)/comm")
			if f := strings.Fields(got); len(f) != 4 || f[0] == victim || f[1] != "0" || f[2] != "active" && f[1] != "active" || f[3] == "" {
				t.Errorf("of the speaker: %q (another unit's process is %s)", f, victim)
			}
			l.MustRun(user, s.systemctl+" stop speaker; "+s.systemctl+" is-active victim; "+s.systemctl+" stop victim")
		})
		t.Run(user+"/its time and its state", func(t *testing.T) {
			l := l.on(t)
			// Six times an hour is asked for, of which the manager hears the unit's own 20 seconds.
			hour := say("EXTEND_TIMEOUT_USEC=3600000000")
			const until = "\nuntil [ -e /told/%s ]; do sleep 0.1; done\n"
			l.WriteFile(user, s.dir+"speaker.container", speaker+"Exec=sh /say\nVolume=%h/say:/say:ro\nVolume=%h/told:/told\n[Service]\nTimeoutStartSec=20\nTimeoutStopSec=30\n")
			l.WriteFile(user, "say", "for i in 1 2 3 4 5 6; do "+hour+"; sleep 4; done\n"+say("READY=1")+
				fmt.Sprintf(until, "reload")+say("RELOADING=1")+fmt.Sprintf(until, "reloaded")+say("READY=1")+
				fmt.Sprintf(until, "end")+say("STOPPING=1")+fmt.Sprintf(until, "ended"))
			state := func(want string) {
				l.Eventually(user, s.systemctl+" show -P ActiveState speaker | grep -x "+want, time.Minute)
			}
			l.MustRun(user, "rm -rf told; mkdir told; "+s.systemctl+" daemon-reload; "+s.systemctl+" restart speaker || { "+s.systemctl+" status speaker; exit 1; }")
			l.MustRun(user, ">told/reload")
			state("reloading")
			l.MustRun(user, ">told/reloaded")
			state("active")
			l.MustRun(user, ">told/end")
			state("deactivating")
			l.MustRun(user, ">told/ended")
			state("inactive")
			if got := l.MustRun(user, s.systemctl+" show -P Result speaker"); got != "success" {
				t.Errorf("result %q", got)
			}
			l.WriteFile(user, "say", "trap exit TERM\n"+hour+"\nsleep infinity & wait\n")
			if _, _, code := l.Run(user, "timeout 90 "+s.systemctl+" restart speaker"); code != 1 {
				t.Errorf("a start that asks for an hour: status %d", code)
			}
			l.MustRun(user, s.systemctl+" show -P Result speaker | grep -x timeout")
			// It asks in each way that the manager would heed, for longer than it may run.
			l.WriteFile(user, s.dir+"speaker.container", speaker+"Exec=sh /say\nVolume=%h/say:/say:ro\n[Service]\nTimeoutStartSec=60\nRuntimeMaxSec=10\n")
			l.WriteFile(user, "say", say("READY=1")+"\nwhile :; do "+hour+"; "+say("RELOADING=1\nEXTEND_TIMEOUT_USEC=3600000000\nREADY=1")+"; sleep 1; done\n")
			l.MustRun(user, s.systemctl+" daemon-reload; "+s.systemctl+" restart speaker")
			l.Eventually(user, s.systemctl+" show -P Result speaker | grep -x timeout", time.Minute)
			state("failed")
			l.MustRun(user, s.systemctl+" reset-failed speaker")
		})
		t.Run(user+"/a manager's own tool and its watchdog", func(t *testing.T) {
			l := l.on(t)
			l.WriteFile(user, s.dir+"speaker.container", speaker+"Exec=sh /say\nVolume=%h/say:/say:ro\nLogDriver=none\n[Service]\nTimeoutStartSec=60\nWatchdogSec=5\nWatchdogSignal=KILL\nRestart=on-watchdog\nRestartSec=0\n")
			l.WriteFile(user, "say", "systemd-notify --ready --status=up || exit 1\nfor i in 1 2 3 4 5 6 7 8; do sleep 1; systemd-notify WATCHDOG=1; done\nsystemd-notify --status=tired\nexec sleep infinity\n")
			l.MustRun(user, s.systemctl+" daemon-reload; "+s.systemctl+" restart speaker")
			// It has lived longer than it would have without. One that had no processor for five
			// seconds begins again.
			l.Eventually(user, s.systemctl+" show -P StatusText speaker | grep -x tired", time.Minute)
			before := l.MustRun(user, s.systemctl+" show -P NRestarts speaker")
			l.Eventually(user, "[ $("+s.systemctl+" show -P NRestarts speaker) -gt "+before+" ]", time.Minute)
			l.MustRun(user, s.systemctl+" stop speaker")
			l.Eventually(user, "journalctl "+strings.TrimPrefix(s.systemctl, "systemctl")+" -u speaker -o cat | grep -i 'watchdog timeout'", time.Minute)
		})
		t.Run(user+"/healthy, and nothing to do beside it", func(t *testing.T) {
			l := l.on(t)
			l.WriteFile(user, s.dir+"quiet.container", "[Container]\nImage="+image+"\nNetwork=none\nNotify=healthy\nHealthCmd=true\nLogDriver=none\nStopSignal=KILL\nExec=sleep infinity\n")
			l.MustRun(user, s.systemctl+" daemon-reload; "+s.systemctl+" start quiet")
			beside := "for p in $(find /sys/fs/cgroup$(" + s.systemctl + " show -P ControlGroup quiet) -name cgroup.procs -exec cat {} +); do cat /proc/$p/comm; done | grep -v podunit-checker" // that is the check's, in the container
			l.Eventually(user, "[ \"$("+beside+")\" = sleep ]", time.Minute)
			// Who looks at all containers starts nothing that would be missing beside it.
			l.MustRun(user, "podunit ps; podunit healthcheck run systemd-quiet")
			if got := l.MustRun(user, s.systemctl+" is-active quiet; "+beside); got != "active\nsleep" {
				t.Errorf("%q", got)
			}
			l.MustRun(user, s.systemctl+" stop quiet")
		})
	}
}

// TestLabNotifyByHand starts a container that says when it is ready where nobody waits for it.
func TestLabNotifyByHand(t *testing.T) {
	l := boot(t, labtest.Options{})
	l.MustRun("alice", "podunit pull -q "+image)
	l.MustRun("alice", "timeout -k 1 90 podunit run -d --name n --network none --stop-signal KILL --sdnotify=container "+image+" sh -c 'test -z \"$NOTIFY_SOCKET\" || exit 3; echo alone; exec sleep infinity'")
	l.Eventually("alice", "podunit logs n | grep -x alone", time.Minute)
	l.MustRun("alice", "podunit ps --format '{{.Names}} {{.Status}}' | grep '^n Up'; podunit stop -t 0 n; podunit rm -f -t 0 n")
}
