// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"strings"
	"testing"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// TestLabInside looks at flags, keys of containers.conf and hostile files from inside a container:
// what they do there, and not what they make of a configuration.
func TestLabInside(t *testing.T) {
	l := boot(t, labtest.Options{})
	for _, user := range []string{"alice", "root"} {
		l.MustRun(user, "podunit pull -q "+image)
	}
	const run = "podunit run --rm "
	const (
		readOnly  = run + "--read-only $I sh -c 'n=0; for f in /etc/hosts /etc/resolv.conf /etc/hostname /run/.containerenv; do echo x 2>/dev/null >>$f && n=$((n+1)); done; echo $n'"
		nosuid    = run + "-v nsd:/n $I grep -c ' /n .*nosuid,nodev' /proc/mounts; podunit volume rm nsd >/dev/null"
		odd       = "d=\"$HOME/low,upperdir=x\"; mkdir -p \"$d\" $HOME/x; echo in >\"$d/f\"; " + run + "-v \"$d:/d:O\" $I sh -c 'cat /d/f; echo out >/d/f'; cat \"$d/f\"; ls $HOME/x; rm -r \"$d\" $HOME/x"
		kmsg      = "podunit run -d --name km --network none --stop-signal KILL $I sleep 1000 >/dev/null; podunit exec km ln -sf /proc/kmsg /etc/passwd; timeout -k 5 60 podunit exec -u nobody km id; podunit rm -f -t 0 km >/dev/null"
		pipe      = "podunit run -d --name km --network none --stop-signal KILL $I sleep 1000 >/dev/null; podunit exec km sh -c 'rm /etc/passwd; mkfifo /etc/passwd'; timeout -k 60 60 podunit exec km id; podunit rm -f -t 0 km >/dev/null"
		anonymous = "volumes() { podunit volume ls -q | sort; }; podunit pull -q localhost:5000/redis:2 >/dev/null; a=$(volumes); podunit create --name rv localhost:5000/redis:2 true >/dev/null; podunit run -d --name rw --stop-signal KILL --network none localhost:5000/redis:2 sleep 1000 >/dev/null; podunit rmi -f localhost:5000/redis:2 >/dev/null; podunit ps -aq --filter name='r[vw]'; [ \"$a\" = \"$(volumes)\" ] && echo same"
	)
	for _, c := range []struct {
		name, user, script string
		want               string // what stdout and stderr are, less white space at their ends; ~ begins a part of it
	}{
		// Who one is.
		{"keep-id with the home mounted", "alice", run + "--userns=keep-id -v $HOME:$HOME $I sh -c 'whoami; echo $HOME; grep :1000: /etc/passwd /etc/group'",
			"alice\n/home/alice\n/etc/passwd:alice:*:1000:1000:container user:/home/alice:/bin/sh\n/etc/group:alice:x:1000:alice"},
		{"keep-id without a home", "alice", run + "--userns=keep-id -w /var $I sh -c 'whoami; echo $HOME'", "alice\n/var"},
		{"a number that the image does not know", "alice", run + "--user 1000 -w /var $I sh -c 'echo $HOME'", "/var"},
		{"keep-id as root", "root", run + "--userns=keep-id $I id -u; " + run + "--userns=keep-id:uid=5 $I id -u", "0\n5"},
		{"files of ours with keep-id", "alice", run + "--userns=keep-id $I sh -c 'stat -c %u /etc/hosts /etc/resolv.conf; echo x >> /etc/hosts'", "~Permission denied"},
		{"and with a read-only root", "alice", readOnly, "0"},
		{"and as root", "root", readOnly, "0"},
		// Volumes.
		{"a new named volume", "alice", run + "--user 1234:55 -v nv1:/elsewhere $I sh -c 'stat -c %u:%g /elsewhere; touch /elsewhere/x && echo written'; podunit volume rm nv1 > /dev/null", "1234:55\nwritten"},
		{"an anonymous one", "alice", run + "--user 1234 -v /anon $I sh -c 'stat -c %u /anon; grep -c \" /anon .*nosuid,nodev\" /proc/mounts'", "1234\n1"},
		{"one that was created", "alice", "podunit volume create nv2 > /dev/null; " + run + "--user 1234 -v nv2:/q $I touch /q/x && echo written; podunit volume rm nv2 > /dev/null", "written"},
		{"one that nobody may write to, and one that a mount makes", "root", "podunit volume create -o type=bind -o device=/srv -o o=ro,bind nv3 >/dev/null; " + run + "-v nv3:/q $I touch /q/x; podunit volume mount nv3 2>&1 | grep -o 'for that container alone'; " +
			run + "--mount source=nv4,dst=/q,volume-opt=type=tmpfs,volume-opt=o=size=1m $I sh -c 'df -k /q | grep -wo 1024 | head -1'; ls -d $(podunit volume mount nv4 2>/dev/null || echo none) 2>&1 | grep -c none; " + run + "-v nv5:/q:nocreate $I true; podunit volume rm nv3 nv4 >/dev/null",
			"touch: /q/x: Read-only file system\nfor that container alone\n1024\n1\npodunit: error: mount nv5 at /q: nv5: no such volume\n  hint: podunit volume create nv5; without nocreate the first start makes it"},
		{"a root that is mapped", "root", "R=/var/lib/containers/mapped; mkdir -p $R/proc $R/sys $R/dev $R/etc $R/run; podunit create --name mp $I >/dev/null; podunit export mp | tar -C $R -xf - bin lib lib64 usr 2>/dev/null; podunit rm mp >/dev/null; for r in :idmap ''; do " + run + "--uidmap 0:200000:1000 --gidmap 0:200000:1000 --rootfs $R$r stat -c %u /bin; done; rm -r $R", "0\n65534"},
		{"another storage, and images of it", "alice", "podunit --root /var/tmp/other pull -q localhost:5000/redis >/dev/null; podunit --storage-opt additionalimagestore=/var/tmp/other run --rm --network none --pull never localhost:5000/redis echo found; podunit images -q localhost:5000/redis | wc -l; " +
			"podunit --root /var/tmp/other run -d --name os --network none --health-cmd true --health-interval 1s localhost:5000/redis sleep 1000 >/dev/null; for i in $(seq 300); do podunit --root /var/tmp/other ps --format '{{.Names}} {{.Status}}' | grep -q 'os.*healthy' && echo healthy && break; sleep 0.2; done; podunit ps -aq --filter name=os; podunit --root /var/tmp/other rm -f -t 0 os; podunit unshare rm -rf /var/tmp/other", "found\n0\nhealthy\nos"},
		{"a tag with a template", "alice", "podunit run -d --name tg --network none --log-opt 'tag={{.Name}}@{{.ImageName}}' --log-opt label=SHOP=x $I echo tagged-line >/dev/null; podunit wait tg >/dev/null; for i in $(seq 600); do journalctl --user -q -o json SHOP=x | jq -r .CONTAINER_TAG | grep . && break; sleep 0.1; done; podunit rm tg >/dev/null", "tg@" + image},
		{"a link as it is", "alice", "ln -sfn /nowhere /tmp/al; " + run + "--mount type=bind,src=/tmp/al,dst=/a/b,no-dereference $I readlink /a/b; podunit volume create nv6; basename $(dirname $(podunit volume mount nv6)); podunit volume unmount nv6; podunit volume reload; podunit volume rm nv6", "/nowhere\nnv6\nnv6\nnv6\nnv6"},
		{"a pattern", "alice", "touch /tmp/v1 /tmp/v2; " + run + "--mount 'type=glob,src=/tmp/v*' $I ls -d /tmp/v1 /tmp/v2", "/tmp/v1\n/tmp/v2"},
		{"the same mount twice", "alice", run + "--tmpfs /x:size=1m --tmpfs /x:size=1m $I echo fine", "fine"},
		// Time, names, rights.
		{"a time zone", "alice", run + "--tz Asia/Tokyo $I sh -c 'test -L /etc/localtime || date -d @0 +%Z%H'", "JST09"},
		{"the host's name", "alice", `[ "$(` + run + `--uts=host $I sh -c 'cat /etc/hostname; hostname; echo $HOSTNAME' | sort -u)" = "$(hostname)" ] && echo same`, "same"},
		{"who is told what engine it is", "alice", run + "$I cat /run/.containerenv; " + run + "--privileged $I grep -c engine= /run/.containerenv", "1"},
		{"no console, rootless", "alice", run + "--privileged $I sh -c 'ls /dev | grep -c tty[0-9]'", "0"},
		{"no console for systemd", "root", run + "--privileged --systemd=always $I sh -c 'ls /dev | grep -c tty[0-9]'", "0"},
		{"the machine's sysfs", "alice", run + "--net=host $I ls -A /sys/kernel", ""},
		{"the machine's sysfs, as root", "root", run + "--net=host $I sh -c 'ls -A /sys/firmware; mount -o remount,rw /sys 2>/dev/null; mkdir /sys/kernel/x 2>/dev/null; echo x 2>/dev/null >/sys/kernel/uevent_helper || echo no'", "no"},
		{"a named volume", "alice", nosuid, "1"},
		{"a named volume of root's", "root", nosuid, "1"},
		{"a directory whose name is an option", "alice", odd, "in\nin"},
		{"a directory whose name is an option, as root", "root", odd, "in\nin"},
		{"users that are the kernel's log", "alice", kmsg, "~/etc/passwd of the container: it is a file of the kernel"},
		{"users that are the kernel's log, as root", "root", kmsg, "~/etc/passwd of the container: it is a file of the kernel"},
		{"users that are a pipe", "alice", pipe, "~/etc/passwd of the container: it is not a regular file but a pipe"},
		{"users that are a pipe, as root", "root", pipe, "~/etc/passwd of the container: it is not a regular file but a pipe"},
		{"an image that goes with its containers", "alice", anonymous, "same"},
		{"an image that goes with its containers, as root", "root", anonymous, "same"},
		{"a published port of the host's network", "alice", run + "-p 8080 --net=host $I true", "podunit: warning: published ports have no effect with --network host"},
		{"the umask of exec", "alice", "podunit run -d --name um --umask 0077 $I sleep 100 > /dev/null; podunit exec um sh -c umask; podunit rm -f -t 0 um > /dev/null", "0077"},
		{"a namespace of the host by way of a container", "alice", "podunit run -d --name cg --cgroupns host $I sleep 100 > /dev/null; " + run + "--cgroupns container:cg $I echo joined; podunit rm -f -t 0 cg > /dev/null", "joined"},
		// Who shares a network.
		{"name servers of a network that is joined", "alice", "podunit run -d --name vpn --dns 9.9.9.9 --add-host extra:10.1.1.1 --hostname vpnhost $I sleep 100 > /dev/null; " +
			run + "--network container:vpn --name app $I sh -c 'grep nameserver /etc/resolv.conf; grep -cE \"extra|vpnhost|host.containers.internal|app\" /etc/hosts'; podunit rm -f -t 0 vpn > /dev/null",
			"nameserver 9.9.9.9\n4"},
		{"the hosts of the image", "alice", "podunit create --name hi $I > /dev/null; echo 10.9.9.9 fromimage > /tmp/hosts; podunit cp /tmp/hosts hi:/etc/hosts; podunit commit -q hi localhost/hosts > /dev/null; " +
			run + "--hosts-file image localhost/hosts sh -c 'grep -c fromimage /etc/hosts; grep -c host.containers.internal /etc/hosts'; podunit rm hi > /dev/null; podunit rmi localhost/hosts > /dev/null", "1\n1"},
		// Hostile files.
		{"a pipe for variables", "alice", "mkfifo /tmp/pipe; " + run + "--env-file /tmp/pipe $I true", "~not a regular file but a pipe"},
		{"a device for labels", "alice", run + "--label-file /dev/zero $I true", "~not a regular file but a device"},
		{"a shell's own pipe", "alice", run + "--env-file <(echo A=b) $I sh -c 'echo $A'", "b"},
		{"a root whose /dev leads out of it", "root", "mkdir -p /srv/evil /srv/target; touch /srv/target/ptmx; ln -sfn /srv/target /srv/evil/dev; " + run + "--rootfs /srv/evil /bin/true; ls /srv/target", "~is a link, and must be a directory or missing"},
		{"and what it led to", "root", "mkdir -p /srv/evil /srv/target; touch /srv/target/ptmx; ln -sfn /srv/target /srv/evil/dev; " + run + "--rootfs /srv/evil /bin/true 2>/dev/null; ls /srv/target", "ptmx"},
		{"a login in no record", "alice", "podunit create --name cr --creds me:hunter2 $I true > /dev/null; podunit inspect cr | grep -c hunter2; grep -rls hunter2 ~/.local/share/containers/storage; podunit rm cr > /dev/null", "0"},
		// containers.conf.
		{"userns", "alice", conf("containers", "userns='keep-id'") + run + "$I id -u", "1000"},
		{"init", "alice", conf("containers", "init=true") + run + "$I sh -c 'tr \"\\0\" \" \" < /proc/1/cmdline'", "~/run/podman-init -- sh"},
		{"volumes", "alice", conf("containers", "volumes=['/etc/hostname:/hn:ro']") + `[ "$(` + run + `$I cat /hn)" = "$(hostname)" ] && echo same`, "same"},
		{"mounts", "alice", conf("containers", "mounts=['type=tmpfs,dst=/mm']") + run + "$I grep -c ' /mm ' /proc/mounts", "1"},
		{"utsns", "alice", conf("containers", "utsns='host'") + `[ "$(` + run + `$I hostname)" = "$(hostname)" ] && echo same`, "same"},
		{"netns", "alice", conf("containers", "netns='host'") + `[ "$(` + run + `$I readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ] && echo same`, "same"},
		{"pidns", "alice", conf("containers", "pidns='host'") + run + "$I cat /proc/1/comm", "systemd"},
		{"cgroupns", "alice", conf("containers", "cgroupns='host'") + run + "$I cat /proc/self/cgroup", "~0::/user.slice/"},
		{"env_host", "alice", conf("containers", "env_host=true") + run + "$I sh -c 'echo $XDG_RUNTIME_DIR'", "/run/user/1000"},
		{"container_name_as_hostname", "alice", conf("containers", "container_name_as_hostname=true") + run + "--name my_web.x $I hostname", "myweb.x"},
		{"read_only", "alice", conf("containers", "read_only=true") + run + "$I touch /x; " + run + "--read-only=false $I touch /x && echo written", "touch: /x: Read-only file system\nwritten"},
		{"seccomp_profile", "alice", conf("containers", "seccomp_profile='/nosuch'") + run + "$I true", "~seccomp_profile of containers.conf: open /nosuch"},
		{"runtime", "alice", conf("engine", "runtime='nosuch'") + run + "$I true", "~runtime of containers.conf: the OCI runtime nosuch is not installed"},
		{"pull_policy", "alice", conf("engine", "pull_policy='never'") + run + "localhost:5000/layers:1 true", "~image not known"},
		{"env of the engine", "alice", conf("engine", "env=['HTTP_PROXY=http://px:1']") + run + "$I sh -c 'echo $HTTP_PROXY'", "http://px:1"},
		// A pod with limits: its units, its containers and what is started in it by hand are in one
		// slice. The lab has no controllers, which a line says.
		{"limits of a pod from a file", "alice", limits("~/.config/containers/systemd", "--user"), limited("app")},
		{"limits of a pod from a file, as root", "root", limits("/etc/containers/systemd", "--system"), limited("system")},
		{"limits of a pod by hand", "alice", "podunit pod create --network none --memory 64m --device-write-bps /dev/null:1mb --cpuset-cpus 0 lh >/dev/null 2>&1; podunit run -d --name lhc --pod lh $I sleep 1000 >/dev/null 2>&1; " +
			"podunit pod inspect -f '{{.MemoryLimit}}' lh; systemctl --user show -P AllowedCPUs -P IOWriteBandwidthMax -P MemoryMax -P MemorySwapMax app-pods-lh.slice; " +
			run + "--pod lh --cgroupns host $I grep -c /app-pods-lh.slice/podunit- /proc/self/cgroup; " +
			"podunit pod rm -f -t 0 lh >/dev/null; systemctl --user is-active app-pods-lh.slice", "67108864\n0\n/dev/null 1048576\n67108864\n67108864\n1\ninactive"},
		{"keyring", "alice", conf("containers", "") + "for k in true false; do printf '[containers]\\nkeyring='$k'\\n' >~/.config/containers/containers.conf; " + run + "--security-opt unmask=/proc/keys $I sh -c 'grep -c _ses.$(hostname) /proc/keys'; done", "1\n0"},
		{"no_pivot_root", "alice", conf("engine", "no_pivot_root=true") + run + "$I echo there", "there"},
		{"default_host_ips", "alice", conf("network", "default_host_ips=['127.0.0.1']") + "podunit run -d --name dh -p 8096:80 --stop-signal KILL $I sleep 1000 >/dev/null; podunit port dh; ss -Hltn 'sport = :8096' | tr -s ' ' | cut -d' ' -f4; podunit rm -f -t 0 dh >/dev/null", "80/tcp -> 127.0.0.1:8096\n127.0.0.1:8096"},
		{"log_driver", "alice", conf("containers", "log_driver='k8s-file'") + "podunit run -d --name lf --network none --stop-signal KILL $I sh -c 'echo said; sleep 1000' >/dev/null; F=~/.local/share/containers/storage/overlay-containers/$(podunit inspect -f '{{.Id}}' lf)/userdata/ctr.log; for i in $(seq 600); do grep -so said $F && break; sleep 0.1; done; podunit rm -f -t 0 lf >/dev/null", "said"},
		{"what has no effect", "alice", conf("engine", "hooks_dir=['/x']") + "podunit doctor | grep -o 'no effect: hooks_dir of .engine.'", "no effect: hooks_dir of [engine]"},
		{"PODMAN_USERNS", "alice", "rm -f ~/.config/containers/containers.conf; PODMAN_USERNS=keep-id " + run + "$I id -u", "1000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, _, _ := l.on(t).Run(c.user, "exec 2>&1; I="+image+"\n"+c.script)
			got := strings.TrimSpace(withoutProgress(out))
			if part, some := strings.CutPrefix(c.want, "~"); some && !strings.Contains(got, part) || !some && got != c.want {
				t.Errorf("%s\ngave\n%s\nand not\n%s", c.script, got, c.want)
			}
		})
	}
}

// limits has a pod with limits from files, and looks where its units are, what the slice has, what
// is said of controllers that the lab has not, and what a unit is told that is not in the slice.
func limits(dir, manager string) string {
	return "dir=" + dir + "; m=" + manager + `; mkdir -p $dir
		printf '[Pod]\nNetwork=none\nPodmanArgs=--memory=64m --cpus=0.5\n' >$dir/lim.pod
		printf '[Container]\nImage=%s\nPod=lim.pod\nStopSignal=KILL\nExec=sleep 1000\n' $I >$dir/limc.container
		systemctl $m daemon-reload; systemctl $m start limc; s=$(systemctl $m show -P Slice limc); echo $s
		systemctl $m show -P Slice lim-pod; systemctl $m show -P CPUQuotaPerSecUSec -P MemoryMax -P MemorySwapMax $s
		grep -cF /$s/limc.service/ /proc/$(systemctl $m show -P MainPID limc)/cgroup
		podunit run -d --name limh --stop-signal KILL --pod systemd-lim $I sleep 1000 >/dev/null; systemctl $m show -P Slice limh; podunit rm -f limh >/dev/null
		systemd-run $m -q --pipe --wait -p Delegate=yes podunit run --rm --cgroups=split --pod systemd-lim $I true 2>&1 | grep -o 'Slice=[^ ]*'
		grep -qw memory /sys/fs/cgroup/cgroup.controllers && echo 2 || for i in $(seq 300); do
			n=$(journalctl $m -q -o cat -t lim-pod | grep -c 'has no effect: the cgroup has no'); [ $n = 2 ] && echo $n && break; sleep 0.2
		done
		systemctl $m stop lim-pod; rm $dir/lim.pod $dir/limc.container; systemctl $m daemon-reload`
}

// limited is what limits prints.
func limited(base string) string {
	slice := base + `-pods-systemd\x2dlim.slice`
	return strings.Join([]string{slice, slice, "500ms", "67108864", "67108864", "1", slice, "Slice=" + slice, "2"}, "\n")
}

// conf is the shell's way to write a key of alice's containers.conf.
func conf(section, line string) string {
	return "mkdir -p ~/.config/containers; cat > ~/.config/containers/containers.conf <<'CONF'\n[" + section + "]\n" + line + "\nCONF\n"
}
