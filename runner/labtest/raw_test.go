//go:build lab

package labtest

import (
	"testing"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

func TestLabKeepIDRaw(t *testing.T) {
	l := boot(t, labtest.Options{})
	l.WriteFile("alice", "raw.sh", `set -x
cd $(mktemp -d)
unshare -U -n sleep 1000 & H=$!
sleep 0.5
echo "0 1 1000
1000 0 1
1001 1001 60000" >/proc/$H/uid_map
cat /proc/$H/uid_map >/dev/null; cp /proc/$H/uid_map m; cat m
echo "0 1 1000
1000 0 1
1001 1001 60000" >/proc/$H/gid_map
mkdir -p rootfs/{usr,proc,dev,sys,etc,tmp}; for d in bin lib lib64; do ln -s usr/$d rootfs/$d; done
chmod 755 . rootfs
runc spec
jq --arg u /proc/$H/ns/user --arg n /proc/$H/ns/net '.process.terminal=false|.process.args=["sleep","1000"]|.process.user={uid:1000,gid:1000}|.mounts=([.mounts[]|select(.type!="cgroup")]+[{destination:"/usr",type:"bind",source:"/usr",options:["rbind","ro"]}])|.linux.namespaces=[{type:"user",path:$u},{type:"network",path:$n},{type:"pid"},{type:"ipc"},{type:"uts"},{type:"mount"}]|.linux.uidMappings=[{containerID:0,hostID:1,size:1000},{containerID:1000,hostID:0,size:1},{containerID:1001,hostID:1001,size:60000}]|.linux.gidMappings=.linux.uidMappings|del(.linux.resources)' config.json >c2; mv c2 config.json
runc --root $PWD/state create x </dev/null >out 2>&1; echo create $?; cat out
kill $H
runc --root $PWD/state start x; echo start $?
runc --root $PWD/state exec x id; echo exec $?
runc --root $PWD/state exec -u 0 x sh -c 'id; cat /proc/self/uid_map; ls /sys/class/net; mount | grep sysfs; hostname foo; ip addr 2>/dev/null | head -3'; echo exec $?
runc --root $PWD/state delete -f x
`)
	out, errs, code := l.Run("alice", "timeout 60 podunit unshare bash raw.sh 2>&1")
	t.Log(code, out, errs)
	out, errs, code = l.Run("alice", "dpkg -l passt | tail -1; pasta --help 2>&1 | grep -A3 runas; echo; sed -n 1,5p /proc/sys/net/ipv4/ip_unprivileged_port_start")
	t.Log(code, out, errs)
}
