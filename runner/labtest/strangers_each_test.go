// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// A person plays a story: alice has a manager of her own, root has the system's, and dave has units
// of the system's with User=, first without a login, and then with one.
type person struct {
	*Lab
	name, systemctl, dir, service string
	login                         string // what a login sets, as a word of a command line
}

// do runs a script as the person.
func (p person) do(script string) string {
	p.t.Helper()
	return p.MustRun(p.player(), p.script(script))
}

// player is who executes what script makes of a script of the person's.
func (p person) player() string {
	if p.service == "" {
		return p.name
	}
	return "root"
}

func (p person) script(script string) string {
	if p.service == "" {
		return script
	}
	return dave + p.login + "bash -c " + quoted(script)
}

// manage runs a script as who may give orders to the person's manager.
func (p person) manage(script string) string {
	p.t.Helper()
	return p.MustRun(p.player(), script)
}

// unit writes a unit file, and has the manager read it.
func (p person) unit(name, keys string) {
	p.t.Helper()
	head, service, _ := strings.Cut(keys, "[Service]\n")
	text := "[Unit]\nStartLimitIntervalSec=0\n[Container]\n" + head + "[Service]\n" + p.service + service
	if strings.HasSuffix(name, ".pod") {
		text = "[Pod]\n" + head + "[Service]\n" + p.service + service
	}
	if p.service == "" {
		p.WriteFile(p.name, p.dir+name, text)
	} else {
		p.WriteFile("root", p.dir+name, text)
	}
	p.manage(p.systemctl + " daemon-reload")
}

// drop removes unit files.
func (p person) drop(names ...string) {
	p.t.Helper()
	for _, n := range names {
		p.manage("rm -f " + p.dir + n)
	}
	p.manage(p.systemctl + " daemon-reload")
}

// TestLabStrangersOfEach plays stories as each person.
func TestLabStrangersOfEach(t *testing.T) {
	l := boot(t, labtest.Options{})
	l.MustRun("root", "loginctl disable-linger dave; ! test -e /run/user/1003")
	l.hostileImages()
	l.takeNames()
	for _, p := range []person{
		{name: "root", systemctl: "systemctl", dir: "/etc/containers/systemd/"},
		{name: "alice", systemctl: "systemctl --user", dir: "/home/alice/.config/containers/systemd/"},
		{name: "dave", systemctl: "systemctl", dir: "/etc/containers/systemd/", service: "User=dave\n"},
		{name: "dave with a login", systemctl: "systemctl", dir: "/etc/containers/systemd/", service: "User=dave\n", login: "XDG_RUNTIME_DIR=/run/user/1003 "},
	} {
		t.Run(p.name, func(t *testing.T) {
			if p.login != "" {
				betweenLogins(t, l.on(t))
			} else if p.service != "" { // the first of his units makes his runtime directory
				first := p
				first.Lab = l.on(t)
				first.unit("first.container", "Image="+image+"\nNetwork=none\n[Service]\nType=oneshot\n")
				first.manage(p.systemctl + " start first")
				first.drop("first.container")
			}
			for _, s := range []struct {
				name string
				play func(*testing.T, person)
			}{
				{"names that bob has taken", takenFirst},
				{"names that its pasta shows", shownNames},
				{"files that are none", noFiles},
				{"what a container says to the manager", saidToManagers},
				{"trees that a container changes meanwhile", changedTrees},
				{"what a container may write", writable},
				{"images", images},
				{"a registry that drips, and one that escapes", dripping},
				{"volumes of units that do not run", volumesOfUnits},
				{"a volume whose record is empty", emptyRecord},
				{"names that begin an ID", exactNames},
				{"a boot that nobody knows", unknownBoot},
				{"in one namespace with a pod's process", besidePod},
				{"a disk that its container has filled", fullDisk},
				{"much at once", atOnce},
				{"what was killed leaves nothing", leftByKilled},
			} {
				t.Run(s.name, func(t *testing.T) {
					q := p
					q.Lab = l.on(t)
					s.play(t, q)
				})
			}
		})
	}
	l.MustRun("root", "loginctl disable-linger dave")
}

// takeNames has bob take names in directories of everybody's, such as podunit or the library would
// use without care, with what leads out of them.
func (l *Lab) takeNames() {
	l.MustRun("bob", `for d in /tmp /var/tmp /dev/shm /run/lock; do for id in 0 1000 1003; do for n in podunit podunit-run storage-run containers-user run; do
		n=$d/$n-$id; mkdir -m 777 $n && mkdir -m 777 $n/pull-x && mkfifo -m 666 $n/pull-f && for f in blobs layers podunit containers; do ln -s /etc $n/$f || exit 1; done || exit 1; done; done; done
		find /tmp /var/tmp /dev/shm /run/lock -user bob 2>/dev/null | sort >~/taken; [ $(wc -l <~/taken) = 420 ]`)
}

// takenFirst pulls, starts and stops beside bob's names: nothing of them is changed, nor of what they
// lead to.
func takenFirst(t *testing.T, p person) {
	const all = "find /etc -not -path '/etc/containers*' -printf '%p %y %m %u %T@\\n' | sort"
	before := p.MustRun("root", all)
	p.unit("taken.container", "Image=localhost:5000/layers\n[Service]\nType=oneshot\n")
	p.manage("timeout 100 " + p.systemctl + " start taken; " + p.systemctl + " stop taken")
	for _, dir := range []string{"/tmp", "/var/tmp", "/dev/shm"} {
		p.do("podunit rmi -f localhost:5000/layers >/dev/null; export TMPDIR=" + dir + "; timeout 60 podunit pull -q localhost:5000/layers && podunit save -q localhost:5000/layers | timeout 60 podunit load -q")
	}
	p.drop("taken.container")
	if after := p.MustRun("root", all); after != before {
		t.Errorf("/etc has changed")
	}
	if got := p.MustRun("bob", "find /tmp /var/tmp /dev/shm /run/lock -user bob 2>/dev/null | sort | diff ~/taken - || true"); got != "" {
		t.Errorf("of bob's: %s", got)
	}
	if got := p.MustRun("root", `find /tmp /var/tmp /dev/shm \( -name '*podunit*' -o -name '*storage*' -o -name '*container*' \) ! -user bob ! -path '*/systemd-private*'`); got != "" {
		t.Errorf("of ours: %s", got)
	}
}

// noFiles: what is to be a file of variables, of labels, of settings or of a process ID is a pipe, a
// device, a link or endless. The usual .env lies where a container may write.
func noFiles(t *testing.T, p person) {
	got := p.do(`C=~/.config/podunit; [ $(id -u) != 0 ] || C=/etc/podunit; rm -rf odd; mkdir odd; cd odd; mkfifo pipe; ln -s /dev/zero device; echo A=b >file; ln -s file link; truncate -s 2G endless; I=` + image + `
		for f in pipe device link endless; do for v in "run --rm --env-file $PWD/$f" "run --rm --label-file $PWD/$f" "create --env-file $PWD/$f"; do
			timeout -k 5 60 podunit $v --network none $I true >said 2>&1; s=$?; [ $s = 125 ] && grep -q "/odd/$f" said || { echo "[$s] $v"; cat said; }; done; done
		for f in pipe device endless; do mkdir -p $C; rm -f $C/podunit.conf; w='not a regular file'; case $f in pipe) mkfifo $C/podunit.conf ;; endless) w='larger than 1 MiB'; cp -d $f $C/podunit.conf ;; *) cp -d $f $C/podunit.conf ;; esac
			timeout -k 5 60 podunit auto-update --dry-run >said 2>&1; s=$?; [ $s = 0 ] || [ $s = 125 ] || { echo "[$s] settings: $f"; cat said; }; grep -q "podunit.conf: it is $w" said || { echo "not why $f is none"; head -c 1000 said; }; done; rm -f $C/podunit.conf
		echo precious >kept; ln -s kept pid; podunit run --rm --network none --pidfile $PWD/pid $I true; cat kept; [ -L pid ] && echo "a link is followed"
		podunit create -q --name cr --creds me:hunter2 $I true >/dev/null; podunit inspect cr | grep hunter2; grep -rls hunter2 ~/.local/share/containers/storage $(podunit info -f '{{.Store.GraphRoot}}') $XDG_RUNTIME_DIR; podunit rm cr >/dev/null; rm -rf ~/odd`)
	if got != "precious" {
		t.Errorf("%s", got)
	}
	// The pipe is where the unit has its variables, and where its manager has only what it may see.
	p.do("rm -f env; mkfifo -m 666 env")
	home := p.do("echo ~")
	p.unit("odd.container", "Image="+image+"\nNetwork=none\nEnvironmentFile="+home+"/env\nEnvironment=SECRET=hunter2\n")
	got = p.manage("chmod 600 " + p.dir + "odd.container; " + p.systemctl + " daemon-reload; stat -c %a $(" + p.systemctl + " show -P FragmentPath odd); timeout 100 " + p.systemctl + " start odd 2>/dev/null; echo $?; " + p.systemctl + " stop odd; " + p.systemctl + " reset-failed odd || true")
	if got != "600\n1" {
		t.Errorf("mode of the unit, and status of its start: %q", got)
	}
	p.Eventually("root", "journalctl -q -o cat -t odd | grep '"+home+"/env: it is not a regular file but a pipe'", time.Minute)
	p.do("rm env")
	p.drop("odd.container")
}

// variants are images that differ from busybox in their configuration, made by labtest's variant.py.
var variants = map[string]map[string]any{
	"volumes":   {"Volumes": numbered(250000, "/%d", map[string]any{})},
	"ports":     {"ExposedPorts": numbered(65535, "%d", map[string]any{})},
	"user":      {"User": strings.Repeat("u", 1<<20)},
	"variables": {"Env": words(200000)},
	"root":      {"Volumes": map[string]any{"/": map[string]any{}}},
	"escapes":   {"Labels": map[string]string{"evil": "a\x1b[2Jb\nforged row"}, "Cmd": []string{"sleep", "1000", "#\x1b]0;x\x07\nforged row"}},
}

func numbered(n int, form string, value any) map[string]any {
	all := map[string]any{}
	for i := range n {
		all[fmt.Sprintf(form, i+1)] = value
	}
	return all
}

func words(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("A%d=1", i))
	}
	return all
}

// files are images by what their archive has in place of what a start looks at.
var files = map[string]string{
	"dev":    "ln -s /srv/target dev",
	"proc":   "ln -s /srv/target proc",
	"sys":    "ln -s /srv/target sys",
	"fd":     "ln -s /proc/self/fd/5 etc/passwd",
	"pipe":   "mkfifo etc/passwd",
	"device": "mknod etc/passwd c 1 5",
	"groups": "echo app:x:7:7::/:/bin/sh >etc/passwd; seq 300000 | sed 's/.*/g&:x:&:app/' >etc/group",
	"hosts":  "for f in etc/hosts etc/resolv.conf etc/hostname etc/mtab etc/localtime run/.containerenv; do ln -s /srv/target/file $f; done",
}

// hostileImages pushes them, the names prefixed with evil-, and one that is empty.
func (l *Lab) hostileImages() {
	l.t.Helper()
	l.MustRun("root", "mkdir -p /srv/target; echo kept >/srv/target/file; touch /srv/target/ptmx; podunit pull -q "+image+"; podunit run --rm --network none "+image+" cat /bin/busybox >busybox; chmod 755 busybox")
	for name, changes := range files {
		l.MustRun("root", "rm -rf tree; mkdir -p tree/bin tree/etc tree/run; cp busybox tree/bin; for n in sh id true; do ln -s busybox tree/bin/$n; done; cd tree; "+changes+"; tar -cf ../tree.tar .; podunit import -q ../tree.tar localhost:5000/evil-"+name+" >/dev/null; podunit push -q --tls-verify=false localhost:5000/evil-"+name+"; podunit rmi -f localhost:5000/evil-"+name+" >/dev/null")
	}
	for name, changes := range variants {
		config, err := json.Marshal(changes)
		if err != nil {
			l.t.Fatal(err)
		}
		l.WriteFile("root", "variant.json", string(config))
		l.WriteFile("root", "variant.py", labtest.Variant)
		l.MustRun("root", "python3 variant.py localhost:5000/busybox localhost:5000/evil-"+name+" - <variant.json")
	}
	const index = "application/vnd.oci.image.index.v1+json"
	l.MustRun("root", `curl -sSf -X PUT -H 'Content-Type: `+index+`' -d '{"schemaVersion":2,"mediaType":"`+index+`","manifests":[]}' localhost:5000/v2/evil-empty/manifests/latest`)
}

// images: each start of such an image ends soon, and says what is wrong, or works.
func images(t *testing.T, p person) {
	for _, c := range []struct{ name, flags, want string }{
		{"dev", "", "/dev of the image is a link, and must be a directory or missing"},
		{"proc", "", "/proc of the image is a link, and must be a directory or missing"},
		{"sys", "", "/sys of the image is a link, and must be a directory or missing"},
		{"fd", "", "/etc/passwd of the image is a link to /proc/self/fd/5, which is no file of the image"},
		{"pipe", "", "/etc/passwd of the image: it is not a regular file but a pipe"},
		{"device", "--user app", "podunit: error: "},
		{"groups", "--user app", "is in 300000 groups of the image, and a process can have 65536"},
		{"hosts", "--tz Asia/Tokyo", "uid=0"},
		{"volumes", "", "declares 250000 volumes, and a container may have 1000"},
		{"ports", "-P", "exposes 65535 ports"},
		{"user", "", "podunit: error: "},
		{"variables", "", "more than the kernel takes"},
		{"root", "", "would take the place of its own root directory"},
		{"empty", "", "the list of images is empty"},
	} {
		got := p.do("timeout -k 5 100 podunit run --rm --network none " + c.flags + " localhost:5000/evil-" + c.name + " sh -c id 2>&1 || true")
		if !strings.Contains(got, c.want) || len(got) > 4000 {
			t.Errorf("%s: %.4000s; want %q", c.name, got, c.want)
		}
	}
	if got := p.MustRun("root", "ls /srv/target; cat /srv/target/file"); got != "file\nptmx\nkept" {
		t.Errorf("what they lead to: %q", got)
	}
	for _, n := range []string{"''", "' '", ":", "/", "@", "Name", "a@b", "-/-", "http://x/y"} {
		if p.name != "alice" { // who asks is all one
			break
		}
		if got := p.do("podunit run --rm -- " + n + " true 2>&1 || true"); !strings.HasPrefix(got, "podunit: error: ") || len(got) < 30 {
			t.Errorf("the name %s: %q", n, got)
		}
	}
	got := p.do(`podunit create --name esc localhost:5000/evil-escapes >/dev/null; podunit ps -a; podunit ps -a --format 'table {{.Names}} {{.Labels}}'; podunit images; podunit rm esc >/dev/null`)
	if strings.ContainsAny(got, "\x1b\x07") || strings.Contains(got, "\nforged") {
		t.Errorf("%q", got)
	}
	p.do("podunit rmi -a -f >/dev/null 2>&1; podunit pull -q " + image)
}

// dripping: neither holds a registry up a start for ever, nor does it write on a terminal.
func dripping(t *testing.T, p person) {
	p.MustRun("root", `mkdir -p /etc/containers/registries.conf.d; printf '[[registry]]\nlocation = "localhost:5001"\ninsecure = true\n' >/etc/containers/registries.conf.d/slow.conf
		systemctl stop throttle 2>/dev/null; systemd-run --quiet --collect --unit throttle podunit-lab throttle --listen 127.0.0.1:5001 --fault nginx=drip --fault redis=escape`)
	p.Eventually("root", "curl -fsS -o /dev/null localhost:5001/v2/", time.Minute)
	p.unit("slow.container", "Image=localhost:5001/nginx\n[Service]\nEnvironment=PODUNIT_PULL_STALL_TIMEOUT=3s\n")
	begun := time.Now()
	got := p.manage(p.systemctl + " start slow 2>/dev/null; echo $?; " + p.systemctl + " show -P StatusText slow; " + p.systemctl + " reset-failed slow || true")
	if took := time.Since(begun); took > 45*time.Second || !strings.HasPrefix(got, "1\n") || !strings.Contains(got, "less than 1 KiB a second for 3s") {
		t.Errorf("after %s: %s", took, got)
	}
	p.drop("slow.container")
	for _, sig := range []string{"TERM", "INT"} {
		got := p.do(`set -m; podunit pull -q localhost:5001/nginx 2>said & p=$!; s=$(podunit info -f '{{.Store.GraphRoot}}'); until find $s/tmp -name 'pull-*' | grep -q . || ! kill -0 $p; do sleep 0.1; done; sleep 2
			kill -` + sig + ` -- -$p || exit 1; a=$(date +%s%N); wait $p; echo $? $((($(date +%s%N) - a) / 1000000))`)
		var status, ms int
		if _, err := fmt.Sscan(got, &status, &ms); err != nil || status == 0 || time.Duration(ms)*time.Millisecond > p.Promptly() {
			t.Errorf("SIG%s: status and milliseconds: %q (%v)", sig, got, err)
		}
	}
	got = p.do("podunit pull localhost:5001/redis 2>&1 || true")
	if strings.ContainsAny(got, "\x1b\x07") || strings.Contains(got, "\nforged") || !strings.Contains(got, "forged: line") {
		t.Errorf("%q", got)
	}
	// Only SIGKILL ends this one, and it has all the time it wants; who asks for its end can go.
	p.unit("deaf.container", "Image="+image+"\nContainerName=deaf\nNetwork=none\nStopTimeout=1000\nExec=sh -c 'trap \"\" TERM; echo up; while :; do sleep 1; done'\n")
	p.manage(p.systemctl + " start deaf")
	p.Eventually("root", "journalctl -q -o cat CONTAINER_NAME=deaf | grep -x up", time.Minute)
	for _, sig := range []string{"TERM", "INT"} {
		got := p.do(`set -m; podunit stop deaf >/dev/null 2>&1 & p=$!; sleep 1; kill -` + sig + ` -- -$p; a=$(date +%s%N); wait $p; echo $(((($(date +%s%N) - a) / 1000000) > ` + fmt.Sprint(p.Promptly().Milliseconds()) + `))`)
		if got != "0" {
			t.Errorf("podunit stop is deaf to SIG%s", sig)
		}
	}
	// The unit's own limit follows the key.
	if got := p.manage(p.systemctl + " show -P TimeoutStopUSec deaf; " + p.systemctl + " kill -s KILL deaf; " + p.systemctl + " reset-failed deaf || true"); got != "17min 10s" {
		t.Errorf("the unit's limit is %q", got)
	}
	p.do("podunit rm -f -i -t 0 deaf >/dev/null")
	p.drop("deaf.container")
	p.MustRun("root", "journalctl --rotate --vacuum-time=1s >/dev/null 2>&1; systemctl stop throttle; rm /etc/containers/registries.conf.d/slow.conf")
}

// volumesOfUnits: a volume that a unit names is in use, whoever runs.
func volumesOfUnits(t *testing.T, p person) {
	p.unit("keeps.container", "Image="+image+"\nNetwork=none\nContainerName=keeps\nVolume=kept:/data\nStopSignal=KILL\nExec=sh -c 'echo precious >/data/file; echo up; sleep 1000'\n")
	p.manage(p.systemctl + " start keeps")
	got := p.do("until podunit exec keeps test -e /data/file; do sleep 0.1; done; podunit volume create loose >/dev/null")
	p.manage(p.systemctl + " stop keeps")
	got += p.do("podunit volume prune -f 2>&1; podunit volume rm -a 2>&1; podunit volume ls -q; podunit volume export kept | tar -xO file; podunit volume rm kept 2>&1")
	if !strings.Contains(got, "although they had names: loose") || !strings.Contains(got, "volume kept is named by keeps.service") || !strings.Contains(got, "kept\nprecious\n") || !strings.Contains(got, "is named by keeps.service; there it begins empty") {
		t.Errorf("%s", got)
	}
	p.drop("keeps.container")
}

// emptyRecord: a power cut has left an empty record, and no list breaks.
func emptyRecord(t *testing.T, p person) {
	got := p.do(`podunit volume create bad >/dev/null; podunit volume create good >/dev/null; r=$(podunit info -f '{{.Store.GraphRoot}}')/volumes/bad/podunit.json; : >$r
		podunit volume inspect -f '{{.Name}}' good; podunit volume ls -q 2>said | grep good; podunit volume prune -f >/dev/null 2>>said; echo pruned $?; grep -q bad/podunit.json said && echo told; podunit volume rm -f bad good >/dev/null 2>&1; podunit volume ls -q`)
	if got != "good\ngood\npruned 0\ntold" {
		t.Errorf("%s", got)
	}
}

// exactNames: a unit whose names begin the IDs of others removes those not.
func exactNames(t *testing.T, p person) {
	ids := strings.Fields(p.do("podunit create --name other " + image + " true; podunit pod create --network none --name others"))
	if len(ids) != 2 {
		t.Fatalf("%q", ids)
	}
	p.unit("exact.container", "Image="+image+"\nNetwork=none\nContainerName="+ids[0][:6]+"\nStopSignal=KILL\nExec=sleep 1000\n")
	p.unit("exact.pod", "PodName="+ids[1][:6]+"\nNetwork=none\n")
	p.manage(p.systemctl + " start exact exact-pod; " + p.systemctl + " restart exact exact-pod; " + p.systemctl + " stop exact exact-pod")
	// What a unit removes may not be there: its pod could not be made, or somebody was first.
	p.unit("broken.pod", "PodName="+ids[1][:6]+"\nNetwork=nosuch\n[Service]\nRestart=no\n")
	p.manage(p.systemctl + " start broken-pod 2>/dev/null && exit 1; " + p.systemctl + " reset-failed broken-pod || true")
	removed := p.do("podunit rm -v -f -i " + ids[0][:6] + "; podunit pod rm -f -i " + ids[1][:6])
	if got := p.do("podunit ps -a --format '{{.Names}}' | grep '^other$'; podunit pod ps --format '{{.Name}}'"); got != "other\nothers" || removed != "" {
		t.Errorf("there is %q; removed: %q", got, removed)
	}
	p.do("podunit rm -f other; podunit pod rm -f others")
	p.drop("exact.container", "exact.pod", "broken.pod")
}

// unknownBoot: where the kernel's word for the boot cannot be read, nothing that runs is swept away.
func unknownBoot(t *testing.T, p person) {
	p.unit("stays.container", "Image="+image+"\nNetwork=none\nContainerName=stays\nVolume=/anonymous\nStopSignal=KILL\nExec=sh -c 'touch /anonymous/file; sleep 1000'\n")
	p.manage(p.systemctl + " start stays")
	main := p.manage(p.systemctl + " show -P MainPID stays")
	p.do("until podunit exec stays test -e /anonymous/file; do sleep 0.1; done")
	p.do("podunit create --rm --name waits --network none " + image + " true >/dev/null") // it has not run, and goes with its end
	p.MustRun("root", "mount -t tmpfs tmpfs /proc/sys/kernel/random; ! test -e /proc/sys/kernel/random/boot_id")
	t.Cleanup(func() { p.Run("root", "umount /proc/sys/kernel/random") }) // where the story does not come to its end
	if got := p.do("podunit ps >/dev/null; podunit rm -i nosuch; podunit run --rm --network none " + image + " true; podunit ps -a --format '{{.Names}}' | sort; podunit rm waits >/dev/null"); got != "stays\nwaits" {
		t.Errorf("there is %q", got)
	}
	p.do("podunit container prune -f; podunit volume prune -f")
	p.MustRun("root", "umount /proc/sys/kernel/random")
	if got := p.do("podunit ps --format '{{.Names}} {{.State}}'; podunit exec stays ls /anonymous"); got != "stays running\nfile" {
		t.Errorf("%s", got)
	}
	if now := p.manage(p.systemctl + " show -P MainPID stays; " + p.systemctl + " stop stays"); now != main {
		t.Errorf("its process was %s, is %s", main, now)
	}
	p.drop("stays.container")
}

// besidePod: who shares a pod's process IDs, with all rights there are, finds nothing in its process.
func besidePod(t *testing.T, p person) {
	p.unit("shared.pod", "Network=none\nPodName=shared\nPodmanArgs=--share pid,ipc,uts,net\n")
	// All services of a lab have a filter. The pod's process has one more than who is privileged.
	p.unit("beside.container", "Image="+image+"\nPod=shared.pod\nContainerName=beside\nPodmanArgs=--privileged\nStopSignal=KILL\nExec=sh -c 'cat /proc/self/status >/own; mkdir -p /sys/fs/cgroup/a/b; sleep 1000'\n")
	p.manage(p.systemctl + " start shared-pod beside")
	got := p.do(`exec 2>/dev/null; podunit exec beside sh -c 'until [ -d /sys/fs/cgroup/a/b ]; do sleep 0.1; done; grep -E "^(CapEff|CapBnd|NoNew)" /proc/1/status | tr -d "\n\t"; filters() { sed -n "s/^Seccomp_filters:.//p" $1; }; [ $(filters /proc/1/status) -gt $(filters /own) ] && printf Filtered; cat /proc/1/comm; ls -A /proc/1/root/ /proc/1/cwd/; ls -A /proc/1/root/../; ls -l /proc/1/fd | grep -o "> /.*"; (: >/proc/1/exe) 2>&1' || true`)
	if !strings.HasPrefix(got, "CapEff:0000000000000000CapBnd:0000000000000000NoNewPrivs:1Filteredpodunit-infra") || strings.Contains(got, "usr") || strings.Contains(got, "home") || strings.Contains(got, "> /") || !strings.HasSuffix(got, ": Read-only file system") {
		t.Errorf("it sees the machine:\n%s", got)
	}
	// It has made cgroups of its own, and goes with them.
	begun := time.Now()
	p.manage(p.systemctl + " stop beside shared-pod")
	if took := time.Since(begun); took > max(15*time.Second, 10*p.Promptly()) {
		t.Errorf("it took %s to remove it with its cgroups", took)
	}
	if got := p.do("podunit ps -aq; podunit pod ps -q"); got != "" {
		t.Errorf("left: %s", got)
	}
	p.drop("shared.pod", "beside.container")
}

// fullDisk: a container that has filled its user's disk can be stopped and removed, and the next
// starts.
func fullDisk(t *testing.T, p person) {
	uid := p.do("id -u")
	p.MustRun("root", "mount -t tmpfs -o size=20m,uid="+uid+",gid="+uid+",mode=700 tmpfs /mnt")
	t.Cleanup(func() { p.Run("root", "umount -l /mnt") }) // where the story does not come to its end
	p.unit("fills.container", "Image="+image+"\nNetwork=none\nContainerName=fills\nGlobalArgs=--root=/mnt/storage\nStopSignal=KILL\nExec=sh -c 'dd if=/dev/zero of=/fill bs=4k; dd if=/dev/zero of=/fill2 bs=1; sleep 1000'\n")
	const podunit = "podunit --root=/mnt/storage "
	p.manage(p.systemctl + " start fills")
	p.Eventually("root", "[ $(df --output=avail /mnt | tail -1) = 0 ]", time.Minute)
	got := p.do(podunit + "ps --format '{{.Names}}'")
	p.manage(p.systemctl + " stop fills")
	// ExecStopPost= tries it again, where ExecStop= has made some room: the first has to do.
	got += p.manage(p.systemctl + " show -P ExecStop fills | grep -o 'status=[0-9]*'")
	got += p.do(podunit + "ps -aq; " + podunit + "create --name next " + image + " true >/dev/null && " + podunit + "rm next")
	if got != "fillsstatus=0next" {
		t.Errorf("%s", got)
	}
	p.drop("fills.container")
	p.MustRun("root", "umount /mnt")
}

// betweenLogins: a service of dave's that has begun before his login is the same after it, and again
// when he has gone.
func betweenLogins(t *testing.T, l *Lab) {
	p := person{Lab: l, name: "dave", systemctl: "systemctl", dir: "/etc/containers/systemd/", service: "User=dave\n"}
	p.unit("his.container", "Image="+image+"\nContainerName=his\nNetwork=none\nVolume=/data\nStopSignal=USR1\nStopTimeout=60\nExec=sh -c 'trap \"echo heard it; exit 0\" USR1; echo kept >/data/file; while :; do sleep 0.2; done'\n")
	l.MustRun("root", "systemctl start his; loginctl enable-linger dave")
	l.Eventually("root", "test -d /run/user/1003", time.Minute)
	for _, login := range []string{"XDG_RUNTIME_DIR=/run/user/1003 ", ""} {
		if login == "" {
			l.MustRun("root", "loginctl disable-linger dave")
			l.Eventually("root", "! test -e /run/user/1003", time.Minute)
		}
		p.login = login
		got := p.do(`until podunit exec his grep kept /data/file >/dev/null; do sleep 0.1; done; podunit ps --format '{{.Names}}={{.State}}'
			podunit rm his 2>&1; echo $?; podunit run --rm --network none --name his ` + image + ` true 2>&1; echo $?; podunit container prune -f; podunit volume prune -f; podunit exec his cat /data/file`)
		if !strings.HasPrefix(got, "his=running\n") || !strings.Contains(got, "cannot remove container") || strings.Contains(got, "\n0\n") || !strings.HasSuffix(got, "kept") {
			t.Errorf("%s", got)
		}
	}
	l.MustRun("root", "loginctl enable-linger dave; systemctl stop his")
	l.Eventually("root", "test -d /run/user/1003 && journalctl -q -o cat CONTAINER_NAME=his | grep 'heard it'", time.Minute)
	if got := p.do("podunit ps -aq; podunit volume ls -q"); got != "" {
		t.Errorf("left: %s", got)
	}
	p.drop("his.container")
}
