// SPDX-License-Identifier: Apache-2.0

//go:build lab

package update

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// lab is a machine whose registry gets new versions of images.
type lab struct{ *labtest.Lab }

func boot(t *testing.T) lab {
	t.Helper()
	return lab{labtest.Boot(t, labtest.Options{})}
}

// push pushes a version of a busybox image: what it executes, and a label that tells it apart.
func (l lab) push(name, version, script string) { l.PushVersion(name, version, script) }

const (
	dir    = ".config/containers/systemd/"
	sleeps = "trap exit TERM; while :; do sleep 0.1; done"
)

// updates runs the update and gives UPDATED of each unit, sorted, and the exit status.
func (l lab) updates(flags string) (string, int) {
	stdout, stderr, code := l.Run("alice", "podunit auto-update --format '{{.Unit}} {{.Updated}}' "+flags+" | sort")
	if stderr != "" {
		l.log(stderr)
	}
	return strings.TrimSpace(stdout), code
}

func (l lab) log(text string) { fmt.Println(text) }

// version is that of the image which a container runs.
func (l lab) version(container string) string {
	return l.MustRun("alice", `podunit inspect -f '{{index .Config.Labels "version"}}' `+container)
}

func (l lab) pid(unit string) string {
	return l.MustRun("alice", "systemctl --user show -P MainPID "+unit)
}

// The media pod: a new image for one of three containers restarts that one alone, and is still
// there after a boot.
func TestLabAutoUpdate(t *testing.T) {
	l := boot(t)
	l.WriteFile("alice", dir+"media.pod", "[Pod]\nPodName=media\nPublishPort=8988:8988\n[Install]\nWantedBy=default.target\n")
	for _, name := range []string{"down", "movies", "series"} {
		l.push(name+":1", "1", sleeps)
		l.WriteFile("alice", dir+name+".container", "[Container]\nImage=localhost:5000/"+name+":1\nPod=media.pod\nAutoUpdate=registry\n[Service]\nRestart=always\n")
	}
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start media-pod down movies series")
	if got, code := l.updates("--dry-run"); got != "down.service false\nmovies.service false\nseries.service false" || code != 0 {
		t.Errorf("nothing new: %s, %d", got, code)
	}
	l.push("movies:1", "2", sleeps)
	if got, _ := l.updates("--dry-run"); got != "down.service false\nmovies.service pending\nseries.service false" {
		t.Errorf("dry run: %s", got)
	}
	before := []string{l.pid("down"), l.pid("series"), l.pid("movies")}
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow=3s\n")
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start podunit-auto-update.service")
	after := []string{l.pid("down"), l.pid("series"), l.pid("movies")}
	if before[0] != after[0] || before[1] != after[1] || before[2] == after[2] {
		t.Errorf("main processes %v, then %v", before, after)
	}
	if v := l.version("systemd-movies"); v != "2" {
		t.Errorf("movies runs version %s", v)
	}
	if got := l.MustRun("alice", "journalctl --user -o json PODUNIT_UPDATE_RESULT=true | wc -l"); got != "1" {
		t.Errorf("%s lines in the journal", got)
	}
	l.Reboot()
	l.Eventually("alice", "systemctl --user is-active down movies series", time.Minute)
	if v := l.version("systemd-movies"); v != "2" {
		t.Errorf("after a boot movies runs version %s", v)
	}
}

func TestLabRollback(t *testing.T) {
	l := boot(t)
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow=10s\n")
	for _, name := range []string{"web", "api", "job"} {
		l.push(name+":1", "1", sleeps)
		l.WriteFile("alice", dir+name+".container", "[Container]\nImage=localhost:5000/"+name+":1\nNetwork=none\nAutoUpdate=registry\n[Service]\nRestart=always\nRestartSec=1\nTimeoutStartSec=20\n")
	}
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start web api job")
	for _, c := range []struct{ name, script string }{
		{"one that crashes at once", "exit 3"},
		{"one that crashes after a while", "sleep 4; exit 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := lab{l.For(t)}
			l.push("web:1", "bad", c.script)
			l.push("api:1", c.name, sleeps)
			got, code := l.updates("--wait")
			if want := "api.service true\njob.service false\nweb.service rolled back"; got != want || code != 0 {
				t.Errorf("%s, %d; want %s", got, code, want)
			}
			if l.version("systemd-web") != "1" || l.version("systemd-api") != c.name {
				t.Errorf("web runs %s, api runs %s", l.version("systemd-web"), l.version("systemd-api"))
			}
			pid := l.pid("web")
			if got, _ := l.updates("--wait"); got != "api.service false\njob.service false\nweb.service false" || l.pid("web") != pid {
				t.Errorf("the bad digest is tried again: %s", got)
			}
			// Its own restart, and a boot, stay with the old one too.
			l.MustRun("alice", "systemctl --user restart web")
			if v := l.version("systemd-web"); v != "1" {
				t.Errorf("after a restart by hand web runs %s", v)
			}
		})
	}
	t.Run("the next good one is taken", func(t *testing.T) {
		l := lab{l.For(t)}
		l.push("web:1", "good", sleeps)
		if got, _ := l.updates("--wait --exit-code"); !strings.Contains(got, "web.service true") || l.version("systemd-web") != "good" {
			t.Errorf("%s, version %s", got, l.version("systemd-web"))
		}
	})
	t.Run("a stopped unit stays stopped, a failed one gets its fix", func(t *testing.T) {
		l := lab{l.For(t)}
		l.MustRun("alice", "systemctl --user stop web")
		l.push("web:1", "waiting", sleeps)
		l.push("job:1", "broken", "exit 9")
		l.MustRun("alice", "podunit pull -q --tls-verify=false localhost:5000/job:1; systemctl --user stop job; sed -i s/Restart=always/Restart=no/ "+dir+"job.container; systemctl --user daemon-reload; systemctl --user start job; true")
		l.Eventually("alice", "systemctl --user is-failed job", 30*time.Second)
		l.push("job:1", "fixed", sleeps)
		got, _ := l.updates("--wait")
		if state, _, _ := l.Run("alice", "systemctl --user is-active web"); strings.TrimSpace(state) == "active" || !strings.Contains(got, "job.service true") {
			t.Errorf("web is %s; %s", state, got)
		}
		if v := l.version("systemd-job"); v != "fixed" {
			t.Errorf("job runs %s", v)
		}
		l.MustRun("alice", "systemctl --user start web")
		if v := l.version("systemd-web"); v != "waiting" {
			t.Errorf("web runs %s", v)
		}
	})
	t.Run("a container made by hand", func(t *testing.T) {
		l := lab{l.For(t)}
		l.push("hand:1", "1", sleeps)
		id := l.MustRun("alice", "podunit run -d --name hand -v kept:/kept --network none --label io.containers.autoupdate=registry localhost:5000/hand:1")
		l.MustRun("alice", "podunit exec hand touch /kept/file")
		l.push("hand:1", "2", sleeps)
		if got, _ := l.updates("--wait"); !strings.Contains(got, "hand.service true") {
			t.Error(got)
		}
		got := l.MustRun("alice", "podunit inspect -f '{{.Id}}' hand && podunit exec hand ls /kept && systemctl --user is-active hand")
		if want := id + "\nfile\nactive"; got != want || l.version("hand") != "2" {
			t.Errorf("%s; want %s; version %s", got, want, l.version("hand"))
		}
		l.MustRun("alice", "podunit rm -f hand")
	})
	t.Run("pinned", func(t *testing.T) {
		l := lab{l.For(t)}
		l.MustRun("alice", "podunit auto-update --pin api")
		l.push("api:1", "unwanted", sleeps)
		if got, _ := l.updates("--wait"); !strings.Contains(got, "api.service false") {
			t.Error(got)
		}
		l.MustRun("alice", "podunit auto-update --unpin api")
		if got, _ := l.updates("--wait"); !strings.Contains(got, "api.service true") {
			t.Error(got)
		}
	})
	if got := l.MustRun("alice", "podunit auto-update --history --format '{{.Unit}} {{.Result}}' | sort | uniq -c"); !strings.Contains(got, "2 web.service rolled back") {
		t.Errorf("history:\n%s", got)
	}
}

// TestLabRollbackOfHealth: an image whose check fails, or never passes, is no good one.
func TestLabRollbackOfHealth(t *testing.T) {
	l := boot(t)
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow=8s\n")
	const fine = "touch /ok; " + sleeps
	l.push("web:1", "1", fine)
	l.WriteFile("alice", dir+"web.container", "[Container]\nImage=localhost:5000/web:1\nNetwork=none\nAutoUpdate=registry\n"+
		"HealthCmd=test -e /ok\nHealthInterval=1s\nHealthStartPeriod=30s\nHealthRetries=2\n")
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start web")
	for _, c := range []struct{ name, script, period, want string }{
		{"one that never gets healthy", sleeps, "30s", "rolled back"}, // it is starting all the time
		{"one that gets unhealthy", "touch /ok; sleep 3; rm /ok; " + sleeps, "0s", "rolled back"},
		{"one that is well", fine, "0s", "true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := lab{l.For(t)}
			l.MustRun("alice", "sed -i s/^HealthStartPeriod=.*/HealthStartPeriod="+c.period+"/ "+dir+"web.container && systemctl --user daemon-reload")
			l.push("web:1", c.name, c.script)
			if got, code := l.updates("--wait"); got != "web.service "+c.want || code != 0 {
				t.Errorf("%s, %d; want it %s", got, code, c.want)
			}
			want := "1"
			if c.want == "true" {
				want = c.name
			}
			if v := l.version("systemd-web"); v != want {
				t.Errorf("web runs %s, want %s", v, want)
			}
		})
	}
}
