// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"strings"
	"testing"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

const (
	run = "podunit run --rm " + image + " "
	// works is a container that only shows that it runs.
	works = run + "echo it works"
	// dave is a login without a service manager: what cron, sudo and su without PAM leave.
	dave = "setpriv --reuid dave --regid dave --init-groups env -i -C /home/dave HOME=/home/dave USER=dave PATH=/usr/bin:/bin "
	// hold is a unit that has the directory made which a login of dave's would make, who never logs
	// in.
	hold = "systemd-run --quiet --unit holds-1003 -p Requires=user-runtime-dir@1003.service -p After=user-runtime-dir@1003.service sleep infinity"
	// unit starts one and shows what its user would look at.
	unit = hinted + "systemctl --user start one 2>&1; hinted one; "
	// hinted is a shell function that shows the status of a unit that gives a hint: journald may be
	// behind the unit.
	hinted = `hinted() { for i in $(seq 600); do systemctl --user status $1 | grep -q '  hint: ' && break; sleep 0.1; done; systemctl --user status $1; }
`
)

// faults are machines that lack something, each with what a user is told, or that it works all the
// same.
var faults = []struct {
	name       string
	set, unset string // as root, before and after
	user       string // alice if empty
	script     string
	status     int
	want       []string // each in the output
	twice      bool     // more than one error is expected, for more than one command is run
}{
	{
		name: "no default route", set: "ip route show default >/run/route; ip route del default", unset: "ip route add $(cat /run/route)",
		script: works + " && " + answers + "systemctl --user start one && answers 18080 && systemctl --user stop one",
		want:   []string{"it works"},
	},
	{
		// localhost is ::1 first, where nobody listens inside.
		name: "no network at all", set: "ip link set host0 down && ip address flush dev host0", unset: "systemctl restart lab-network",
		script: "podunit run -d --rm --name four -p 18090:80 " + image + ` httpd -f -p 0.0.0.0:80
			for i in $(seq 600); do [ "$(curl -s -o /dev/null -w '%{http_code}' localhost:18090)" != 404 ] || { echo it works; break; }; sleep 0.1; done; podunit rm -f -t 0 four`,
		want: []string{"it works"},
	},
	{
		name: "no subordinate ids", set: strings.ReplaceAll(hold, "1003", "1002"), unset: "systemctl stop holds-1002",
		user: "carol", script: works, status: 125,
		want: []string{"error: no subordinate ids: /etc/subuid has no line for carol\n", "hint: as root: usermod --add-subuids 365536-431071 --add-subgids 365536-431071 carol\n"},
	},
	{
		name: "several ranges of subordinate ids", set: "for f in /etc/sub?id; do cp $f $f.kept; echo alice:500000:1000 >>$f; done", unset: "for f in /etc/sub?id; do mv $f.kept $f; done",
		script: run + "cat /proc/self/uid_map | tr -s ' '", want: []string{" 0 1000 1\n 1 100000 65536\n 65537 500000 1000\n"},
	},
	{
		name: "ranges that overlap", set: "for f in /etc/sub?id; do cp $f $f.kept; echo alice:100000:1000 >>$f; done", unset: "for f in /etc/sub?id; do mv $f.kept $f; done",
		script: works, status: 125,
		want: []string{"error: subordinate ids were refused: newuidmap: write to uid_map failed: Invalid argument\n", "hint: see the lines of alice in /etc/subuid and /etc/subgid: ranges must not overlap\n"},
	},
	{
		name:   "no XDG_RUNTIME_DIR, no bus",
		script: "unset XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS; " + works + " && podunit run -d --rm --name d " + image + " sleep 1000 && podunit rm -f -t 0 d",
		want:   []string{"it works"},
	},
	{name: "XDG_RUNTIME_DIR leads nowhere", script: "export XDG_RUNTIME_DIR=/nonexistent; " + works, want: []string{"it works"}},
	{
		name: "no directory for runtime state", set: "systemctl stop user@1003 user-runtime-dir@1003; mkdir -m 777 /tmp/podunit-run-1003", unset: "rmdir /tmp/podunit-run-1003",
		user: "root", script: dave + works, status: 125,
		want: []string{"error: no directory for runtime state: /run/user/1003 is not there\n", "hint: a login makes it; for one who does not log in, as root: loginctl enable-linger dave, or in a system unit RuntimeDirectory=podunit-user/1003"},
	},
	{
		// What is there of a login of dave's, without its service manager.
		name: "no service manager", set: hold,
		user: "root", script: dave + works,
		want: []string{"it works", "warning: no cgroup of its own: the user's service manager cannot be reached"},
	},
	{
		name: "no service manager for a container that is to run on", user: "root", unset: "systemctl stop holds-1003",
		script: dave + "podunit run -d --name d " + image + " sleep 1000; s=$?; " + dave + "podunit ps -aq; exit $s", status: 125,
		want: []string{"error: the user's service manager cannot be reached (unix:path=/run/user/1003/systemd/private", "or as root: loginctl enable-linger 1003;"},
	},
	{
		name: "a read-only home", set: "mount --bind /home/alice /home/alice; mount -o remount,ro,bind /home/alice", unset: "umount -l /home/alice",
		script: works, status: 125,
		want: []string{"error: containers storage /home/alice/.local/share/containers/storage/storage.lock: read-only file system\n", "hint: the file system is read-only; put the storage elsewhere with graphroot in ~/.config/containers/storage.conf\n"},
	},
	{
		name: "a read-only home, a unit", set: "mount --bind /home/alice /home/alice; mount -o remount,ro,bind /home/alice", unset: "umount -l /home/alice",
		script: unit, status: 3, twice: true, // its ExecStopPost= says it, too
		want: []string{`Status: "error: containers storage /home/alice/.local/share/containers/storage/storage.lock: read-only file system"`},
	},
	{
		name: "a disk that is full before the image is there", set: small, unset: "umount /mnt",
		script: `podunit pull -q ` + image + `; find /mnt | sort >~/before; podunit pull -q localhost:5000/qbittorrent; s=$?
			find /mnt | sort | diff ~/before - || exit 1; ` + works + `; exit $s`, status: 125,
		want: []string{"error: localhost:5000/qbittorrent:latest: no space left on the disk of /mnt", "hint: nothing of the pull was kept; podunit image prune", "it works"},
	},
	{
		name: "a disk that is full before the container is there", set: small, unset: "umount /mnt",
		script: works + `; find /mnt $XDG_RUNTIME_DIR/podunit -not -path '*/userns/*' | sort >~/before; dd if=/dev/zero of=/mnt/fill bs=1k 2>/dev/null; ` + unit + `s=$?
			rm /mnt/fill; find /mnt $XDG_RUNTIME_DIR/podunit -not -path '*/userns/*' | sort | diff ~/before - || exit 1; for i in $(seq 600); do pgrep -u alice pasta >/dev/null || break; sleep 0.1; done; pgrep -u alice pasta && exit 1
			systemctl --user start one && systemctl --user stop one; exit $s`, status: 3,
		want: []string{"it works", "no space left on device\n", "hint: the disk is full; podunit image prune -a removes images that no container uses\n", `Status: "error: create container systemd-one: `},
	},
	{
		name: "a disk that has room for fewer files each time", set: small + "; mount -o remount,nr_inodes=1000 /mnt", unset: "umount /mnt",
		script: works + `; files() { find /mnt $XDG_RUNTIME_DIR/podunit -not -path '*/userns/*' | sort; }; files >~/before
			for i in $(seq 1000); do : 2>/dev/null >/mnt/f$i || break; done; n=0
			for i in $(seq 0 2 16); do ` + works + ` >/dev/null 2>~/said || { n=$((n+1)); grep -q 'no space left on device' ~/said || cat ~/said; }; rm -f /mnt/f$i /mnt/f$((i+1)); done
			rm -f /mnt/f*; podunit rm -fa -t 0 >/dev/null; files | diff ~/before - && [ $n -ge 4 ] && ` + works,
		want: []string{"it works\nit works\n"},
	},
	{
		// Where not one file can be made, what is going away gives up its own.
		name: "a disk that has room for no file", set: small + "; mount -o remount,nr_inodes=1000 /mnt", unset: "umount /mnt",
		script: `podunit create --name idle ` + image + ` true; podunit run -d --name ran ` + image + ` true; podunit wait ran; podunit run -d --name runs ` + image + ` sleep 1000
			for name in idle ran runs; do for i in $(seq 1000); do : 2>/dev/null >/mnt/f$name$i || break; done; [ $(df --output=iavail /mnt | tail -1) = 0 ] || exit 1
			podunit rm -f -t 0 $name || exit 1; done; podunit create --name last ` + image + ` true; for i in $(seq 1000); do : 2>/dev/null >/mnt/f$i || break; done
			podunit system prune -f >/dev/null; echo pruned $?; podunit ps -aq`,
		want: []string{"pruned 0\n"},
	},
	{
		name: "a runtime directory that is full",
		set: `runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/1000 podunit run -d --name stays ` + image + ` sleep 1000
			mount -o remount,size=8m /run/user/1000; dd if=/dev/zero of=/run/user/1000/fill bs=4k 2>/dev/null; dd if=/dev/zero of=/run/user/1000/fill2 bs=1 2>/dev/null; true`,
		unset:  "rm -f /run/user/1000/fill*; mount -o remount,size=10% /run/user/1000",
		script: works + `; s=$?; podunit rm -f -t 0 stays && [ -z "$(podunit ps -aq)" ] && rm $XDG_RUNTIME_DIR/fill* && ` + works + `; exit $s`, status: 125,
		want: []string{"no space left on device\n", "hint: /run/user/1000, which is in memory, is full: du -xa /run/user/1000 | sort -n | tail shows of what\n", "stays\nit works\n"},
	},
	{
		name: "a runtime directory that has room for no file",
		set: `runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/1000 podunit run -d --name stays ` + image + ` sleep 1000; cd /run/user/1000
			mount -o remount,nr_inodes=$(($(df --output=iused . | tail -1) + 20)) .; for i in $(seq 1000); do : 2>/dev/null >fill$i; [ $(df --output=iavail . | tail -1) = 0 ] && exit 0; done; exit 1`,
		unset:  "rm -f /run/user/1000/fill*; mount -o remount,nr_inodes=100000 /run/user/1000",
		script: works + `; s=$?; podunit ps -q >/dev/null && podunit rm -f -t 0 stays && [ -z "$(podunit ps -aq)" ] && rm $XDG_RUNTIME_DIR/fill* && ` + works + `; exit $s`, status: 125,
		want: []string{"no space left on device\n", "stays\nit works\n"},
	},
	{
		name: "no runc", set: "mv /usr/sbin/runc /root", unset: "mv /root/runc /usr/sbin", script: works, status: 125,
		want: []string{"error: the OCI runtime runc is not installed", "hint: apt install runc\n"},
	},
	{
		name: "no newuidmap", set: "mv /usr/bin/newuidmap /root", unset: "mv /root/newuidmap /usr/bin", script: works, status: 125,
		want: []string{"error: cannot map subordinate ids: newuidmap", "apt install uidmap\n"},
	},
	{
		name: "no newuidmap for the whole program", set: "mv /usr/bin/newuidmap /root", unset: "mv /root/newuidmap /usr/bin", script: "podunit images", status: 125,
		want: []string{"error: cannot map subordinate ids: newuidmap", "apt install uidmap\n"},
	},
	{
		name: "no newgidmap", set: "mv /usr/bin/newgidmap /root", unset: "mv /root/newgidmap /usr/bin", script: works, status: 125,
		want: []string{"error: cannot map subordinate ids: ", "newgidmap is not in PATH\n", "apt install uidmap\n"},
	},
	{
		name: "newuidmap without its rights", set: "chmod u-s /usr/bin/newuidmap", unset: "chmod u+s /usr/bin/newuidmap", script: works, status: 125,
		want: []string{"error: subordinate ids were refused: newuidmap: ", "apt install --reinstall uidmap\n"},
	},
	{
		name: "no pasta", set: "mkdir /root/p; mv /usr/bin/pas{st,ta}{,.avx2} /root/p", unset: "mv /root/p/* /usr/bin; rmdir /root/p",
		script: "podunit run --rm --network none " + image + " echo it works; " + works, status: 125,
		want: []string{"it works", "error: the network needs pasta", "hint: apt install passt, or use --network none or host\n"},
	},
	{
		name: "no pasta for a service", set: "mkdir /root/p; mv /usr/bin/pas{st,ta}{,.avx2} /root/p", unset: "mv /root/p/* /usr/bin; rmdir /root/p",
		script: unit, status: 3,
		want: []string{"error: the network needs pasta", "hint: apt install passt, or use --network none or host\n"},
	},
	{
		name: "no /dev/net/tun", set: "mv /dev/net/tun /dev/net/tun.away", unset: "mv /dev/net/tun.away /dev/net/tun", script: works, status: 125,
		want: []string{"error: pasta: Failed to open() /dev/net/tun", "hint: /dev/net/tun must exist and be open to all: modprobe tun"},
	},
	{
		name: "no policy.json", set: "mv /etc/containers/policy.json /root", unset: "mv /root/policy.json /etc/containers",
		script: works + "; podunit pull localhost:5000/layers", status: 125,
		want: []string{"it works", "error: localhost:5000/layers:latest: ", "policy.json", "apt install golang-github-containers-common\n"},
	},
	{
		name: "a short name, no registries.conf", set: "mv /etc/containers/registries.conf* /root", unset: "mv /root/registries.conf* /etc/containers",
		script: "podunit run --rm hello", status: 125, want: []string{"error: hello: ", "docker.io/library/hello, if Docker Hub is meant\n"},
	},
	{
		name: "a registry that refuses", script: "podunit run --rm localhost:5009/hello", status: 125,
		want: []string{"error: localhost:5009/hello:latest: registry localhost:5009 is unreachable: connection refused\n", "hint: is the registry running, and is the port right?\n"},
	},
	{
		name: "a registry that nobody knows", script: "podunit run --rm registry.invalid/hello", status: 125,
		want: []string{"error: registry.invalid/hello:latest: registry registry.invalid is unreachable: ", "hint: is the name of the registry right"},
	},
	{
		name: "an image that is not there", script: "podunit run --rm localhost:5000/nosuch", status: 125,
		want: []string{"error: localhost:5000/nosuch:latest: registry localhost:5000 does not have it", "hint: check repository and tag"},
	},
	{
		// The sysctl is one for the lab and its host, so a unit without the right stands in.
		name: "no user namespaces for users", user: "root",
		script: "systemd-run --quiet --wait --pipe -p User=alice -p RestrictNamespaces=~user " + works, status: 125,
		want: []string{"error: the kernel refuses a user namespace: unshare: Operation not permitted\n", "hint: see sysctl user.max_user_namespaces"},
	},
	{
		name:   "a unit whose cgroup is not delegated",
		set:    "runuser -u alice -- sh -c 'mkdir -p ~/.config/systemd/user/one.service.d; printf \"[Service]\\nDelegate=no\\n\" >~/.config/systemd/user/one.service.d/a.conf'",
		unset:  "rm -r /home/alice/.config/systemd/user/one.service.d; runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/1000 systemctl --user daemon-reload",
		script: "systemctl --user daemon-reload; systemctl --user show -P Delegate one; systemctl --user start one && " + answers + "answers 18080 && systemctl --user stop one",
		want:   []string{"no\n"},
	},
	{
		name: "no journal", set: "systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket systemd-journald 2>/dev/null",
		unset:  "systemctl start systemd-journald.socket systemd-journald-dev-log.socket systemd-journald",
		script: "systemctl --user start one && " + answers + "answers 18080 && systemctl --user stop one; " + works, want: []string{"it works"},
	},
	{
		name: "a port that is taken", script: "podunit run --rm -p 5000:80 " + image + " true", status: 126,
		want: []string{"error: publish port 5000/tcp: the port is already in use\n", "hint: see who has it: ss -lnp"},
	},
	{
		name: "a directory that is not there", script: "podunit run --rm -v /nosuch:/data " + image + " true", status: 125,
		want: []string{"error: mount /nosuch at /data: stat /nosuch: no such file or directory\n", "hint: mkdir -p /nosuch"},
	},
	{name: "a command that is not there", script: run + "nosuch", status: 127, want: []string{"error: command not found in the container: exec: \"nosuch\""}},
	{name: "so it is in a service", script: "podunit run -d --rm --network none " + image + " nosuch", status: 127, want: []string{".service: command not found in the container: exec: \"nosuch\""}},
	{
		name: "a command in a directory that is not there", script: "podunit run -d --rm --name there --network none " + image + " sleep 100 >/dev/null; podunit exec -w /nosuch there pwd; s=$?; podunit rm -f -t 0 there; exit $s", status: 126,
		want: []string{"error: working directory cannot be entered in the container: chdir to cwd (\"/nosuch\")"},
	},
}

// small makes alice's storage a disk of 20 MB.
const small = `mount -t tmpfs -o size=20m,uid=1000,gid=1000,mode=700 tmpfs /mnt
runuser -u alice -- sh -c 'mkdir -p ~/.config/containers; printf "[storage]\ndriver = \"overlay\"\ngraphroot = \"/mnt\"\n" >~/.config/containers/storage.conf'`

func TestLabFaults(t *testing.T) {
	l := boot(t, labtest.Options{})
	l.units()
	l.MustRun("alice", works)
	l.MustRun("root", "loginctl disable-linger dave; "+hold+"; "+dave+"podunit pull -q "+image+"; systemctl stop holds-1003")
	l.MustRun("alice", "podunit rm $(podunit create "+image+" true)") // the storage keeps its list of containers from then on
	l.begin("one")
	l.MustRun("alice", stories["one"].end)
	before := l.settled()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			l := l.on(t)
			if f.set != "" {
				l.MustRun("root", f.set)
			}
			user := f.user
			if user == "" {
				user = "alice"
			}
			stdout, stderr, code := l.Run(user, f.script)
			l.MustRun("root", f.unset+"\nrm -f /home/alice/.config/containers/storage.conf")
			out := stdout + stderr
			if code != f.status {
				t.Errorf("status %d, want %d", code, f.status)
			}
			for _, want := range f.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q", want)
				}
			}
			if n := strings.Count(out, "podunit: error: "); n > 1 && !f.twice || (n == 0) != (f.status == 0) && f.status != 3 {
				t.Errorf("%d errors", n)
			}
			for _, noise := range []string{"level=", "goroutine ", "panic", "SIGSEGV"} {
				if strings.Contains(out, noise) {
					t.Errorf("%q", noise)
				}
			}
			if t.Failed() {
				t.Logf("output:\n%s", out)
			}
			l.Run("alice", "systemctl --user reset-failed")
		})
	}
	l.same(t, before, "after all")
}
