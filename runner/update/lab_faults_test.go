// SPDX-License-Identifier: Apache-2.0

//go:build lab

package update

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/machine"
)

// proxy puts a registry with faults at port 5001, and says where its log is.
func (l lab) proxy(flags string) {
	l.MustRun("root", "systemctl stop faults 2>/dev/null; systemd-run --quiet --collect --unit faults podunit-lab throttle --delay 1ms "+flags)
	l.Eventually("root", "curl -fsS localhost:5001/v2/_catalog", time.Minute)
}

// declare writes a .container file and starts its unit.
func (l lab) declare(name, image, more string) {
	l.WriteFile("alice", dir+name+".container", "[Container]\nContainerName="+name+"\nImage="+image+"\nNetwork=none\nAutoUpdate=registry\n"+more)
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start "+name)
}

const always = "[Service]\nRestart=always\nRestartSec=1\n[Install]\nWantedBy=default.target\n"

// Each way in which a registry can fail fails its own unit alone, which goes on with what it has;
// when the registry is well again, the next run takes the new image.
func TestLabFaultyRegistry(t *testing.T) {
	l := boot(t)
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow=8s\n")
	faults := []string{"429", "500", "401", "hang", "slow", "digest", "lie", "break", "refused"}
	l.proxy("")
	var flags, all, want string
	for _, f := range append(slices.Clone(faults), "fine") {
		l.push("r"+f+":1", "1", sleeps)
		l.declare("u"+f, "localhost:5001/r"+f+":1", always)
		l.push("r"+f+":1", "2", sleeps)
		all += " u" + f
	}
	for _, f := range faults {
		flags += " --fault r" + f + "=" + f
	}
	l.proxy(flags)
	pids := make(map[string]string)
	for _, f := range faults {
		pids[f] = l.pid("u" + f)
	}
	begun := time.Now()
	stdout, stderr, code := l.Command(machine.Command{User: "alice", Timeout: 5 * time.Minute, Args: []string{"podunit auto-update --wait --format '{{.ContainerName}} {{.Updated}} {{.Error}}' | sort"}})
	t.Logf("after %s, status %d:\n%s%s", time.Since(begun).Round(time.Second), code, stdout, stderr)
	for _, f := range faults {
		outcome, version := "failed", "1"
		if f == "lie" || f == "slow" { // the manifest has the right one, and who waits gets an answer
			outcome, version = "true", "2"
		}
		if !strings.Contains(stdout, "u"+f+" "+outcome) {
			t.Errorf("%s is not %s", f, outcome)
		}
		if now := l.pid("u" + f); (now == pids[f]) != (version == "1") || l.version("u"+f) != version {
			t.Errorf("%s: process %s, then %s; version %s", f, pids[f], now, l.version("u"+f))
		}
		want += "u" + f + " 2\n"
	}
	if !strings.Contains(stdout, "ufine true") || l.version("ufine") != "2" {
		t.Error("the unit of a good registry is not updated")
	}
	l.Active("alice", strings.Fields(all)...)
	l.Eventually("alice", "n=$(journalctl --user -o cat -p err PODUNIT_UPDATE_RESULT=failed | wc -l); echo $n errors in the journal; [ $n = 7 ]", time.Minute)
	l.proxy("")
	l.Run("alice", "podunit auto-update --wait")
	for _, f := range faults {
		if v := l.version("u" + f); v != "2" {
			t.Errorf("%s: the next run left version %s", f, v)
		}
	}
}

// What a new image can do: the old version serves again within its window and 10 s.
func TestLabBadImages(t *testing.T) {
	l := boot(t)
	const window = 25
	ready := `L=/host/lib/x86_64-linux-gnu; $L/ld-linux-x86-64.so.2 --library-path $L:$L/systemd /host/bin/systemd-notify --ready; `
	l.WriteFile("alice", ".config/podunit/podunit.conf", fmt.Sprintf("[AutoUpdate]\nHealthWindow=%ds\n", window))
	bad := map[string]string{"crash": "exit 3", "later": "sleep 15; exit 3", "hang": sleeps, "fine": ready + sleeps, "ends": "sleep 5", "stop": ready + sleeps}
	for name := range bad {
		l.push("b"+name+":1", "1", ready+sleeps)
		more := ""
		if name == "hang" || name == "fine" { // their readiness is their own
			more = "Notify=true\nVolume=/usr:/host:ro\n"
		}
		restart := always
		if name == "ends" || name == "stop" { // systemd does not care how they end
			restart = "[Service]\nRestart=no\n"
		}
		l.declare("b"+name, "localhost:5000/b"+name+":1", more+restart)
	}
	// Taken down with one that it needs, which will not get ready.
	l.WriteFile("alice", dir+"front.container", "[Unit]\nRequires=bhang.service\nAfter=bhang.service\n[Container]\nContainerName=front\nImage=localhost:5000/bfine:1\nNetwork=none\nNotify=true\nVolume=/usr:/host:ro\n"+always)
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start front")
	// Given up after too many failed starts.
	l.push("limit:1", "1", "exit 4")
	l.WriteFile("alice", dir+"limit.container", "[Unit]\nStartLimitBurst=2\nStartLimitIntervalSec=300\n[Container]\nContainerName=limit\nImage=localhost:5000/limit:1\nNetwork=none\nAutoUpdate=registry\n[Service]\nRestart=on-failure\nRestartSec=0\n")
	l.MustRun("alice", "systemctl --user daemon-reload; systemctl --user start limit; true")
	l.Eventually("alice", "systemctl --user is-failed limit", time.Minute)
	// Stopped by somebody, with a process that only SIGKILL ends.
	l.push("deaf:1", "1", "trap '' TERM; "+sleeps[len("trap exit TERM; "):])
	l.declare("deaf", "localhost:5000/deaf:1", "StopTimeout=1\n"+always)
	l.MustRun("alice", "systemctl --user stop deaf")
	t.Logf("deaf is %s", l.MustRun("alice", "systemctl --user show -P ActiveState -P Result deaf"))
	for name, script := range bad {
		l.push("b"+name+":1", "2", script)
	}
	l.push("limit:1", "2", sleeps)
	l.push("deaf:1", "2", sleeps)
	// Stopped by somebody in its window.
	l.MustRun("alice", `(until podunit inspect -f '{{index .Config.Labels "version"}}' bstop | grep -qx 2 && systemctl --user is-active -q bstop; do sleep 0.2; done; systemctl --user stop bstop) >/dev/null 2>&1 &`)
	begun := time.Now()
	got, code := l.updates("--wait --exit-code")
	took := time.Since(begun)
	_, busy := l.Busy()
	if want := "bcrash.service rolled back\nbends.service rolled back\nbfine.service true\nbhang.service rolled back\nblater.service rolled back\nbstop.service true\ndeaf.service pending\nlimit.service true"; got != want || code != 0 {
		t.Errorf("%s\n%d; want %s", got, code, want)
	}
	if took > (window+window+10)*time.Second && !busy { // at the most; most of it goes on side by side
		t.Errorf("it took %s", took)
	}
	// None waits for another: the one that crashes at once is back before the window of those
	// others is over.
	history := l.MustRun("alice", "podunit auto-update --history --format '{{.Unit}} {{.Result}}'")
	t.Logf("after %s:\n%s", took.Round(time.Second), history)
	before := func(a, b string) bool { return strings.Index(history, a) < strings.Index(history, b) }
	// Nothing is told of bstop if it is stopped before its restart was seen.
	if !before("bcrash", "blater") || !before("bcrash", "bhang") || !before("bcrash", "bfine") || strings.Count(strings.ReplaceAll(history, "bstop.service true", ""), ".service ") != 6 {
		t.Errorf("the history:\n%s", history)
	}
	for name, want := range map[string]string{"bcrash": "1", "bends": "1", "blater": "1", "bhang": "1", "bfine": "2", "limit": "2"} {
		if v := l.version(name); v != want {
			t.Errorf("%s runs version %s", name, v)
		}
	}
	l.Active("alice", "bcrash", "bends", "blater", "bhang", "bfine", "limit", "front")
	l.MustRun("alice", "! systemctl --user is-active deaf bstop")
	if got, _ := l.updates("--wait"); strings.Contains(got, "true") || strings.Contains(got, "rolled") {
		t.Errorf("what failed is tried again: %s", got)
	}
	for name := range bad {
		l.push("b"+name+":1", "3", ready+sleeps)
	}
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow=10s\n") // they are good
	if got, _ := l.updates("--wait"); strings.Count(got, "true") != 5 {                      // and one that is stopped
		t.Errorf("the next images: %s", got)
	}
}

// Whoever pulls, restarts and reloads while an update goes on, and a second update, do no harm.
func TestLabTogether(t *testing.T) {
	l := boot(t)
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow=6s\n")
	for _, name := range []string{"one", "two"} {
		l.push(name+":1", "1", sleeps)
		l.declare(name, "localhost:5000/"+name+":1", always)
	}
	for _, meanwhile := range []string{
		// Which of two comes first is not said; one of them goes on, and the other says so.
		"podunit auto-update --wait >second 2>&1; wait; cat first second | grep -c 'another auto-update goes on' | grep -qx 1",
		"for i in 1 2 3 4 5; do systemctl --user restart one two; sleep 0.2; done",
		"for i in $(seq 20); do systemctl --user daemon-reload; sleep 0.1; done",
		"podunit pull -q localhost:5000/one:1; podunit pull -q localhost:5000/two:1",
		"for i in 1 2 3; do systemctl --user kill -s KILL one; sleep 1; done",
	} {
		t.Run(strings.Fields(meanwhile)[0]+" "+strings.Fields(meanwhile)[1], func(t *testing.T) {
			l := lab{l.For(t)}
			l.push("one:1", meanwhile[:20], sleeps)
			l.push("two:1", meanwhile[:20], sleeps)
			_, stderr, code := l.Run("alice", "podunit auto-update --wait >first 2>&1 & sleep 0.3; "+meanwhile+"; code=$?; wait; exit $code")
			t.Logf("%s%s", stderr, l.MustRun("alice", "cat first"))
			if code != 0 {
				t.Errorf("status %d", code)
			}
			l.Active("alice", "one", "two")
			for _, name := range []string{"one", "two"} {
				if v := l.version(name); v != meanwhile[:20] && !strings.Contains(meanwhile, "KILL") {
					t.Errorf("%s runs %s", name, v)
				}
			}
			if left := l.MustRun("alice", "podunit auto-update --wait --format '{{.Unit}} {{.Updated}}'"); strings.Contains(left, "failed") {
				t.Errorf("afterwards: %s", left)
			}
		})
	}
	// While the update watches one, somebody restarts it until systemd refuses: that says nothing
	// of its image.
	t.Run("start limit", func(t *testing.T) {
		l := lab{l.For(t)}
		l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow=15s\n") // for three restarts on a busy machine
		l.WriteFile("alice", ".config/systemd/user/one.service.d/limit.conf", "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=3\n")
		l.push("one:1", "limit", sleeps)
		stdout, stderr, code := l.Run("alice", "systemctl --user daemon-reload && podunit auto-update && while systemctl --user restart one; do :; done")
		t.Logf("%s%s", stdout, stderr)
		if !strings.Contains(stderr, "too often") || code != 0 {
			t.Fatalf("systemd has not refused a start: status %d", code)
		}
		if got, _ := l.updates("--wait"); !strings.Contains(got, "one.service false") {
			t.Errorf("afterwards: %s", got)
		}
		l.Active("alice", "one")
		if last := l.MustRun("alice", "podunit auto-update --history --format '{{.Unit}} {{.Result}}' | grep ^one | tail -n 1"); last != "one.service true" || l.version("one") != "limit" {
			t.Errorf("one runs %s, the last entry is %s", l.version("one"), last)
		}
	})
}

// The power fails in an update, PODUNIT_LAB_CUTS times, and each time the units have one of their
// images afterwards; the next update ends as if nothing had been.
func TestLabPowerCuts(t *testing.T) {
	cuts := labtest.Rounds(t, "PODUNIT_LAB_CUTS", 8)
	l := boot(t)
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow=3s\n")
	names := []string{"one", "two"}
	last := map[string]string{}
	for _, name := range names {
		last[name] = "0"
		l.push(name+":1", "0", sleeps)
		l.declare(name, "localhost:5000/"+name+":1", always)
	}
	for i := range cuts {
		now := fmt.Sprint(i + 1)
		bad := i%4 == 3 // two gets an image that crashes
		l.push("one:1", now, sleeps)
		l.push("two:1", now, map[bool]string{true: "exit 3", false: sleeps}[bad])
		wait := time.Duration(rand.IntN(2500)) * time.Millisecond
		l.MustRun("alice", fmt.Sprintf("(podunit auto-update --wait >/dev/null 2>&1 &); sleep %f", wait.Seconds()))
		l.PowerCut()
		l.Boot()
		l.Eventually("root", "curl -fsS localhost:5000/v2/_catalog", time.Minute)
		for _, name := range names {
			v := l.Eventually("alice", `podunit inspect -f '{{index .Config.Labels "version"}}' `+name, time.Minute)
			if v != last[name] && v != now {
				t.Errorf("cut %d after %s: %s runs %s, not %s or %s", i, wait, name, v, last[name], now)
			}
		}
		got, code := l.updates("--wait")
		last["one"] = now
		if !bad {
			last["two"] = now
		}
		for _, name := range names {
			l.Active("alice", name)
			if v := l.version(name); v != last[name] {
				t.Errorf("cut %d after %s: the next update left %s with %s, not %s: %s, %d", i, wait, name, v, last[name], got, code)
			}
		}
	}
}

// The timer's service as make install puts it, for the system and for alice, under the name that
// people are used to as well; and the unit that wants the report.
func TestLabTimer(t *testing.T) {
	l := boot(t)
	// What the examples need: a sendmail, and an address that is posted to.
	l.WriteFile("root", "/usr/sbin/sendmail", "#!/bin/sh\ncat >>/tmp/mail-$(id -u)\n")
	l.WriteFile("root", "/root/hook.py", `import http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        open("/tmp/mail-0", "ab").write(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204); self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8080), H).serve_forever()
`)
	l.MustRun("root", "chmod 755 /usr/sbin/sendmail; systemd-run --quiet --collect python3 /root/hook.py")
	for user, s := range map[string]struct{ systemctl, conf, quadlets, units, stamps, hook, told string }{
		"alice": {"systemctl --user", ".config/podunit/podunit.conf", dir, ".config/systemd/user/", ".local/share/systemd/timers/", "mail-update.service", "ofalice.service (localhost:5000/ofalice:1): true"},
		"root":  {"systemctl", "/etc/podunit/podunit.conf", "/etc/containers/systemd/", "/etc/systemd/system/", "/var/lib/systemd/timers/", "webhook-update.service", `"Unit": "ofroot.service"`},
	} {
		t.Run(user, func(t *testing.T) {
			l := lab{l.For(t)}
			name := "of" + user
			l.push(name+":1", "1", sleeps)
			l.WriteFile(user, s.conf, "[AutoUpdate]\nHealthWindow=4s\nOnUpdate="+s.hook+"\n")
			hook, err := os.ReadFile("../../contrib/examples/" + s.hook)
			if err != nil {
				t.Fatal(err)
			}
			l.WriteFile(user, s.units+s.hook, string(hook))
			l.WriteFile(user, s.quadlets+name+".container", "[Container]\nContainerName="+name+"\nImage=localhost:5000/"+name+":1\nNetwork=none\nAutoUpdate=registry\n"+always)
			l.MustRun(user, s.systemctl+" daemon-reload && "+s.systemctl+" start "+name)
			l.push(name+":1", "2", sleeps)
			// Root has the habit of another name, which is ours where Podman has not brought its own.
			timer := "podunit-auto-update.timer"
			if user == "root" {
				l.MustRun("root", "cd /usr/lib/systemd/system && for u in timer service; do ln -sf podunit-auto-update.$u podman-auto-update.$u; done && systemctl daemon-reload")
				timer = "podman-auto-update.timer"
			}
			l.MustRun(user, s.systemctl+" enable --now "+timer+" && "+s.systemctl+" is-active podunit-auto-update.timer && "+s.systemctl+" is-enabled podunit-auto-update.timer")
			if got := l.MustRun(user, s.systemctl+" show -P RandomizedDelayUSec -P Persistent podunit-auto-update.timer"); got != "15min\nyes" {
				t.Errorf("the timer: %s", got)
			}
			// As if the machine had been off at the time when it was due: that is made up for.
			l.WriteFile(user, s.units+"podunit-auto-update.timer.d/now.conf", "[Timer]\nRandomizedDelaySec=0\n")
			l.MustRun(user, s.systemctl+" stop podunit-auto-update.timer && touch -d '25 hours ago' "+s.stamps+"stamp-podunit-auto-update.timer && "+s.systemctl+" daemon-reload && "+s.systemctl+" start podunit-auto-update.timer")
			l.Eventually(user, `podunit inspect -f '{{index .Config.Labels "version"}}' `+name+` | grep -x 2`, time.Minute)
			l.Eventually(user, "grep -F '"+s.told+"' /tmp/mail-$(id -u)", time.Minute)
			if got := l.MustRun(user, "podunit auto-update --history --format '{{.Unit}} {{.Result}}'"); got != name+".service true" {
				t.Errorf("the history: %s", got)
			}
			if got := l.MustRun(user, "podunit auto-update --format json | jq -r '.[0].Updated'"); got != "false" {
				t.Errorf("json: %s", got)
			}
			l.push(name+":1", "3", sleeps)
			if _, _, code := l.Run(user, "podunit auto-update --wait --exit-code"); code != 10 {
				t.Errorf("status %d", code)
			}
			l.push(name+":1", "4", "exit 3")
			if _, _, code := l.Run(user, "podunit auto-update --wait --exit-code"); code != 20 {
				t.Errorf("status %d", code)
			}
			if _, _, code := l.Run(user, "podunit auto-update --wait --exit-code"); code != 0 {
				t.Errorf("status %d", code)
			}
		})
	}
	// A service of the system's that runs as alice: her update pulls, and its next start takes the
	// image.
	t.Run("a system service of a user", func(t *testing.T) {
		l := lab{l.For(t)}
		l.push("both:1", "1", sleeps)
		l.WriteFile("root", "/etc/containers/systemd/both.container", "[Container]\nContainerName=both\nImage=localhost:5000/both:1\nNetwork=none\nAutoUpdate=registry\n[Service]\nUser=alice\n")
		l.MustRun("root", "systemctl daemon-reload && systemctl start both")
		l.push("both:1", "2", sleeps)
		got, stderr, code := l.Run("alice", "podunit auto-update --wait --format '{{.Unit}} {{.Updated}}' | grep both")
		if strings.TrimSpace(got) != "both.service pending" || !strings.Contains(stderr, "the next start takes it") || l.version("both") != "1" {
			t.Errorf("%s, %d; version %s: %s", got, code, l.version("both"), stderr)
		}
		l.MustRun("root", "systemctl restart both")
		if v := l.version("both"); v != "2" {
			t.Errorf("after its restart it runs %s", v)
		}
	})
}
