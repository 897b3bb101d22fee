// SPDX-License-Identifier: Apache-2.0

//go:build lab

package vm

import (
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// nfs has functions for scripts: left prints what of NFS is mounted in whatever namespace, or still
// tries to be; silent listens on a port and answers nothing. The kernel keeps a connection to it for
// a while, so that each step has a port of its own.
const nfs = unit + `left() { cat /proc/[0-9]*/mounts 2>/dev/null | grep -m 1 ' nfs4\? '; tail -n +2 /proc/fs/nfsfs/volumes; pgrep -ax 'mount(\.nfs4?)?'; }
silent() { nc -dlk $1 >/dev/null 2>&1 & trap "kill $!" EXIT; }
yaml() { printf '%s' '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"nas"},"spec":{"terminationGracePeriodSeconds":1,"containers":[{"name":"c","image":"localhost:5000/busybox","command":["sleep","999"],"volumeMounts":[{"name":"v","mountPath":"/nas"}]}],"volumes":[{"name":"v","nfs":{"server":"'$1'","path":"/srv/nas"'$2'}}]}}' >nas.yaml; }
volume() { mkdir -p $D; printf '[Volume]\nVolumeName=far\nType=nfs\nDevice=127.0.0.1:/srv/nas\nOptions=%s\n' $1 >$D/far.volume; }
`

// TestVMNFS mounts directories of a real server: the host's kernel need not have one.
func TestVMNFS(t *testing.T) {
	l := boot(t, labtest.Options{}, "alice", "root")
	l.MustRun("root", "mkdir -p /srv/nas && echo served >/srv/nas/file && echo '/srv/nas 127.0.0.1(rw,no_root_squash,no_subtree_check,insecure)' >/etc/exports && systemctl start nfs-server")
	const silence = "volume far: mount: 127.0.0.1:/srv/nas has not answered: context canceled"
	play(t, l, []step{
		{name: "a volume of a YAML", user: "root", script: nfs + "yaml 127.0.0.1; podunit kube play --network none nas.yaml >/dev/null; podunit exec nas-c sh -c 'cat /nas/file; grep \" /nas \" /proc/mounts | cut -d \" \" -f 1,3; echo written >/nas/new'; " +
			"cat /srv/nas/new; echo later >/srv/nas/late; podunit exec nas-c cat /nas/late; podunit kube down nas.yaml >/dev/null 2>&1 || echo down $?; podunit volume ls -q; left; ls /srv/nas",
			want: "served\n127.0.0.1:/srv/nas nfs4\nwritten\nlater\nfile\nlate\nnew"},
		{name: "to read only", user: "root", script: nfs + "yaml 127.0.0.1 ',\"readOnly\":true'; podunit kube play --network none nas.yaml >/dev/null; podunit exec nas-c sh -c 'cat /nas/file; echo x >/nas/x'; podunit kube down nas.yaml >/dev/null 2>&1 || echo down $?; left",
			want: "served\nsh: can't create /nas/x: Read-only file system"},
		{name: "the volume of a unit", user: "root", script: nfs + "volume nfsvers=4.2,nconnect=2; unit reads 'Volume=far.volume:/nas\\nExec=sleep 999\\nStopTimeout=1' ''; until $S is-active -q reads; do $S is-failed -q reads && break; sleep 0.5; done; " +
			"podunit exec systemd-reads sh -c 'cat /nas/file; grep \" /nas \" /proc/mounts | grep -o vers=4.2; echo again >/nas/new'; cat /srv/nas/new; gone reads; left; " +
			"podunit volume ls -q; $S stop far-volume; rm $D/far.volume; $S daemon-reload; podunit volume rm far; ls /srv/nas",
			want: "served\nvers=4.2\nagain\nfar\nfar\nfile\nlate\nnew"},
		{name: "two containers of one volume", user: "root", script: nfs + "podunit volume create --opt type=nfs --opt device=127.0.0.1:/srv/nas far >/dev/null; podunit run -d --network none --name one -v far:/nas $I sleep 999 >/dev/null; " +
			run + "-v far:/nas $I sh -c 'echo from two >/nas/new'; podunit exec one cat /nas/new; podunit rm -f -t 0 one; left; podunit volume rm far",
			want: "from two\none\nfar"},
		{name: "a directory that is not exported", user: "root", script: nfs + run + "--mount type=volume,src=far,dst=/nas,volume-opt=type=nfs,volume-opt=device=127.0.0.1:/srv/other $I true; echo $?; left; podunit volume rm far",
			want: "~127.0.0.1:/srv/other"},
		// Of mount and podunit, which the manager asks both to end, either may say so first.
		{name: "a server that does not answer", user: "root", script: nfs + "silent 2050; volume port=2050; unit waits 'Volume=far.volume:/nas\\nExec=sleep 999' 'TimeoutStartSec=75'; a=$(date +%s); " + failed +
			"$S show -P Result waits; [ $(($(date +%s) - a)) -lt 600 ] && echo in time; journal waits 'volume far: .*127.0.0.1:/srv/nas has not answered'; gone waits; $S stop far-volume; rm $D/far.volume; $S daemon-reload; podunit ps -aq; podunit volume rm far; left",
			want: "timeout\nin time\nvolume far: mount: 127.0.0.1:/srv/nas has not answered\nfar"},
		{name: "given up by hand", user: "root", script: nfs + "silent 2052; podunit volume create --opt type=nfs --opt device=127.0.0.1:/srv/nas --opt o=port=2052 far >/dev/null; env --default-signal=INT " + run + "--name waits -v far:/nas $I true & p=$!; " +
			"until pgrep -x 'mount(\\.nfs4?)?' >/dev/null || ! [ -d /proc/$p ]; do sleep 0.5; done; kill -INT $p; wait $p; echo $?; podunit ps -aq; podunit volume rm far; left",
			want: "podunit: error: given up (interrupt): mount far at /nas: " + silence + "\n130\nfar"},
		{name: "nobody listens", user: "root", script: nfs + "podunit volume create --opt type=nfs --opt device=127.0.0.1:/srv/nas --opt o=port=2051,retry=0 far >/dev/null; " + run + "-v far:/nas $I true; echo $?; podunit ps -aq; podunit volume rm far; left",
			want: "~refused"},
		// mount.nfs tries for two minutes, a play for less.
		{name: "the server of a YAML is off", user: "root", script: nfs + "systemctl stop nfs-server; yaml 127.0.0.1; podunit kube play --network none nas.yaml; echo $?; podunit ps -aq; podunit pod ps -q; podunit volume ls -q; left; systemctl start nfs-server",
			want: "~volume nas-v: mount: 127.0.0.1:/srv/nas has not answered: "},
		{name: "a storage on it", user: "root", script: nfs + "mount -t nfs 127.0.0.1:/srv/nas /mnt && podunit --root /mnt/store run --rm --network none $I true; echo $?; ls -d /srv/nas/store 2>/dev/null; umount /mnt; left",
			want: "podunit: error: containers storage /mnt/store: it is on NFS, which other machines may mount, too\n" +
				"  hint: boots, locks and containers of two machines would get mixed up: put the storage on a disk of this machine with graphroot in ~/.config/containers/storage.conf, or /etc/containers/storage.conf for root\n125"},
		{name: "a user", user: "alice", script: nfs + "yaml 127.0.0.1; podunit kube play --network none nas.yaml; echo $?; podunit volume create --opt type=nfs --opt device=127.0.0.1:/srv/nas far; echo $?",
			want: "~only root can mount NFS"},
	})
	l.Gone("root", nfs+"left; podunit volume ls -q; podunit ps -aq")
	l.NothingLeft("root", time.Minute)
}
