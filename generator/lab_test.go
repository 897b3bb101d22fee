// SPDX-License-Identifier: Apache-2.0

//go:build lab

// These tests show the generator at work under a real systemd.
package main_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/machine"
	"github.com/podunit/podunit/generator/specifier"
	"github.com/podunit/podunit/generator/unitfile"
)

const busybox = "localhost:5000/busybox"

// TestLabGenerator is all that one machine can tell.
func TestLabGenerator(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{})
	for _, s := range []struct {
		name string
		tell func(*testing.T, *labtest.Lab)
	}{
		{"units of every type load without a word", everyType},
		{"fifty bad files among fifty good ones", goodAmongBad},
		{"a drop-in changes a unit that runs", dropIn},
		{"a template starts with an instance", template},
		{"systemd splits what was written into the same words", quoting},
		{"systemd waits for the mounts of the very paths", mountsFor},
		{"an application is installed, listed, edited and removed", manage},
		{"podunit leaves the field to Podman's generator", yield},
		{"never slower than Podman's generator", speed},
	} {
		t.Run(s.name, func(t *testing.T) { s.tell(t, l.For(t)) })
	}
}

// place is where a user's unit files are, and how systemctl is told of them.
func place(user string) (dir, mode, generated string) {
	if user == "root" {
		return "/etc/containers/systemd/", "--system", "/run/systemd/generator"
	}
	return ".config/containers/systemd/", "--user", "$XDG_RUNTIME_DIR/systemd/generator"
}

func everyType(t *testing.T, l *labtest.Lab) {
	files := map[string]string{
		"all-a.container":  "[Container]\nImage=" + busybox + "\nExec=sleep inf\nNetwork=all-n.network\nVolume=all-v.volume:/v\n[Install]\nWantedBy=default.target\nAlias=all-alias.service\n",
		"all-p.pod":        "[Pod]\n[Install]\nWantedBy=default.target\n",
		"all-m.container":  "[Container]\nImage=all-i.image\nPod=all-p.pod\n",
		"all-k.kube":       "[Kube]\nYaml=all-k.yml\n",
		"all-v.volume":     "[Volume]\n",
		"all-n.network":    "[Network]\nSubnet=10.99.0.0/24\n",
		"all-i.image":      "[Image]\nImage=" + busybox + "\n",
		"all-b.build":      "[Build]\nImageTag=localhost/b\nSetWorkingDirectory=unit\n",
		"all-f.artifact":   "[Artifact]\nArtifact=localhost:5000/model\n",
		"all-t@.container": "[Container]\nImage=" + busybox + "\n[Install]\nWantedBy=default.target\nDefaultInstance=one\n",
		"all-q.quadlets":   "# FileName=all-q1\n[Volume]\n---\n# FileName=all-q2\n[Container]\nImage=" + busybox + "\nVolume=all-q1.volume:/d\n",
	}
	for _, user := range []string{"alice", "root"} {
		dir, mode, generated := place(user)
		for name, text := range files {
			l.WriteFile(user, dir+name, text)
		}
		l.MustRun(user, "systemctl "+mode+" daemon-reload")
		for _, unit := range strings.Fields("all-a all-p-pod all-m all-k all-v-volume all-n-network all-i-image all-b-build all-f-artifact all-t@x all-q1-volume all-q2 all-alias") {
			if got := l.MustRun(user, "systemctl "+mode+" show -P LoadState "+unit+".service"); got != "loaded" {
				t.Errorf("%s: %s.service is %s", user, unit, got)
			}
		}
		if out, stderr, code := l.Run(user, "cd "+generated+" && systemd-analyze "+mode+" --man=no verify $(ls all-*.service | grep -v @)"); code != 0 || strings.Contains(out+stderr, "all-") {
			t.Errorf("%s: systemd-analyze verify (%d) says:\n%s%s", user, code, out, stderr)
		}
		links := l.MustRun(user, "cd "+generated+" && ls default.target.wants")
		for _, want := range []string{"all-a.service", "all-p-pod.service", "all-t@one.service"} {
			if !strings.Contains(links, want) {
				t.Errorf("%s: default.target does not want %s: %s", user, want, links)
			}
		}
		l.MustRun(user, "cd && cd "+dir+" && rm -f all-* && systemctl "+mode+" daemon-reload")
	}
}

func goodAmongBad(t *testing.T, l *labtest.Lab) {
	dir, _, generated := place("alice")
	for i := range 50 {
		l.WriteFile("alice", fmt.Sprintf("%sgood%d.container", dir, i), "[Container]\nImage="+busybox+"\n")
	}
	sum := "cd " + generated + " && cat good*.service | sha256sum"
	l.MustRun("alice", "systemctl --user daemon-reload")
	before := l.MustRun("alice", sum)
	for i := range 50 {
		l.WriteFile("alice", fmt.Sprintf("%sbad%d.container", dir, i), "[Container]\nImage="+busybox+"\nPublishPrt=80\n[Install]\nWantedBy=basic.target\n")
	}
	l.MustRun("alice", "systemctl --user daemon-reload")
	if after := l.MustRun("alice", sum); after != before {
		t.Error("the good units changed")
	}
	out, _, _ := l.Run("alice", "for i in $(seq 0 49); do systemctl --user start bad$i && echo bad$i started; done")
	l.MustRun("root", "journalctl --sync") // journald may be behind the units
	status, _, _ := l.Run("alice", "for i in $(seq 0 49); do systemctl --user status --lines=5 --no-pager --full bad$i; done")
	out += status
	for i := range 50 {
		if want := fmt.Sprintf("bad%d.container:3:1: error: unsupported key 'PublishPrt'", i); !strings.Contains(out, want) {
			t.Fatalf("status of bad%d does not say %q:\n%.3000s", i, want, out)
		}
		if strings.Contains(out, fmt.Sprintf("bad%d started", i)) {
			t.Errorf("bad%d started", i)
		}
	}
	if n := strings.Count(out, "hint: did you mean PublishPort=?"); n < 50 {
		t.Errorf("%d hints", n)
	}
	check, _, code := l.Run("alice", "podunit check 2>&1")
	if code != 1 || strings.Count(check, ".container:3:1: error: unsupported key") != 50 {
		t.Errorf("podunit check (%d):\n%.2000s", code, check)
	}
	l.MustRun("alice", "cd "+dir+" && rm -f good* bad* && systemctl --user daemon-reload; systemctl --user reset-failed")
}

func dropIn(t *testing.T, l *labtest.Lab) {
	dir, _, _ := place("alice")
	l.WriteFile("alice", dir+"changes.container", "[Container]\nImage="+busybox+"\nExec=sleep inf\nEnvironment=WHICH=first\nStopTimeout=0\n")
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start changes")
	env := "tr '\\0' '\\n' </proc/$(systemctl --user show -P MainPID changes)/environ | grep WHICH"
	if got := l.Eventually("alice", env, time.Minute); strings.TrimSpace(got) != "WHICH=first" {
		t.Errorf("at first %s", got)
	}
	l.WriteFile("alice", dir+"changes.container.d/10-env.conf", "[Container]\nEnvironment=WHICH=second\n")
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user restart changes")
	if got := l.Eventually("alice", env, time.Minute); strings.TrimSpace(got) != "WHICH=second" {
		t.Errorf("with the drop-in %s", got)
	}
	l.MustRun("alice", "systemctl --user stop changes; cd "+dir+" && rm -rf changes* && systemctl --user daemon-reload")
}

func template(t *testing.T, l *labtest.Lab) {
	dir, _, _ := place("alice")
	l.WriteFile("alice", dir+"tpl@.container", "[Container]\nImage="+busybox+"\nExec=sleep inf\nEnvironment=INSTANCE=%i\nVolume=tplv@.volume:/d\nStopTimeout=0\n")
	l.WriteFile("alice", dir+"tplv@.volume", "")
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start tpl@one tpl@two")
	for _, i := range []string{"one", "two"} {
		got := l.Eventually("alice", "tr '\\0' '\\n' </proc/$(systemctl --user show -P MainPID tpl@"+i+")/environ | grep INSTANCE && systemctl --user is-active tplv-volume@"+i, time.Minute)
		if strings.TrimSpace(got) != "INSTANCE="+i+"\nactive" {
			t.Errorf("tpl@%s: %s", i, got)
		}
	}
	l.MustRun("alice", "systemctl --user stop 'tpl*'; cd "+dir+" && rm -rf tpl* && systemctl --user daemon-reload")
}

func manage(t *testing.T, l *labtest.Lab) {
	l.WriteFile("alice", "shop/shop.container", "[Container]\nImage="+busybox+"\nExec=sleep inf\nEnvironmentFile=shop.env\nStopTimeout=0\n[Install]\nWantedBy=default.target\n")
	l.WriteFile("alice", "shop/shop.env", "A=1\n")
	l.WriteFile("alice", "bad/bad.container", "[Container]\nImag=x\n")
	if out, stderr, code := l.Run("alice", "podunit quadlet install bad"); code != 125 || !strings.Contains(stderr, "did you mean Image=?") {
		t.Errorf("a bad application (%d): %s%s", code, out, stderr)
	}
	if out := l.MustRun("alice", "podunit quadlet install --dry-run shop"); !strings.Contains(out, "+EnvironmentFile=shop.env") {
		t.Errorf("dry run: %s", out)
	}
	l.MustRun("alice", "podunit quadlet install shop && systemctl --user start shop")
	row := l.MustRun("alice", "podunit quadlet list --format '{{.Name}} {{.UnitName}} {{.Status}} {{.App}}' --filter name=^shop")
	if row != "shop.container shop.service active/running .shop.app" {
		t.Errorf("list: %q", row)
	}
	if out, stderr, code := l.Run("alice", "EDITOR='sed -i s/inf/77777/' podunit quadlet edit shop.container"); code != 0 || !strings.Contains(stderr, "to apply it: systemctl --user restart shop.service") {
		t.Errorf("an edit of what runs (%d): %s%s", code, out, stderr)
	}
	l.MustRun("alice", "systemctl --user restart shop && sed -i s/A=1/A=2/ shop/shop.env")
	if out, stderr, code := l.Run("alice", "podunit quadlet install --replace shop"); code != 0 || !strings.Contains(stderr, "to apply it: systemctl --user restart shop.service") {
		t.Errorf("a replacement of what runs (%d): %s%s", code, out, stderr)
	}
	l.MustRun("alice", "sed -i s/inf/77777/ shop/shop.container && podunit quadlet install --replace shop && systemctl --user restart shop")
	if out := l.MustRun("alice", "podunit quadlet print shop.container"); !strings.Contains(out, "Exec=sleep 77777") {
		t.Errorf("edited: %s", out)
	}
	if _, stderr, code := l.Run("alice", "podunit quadlet rm shop.container"); code != 125 || !strings.Contains(stderr, "--force") {
		t.Errorf("removing what is active (%d): %s", code, stderr)
	}
	l.MustRun("alice", "podunit quadlet rm --force shop.container")
	if left := l.MustRun("alice", "ls -A ~/.config/containers/systemd; systemctl --user show -P SubState shop"); left != "failed" && left != "dead" {
		t.Errorf("left: %s", left)
	}

	// With a template among the unit files, of which systemd knows only the instances.
	l.WriteFile("alice", "many@.container", "[Container]\nImage="+busybox+"\nExec=sleep inf\nEnvironment=WHICH=%i\nStopTimeout=0\n")
	l.WriteFile("alice", "plain.volume", "[Volume]\n")
	l.WriteFile("alice", "a b.volume", "[Volume]\n") // no service can have this name
	l.MustRun("alice", "for f in many@.container plain.volume 'a b.volume'; do podunit quadlet install --force \"$f\"; done; systemctl --user start many@one many@two")
	list := "podunit quadlet list --format '{{.Name}}: {{.Status}}' --filter name='many|plain'"
	if rows := l.MustRun("alice", list); rows != "many@.container: Not loaded\nplain.volume: inactive/dead" {
		t.Errorf("list: %q", rows)
	}
	if rows := l.MustRun("alice", "podunit quadlet list --format '{{.Status}}' --filter 'name=a b'"); !strings.Contains(rows, "does not accept in unit names") {
		t.Errorf("list: %q", rows)
	}
	l.MustRun("alice", "podunit quadlet rm 'a b.volume'")
	if _, stderr, code := l.Run("alice", "podunit quadlet rm many@.container"); code != 125 || !strings.Contains(stderr, "is active: many@one.service, many@two.service") {
		t.Errorf("removing a template with active instances (%d): %s", code, stderr)
	}
	l.MustRun("alice", "podunit quadlet rm --force many@.container plain.volume")
	if left := l.MustRun("alice", "ls -A ~/.config/containers/systemd; systemctl --user list-units --no-legend --state=active 'many@*'"); left != "" {
		t.Errorf("left: %s", left)
	}
	l.MustRun("alice", "rm -r shop bad many@.container plain.volume 'a b.volume'; systemctl --user reset-failed")
}

func yield(t *testing.T, l *labtest.Lab) {
	dir, _, generated := place("alice")
	l.WriteFile("alice", dir+"whose.container", "[Container]\nImage="+busybox+"\n")
	exec := "systemctl --user daemon-reload && grep ^ExecStart= " + generated + "/whose.service"
	if out := l.MustRun("alice", exec); !strings.Contains(out, "podunit run") {
		t.Errorf("alone: %s", out)
	}
	mask := "$(readlink /etc/systemd/user-generators/podman-user-generator)"
	l.MustRun("root", "test "+mask+" = /dev/null && rm /etc/systemd/user-generators/podman-user-generator")
	if out := l.MustRun("alice", exec); !strings.Contains(out, "podman run") {
		t.Errorf("beside Podman: %s", out)
	}
	l.Eventually("root", "journalctl -b | grep -F 'podunit leaves Quadlet files to Podman'", time.Minute)
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[Generator]\nGenerator=force\n")
	if out := l.MustRun("alice", "mkdir -p out && /usr/lib/systemd/user-generators/podunit-user-generator out out out && cat out/whose.service"); !strings.Contains(out, "podunit run") {
		t.Errorf("forced: %s", out)
	}
	l.MustRun("root", "ln -s /dev/null /etc/systemd/user-generators/podman-user-generator")
	l.MustRun("alice", "rm -r ~/.config/podunit out "+dir+"whose.container; systemctl --user daemon-reload")
}

// quoting starts a unit with words of every kind and compares what the program gets.
func quoting(t *testing.T, l *labtest.Lab) {
	r := rand.New(rand.NewPCG(1, 2))
	words := []string{"", ";", "a b", `"`, `'`, `\`, `a\b`, "%n", "$HOME", "${HOME}", "a;b", "tab\there", "new\nline", "\x01\x1f\x7f", "ä€😀", "\u00a0", "\u2028", "#x", "-", "|", "*", "~", "{}", "\u0085"}
	alphabet := []rune("ab \t\n\"'\\;%$#-={}[]()<>|&*?~^!,.:/@äß€😀\u00a0\u2003\x01\x02\x7f")
	for range 300 {
		n := 1 + r.IntN(12)
		var b strings.Builder
		for range n {
			b.WriteRune(alphabet[r.IntN(len(alphabet))])
		}
		words = append(words, b.String())
	}
	command := []string{"/bin/bash", "-c", specifier.EscapeExec(`printf "%s\0" "$@" >"$HOME/words"`), "x"}
	for _, w := range words {
		command = append(command, specifier.EscapeExec(w))
	}
	unit := "[Service]\nType=oneshot\nExecStart=" + unitfile.Join(command) + "\n"
	l.WriteFile("alice", ".config/systemd/user/words.service", unit)
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start words")
	got := strings.Split(strings.TrimSuffix(l.ReadFile("alice", "words"), "\x00"), "\x00")
	if len(got) != len(words) {
		t.Fatalf("%d words, want %d", len(got), len(words))
	}
	for i := range words {
		if got[i] != words[i] {
			t.Errorf("word %d is %q, want %q", i, got[i], words[i])
		}
	}
	l.MustRun("alice", "rm ~/.config/systemd/user/words.service ~/words && systemctl --user daemon-reload")
}

// mountsFor has paths that must be quoted, and asks systemd what it read.
func mountsFor(t *testing.T, l *labtest.Lab) {
	dir, _, _ := place("alice")
	l.WriteFile("alice", dir+"waits.container", "[Unit]\nAfter=waits.volume dev-disk-by\\x2dlabel-x.device\n[Container]\nImage="+busybox+"\n"+
		`Volume=/two words:/a
Volume=/back\slash "quoted" 'single':/b
Volume=/semi;colon:/c
Mount="type=bind,source=/tab\there,destination=/d"
`)
	l.WriteFile("alice", dir+"waits.volume", "")
	l.MustRun("alice", "systemctl --user daemon-reload")
	got := l.MustRun("alice", "systemctl --user show -P RequiresMountsFor waits")
	for _, want := range []string{`"/two words"`, `"/back\\slash \"quoted\" 'single'"`, `"/semi;colon"`, `"/tab\there"`} {
		if !strings.Contains(got, want) {
			t.Errorf("systemd waits for %s, not for %s", got, want)
		}
	}
	if got := l.MustRun("alice", "systemctl --user show -P After waits"); !strings.Contains(got, `dev-disk-by\\x2dlabel-x.device`) {
		t.Errorf("systemd starts it after %s", got)
	}
	l.MustRun("alice", "cd "+dir+" && rm waits.* && systemctl --user daemon-reload")
}

// speed runs both generators in turn on the same files on tmpfs. What else a machine does, and its
// host, may disturb a race without any trace of it: ours is slower if it loses three.
func speed(t *testing.T, l *labtest.Lab) {
	var lost []string
	for range 3 {
		if lost = speedRace(t, l); len(lost) == 0 {
			return
		}
		t.Logf("slower: %s", strings.Join(lost, "; "))
	}
	t.Errorf("slower, three times: %s", strings.Join(lost, "; "))
}

// speedRace tells where we are slower than we ought to be.
func speedRace(t *testing.T, l *labtest.Lab) (lost []string) {
	out := l.MustCommand(machine.Command{User: "alice", Timeout: 20 * time.Minute, Args: []string{`set -e
peer=$(ls /usr/lib/systemd/user-generators/podman-user-generator /usr/libexec/podman/quadlet /usr/lib/podman/quadlet 2>/dev/null | head -1)
ours=/usr/local/lib/systemd/user-generators/podunit-user-generator
[ -x $ours ] || ours=$(ls /usr/lib/systemd/user-generators/podunit* | head -1)
work=$XDG_RUNTIME_DIR/speed
for n in 1 100 1000 5000; do
	mkdir -p $work/$n
	for i in $(seq $n); do
		printf '[Unit]\nDescription=Service %d\n[Container]\nImage=docker.io/library/nginx:1.29\nPublishPort=%d:80\nEnvironment=TZ=Asia/Shanghai\nVolume=%%h/data:/data:z\nLabel=app=web%d\n[Service]\nRestart=always\n[Install]\nWantedBy=default.target\n' $i $i $i >$work/$n/web$i.container
	done
	case $n in 1) rounds=41;; 100) rounds=21;; 1000) rounds=11;; *) rounds=3;; esac
	for r in $(seq $rounds); do
		order="$ours $peer"; [ $((r % 2)) = 0 ] || order="$peer $ours"
		for g in $order; do
			rm -rf $work/out; mkdir $work/out
			a=$EPOCHREALTIME
			QUADLET_UNIT_DIRS=$work/$n $g -user -no-kmsg-log $work/out >/dev/null 2>&1
			b=$EPOCHREALTIME
			echo $(( ${b/./} - ${a/./} )) >>$work/$n.$(basename $g | cut -c1-6)
		done
	done
	mv $work/$n.quadle $work/$n.podman 2>/dev/null || true
	at() { sort -n $work/$n.$2 | sed -n "$1p"; }
	half=$(( (rounds + 1) / 2 )) quarter=$(( (rounds + 3) / 4 ))
	echo $n $(at $half poduni) $(at $half podman) $(at $quarter poduni) $(at $quarter podman)
done
rm -rf $work`}})
	load, busy := l.Busy()
	t.Logf("files; medians of podunit and Podman in microseconds; the same for the first quartile:\n%s", out)
	for line := range strings.SplitSeq(out, "\n") {
		// The first quartile is judged: it says more than the median where other work disturbs.
		var n, medianOurs, medianTheirs, ours, theirs int
		if _, err := fmt.Sscan(line, &n, &medianOurs, &medianTheirs, &ours, &theirs); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		switch {
		case busy:
			t.Logf("%d files: not judged, the machine has other work (load %.1f)", n, load)
		case n == 1 && ours*4 > theirs*5:
			// Fractions of a millisecond: a quarter is within what two runs differ.
			lost = append(lost, fmt.Sprintf("1 file: %d µs, Podman %d µs", ours, theirs))
		case n == 1000 && ours*3 > theirs:
			// 4.6 to 4.8 times was measured; 3 leaves room for what else a machine does.
			lost = append(lost, fmt.Sprintf("1000 files: %d µs, Podman %d µs", ours, theirs))
		}
	}
	return lost
}
