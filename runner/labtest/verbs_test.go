// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/machine"
)

// A verbCase is a script that $P and $N are put into: the program, and a word by which the names of
// the two programs differ, since they share the storage.
type verbCase struct {
	name, script string
	// want is what it prints with podunit, standard output and "[STATUS]" after a command that fails;
	// empty where Podman tells.
	want string
}

// verbCases are run one after the other, the same machine beneath.
var verbCases = []verbCase{
	{"exists", `x $P container exists $N-web; x $P container exists $N-nobody`, "[1]\n"},
	{"inspect", `x $P container inspect -f '{{.Name}} {{.State.Status}}' $N-web`, ""},
	{"ls", `x $P container ls --filter name=$N-web --format '{{.Names}} {{.State}}'`, ""},
	{"port", `x $P port $N-web 80; x $P port $N-web 80/udp; x $P container port $N-web`, "0.0.0.0:PORT\n[125]\n80/tcp -> 0.0.0.0:PORT\n"},
	{"pause", `x $P pause $N-web; x $P ps -a --filter name=$N-web --format '{{.State}}'; x $P pause $N-web; x $P unpause $N-web; x $P unpause $N-web`, ""},
	{"top", `x $P top $N-web args | sed 's/ *$//'; x $P top $N-web nonsense`, ""},
	{"top with the container's ps", `x $P top $N-web -o pid,comm | sed '1d; s/^ *//' | head -1`, ""},
	{"stats", `x $P stats --no-stream --format '{{.Name}} {{.PIDS}}' $N-web; $P stats --no-stream --format json $N-web | jq -r '.[0] | keys | join(" ")'`,
		"N-web 2\navg_cpu block_io cpu_percent cpu_time id mem_percent mem_usage name net_io pids\n"},
	{"diff", `$P exec $N-web sh -c 'echo >/made; rm /etc/group'; x $P diff $N-web; x $P diff --format json $N-web | jq -c .`, "C /etc\nD /etc/group\nA /made\n{\"changed\":[\"/etc\"],\"added\":[\"/made\"],\"deleted\":[\"/etc/group\"]}\n"},
	{"cp of a file", `echo one >one; x $P cp one $N-web:/tmp/two; x $P exec $N-web cat /tmp/two; x $P cp $N-web:/tmp/two three; cat three`, ""},
	{"cp into a directory", `x $P cp one $N-web:/tmp; x $P exec $N-web sh -c 'ls /tmp; stat -c "%u %g" /tmp/one'`, ""},
	{"cp of a directory", `mkdir -p d/e; echo >d/e/f; x $P cp d $N-web:/tmp/new; x $P cp d $N-web:/tmp/new; x $P cp d/. $N-web:/tmp/flat; x $P exec $N-web sh -c 'cd /tmp; find new flat | sort'`, ""},
	{"cp of what is not there", `x $P cp $N-web:/nothing .; x $P cp nothing $N-web:/tmp; x $P cp d $N-web:/tmp/two; x $P cp one $N-web:/none/there`, ""},
	{"cp of archives", `x $P cp $N-web:/tmp/two - | tar -xO; tar -c one | x $P cp - $N-web:/home; x $P exec $N-web ls /home`, ""},
	{"cp of a volume", `x $P cp $N-web:/data/in - | tar -t; x $P cp one $N-web:/data/late; x $P exec $N-web ls /data`, ""},
	{"export", `x $P export $N-web | tar -t | grep -x -e made -e etc/group -e data/in; x $P export -o exported $N-web; tar -tf exported | grep -c -x made`, "made\n1\n"},
	{"commit", `x $P commit -q -c 'CMD ["cat", "/made2"]' -c 'ENV A=b' $N-web $N-committed | grep -cE '^[0-9a-f]{64}$'; x $P image inspect -f '{{.Config.Cmd}} {{index .Config.Env 0}}' $N-committed; x $P run --rm $N-committed ls /made /etc/group`,
		"1\n[cat /made2] PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n/made\n[1]\n"},
	{"commit with a message", `x $P commit -q -m hello $N-web; x $P commit -q -f docker -m hello $N-web $N-docker | wc -c; x $P image inspect -f '{{.Comment}}' $N-docker`, ""},
	{"history", `x $P history --format json localhost:5000/busybox | jq -r '.[0] | keys - ["Created"] | join(" ")'; x $P history -q localhost:5000/busybox | wc -l`, ""},
	{"save and load", `x $P save -q -o archive $N-committed; x $P rmi -f $N-committed >/dev/null; x $P load -q -i archive; x $P load -q <archive; x $P load -q -i one`, ""},
	{"save as OCI", `x $P save -q --format oci-archive -o oci $N-committed; tar -tf oci | grep -x -e index.json -e oci-layout; x $P save -q --format oci-dir -o ocidir $N-committed; ls ocidir | grep -x version`, ""},
	{"import", `x $P import -q -c CMD=/bin/true exported $N-imported | cut -c 1-7; x $P image inspect -f '{{.Config.Cmd}}' $N-imported; x $P image diff $N-imported | grep -x 'A /made'`, ""},
	{"push and search", `x $P push -q $N-committed localhost:5000/$N/app:1; x $P push -q --digestfile digest $N-committed localhost:5000/$N/app:2; cut -c 1-7 digest; x $P search --list-tags --format '{{.Tag}}' localhost:5000/$N/app | sort; x $P push -q $N-nothing localhost:5000/x`,
		"sha256:\n1\n2\n[125]\n"},
	{"lists of manifests", `x $P manifest create $N-list | wc -c; x $P manifest add --arch arm64 $N-list $N-committed | wc -c; x $P manifest exists $N-list; x $P manifest exists $N-committed; x $P manifest inspect $N-list | jq -r '.manifests[].platform.architecture'; x $P manifest push -q $N-list docker://localhost:5000/$N/list:1 >/dev/null; curl -s -H 'Accept: application/vnd.oci.image.index.v1+json' localhost:5000/v2/$N/list/manifests/1 | jq -r .mediaType; x $P manifest rm $N-list | grep -c Untagged`, ""},
	{"login", `echo wrong | x $P login --get-login localhost:5000; x $P logout localhost:5000`, "[125]\n[125]\n"},
	{"tree", `x $P image tree $N-committed | grep -c 'Top Layer'`, ""},
	{"wait", `$P run -d --name $N-job localhost:5000/busybox sh -c 'sleep 0.5; exit 3' >/dev/null; x $P wait $N-job; x $P wait $N-job; x $P wait --condition stopped $N-job; x $P wait $N-nobody; x $P wait --ignore $N-nobody; x $P wait --condition running $N-web; $P rm $N-job >/dev/null`, ""},
	{"wait for one that goes", `$P run -d --rm --name $N-job localhost:5000/busybox sh -c 'sleep 3; exit 4' >/dev/null; x $P wait $N-job`, ""},
	{"rename", `x $P rename $N-web $N-other; x $P container exists $N-web; x $P exec $N-other echo here; x $P rename $N-other $N-web; x $P rename $N-nobody $N-x`, ""},
	{"restart after rename", `x $P rename $N-web $N-other; x $P restart -t 0 $N-other; x $P exec $N-other echo here; x $P rename $N-other $N-web`, "N-other\nhere\n"},
	{"pods", `x $P pod create --name $N-pod | wc -c; $P run -d --pod $N-pod --name $N-in localhost:5000/busybox sh -c 'echo said; exec sleep 1000' >/dev/null; until $P pod top $N-pod args | grep -q '^sleep'; do sleep 0.1; done; x $P pod pause $N-pod | wc -c; x $P ps -a --filter name=$N-in --format '{{.State}}'; x $P pod unpause $N-pod | wc -c; x $P pod stats --no-stream --format '{{.Name}}' $N-pod | grep $N-in; until $P pod logs $N-pod | grep -q said; do sleep 0.1; done; x $P pod logs $N-pod | grep -o 'said$'; x $P pod restart $N-pod | wc -c; x $P ps --filter name=$N-in --format '{{.State}}'; x $P pod kill $N-pod | wc -c`, "65\n65\npaused\n65\nN-in\nsaid\n65\nrunning\n65\n"},
	{"pod prune", `$P pod stop -t 0 $N-pod >/dev/null; x $P pod prune -f | wc -c; x $P pod exists $N-pod; x $P container exists $N-in`, "65\n[1]\n[1]\n"},
	{"filters", `$P create --name $N-f --label $N=1 --stop-signal KILL localhost:5000/busybox sleep 1000 >/dev/null; x $P start --filter label=$N=1 | wc -c; x $P ps --filter name=$N-f --format '{{.State}}'; x $P stop -t 0 --filter label=$N=1 | wc -l; x $P start --filter label=$N=2; x $P rm --depend $N-f`, "65\nrunning\n1\nN-f\n"},
	{"a pod made by the way", `$P run -d --pod new:$N-made --name $N-x localhost:5000/busybox sleep 1000 >/dev/null; x $P pod exists $N-made; x $P ps --filter pod=$N-made --filter name=$N-x --format '{{.Names}} {{.PodName}}'; $P pod rm -f -t 0 $N-made >/dev/null`, ""},
	{"container prune", `$P create --name $N-idle localhost:5000/busybox >/dev/null; x $P container prune -f --filter label=none; x $P container exists $N-idle; $P rm $N-idle >/dev/null`, ""},
	{"system df", `x $P system df --format '{{.Type}}'; x $P system df --format json | jq -r '.[0] | keys | join(" ")'; x $P system df -v | grep -c 'space usage'`, ""},
	{"info", `x $P info -f '{{.Host.CgroupManager}} {{.Host.CgroupsVersion}} {{.Host.NetworkBackend}} {{.Store.GraphDriverName}} {{.Store.GraphRoot}} {{.Store.VolumePath}} {{.Host.Security.Rootless}} {{.Host.ServiceIsRemote}}'`, ""},
	{"info, the runtime", `x $P info -f '{{.Host.OCIRuntime.Name}}'; x $P info -f json | jq -r '[.host.idMappings.uidmap[]?.size] | length'`, "runc\nIDS\n"},
	{"globals", `x $P --noout version; x $P --out said version -f '{{.Client.OsArch}}'; cat said; x $P --cgroup-manager systemd version -f '{{.Client.OsArch}}'`, ""},
	{"flags of Podman 6", `$P run -d --name $N-w1 localhost:5000/busybox sleep 1000 >/dev/null; $P run -d --name $N-w2 localhost:5000/busybox sh -c 'exit 3' >/dev/null; x $P wait --exit-first-match $N-w1 $N-w2; $P inspect -f '{{.Id}}' $N-w1 >cid; x $P exec --cidfile cid echo in; x $P pull -q --policy missing localhost:5000/busybox | wc -c; x $P volume create $N-v6; x $P volume prune --all -f --filter label=none; x $P volume rm $N-v6; $P rm -f -t 0 $N-w1 $N-w2 >/dev/null`,
		"3\nin\n65\nN-v6\nN-v6\n"},
	{"system check", `x podunit system check; echo whole`, "whole\n"},
	{"what is refused", `x podunit container checkpoint x; x podunit image scp x; x podunit --url x ps; x podunit system service`, "[125]\n[125]\n[125]\n[125]\n"},
}

// TestLabVerbs runs the everyday verbs, and the same with Podman.
func TestLabVerbs(t *testing.T) {
	l := boot(t, labtest.Options{})
	for i, user := range []string{"alice", "root"} {
		t.Run(user, func(t *testing.T) {
			l := l.on(t)
			l.WriteFile(user, ".config/containers/containers.conf", "[containers]\npids_limit=0\n")
			l.MustRun(user, "podunit pull -q "+image)
			begin := func(program, n string, port int) {
				l.MustRun(user, fmt.Sprintf(`%s run -d --name %s-web -p %d:80 -v %s-data:/data --stop-signal KILL %s sh -c 'echo >/data/in; while :; do sleep 1000; done'; until %s exec %s-web test -e /data/in; do sleep 0.1; done`, program, n, port, n, image, program, n))
			}
			begin("podunit", "ours", 8600+10*i)
			begin("podman", "peer", 8601+10*i)
			for _, c := range verbCases {
				t.Run(c.name, func(t *testing.T) {
					got := runVerbs(l, user, "podunit", "ours", c.script)
					want := strings.ReplaceAll(c.want, "IDS", map[string]string{"alice": "2", "root": "0"}[user])
					// Each case finds what those before it have left.
					if peer := runVerbs(l, user, "podman", "peer", c.script); want == "" {
						want = peer
					}
					if got != want {
						t.Errorf("%s\nprints\n%s\nwant\n%s", c.script, got, want)
					}
				})
			}
			t.Run("called podman", func(t *testing.T) {
				l := l.on(t)
				got := l.MustRun(user, `mkdir -p names; ln -sf $(command -v podunit) names/podman; PATH=~/names:$PATH; podman --version; podman ps -q --filter name=ours-web | wc -l; podman container inspect nobody 2>&1 | grep -c '^Error: '`)
				if got != "podman version 5.4.2\n1\n1" {
					t.Errorf("%q", got)
				}
			})
			t.Run("called podman in a unit", func(t *testing.T) { podmanInUnit(l.on(t), user) })
			t.Run("doctor", func(t *testing.T) {
				l := l.on(t)
				got := l.MustRun(user, `podunit doctor --format json | jq -r '.[] | select(.state == "error")'; podunit doctor 2>&1 | grep -c -e '^ok *storage: ' -e level=`)
				if got != "1" {
					t.Errorf("%s", got)
				}
			})
			t.Run("build", func(t *testing.T) {
				l := l.on(t)
				got := l.MustRun(user, `mkdir -p bin; printf '#!/bin/sh\necho "$@"; id -u\n' >bin/buildah; chmod +x bin/buildah; PATH=~/bin:$PATH podunit build -t x --build-arg A=b .; P=$(command -v podunit); PATH=/nowhere $P build . 2>&1 | grep -c 'apt install buildah'`)
				if !strings.Contains(got, "build -t x --build-arg A=b .\n0\n1") || !strings.Contains(got, "--root ") {
					t.Errorf("%s", got)
				}
			})
			l.MustRun(user, "podman rm -f -t 0 peer-web; podunit rm -f -t 0 ours-web; podunit system prune -f -a --volumes; podunit ps -aq")
			l.Eventually(user, "[ -z \"$(podunit ps -aq; podunit pod ps -q)\" ]", time.Minute)
		})
	}
}

// podmanInUnit has a unit call podunit by the name podman, before its start and when it is reloaded.
func podmanInUnit(l *Lab, user string) {
	l.t.Helper()
	l.MustRun("root", "ln -s $(command -v podunit) /usr/local/bin/podman")
	l.t.Cleanup(func() { l.MustRun("root", "rm /usr/local/bin/podman") })
	systemctl, dir := "systemctl --user", ".config/containers/systemd/"
	if user == "root" {
		systemctl, dir = "systemctl", "/etc/containers/systemd/"
	}
	l.WriteFile(user, dir+"called.container", "[Container]\nImage="+image+"\nContainerName=called\nNetwork=none\nVolume=called-pre:/pre\n"+
		`Exec=sh -c 'trap "echo reloaded" HUP; echo ready; while :; do sleep 0.1; done'`+"\n"+
		"[Service]\nExecStartPre=podman volume create --label by=podman called-pre\nExecReload=podman exec called kill -HUP 1\n")
	l.MustRun(user, systemctl+" daemon-reload; "+systemctl+" start called")
	// Before it has said so, the signal is lost.
	l.Eventually(user, "podunit logs called | grep -x ready", time.Minute)
	l.MustRun(user, systemctl+" reload called")
	l.Eventually(user, "podunit logs called | grep -x reloaded", time.Minute)
	if got := l.MustRun(user, "podunit volume ls -q --filter label=by=podman; "+systemctl+" is-active called"); got != "called-pre\nactive" {
		l.t.Errorf("%q", got)
	}
	l.MustRun(user, "podunit stop -t 0 called; rm "+dir+"called.container; "+systemctl+" daemon-reload; podunit volume rm called-pre")
}

// varying are what differs between two programs that do the same.
var varying = regexp.MustCompile(`\b86[0-9][0-9]\b`)

// runVerbs runs a script with a program and returns what it prints without what must differ.
func runVerbs(l *Lab, user, program, n, script string) string {
	l.t.Helper()
	const x = `x() { "$@" 2>>errors; s=$?; [ $s = 0 ] || echo "[$s]"; return $s; }; `
	stdout, _, _ := l.Command(machine.Command{User: user, Args: []string{"mkdir -p " + n + "; cd " + n + "; P=" + program + " N=" + n + "; " + x + script}, Timeout: 5 * time.Minute})
	return varying.ReplaceAllString(strings.ReplaceAll(stdout, n, "N"), "PORT")
}
