// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"regexp"
	"strings"
	"testing"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// TestLabUserNS looks from inside at user namespaces of every kind, those above all in which who
// started the container has no ID: then its root can reach neither the storage nor what others have
// made for it.
func TestLabUserNS(t *testing.T) {
	l := boot(t, labtest.Options{})
	for _, user := range []string{"alice", "root"} {
		l.MustRun(user, "podunit pull -q "+image)
	}
	const run = "podunit run --rm --network none "
	const ids = "sh -c \"sed 's/^ *//; s/  */ /g' /proc/self/uid_map\" | tr '\\n' ';'; "
	// The case that comes first gives root's containers their ranges; the lab keeps them.
	const ranges = "grep -qs ^containers: /etc/subuid || echo containers:2147483647:2147483648 | tee -a /etc/subuid /etc/subgid >/dev/null; "
	const one = "podunit run -d --name one --network none --userns auto:size=2000 --stop-signal KILL $I sleep 1000 >/dev/null; "
	for _, c := range []struct{ name, user, script, want string }{
		{"nomap", "alice", run + "--userns nomap $I " + ids + run + "--userns nomap $I sh -c 'id -u; touch /made; stat -c %u /made /etc/hosts'", "0 1 65536;0\n0\n0"},
		{"nomap with a network", "alice", "podunit run --rm --userns nomap $I sh -c 'cat /sys/class/net/lo/mtu; id -u'", "65536\n0"},
		{"nomap with runc's rival", "alice", "podunit --runtime crun run --rm --network none --userns nomap $I id -u", "0"},
		{"nomap as root", "root", run + "--userns nomap $I true", "~root is none"},
		{"auto", "alice", run + "--userns auto:size=2000 $I " + ids, "0 1 2000;"},
		{"auto as the image needs it", "alice", run + "--userns auto $I sh -c 'id -u; wc -l </proc/self/uid_map'", "0\n1"},
		{"two with auto have nothing in common", "alice", "podunit run -d --name a1 --userns auto:size=3000 $I sleep 1000 >/dev/null; " + run + "--userns auto:size=2000 $I " + ids + "podunit rm -f -t 0 a1 >/dev/null", "0 3001 2000;"},
		{"one with auto that has ended", "alice", "podunit create --name a2 --userns auto:size=1500 $I sleep 1000 >/dev/null; podunit start a2 >/dev/null; podunit exec a2 " + ids + "podunit restart -t 0 a2 >/dev/null; podunit exec a2 " + ids +
			"podunit cp /etc/hostname a2:/h && podunit exec a2 stat -c %u /h; podunit exec --user 7 a2 id -u; podunit rm -f -t 0 a2 >/dev/null", "0 1 1500;0 1 1500;0\n7"},
		{"auto with an ID of one's own", "alice", "echo mine >~/mine; chmod 600 ~/mine; " + run + "--userns auto:size=1500,uidmapping=5:0:1,gidmapping=5:0:1 --user 5 -v ~/mine:/mine $I sh -c 'id -u; cat /mine'", "5\nmine"},
		{"more than there is", "alice", run + "--userns auto:size=100000 $I true", "~hint: the containers share the ranges"},
		{"a file of this machine", "alice", "echo mine >~/mine; chmod 600 ~/mine; " + run + "--uidmap +33:@1000 --gidmap +33:@1000 --user 33 -v ~/mine:/mine $I sh -c 'cat /mine; id -u'", "mine\n33"},
		{"a map without the owner", "alice", run + "--uidmap 0:10:5000 $I " + ids, "0 10 5000;"},
		{"a map across two ranges", "alice", run + "--uidmap 0:0:100 $I " + ids + run + "--uidmap +500:7 $I sh -c 'wc -l </proc/self/uid_map'; podunit pod create --network none --uidmap 0:0:100 --name px >/dev/null; podunit run --rm --pod px $I " + ids + "podunit pod rm -f -t 0 px >/dev/null", "0 0 1;1 1 99;5\n0 0 1;1 1 99;"},
		{"/dev/stdout of a stranger", "alice", "podunit run -d --name out --network none --userns nomap --user 9 $I sh -c 'echo said >/dev/stdout; sleep 1000' >/dev/null; for i in $(seq 600); do podunit logs out 2>&1 | grep -q said && break; sleep 0.1; done; podunit logs out; podunit rm -f -t 0 out >/dev/null", "said"},
		{"a volume of a stranger", "alice", run + "--userns nomap -v un:/data:U $I touch /data/x; " + run + "--userns nomap --user 0 -v un:/data $I sh -c 'rm /data/x && echo removed'; podunit volume rm un >/dev/null", "removed"},
		{"a health check", "alice", "podunit run -d --name hc --network none --userns nomap --health-cmd 'id -u' $I sleep 1000 >/dev/null; podunit healthcheck run hc; echo $?; podunit rm -f -t 0 hc >/dev/null", "0"},
		{"parameters of the network", "alice", "podunit run -d --name ps --userns auto -p 8097:80 --sysctl net.ipv4.ip_forward=1 --sysctl net.ipv4.conf.lo.rp_filter=2 $I sleep 1000 >/dev/null; podunit exec ps sh -c 'cd /proc/sys/net/ipv4; cat ip_forward conf/lo/rp_filter'; podunit rm -f -t 0 ps >/dev/null; " +
			run + "--userns keep-id --sysctl net.core.somaxconn=77 $I cat /proc/sys/net/core/somaxconn; podunit network create pn >/dev/null; podunit run -d --name ps --network pn --sysctl net.ipv4.conf.eth0.rp_filter=2 $I sleep 1000 >/dev/null; podunit exec ps cat /proc/sys/net/ipv4/conf/eth0/rp_filter; podunit rm -f -t 0 ps >/dev/null; podunit network rm pn >/dev/null",
			"1\n2\n77\n2"},
		{"a pod of strangers", "alice", "podunit pod create --network none --userns nomap --name pu >/dev/null; podunit run -d --name pm --pod pu $I sh -c 'touch /dev/shm/of-pm; sleep 1000' >/dev/null; " +
			"podunit run --rm --pod pu $I sh -c 'hostname; id -u; until [ -e /dev/shm/of-pm ]; do sleep 0.1; done; stat -c %u /dev/shm/of-pm /etc/hosts'; podunit exec pm " + ids + "podunit pod rm -f -t 0 pu >/dev/null", "pu\n0\n0\n0\n0 1 65536;"},
		{"a pod with auto", "alice", "podunit pod create --userns auto:size=2000 --name pa >/dev/null; podunit run --rm --pod pa $I " + ids + "podunit run -d --name am --stop-signal KILL --pod pa $I sleep 1000 >/dev/null; " +
			run + "--userns auto:size=1500 $I " + ids + "podunit pod restart pa >/dev/null; podunit exec am " + ids + "podunit ps -a --external --format '{{.Names}}'; podunit pod rm -f -t 0 pa >/dev/null; " +
			run + "--userns auto:size=1500 $I " + ids, "0 1 2000;0 2001 1500;0 1 2000;am\n0 1 1500;"},
		{"more than there is for a pod", "alice", "podunit pod create --userns auto:size=100000 --name pa; podunit pod ps -q | wc -l", "~hint: the containers share the ranges"},
		{"a .pod with auto", "alice", "mkdir -p $D; printf '[Pod]\\nUserNS=auto:size=1700\\nNetwork=none\\n' >$D/qp.pod; " + unitOf("qm", "Pod=qp.pod\\n") + "$S daemon-reload; $S start qm; podunit exec systemd-qm " + ids + "$S restart qp-pod; $S start qm; podunit exec systemd-qm " + ids +
			"$S stop qp-pod; rm $D/qm.container $D/qp.pod; $S daemon-reload; podunit ps -a --external -q", "0 1 1700;0 1 1700;"},
		{"a pod's mounts for others", "alice", "mkdir -p ~/d; echo x >~/d/f; podunit create --name owner -v ~/d:/d $I true >/dev/null; podunit pod create --network none --infra-name pv-infra --volumes-from owner:ro --name pv >/dev/null; " +
			"podunit run --rm --pod pv $I sh -c 'cat /d/f; touch /d/g 2>&1'; " + run + "--volumes-from pv-infra $I cat /d/f; podunit pod rm -f -t 0 pv >/dev/null; podunit rm owner >/dev/null", "x\ntouch: /d/g: Read-only file system\nx"},
		{"a pod with ranges of a name", "root", "podunit pod create --network none --subuidname dave --name pd >/dev/null; podunit run --rm --pod pd $I sh -c 'touch /dev/shm/x && hostname'; podunit run --rm --pod pd $I " + ids + "podunit pod rm -f -t 0 pd >/dev/null", "pd\n0 300000 65536;"},
		{"a mount with mappings of its own", "root", "mkdir -p /root/ids; chown 5:6 /root/ids; " + run + "-v '/root/ids:/d:idmap=uids=5-77-1;gids=0-100-10' $I stat -c %u:%g /d; " + run + "--uidmap 0:100000:65536 -v '/root/ids:/d:idmap=uids=@0-50-10;gids=@6-8-1' $I stat -c %u:%g /d", "77:106\n55:8"},
		{"root's map", "root", run + "--uidmap 0:100000:65536 $I " + ids, "0 100000 65536;"},
		{"root without ranges for auto", "root", "rm -f /etc/subuid.kept; " + run + "--userns auto $I true", "~hint: they come from the ranges of containers"},
		{"root with them", "root", ranges + run + "--userns auto:size=1234 $I " + ids, "0 2147483647 1234;"},
		{"root with those of another name", "root", "C=/etc/containers/storage.conf.d/auto.conf; mkdir -p ${C%/*}; printf '[storage.options]\\nroot-auto-userns-user=\"dave\"\\n' >$C; " + run + "--userns auto:size=1234 $I " + ids + "sed -i s/dave/nosuch/ $C; " + run + "--userns auto $I true 2>&1 | grep -o 'hint: they come from the ranges of nosuch'; rm $C",
			"0 300000 1234;hint: they come from the ranges of nosuch"},
		{"the ranges of a name", "root", run + "--subuidname dave $I " + ids, "0 300000 65536;"},
		{"the ranges of nobody", "root", run + "--subuidname nosuch $I true", "~--subuidname nosuch"},
		{"that of another container", "alice", one + run + "--userns container:one $I sh -c 'touch /x; stat -c %u /x /etc/hosts; readlink /proc/self/ns/user' | sort -u | wc -l; " + run + "--userns container:one $I " + ids +
			"podunit run -d --name two --stop-signal KILL -p 8098:80 --health-cmd 'id -u' --userns container:one $I httpd -f -p 80 -h /etc >/dev/null; podunit healthcheck run two; echo $?; podunit exec two sh -c 'ls /sys/class/net | wc -l'; " +
			"for i in $(seq 600); do curl -sf http://127.0.0.1:8098/hostname >/dev/null && echo served && break; sleep 0.1; done; [ $(podunit exec one readlink /proc/self/ns/user) = $(podunit exec two readlink /proc/self/ns/user) ] && echo same; podunit rm -f -t 0 two >/dev/null; " +
			run + "--pid container:one --userns container:one $I sh -c 'ps | grep -c [s]leep'; podunit stop -t 0 one >/dev/null; " + run + "--userns container:one $I true; podunit rm one >/dev/null",
			"2\n0 1 2000;0\n2\nserved\nsame\n1\npodunit: error: --userns container:one: container is not running"},
		{"that of another container, and namespaces of a third", "alice", one + "podunit run -d --name third --network none --stop-signal KILL $I sleep 1000 >/dev/null; podunit run --rm --userns container:one --network container:third --ipc container:third --uts container:third $I id -u; " +
			run + "--pid container:third --userns container:one $I true; podunit rm -f -t 0 one third >/dev/null", "0\npodunit: error: --pid and --userns: the process namespace belongs to another user namespace, and the kernel lets nobody join both; join those of one container"},
		{"a user without an ID, who is given nothing", "alice", "mkdir -p ~/given; " + run + "--name wanted --userns auto:size=1000 --user 5000 -v ~/given:/d:U $I true; stat -c %U ~/given; rmdir ~/given", "podunit: error: container wanted: user 5000 is not mapped in the user namespace of the container; give it a range with it in\nalice"},
		{"a secret of a user without an ID", "alice", "echo x | podunit secret create unmapped - >/dev/null; " + run + "--name wanted --userns auto:size=1000 --secret unmapped,uid=5000 $I ls -ln /run/secrets; " +
			run + "--userns auto:size=1000 --secret unmapped,uid=999,mode=400 $I stat -c '%u %a' /run/secrets/unmapped; podunit secret rm unmapped >/dev/null", "podunit: error: container wanted: secret unmapped: user 5000 is not mapped in the user namespace of the container; give it a range with it in\n999 400"},
		{"one at a path", "alice", "podunit unshare unshare --user --map-users 0:100:1000 --map-groups 0:100:1000 sleep 1001 & until P=$(pgrep -x -f 'sleep 1001') && grep -q 1000 /proc/$P/uid_map; do sleep 0.1; done; " +
			"podunit run --rm --userns ns:/proc/$P/ns/user $I " + ids + run + "--userns ns:/proc/$P/ns/user $I stat -c %u /bin; kill $P", "0 100 1000;0"},
		{"one at a path that is beside ours", "alice", "unshare -U -r sleep 1002 & until P=$(pgrep -x -f 'sleep 1002'); do sleep 0.1; done; " + run + "--userns ns:/proc/$P/ns/user $I true; kill $P", "~is not below the user namespace that podunit works in"},
		{"one at a path, as root", "root", "unshare -U -r sleep 1002 & until P=$(pgrep -x -f 'sleep 1002') && grep -q 0 /proc/$P/uid_map; do sleep 0.1; done; podunit run --rm --userns ns:/proc/$P/ns/user $I " + ids + "kill $P", "0 0 1;"},
		{"no user namespace at a path", "root", run + "--userns ns:/proc/self/ns/net $I true", "~/proc/self/ns/net is no user namespace"},
		{"a service with that of another", "alice", unitOf("ua", "UserNS=auto:size=1600\\n") + unitOf("ub", "UserNS=container:systemd-ua\\n[Unit]\\nRequires=ua.service\\nAfter=ua.service\\n") + "$S daemon-reload; $S start ub; podunit exec systemd-ub " + ids + "$S restart ub; podunit exec systemd-ub " + ids +
			"$S stop ua ub; rm $D/ua.container $D/ub.container; $S daemon-reload; podunit ps -aq", "0 1 1600;0 1 1600;"},
		{"a service", "alice", unitOf("un", "UserNS=auto:size=1600\\nHealthCmd=true\\n") + "$S daemon-reload; $S start un; podunit exec systemd-un " + ids + "$S restart un; podunit exec systemd-un " + ids + "podunit ps -a --format '{{.Names}}'; $S stop un; rm $D/un.container; $S daemon-reload", "0 1 1600;0 1 1600;systemd-un"},
		{"that of another container of root's", "root", ranges + one + "podunit run --rm --userns container:one $I " + ids + "podunit run --rm --userns ns:/proc/$(podunit inspect -f '{{.State.Pid}}' one)/ns/user $I " + ids + "podunit rm -f -t 0 one >/dev/null", "0 2147483647 2000;0 2147483647 2000;"},
		{"a service of root", "root", ranges + unitOf("un", "UserNS=auto:size=1600\\nNetwork=bridge\\n") + "$S daemon-reload; $S start un; podunit exec systemd-un " + ids + "$S stop un; rm $D/un.container; $S daemon-reload", "0 2147483647 1600;"},
	} {
		t.Run(c.user+"/"+c.name, func(t *testing.T) {
			env := "exec 2>&1; I=" + image + "; S='systemctl --user'; D=$HOME/.config/containers/systemd\n"
			if c.user == "root" {
				env = "exec 2>&1; I=" + image + "; S=systemctl; D=/etc/containers/systemd\n"
			}
			out, _, _ := l.on(t).Run(c.user, env+c.script)
			got := strings.TrimSpace(withoutProgress(out))
			if part, some := strings.CutPrefix(c.want, "~"); some && !strings.Contains(got, part) || !some && got != c.want {
				t.Errorf("%s\ngave\n%s\nand not\n%s", c.script, got, c.want)
			}
		})
	}
}

// unitOf is the shell's way to write a unit file of a container that sleeps.
func unitOf(name, keys string) string {
	return "mkdir -p $D; printf '[Container]\\nImage=%s\\nStopSignal=KILL\\nExec=sleep 1000\\n" + keys + "' $I >$D/" + name + ".container; "
}

// progress is what a start says of a copy that takes it a second or more, as on a busy machine.
var progress = regexp.MustCompile(`(?m)^podunit: copying .* for its user namespace, once for this image and these IDs\n`)

// withoutProgress is an output without what depends on the machine's speed.
func withoutProgress(out string) string { return progress.ReplaceAllString(out, "") }

// TestLabUserNSList has several at the list of who holds a user's namespace at once. Those that come
// first together make one namespace, and who lists a pod's first process waits for who has the lock.
func TestLabUserNSList(t *testing.T) {
	l := boot(t, labtest.Options{})
	t.Run("first ones together", func(t *testing.T) {
		const script = `mkdir -p list; cd list
for round in 1 2 3 4 5; do
	: >ns; for n in 1 2 3 4 5 6; do podunit unshare sh -c 'readlink /proc/self/ns/user >>ns; until [ "$(wc -l <ns)" = 6 ]; do sleep 0.1; done' & done; wait
	sort -u ns | wc -l
done`
		if got := l.on(t).MustRun("alice", script); got != "1\n1\n1\n1\n1" {
			t.Errorf("namespaces in each round:\n%s", got)
		}
	})
	t.Run("a pod beside who has the lock", func(t *testing.T) {
		// A round is lost in which the service has listed the process before we have the lock.
		const script = `u=$XDG_RUNTIME_DIR/podunit/userns; id=$(podunit pod create --network none --name pk); mkdir -p list; cd list
listed() { for f in $u/[0-9]*; do [ "$(cat /proc/${f##*/}/comm 2>/dev/null)" != podunit-infra ] || return 0; done; return 1; }
starting() { for f in $u/[0-9]*; do p=${f##*/}; case $(tr '\0' ' ' 2>/dev/null </proc/$p/cmdline) in *"pod start $id "*) return 0;; esac; done 2>/dev/null; return 1; }
waits() { grep -qs -e "-> FLOCK .* $p .*:$(stat -c %i $u/lock) " /proc/locks; }
for round in $(seq 60); do
	rm -f held go; podunit pod start pk >/dev/null & starts=$!
	until starting || ! kill -0 $starts 2>/dev/null; do sleep 0.01; done
	flock $u/lock sh -c ': >held; until [ -e go ]; do sleep 0.05; done' & holds=$!
	until [ -e held ]; do sleep 0.01; done
	if ! listed; then
		until waits || listed || ! kill -0 $starts 2>/dev/null; do sleep 0.01; done
		waits && ! listed && echo it waits || echo it does not wait
		won=1
	fi
	: >go; wait $holds; wait $starts || echo "status $?"
	i=$(pgrep -u alice -x podunit-infra); [ "$(cat $u/$i)" = "$(stat -L -c %i /proc/$i/ns/user)" ] || echo "it is not listed: $(grep . $u/[0-9]*)"
	podunit pod stop -t 0 pk >/dev/null
	[ -z "$won" ] || break
done
[ -n "$won" ] || echo "no round won: the service had listed the process each time before the lock was ours"
podunit pod rm pk >/dev/null; podunit ps -q; ls $u`
		if got := l.on(t).MustRun("alice", script); got != "it waits\nlock" {
			t.Errorf("%s", got)
		}
	})
}
