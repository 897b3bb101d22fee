// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"strings"
	"testing"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// TestLabMounts looks from inside at volumes that mount something, at images as mounts, at parts of
// both, and at mapped mounts.
func TestLabMounts(t *testing.T) {
	l := boot(t, labtest.Options{})
	for _, user := range []string{"alice", "root"} {
		l.MustRun(user, "podunit pull -q "+image+" localhost:5000/layers")
	}
	l.MustRun("root", "mkdir -p /etc/cdi; echo thing >/etc/thing; chmod 644 /etc/thing; mknod -m 666 /dev/thing c 1 3")
	l.WriteFile("root", "/etc/cdi/thing.yaml", "cdiVersion: 0.6.0\nkind: example.org/thing\ndevices:\n- name: one\n  containerEdits:\n    env: [ONE=1]\n    deviceNodes: [{path: /dev/thing}]\n    mounts: [{hostPath: /etc/thing, containerPath: /opt/thing, options: [ro, bind]}]\n")
	const run = "podunit run --rm --network none "
	for _, c := range []struct{ name, users, script, want string }{
		{"a volume of memory", "alice root", "podunit volume create -o type=tmpfs -o device=tmpfs -o o=size=2m,mode=1777 mem >/dev/null; " +
			run + "-v mem:/m $I sh -c 'df -k /m | tail -1 | tr -s \" \" | cut -d\" \" -f1,2; stat -c %a /m'; " +
			"podunit run -d --network none --name m1 -v mem:/one:ro $I sleep 1000 >/dev/null; podunit run -d --network none --name m2 -v mem:/two $I sleep 1000 >/dev/null; " +
			"podunit exec m2 touch /two/shared; podunit exec m1 ls /one; podunit exec m1 touch /one/x 2>&1 | grep -c 'Read-only'; podunit rm -f -t 0 m1 m2 >/dev/null; " + run + "-v mem:/m $I ls /m; podunit volume rm mem",
			"tmpfs 2048\n1777\nshared\n1\nmem"},
		{"a volume that is a directory", "alice root", "mkdir -p ~/there; echo content >~/there/file; podunit volume create -o type=bind -o device=$HOME/there there >/dev/null; " +
			run + "-v there:/d $I sh -c 'cat /d/file; echo more >/d/new'; cat ~/there/new; podunit volume inspect -f '{{.Options.type}} {{.Driver}}' there; podunit volume rm there; cat ~/there/file", "content\nmore\nbind local\nthere\ncontent"},
		{"a volume whose directory is missing", "alice", "podunit volume create -o type=none -o o=bind -o device=/nosuch gone >/dev/null; " + run + "-v gone:/d $I true; podunit volume rm gone", "~volume gone: device: stat /nosuch"},
		{"a disk as a user", "alice", "podunit volume create -o type=ext4 -o device=/dev/vda x", "~for root only"},
		{"a disk as root", "root", "truncate -s 8M ~/disk; mkfs.ext4 -q ~/disk 2>/dev/null && [ -e /dev/loop-control ] || { echo written; exit; }; podunit volume create -o type=ext4 -o o=loop -o device=$HOME/disk disk >/dev/null; " +
			run + "-v disk:/d $I sh -c 'grep -q \" /d ext4\" /proc/mounts && touch /d/x' && " + run + "-v disk:/d $I sh -c 'test -e /d/x && echo written'; podunit volume rm disk >/dev/null", "written"},
		{"a volume that is an image", "alice root", "podunit volume create -d image -o image=localhost:5000/layers lay >/dev/null; n=$(" + run + "-v lay:/i $I sh -c 'ls /i | wc -l; touch /i/mine'); [ $n -gt 3 ] && " + run + "-v lay:/i $I sh -c 'ls /i/mine'; podunit volume ls --format '{{.Driver}}' --filter name=lay; podunit volume rm lay", "/i/mine\nimage\nlay"},
		{"an image mounted", "alice root", run + "--mount type=image,source=localhost:5000/layers,destination=/i $I sh -c '{ ls -d /i/etc; touch /i/x; } 2>&1'; " + run + "--mount type=image,source=localhost:5000/layers,destination=/i,rw=true $I sh -c 'touch /i/x && echo written'; podunit images -q | wc -l", "/i/etc\ntouch: /i/x: Read-only file system\nwritten\n2"},
		{"a part of an image", "alice", run + "--mount type=image,source=$I,destination=/i,subpath=etc/passwd $I grep -c root /i", "1"},
		{"a part of a volume", "alice root", run + "-v parts:/v $I sh -c 'mkdir /v/a; echo in a >/v/a/f; ln -s /etc /v/out'; " + run + "--mount type=volume,source=parts,destination=/p,subpath=a $I cat /p/f; " +
			run + "--mount type=volume,source=parts,destination=/p,subpath=out $I true 2>&1 | grep -c 'subpath: open /out'; podunit volume rm parts >/dev/null", "in a\n1"},
		{"an image that is not there", "alice", run + "--mount type=image,source=localhost/nosuch,destination=/i $I true", "~podunit pull localhost/nosuch"},
		{"volumes of another", "alice root", "podunit run -d --name vf --network none -v vfv:/a -v /anon $I sleep 1000 >/dev/null; podunit exec vf touch /a/x /anon/y; " + run + "--volumes-from vf:ro $I sh -c '{ ls /a /anon; touch /a/z; } 2>&1'; podunit rm -f -v -t 0 vf >/dev/null; podunit volume rm vfv", "/a:\nx\n\n/anon:\ny\ntouch: /a/z: Read-only file system\nvfv"},
		{"a mapped mount as a user", "alice", run + "--userns nomap -v /tmp:/t:idmap $I true", "~for root only"},
		{"a mapped mount", "root", "mkdir -p ~/mapped; echo f >~/mapped/f; chown 33 ~/mapped/f; " + run + "--uidmap 0:100000:65536 -v ~/mapped:/m:idmap $I sh -c 'stat -c %u /m/f; touch /m/g'; stat -c %u ~/mapped/g", "33\n0"},
		{"a new volume that is mapped", "root", run + "--uidmap 0:100000:65536 -v nm:/elsewhere:idmap $I sh -c 'touch /elsewhere/x && stat -c %u:%g /elsewhere /elsewhere/x'; D=$(podunit volume inspect -f '{{.Mountpoint}}' nm); stat -c %u:%g $D $D/x; podunit volume rm nm >/dev/null; " +
			run + "--uidmap 0:100000:65536 --user 7 -v nm:/elsewhere:idmap $I sh -c 'touch /elsewhere/x && stat -c %u /elsewhere/x'; podunit volume rm nm >/dev/null; " +
			run + "--uidmap 0:100000:65536 -v nm:/bin:idmap $I stat -c %u:%g /bin /bin/sh; stat -c %u:%g $D/sh; podunit volume rm nm >/dev/null", "0:0\n0:0\n0:0\n0:0\n7\n0:0\n0:0\n0:0"},
		{"a mapped mount in no namespace", "root", run + "-v /tmp:/t:idmap $I true", "~has none of its own"},
		{"the source of a mapped mount and of a part", "root", "mkdir -p ~/kept/part; echo 1 >~/kept/part/file; for i in 1 2; do " + run + "--uidmap 0:100000:65536 -v ~/kept:/m:idmap $I true; done; podunit volume create -o type=bind -o device=$HOME/kept kept >/dev/null; " +
			run + "--mount type=volume,source=kept,destination=/p,subpath=part $I true; podunit volume rm kept >/dev/null; cat ~/kept/part/file", "1"},
		{"changes that are kept", "alice root", "mkdir -p ~/low ~/up ~/work; echo low >~/low/f; for i in 1 2; do " + run + "-v ~/low:/d:O,upperdir=$HOME/up,workdir=$HOME/work $I sh -c 'cat /d/f; echo more >>/d/g'; done; cat ~/up/g ~/low/f", "low\nlow\nmore\nmore\nlow"},
		{"a log file", "alice root", "podunit run -d --name lf --network none --log-driver json-file --log-opt path=$HOME/lf.log --log-opt max-size=1kb --log-opt max-file=2 $I sh -c 'for i in $(seq 40); do echo line $i; done; echo last >&2; exec sleep 1000' >/dev/null; " +
			"for i in $(seq 600); do grep -q last ~/lf.log && break; sleep 0.1; done; grep -c -E '^20[0-9-]+T[0-9:.]+[+]00:00 stderr F last$' ~/lf.log; ls ~/lf.log* | wc -l; [ $(stat -c %s ~/lf.log) -le 1000 ] && echo small; podunit logs lf 2>&1 | wc -l; podunit rm -f -t 0 lf >/dev/null; rm ~/lf.log*; " +
			"podunit run -d --name lg --network none --log-driver k8s-file $I sh -c 'echo here; exec sleep 1000' >/dev/null; f=$(podunit info -f '{{.Store.GraphRoot}}')/overlay-containers/$(podunit inspect -f '{{.Id}}' lg)/userdata/ctr.log; for i in $(seq 600); do grep -q here $f && break; sleep 0.1; done; cut -d' ' -f2- $f; podunit rm -f -t 0 lg >/dev/null; d=$(podunit info -f '{{.Store.GraphRoot}}')/overlay-containers; dirs() { find $d -mindepth 1 -maxdepth 1 -type d | wc -l; }; n=$(dirs); podunit run --rm --network none --log-driver k8s-file $I echo new; podunit run -d --rm --network none --name ln --log-driver k8s-file $I sleep 1000 >/dev/null && podunit rm -f -t 0 ln; podunit run --rm --network none --log-driver k8s-file --rootfs /nosuch true 2>/dev/null; [ $(dirs) = $n ] || ls $d",
			"1\n2\nsmall\n41\nstdout F here\nnew\nln"},
		{"an option of the log that is none", "alice", run + "--log-opt mode=non-blocking $I echo fine", "podunit: warning: --log-opt mode has no effect: tag, label, path, max-size, max-file are the options\nfine"},
		{"a device of a vendor", "alice root", "podunit run --rm --network none --device example.org/thing=one $I sh -c 'echo $ONE; test -c /dev/thing && echo node; cat /opt/thing'; podunit run --rm --network none --gpus all $I true 2>&1 | grep -c 'nvidia.com/gpu=all: no specification'; " +
			unitOf("vd", "AddDevice=example.org/thing=one\\n") + "podunit check >/dev/null 2>&1 || echo faults; $S daemon-reload; $S start vd; podunit exec systemd-vd sh -c 'echo $ONE'; $S restart vd; podunit exec systemd-vd sh -c 'echo $ONE'; $S stop vd; rm $D/vd.container; $S daemon-reload", "1\nnode\nthing\n1\n1\n1"},
		{"a .volume file", "alice root", "mkdir -p $D; printf '[Volume]\\nDevice=tmpfs\\nType=tmpfs\\nOptions=size=1m\\n' >$D/vv.volume; " + unitOf("vc", "Volume=vv.volume:/v\\n") +
			"podunit check; $S daemon-reload; $S start vc; podunit exec systemd-vc sh -c 'df -k /v | tail -1 | tr -s \" \" | cut -d\" \" -f1,2'; $S stop vc vv-volume; rm $D/vc.container $D/vv.volume; $S daemon-reload; podunit volume rm systemd-vv", "~tmpfs 1024\nsystemd-vv"},
	} {
		for _, user := range strings.Fields(c.users) {
			t.Run(user+"/"+c.name, func(t *testing.T) {
				env := "exec 2>&1; I=" + image + "; S='systemctl --user'; D=$HOME/.config/containers/systemd\n"
				if user == "root" {
					env = "exec 2>&1; I=" + image + "; S=systemctl; D=/etc/containers/systemd\n"
				}
				out, _, _ := l.on(t).Run(user, env+c.script)
				got := strings.TrimSpace(out)
				if part, some := strings.CutPrefix(c.want, "~"); some && !strings.Contains(got, part) || !some && got != c.want {
					t.Errorf("%s\ngave\n%s\nand not\n%s", c.script, got, c.want)
				}
			})
		}
	}
}
