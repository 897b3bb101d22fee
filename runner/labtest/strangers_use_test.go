// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/machine"
)

// The stories of TestLabStrangersOfEach about containers that run.

// gone waits until nothing is left of the person's containers, processes of helpers among it.
func (p person) gone() {
	p.t.Helper()
	p.Gone("root", "pgrep -a -x 'pasta(.avx2)?|podunit-(log|guard|infra)'")
	if got := p.do("podunit ps -aq; podunit pod ps -q"); got != "" {
		p.t.Errorf("left: %s", got)
	}
}

// plays has the person play a contest.
func (p person) plays(name string) {
	p.t.Helper()
	for _, c := range contests {
		if c.name != name {
			continue
		}
		if p.service != "" { // where no manager takes orders, each start says so
			c.end = "sed -i '/no cgroup of its own/d' said; " + c.end
		}
		if got := p.do(c.script(2) + "; rm -rf ~/race"); got != "" {
			p.t.Errorf("%s: %s", name, got)
		}
		return
	}
	p.t.Fatalf("there is no contest: %s", name)
}

// shownNames: what the command line of a pasta shows of names, bob takes, and the container can be
// restarted, stopped and started all the same.
func shownNames(t *testing.T, p person) {
	p.unit("shows.container", "Image="+image+"\nContainerName=shows\nPublishPort=8641:80\nStopSignal=KILL\nExec=sleep 1000\n")
	p.manage(p.systemctl + " start shows")
	uid := p.MustRun("root", "stat -c %u /proc/$(pgrep pasta)")
	if mine := p.do("id -u"); (mine == "0") == (uid == mine) { // root's has rights of its own for it
		t.Errorf("pasta of user %s runs as %s", mine, uid)
	}
	p.MustRun("bob", `for path in $(cat /proc/$(pgrep pasta)/cmdline | tr '\0' '\n' | grep ^/); do mkdir -p $path && touch $path/file; done 2>/dev/null; true`)
	p.manage("for verb in restart stop start stop; do timeout 100 " + p.systemctl + " $verb shows || exit 1; done")
	p.gone()
	p.MustRun("bob", "find /tmp /var/tmp -user bob 2>/dev/null | sort | comm -23 - ~/taken | xargs -r rm -rf")
	p.drop("shows.container")
}

// saidToManagers: what a container says is its own affair only. The machine's own programs speak for
// it, which it finds below /usr.
func saidToManagers(t *testing.T, p person) {
	home := p.do("echo ~")
	p.WriteFile("root", home+"/say", say("MAINPID=1\nERRNO=7\nSTATUS=a")+"\n"+say("READY=1")+"\nsystemd-notify --status=done\nexec sleep infinity\n")
	p.MustRun("root", "chmod 644 "+home+"/say")
	_, keys, _ := strings.Cut(speaker, "[Container]\n")
	p.unit("says.container", keys+"ContainerName=says\nPodmanArgs=--privileged\nVolume="+home+"/say:/say:ro\nExec=sh /say\n")
	p.manage("timeout 100 " + p.systemctl + " start says")
	p.Eventually(p.player(), p.systemctl+" show -P StatusText says | grep -x done", time.Minute)
	got := strings.Fields(p.manage(p.systemctl + " show -P MainPID -P StatusErrno says"))
	first := p.do("podunit inspect -f '{{.State.Pid}}' says")
	if !slices.Equal(got, []string{first, "0"}) {
		t.Errorf("the main process and the error are %q, and the container's process is %s", got, first)
	}
	p.manage(p.systemctl + " stop says")
	p.gone()
	p.MustRun("root", "rm "+home+"/say")
	p.drop("says.container")
}

// changedTrees: where a container puts links to the person's own directory, a volume is filled, given
// away and copied to and from, and the directory stays as it was.
func changedTrees(t *testing.T, p person) {
	home := p.do("echo ~; podunit pull -q localhost:5000/nginx >/dev/null")
	for _, c := range contests {
		if c.stranger == "" {
			continue
		}
		c.round, c.stranger, c.end = strings.ReplaceAll(c.round, "/home/alice", home), strings.ReplaceAll(c.stranger, "/home/alice", home), strings.ReplaceAll(c.end, "/home/alice", home)
		p.unit("a.container", "Image="+image+"\nContainerName=a\nNetwork=none\nStopSignal=KILL\nVolume=shared:/v\nExec=sh -c 'cd /v; "+c.stranger+"'\n")
		p.manage(p.systemctl + " start a")
		begin := target + "; until podunit exec a test -e /v; do sleep 0.1; done"
		out, stderr, code := p.Command(machine.Command{User: p.player(), Args: []string{p.script(c.rounds(begin, 2) + "\ntrue")}, Timeout: 5 * time.Minute})
		p.manage(p.systemctl + " stop a")
		p.drop("a.container")
		if code != 0 || strings.Contains(stderr, "panic") {
			t.Errorf("%s: status %d\n%s%s", c.name, code, out, stderr)
		}
		if got := p.do("cd ~/race; " + c.end + " >/dev/null"); got != "" {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	p.do("rm -rf ~/target ~/race; podunit rmi -f localhost:5000/nginx >/dev/null")
}

// writable: what podunit places in a container is not the container's, nor does a volume bring
// rights or devices.
func writable(t *testing.T, p person) {
	got := p.do(`run="podunit run --rm --network none" I=` + image + `
		$run --read-only $I sh -c 'n=0; for f in /etc/hosts /etc/resolv.conf /etc/hostname /run/.containerenv; do [ -e $f ] && echo x 2>/dev/null >>$f && n=$((n+1)); done; echo $n'
		$run -v nsd:/n $I grep -c ' /n .*nosuid,nodev' /proc/mounts; podunit volume rm nsd >/dev/null
		rm -rf odd; mkdir -p 'odd/a,upperdir=b'; echo below >'odd/a,upperdir=b/file'; $run -v "$PWD/odd/a,upperdir=b:/x:O" $I cat /x/file; rm -rf odd
		podunit run --rm --network host $I sh -c 'ls -A /sys/firmware; mount -o remount,rw /sys 2>/dev/null; mkdir /sys/kernel/x 2>/dev/null; echo x 2>/dev/null >/sys/kernel/uevent_helper || echo no'
		[ $(id -u) = 0 ] && echo none || $run --userns=keep-id $I sh -c 'stat -c %u /etc/hosts; echo x 2>/dev/null >>/etc/hosts || echo none' | grep -v '^0$'`)
	if got != "0\n1\nbelow\nno\nnone" {
		t.Errorf("%q", got)
	}
}

// atOnce: what replaces, prunes and removes at once does not disturb each other.
func atOnce(t *testing.T, p person) {
	verb := "run -d"
	if p.service != "" {
		verb = "create" // no manager takes orders from who plays
	}
	got := p.do(`for n in $(seq 8); do podunit ` + verb + ` --replace --network none --name r --stop-signal KILL ` + image + ` sleep 1000 >/dev/null 2>>said & done; wait; podunit ps -a --format '{{.Names}}'
		podunit rm -f -t 0 r >/dev/null; grep -e 'exists already' -e 'in use' -e panic said; rm said
		podunit pull -q localhost:5000/layers >/dev/null; podunit create --name an -v /anonymous localhost:5000/layers >/dev/null; podunit rmi -f localhost:5000/layers >/dev/null; podunit ps -aq; podunit volume ls -q`)
	if got != "r" {
		t.Errorf("%s", got)
	}
	p.plays("prunes beside starts")
	p.do("podunit pull -q " + image + " >/dev/null")
}

// leftByKilled: neither a killed pull leaves something, nor a killed exec; and what runs is known,
// though its status is lost.
func leftByKilled(t *testing.T, p person) {
	p.plays("pulls beside removals")
	p.unit("lost.container", "Image="+image+"\nContainerName=lost\nPublishPort=8642:80\nStopSignal=KILL\nExec=sleep 1000\n")
	p.manage(p.systemctl + " start lost")
	got := p.do(`run=$(dirname $(podunit info -f '{{.Store.RunRoot}}')); [ $(id -u) != 0 ] || run=/run; at=$run/podunit/containers
		until podunit exec lost true; do sleep 0.1; done
		podunit exec lost sleep 2001 & until pgrep -x -f 'sleep 2001' >/dev/null; do sleep 0.1; done; kill -9 $!; wait; podunit exec lost true; ls $at/*/exec-* 2>/dev/null
		rm $at/*/status.json; podunit ps --format '{{.Names}} {{.State}}'; podunit exec lost echo in it`)
	if got != "lost running\nin it" {
		t.Errorf("%s", got)
	}
	p.manage(p.systemctl + " stop lost")
	p.gone()
	p.Gone("root", "pgrep -x -f 'sleep 2001'")
	p.Gone(p.player(), p.systemctl+" list-units --all --plain --no-legend 'podunit-*.scope'")
	p.drop("lost.container")
}
