// SPDX-License-Identifier: Apache-2.0

//go:build lab

package update

import (
	"encoding/base64"
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

// media are the three containers of the pod that people declare, play and make by hand.
var media = []string{"down", "movies", "series"}

// pods makes the media pod in each of the three ways.
func (l lab) pods() {
	yaml := "apiVersion: v1\nkind: Pod\nmetadata:\n  name: tv\n  labels: {io.containers.autoupdate: registry}\nspec:\n  containers:\n"
	byHand := "podunit pod create --name hand -p 8989:8989"
	l.WriteFile("alice", dir+"media.pod", "[Pod]\nPodName=media\nPublishPort=8988:8988\n[Install]\nWantedBy=default.target\n")
	for _, name := range media {
		l.pushOwn(name, "1")
		l.WriteFile("alice", dir+name+".container", "[Container]\nContainerName=media-"+name+"\nImage=localhost:5000/"+name+":1\nPod=media.pod\nAutoUpdate=registry\n[Service]\nRestart=always\n")
		yaml += "  - {name: " + name + ", image: \"localhost:5000/" + name + ":1\"}\n"
		byHand += " && podunit run -d --pod hand --name hand-" + name + " --restart=always --label io.containers.autoupdate=registry localhost:5000/" + name + ":1"
	}
	l.WriteFile("alice", "tv.yaml", yaml)
	l.WriteFile("alice", dir+"tv.kube", "[Kube]\nYaml=%h/tv.yaml\n[Install]\nWantedBy=default.target\n")
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start media-pod down movies series tv && "+byHand)
}

// pushOwn pushes a version of an image that no other repository has.
func (l lab) pushOwn(name, version string) { l.push(name+":1", version, sleeps+" # "+name) }

// pids are the main processes of the nine containers.
func (l lab) pids() map[string]string {
	pids := make(map[string]string)
	for _, name := range media {
		for _, unit := range []string{name, "tv-" + name, "hand-" + name} {
			pids[unit] = l.pid(unit)
		}
	}
	return pids
}

// private starts a registry that wants a login, at port 5002, and gives an image of the other one
// to it.
func (l lab) private() {
	l.WriteFile("root", "/root/private.yml", `version: 0.1
storage: {filesystem: {rootdirectory: /root/private}}
http: {addr: "127.0.0.1:5002"}
auth: {htpasswd: {realm: lab, path: /root/htpasswd}}
`)
	l.WriteFile("root", "/root/htpasswd", "alice:$2a$05$bKMS80IElMzImy7tLePaz.HKfevk5wqOHqzL.EnqHdr.q4RkWi/me\n") // secret
	l.WriteFile("root", "/etc/containers/registries.conf.d/private.conf", "[[registry]]\nlocation = \"localhost:5002\"\ninsecure = true\n")
	l.WriteFile("alice", "login.json", `{"auths":{"localhost:5002":{"auth":"`+base64.StdEncoding.EncodeToString([]byte("alice:secret"))+`"}}}`)
	l.MustRun("root", "systemd-run --quiet --collect --unit private docker-registry serve /root/private.yml")
	l.Eventually("root", "curl -fsS -u alice:secret localhost:5002/v2/_catalog", time.Minute)
}

// login plays a pod whose image is behind the login that its YAML has as a secret, beside a
// container that crashes again and again.
func (l lab) login() {
	l.WriteFile("alice", "login.yaml", `apiVersion: v1
kind: Secret
metadata: {name: login}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: `+base64.StdEncoding.EncodeToString([]byte(l.ReadFile("alice", "login.json")))+`}
---
apiVersion: v1
kind: Pod
metadata:
  name: login
spec:
  imagePullSecrets: [{name: login}]
  containers:
  - {name: behind, image: "localhost:5002/behind:1"}
  - {name: loop, image: "localhost:5000/loop:1"}
`)
	l.push("loop:1", "1", "sleep 2; exit 3")
	l.WriteFile("alice", dir+"login.kube", "[Kube]\nYaml=%h/login.yaml\nAutoUpdate=registry\n[Install]\nWantedBy=default.target\n")
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start login")
}

// pushPrivate pushes a version of the images of the private registry.
func (l lab) pushPrivate(version string) {
	for _, name := range []string{"known", "unknown", "behind"} {
		l.pushOwn(name, version)
		l.MustRun("alice", "skopeo copy -q --dest-authfile login.json docker://localhost:5000/"+name+":1 docker://localhost:5002/"+name+":1")
	}
}

// The story of most people. The media pod, declared, played from a .kube file and made by hand,
// instances of a template, and images behind a login: a new image for one of three containers of a
// pod restarts that one alone, and it is still there after a boot. Replaced images go, unless they
// are needed.
func TestLabAutoUpdate(t *testing.T) {
	l := boot(t)
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow=8s\n")
	l.pods()
	l.WriteFile("alice", dir+"web@.container", "[Container]\nContainerName=web-%i\nImage=localhost:5000/web-%i:1\nNetwork=none\nAutoUpdate=registry\n")
	l.pushOwn("web-1", "1")
	l.pushOwn("web-2", "1")
	l.private()
	l.pushPrivate("1")
	l.MustRun("alice", "podunit pull -q --authfile login.json localhost:5002/known:1 localhost:5002/unknown:1")
	l.declare("known", "localhost:5002/known:1", "Label=io.containers.autoupdate.authfile=/home/alice/login.json\n"+always)
	l.declare("unknown", "localhost:5002/unknown:1", always)
	l.login()
	l.MustRun("alice", "systemctl --user start web@1 web@2")
	const table = "podunit auto-update --dry-run --format '{{.ContainerName}} {{.Updated}}' 2>dry | sort"
	nothing := "hand-down false\nhand-movies false\nhand-series false\nknown false\nlogin-behind false\nlogin-loop false\nmedia-down false\nmedia-movies false\nmedia-series false\n" +
		"tv-down false\ntv-movies false\ntv-series false\nunknown failed\nweb-1 false\nweb-2 false"
	if got := l.MustRun("alice", table); got != nothing {
		t.Errorf("nothing new:\n%s\n%s", got, l.ReadFile("alice", "dry"))
	}
	renew := func(version string) {
		l.pushOwn("loop", version)
		l.pushOwn("movies", version)
		l.pushOwn("web-1", version)
		l.pushPrivate(version)
	}
	renewed := []string{"hand-movies", "known", "login-behind", "login-loop", "media-movies", "tv-movies", "web-1"}
	renew("2")
	pending := nothing
	for _, name := range renewed {
		pending = strings.Replace(pending, name+" false", name+" pending", 1)
	}
	if got := l.MustRun("alice", table); got != pending {
		t.Errorf("dry run:\n%s\n%s", got, l.ReadFile("alice", "dry"))
	}
	before, ids := l.pids(), make(map[string]string)
	for _, name := range renewed {
		if name != "login-loop" { // which may be between two runs
			ids[name] = l.image(name)
		}
	}
	// The service of the timer; it fails for the image that wants a login.
	l.Run("alice", "systemctl --user start podunit-auto-update.service")
	for unit, pid := range l.pids() {
		if restarted := pid != before[unit]; restarted != strings.HasSuffix(unit, "movies") || pid == "0" {
			t.Errorf("main process of %s: %s, then %s", unit, before[unit], pid)
		}
	}
	l.Eventually("alice", fmt.Sprintf("[ $(journalctl --user -o cat PODUNIT_UPDATE_RESULT=true | wc -l) -ge %d ]", len(renewed)), time.Minute) // journald may be behind
	if got := l.MustRun("alice", "journalctl --user -o json PODUNIT_UPDATE_RESULT=true | jq -r .PODUNIT_UPDATE_CONTAINER | sort"); got != strings.Join(renewed, "\n") {
		t.Errorf("in the journal: %s", got)
	}
	fields := "journalctl --user -o json PODUNIT_UPDATE_CONTAINER=media-movies | jq -r '[.PODUNIT_UPDATE_UNIT, .PODUNIT_UPDATE_IMAGE, .PODUNIT_UPDATE_OLD, .PODUNIT_UPDATE_NEW] | join(\" \")'"
	if got, want := l.MustRun("alice", fields), "movies.service localhost:5000/movies:1 "+ids["media-movies"]+" "+l.image("media-movies"); got != want {
		t.Errorf("in the journal: %s; want %s", got, want)
	}
	l.areAt("2", renewed)
	t.Run("boot", func(t *testing.T) {
		l := lab{l.For(t)}
		l.Reboot()
		l.Active("alice", "down", "movies", "series", "tv-down", "tv-movies", "tv-series", "hand-down", "hand-movies", "hand-series", "known", "unknown", "login-behind", "login-loop")
		l.MustRun("alice", "systemctl --user start web@1 web@2")
		l.areAt("2", renewed)
		l.MustRun("root", "systemd-run --quiet --collect --unit private docker-registry serve /root/private.yml")
		l.Eventually("root", "curl -fsS -u alice:secret localhost:5000/v2/_catalog localhost:5002/v2/_catalog", time.Minute)
	})
	t.Run("replaced images", func(t *testing.T) {
		l := lab{l.For(t)}
		second := map[string]string{"known": l.image("known"), "movies": l.image("media-movies"), "web-1": l.image("web-1")}
		l.MustRun("alice", "podunit create --name user --network none "+ids["known"]+" && podunit tag "+ids["web-1"]+" localhost/mine:1")
		l.MustRun("alice", "podunit image exists "+ids["media-movies"]) // for a rollback
		l.MustRun("alice", "systemctl --user stop login")               // its next start has the new images
		renew("3")
		if _, _, code := l.Run("alice", "podunit auto-update --wait"); code != 125 { // for the image that wants a login
			t.Errorf("status %d", code)
		}
		for _, name := range []string{"localhost:5002/behind:1", "localhost:5000/loop:1"} {
			if got := l.MustRun("alice", "podunit image inspect -f '{{index .Labels \"version\"}}' "+name); got != "3" {
				t.Errorf("of the unit that is stopped, %s has version %s", name, got)
			}
		}
		l.MustRun("alice", "! systemctl --user is-active login; systemctl --user start login")
		l.areAt("3", renewed)
		for _, id := range []string{second["known"], second["movies"], second["web-1"], ids["known"], ids["web-1"]} {
			if _, _, code := l.Run("alice", "podunit image exists "+id); code != 0 {
				t.Errorf("%s is gone", id)
			}
		}
		if _, _, code := l.Run("alice", "podunit image exists "+ids["media-movies"]); code == 0 {
			t.Errorf("%s, which nothing needs, is kept", ids["media-movies"])
		}
	})
}

// image is the ID of the image that a container runs.
func (l lab) image(container string) string {
	return l.MustRun("alice", "podunit inspect -f '{{.Image}}' "+container)
}

// areAt checks that containers run a version.
func (l lab) areAt(version string, containers []string) {
	for _, name := range containers {
		l.Eventually("alice", `podunit inspect -f '{{index .Config.Labels "version"}}' `+name+` | grep -x `+version, time.Minute)
	}
}

func TestLabRollback(t *testing.T) {
	l := boot(t)
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow=7s\n")
	for _, name := range []string{"web", "api", "job"} {
		l.push(name+":1", "1", sleeps)
		l.WriteFile("alice", dir+name+".container", "[Container]\nImage=localhost:5000/"+name+":1\nNetwork=none\nAutoUpdate=registry\n[Service]\nRestart=always\nRestartSec=1\nTimeoutStartSec=20\n")
	}
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start web api job")
	for _, c := range []struct{ name, script string }{
		{"one that crashes at once", "exit 3"},
		{"one that crashes after a while", "sleep 2; exit 3"},
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
		l.Eventually("alice", "systemctl --user is-failed job", time.Minute)
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
		// One that fails with its new image gets the one before again.
		l.push("hand:1", "3", "sleep 1; exit 3")
		if got, _ := l.updates("--wait"); !strings.Contains(got, "hand.service rolled back") {
			t.Error(got)
		}
		if got := l.MustRun("alice", "podunit inspect -f '{{.Id}}' hand && podunit exec hand ls /kept && systemctl --user is-active hand"); got != id+"\nfile\nactive" || l.version("hand") != "2" {
			t.Errorf("after the rollback: %s; version %s", got, l.version("hand"))
		}
		// So does one that was renamed while it ran, in the service that it still has.
		l.MustRun("alice", "podunit rename hand other")
		l.push("hand:1", "4", "sleep 1; exit 4")
		if got, _ := l.updates("--wait"); !strings.Contains(got, "hand.service rolled back") {
			t.Error(got)
		}
		if got := l.MustRun("alice", "podunit inspect -f '{{.Id}}' other && podunit exec other ls /kept && systemctl --user is-active hand"); got != id+"\nfile\nactive" || l.version("other") != "2" {
			t.Errorf("after the rollback of a renamed one: %s; version %s", got, l.version("other"))
		}
		l.MustRun("alice", "podunit rm -f other")
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
	t.Run("policies", l.policies)
	if got := l.MustRun("alice", "podunit auto-update --history --format '{{.Unit}} {{.Result}}' | sort | uniq -c"); !strings.Contains(got, "2 web.service rolled back") {
		t.Errorf("history:\n%s", got)
	}
}

// policies: what units ask for, and what the settings allow. Oneshot units and those of .image
// files take part.
func (l lab) policies(t *testing.T) {
	l = lab{l.For(t)}
	declare := func(name, image, policy, more string) {
		l.WriteFile("alice", dir+name+".container", "[Container]\nContainerName="+name+"\nImage="+image+"\nNetwork=none\nAutoUpdate="+policy+"\n"+more)
	}
	for _, name := range []string{"pcheck", "ppull", "plocal", "ponce", "pimage"} {
		l.pushOwn(name, "1")
	}
	l.push("ponce:1", "1", "true")
	l.WriteFile("alice", dir+"p.image", "[Image]\nImage=localhost:5000/pimage:1\n")
	declare("pcheck", "localhost:5000/pcheck:1", "check", "")
	declare("ppull", "localhost:5000/ppull:1", "pull", "")
	declare("plocal", "localhost:5000/plocal:1", "local", "")
	declare("pimage", "p.image", "registry", "")
	declare("ponce", "localhost:5000/ponce:1", "registry", "[Service]\nType=oneshot\n")
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start pcheck ppull plocal pimage ponce")
	for _, name := range []string{"pcheck", "ppull", "plocal", "pimage"} {
		l.pushOwn(name, "2")
	}
	l.push("ponce:1", "2", "exit 7")
	const wait = "--wait | grep ^p"
	l.WriteFile("alice", ".config/podunit/podunit.conf.d/check.conf", "[AutoUpdate]\nPolicy=check\n")
	is := func(when, want string) {
		t.Helper()
		if got, _ := l.updates(wait); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", when, got, want)
		}
	}
	is("the settings allow a check", "pcheck.service pending\npimage.service pending\nplocal.service false\nponce.service pending\nppull.service pending")
	l.MustRun("alice", "rm .config/podunit/podunit.conf.d/check.conf; podunit pull -q localhost:5000/plocal:1")
	is("anything goes", "pcheck.service pending\npimage.service true\nplocal.service true\nponce.service pending\nppull.service pending")
	for name, want := range map[string]string{"pcheck": "1", "ppull": "1", "plocal": "2", "pimage": "2"} {
		if v := l.version(name); v != want {
			t.Errorf("%s runs %s", name, v)
		}
	}
	const there = `podunit image inspect -f '{{index .Labels "version"}}' localhost:5000/pcheck:1 localhost:5000/ppull:1`
	if got := l.MustRun("alice", there); got != "1\n2" {
		t.Errorf("images: %s", got)
	}
	if _, _, code := l.Run("alice", "systemctl --user start ponce"); code == 0 {
		t.Error("the next run of ponce has the old image")
	}
	l.MustRun("alice", "systemctl --user stop pcheck ppull plocal pimage; rm "+dir+"p*; systemctl --user daemon-reload; systemctl --user reset-failed")
}

// TestLabRollbackOfHealth: an image whose check fails, or never passes, is no good one.
func TestLabRollbackOfHealth(t *testing.T) {
	l := boot(t)
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow=12s\n")
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
