// SPDX-License-Identifier: Apache-2.0

//go:build lab

package vm

import (
	"slices"
	"testing"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// unit writes a unit with lines of [Container] and of [Service], and starts it in the background of
// what follows.
const unit = `unit() {
	mkdir -p $D && printf '[Container]\nImage=%s\nNetwork=none\n%b\n[Service]\n%b\n' $I "$2" "$3" > $D/$1.container
	$S daemon-reload; $S start --no-block $1; U=$1
}
gone() { $S stop $1; $S reset-failed $1 2>/dev/null; rm $D/$1.container; $S daemon-reload; }
journal() { until journalctl $([ $(id -u) = 0 ] || echo --user) -u $1 | grep -o -m 1 "${2:-killed by the OOM killer}"; do sleep 0.5; done; }
cg() { echo /sys/fs/cgroup$(podunit inspect -f '{{.State.CgroupPath}}' $1); }
`

// failed waits until the last unit has failed. Without OOMPolicy=stop a delegated cgroup goes on
// after a kill, and the result is how the first process ended: systemd.service(5).
const failed = "until $S is-failed -q $U; do sleep 0.5; done; "

// run is a container of one command; rund one that stays, by name.
const (
	run  = "podunit run --rm --network none "
	rund = unit + "podunit run -d --network none --name "
)

// TestVMLimits looks at what limits and rules do: the lab's containers have no controllers for them.
func TestVMLimits(t *testing.T) {
	l := boot(t, labtest.Options{}, "alice", "root")
	play(t, l, slices.Concat(memorySteps, podSteps, otherLimits, deviceSteps))
}

var memorySteps = []step{
	{name: "memory", script: run + "--memory 64m --memory-swap 80m $I sh -c 'cd /sys/fs/cgroup; cat memory.max memory.swap.max'",
		want: "67108864\n16777216"},
	{name: "out of memory", script: "podunit run --network none --name oom --memory 48m --memory-swap 48m $I tail /dev/zero; echo $?; " +
		"podunit inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' oom; podunit rm oom",
		want: "137\ntrue 137\noom"},
	{name: "a child out of memory", script: "podunit run --network none --name child --memory 48m --memory-swap 48m $I sh -c 'tail /dev/zero; echo it ended with $?' 2>/dev/null; echo $?; " +
		"podunit inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' child; podunit rm child",
		want: "it ended with 137\n0\ntrue 0\nchild"},
	{name: "out of memory, and then not", script: "podunit run -d --restart on-failure --network none --name once --memory 48m --memory-swap 48m $I sh -c '[ -e /x ] && echo again && exit 0; touch /x; tail /dev/zero; exit 1' >/dev/null; " +
		"until podunit logs once 2>&1 | grep -qx again && [ $($S show -P ActiveState once) = inactive ]; do sleep 0.5; done; podunit inspect -f '{{.State.OOMKilled}}' once; podunit rm once",
		want: "false\nonce"},
	{name: "not out of memory", script: "podunit run --network none --name fine --memory 64m $I sh -c 'head -c 10000000 /dev/zero | wc -c; exit 3'; echo $?; " +
		"podunit inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' fine; podunit rm fine",
		want: "10000000\n3\nfalse 3\nfine"},
	{name: "a unit out of the memory of its container", script: unit + "unit big 'Memory=48m\\nPodmanArgs=--memory-swap 48m\\nExec=tail /dev/zero' ''; " +
		failed + "$S show -P Result big; $S show -P ExecMainStatus big; journal big; gone big",
		want: "signal\n9\nkilled by the OOM killer"},
	{name: "a unit that says so in its result", script: unit + "unit big 'Memory=48m\\nPodmanArgs=--memory-swap 48m\\nExec=tail /dev/zero' 'OOMPolicy=stop'; " +
		failed + "$S show -P Result big; gone big",
		want: "oom-kill"},
	{name: "a unit out of its own memory", script: unit + "unit own 'Exec=tail /dev/zero' 'MemoryMax=64M\\nMemorySwapMax=0'; " +
		failed + "$S show -P Result own; journal own; gone own",
		want: "signal\nkilled by the OOM killer"},
	{name: "a unit that restarts after it", script: unit + "unit again 'Memory=48m\\nPodmanArgs=--memory-swap 48m\\nExec=tail /dev/zero' 'Restart=on-failure\\nRestartSec=1'; " +
		"until [ $($S show -P NRestarts again) -ge 2 ]; do sleep 0.5; done; echo restarted; gone again",
		want: "restarted"},
	{name: "the memory of a slice", script: unit + "mkdir -p $D; sd=${D%containers/systemd}systemd; [ $(id -u) = 0 ] && sd=/etc/systemd/system || sd=$sd/user; mkdir -p $sd; " +
		"printf '[Slice]\\nMemoryMax=64M\\nMemorySwapMax=0\\n' > $sd/lim.slice; unit part 'Exec=tail /dev/zero' 'Slice=lim.slice'; " +
		failed + "$S show -P Result part; journal part; gone part; rm $sd/lim.slice",
		want: "signal\nkilled by the OOM killer"},
	{name: "changed while it runs", script: rund + "live --memory 64m --pids-limit 50 $I sleep 999 >/dev/null; " +
		"podunit update --memory 96m --memory-swap 96m --pids-limit 60 --cpus 0.5 live >/dev/null; cat $(cg live)/memory.max $(cg live)/memory.swap.max $(cg live)/pids.max $(cg live)/cpu.max; " +
		"podunit inspect -f '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' live; podunit stop -t 0 live; podunit start live; cat $(cg live)/memory.max; podunit rm -f -t 0 live",
		want: "100663296\n0\n60\n50000 100000\n100663296 60\nlive\nlive\n100663296\nlive"},
}

// limit prints a file of the cgroup of a unit: limit UNIT FILE.
const limit = `limit() { cat /sys/fs/cgroup$($S show -P ControlGroup $1)/$2; }; [ $(id -u) = 0 ] && P=system-pods || P=app-pods
`

// inPod is a pod with limits and a container in it that stays.
const inPod = limit + "podunit pod create --network none --name pm "

// The limits of a pod are those of a slice that all its units are in, and so hold for all of them
// together.
var podSteps = []step{
	{name: "the memory of a pod", script: inPod + "--memory 64m --memory-swap 64m --cpus 0.5 --cpu-shares 512 >/dev/null; podunit run -d --pod pm --name stays $I sleep 999 >/dev/null; " +
		"limit $P-pm.slice memory.max; limit $P-pm.slice memory.swap.max; limit $P-pm.slice cpu.max; limit $P-pm.slice cpu.weight; " +
		"podunit run --pod pm --name greedy $I tail /dev/zero; echo $?; podunit inspect -f '{{.State.OOMKilled}}' greedy; podunit inspect -f '{{.State.Status}} {{.State.OOMKilled}}' stays; " +
		"limit $P-pm.slice memory.events | grep -c '^oom_kill [1-9]'; podunit pod rm -f -t 0 pm >/dev/null; podunit ps -aq",
		want: "67108864\n0\n50000 100000\n20\n137\ntrue\nrunning false\n1"},
	{name: "two in a pod, neither too large alone", script: inPod + "--memory 80m --memory-swap 80m >/dev/null; podunit run -d --pod pm --name half $I sh -c 'x=$(head -c 50000000 /dev/zero | tr \"\\0\" a); echo has; sleep 999' >/dev/null; " +
		"until podunit logs half 2>&1 | grep -q has || podunit inspect -f '{{.State.OOMKilled}}' half | grep -q true; do sleep 0.5; done; " +
		"podunit run --pod pm --rm $I sh -c 'x=$(head -c 50000000 /dev/zero | tr \"\\0\" a); echo has too'; echo $?; podunit pod rm -f -t 0 pm >/dev/null",
		want: "~137"},
	{name: "a pod's units", script: limit + unit + "mkdir -p $D; printf '[Pod]\\nPodName=pu\\nNetwork=none\\nPodmanArgs=--memory 64m --memory-swap 64m\\n' >$D/pu.pod; " +
		"printf '[Container]\\nImage=%s\\nPod=pu.pod\\nExec=sleep 999\\nStopTimeout=1\\n' $I >$D/calm.container; printf '[Container]\\nImage=%s\\nPod=pu.pod\\nExec=tail /dev/zero\\n[Service]\\nOOMPolicy=stop\\n' $I >$D/big.container; " +
		"$S daemon-reload; $S start calm; limit $P-pu.slice memory.max; $S start --no-block big; U=big; " + failed + "$S show -P Result big; $S is-active calm; " +
		"$S stop pu-pod; rm $D/pu.pod $D/calm.container $D/big.container; $S reset-failed; $S daemon-reload; podunit pod ps -q",
		want: "67108864\noom-kill\nactive"},
	{name: "the processors of a pod", user: "root", script: inPod + "--cpuset-cpus 1 >/dev/null; podunit run --pod pm --rm $I grep Cpus_allowed_list /proc/self/status; podunit pod rm -f -t 0 pm >/dev/null",
		want: "Cpus_allowed_list:\t1"},
	{name: "the disk of a pod", user: "root", script: inPod + "--device-read-bps /dev/vda:1mb --device-write-bps /dev/vda:2mb --blkio-weight 500 >/dev/null; podunit run -d --pod pm --name stays $I sleep 999 >/dev/null; " +
		"limit $P-pm.slice io.max | sed s/^$M:0/vda/; podunit run --rm --pod pm --device /dev/vda $I sh -c 'a=$(date +%s); dd if=/dev/vda of=/dev/null bs=64k count=80 iflag=direct 2>/dev/null; b=$(date +%s); [ $((b - a)) -ge 3 ] && echo slow'; podunit pod rm -f -t 0 pm >/dev/null",
		want: "vda rbps=1048576 wbps=2097152 riops=max wiops=max\nslow"},
	{name: "the limits of a YAML", script: limit + unit + `printf '%s' '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"ky"},"spec":{"restartPolicy":"Never","terminationGracePeriodSeconds":1,"containers":[
{"name":"calm","image":"localhost:5000/busybox","command":["sleep","999"],"resources":{"limits":{"memory":"96Mi","cpu":"250m"},"requests":{"cpu":"100m"}}},
{"name":"big","image":"localhost:5000/busybox","command":["sh","-c","tail /dev/zero; exit 7"],"resources":{"limits":{"memory":"48Mi"}}},
{"name":"shot","image":"localhost:5000/busybox","command":["tail","/dev/zero"],"resources":{"limits":{"memory":"48Mi"}}}]}}' >ky.yaml
` + "podunit kube play --network none ky.yaml >/dev/null; cat $(cg ky-calm)/memory.max $(cg ky-calm)/cpu.max; " +
		"for U in ky-big ky-shot; do " + failed + "journal $U; $S show -P Result -P ExecMainStatus $U; done; " +
		"podunit inspect -f '{{.State.Status}}' ky-calm; podunit kube down ky.yaml >/dev/null 2>&1; podunit ps -aq",
		want: "100663296\n25000 100000\nkilled by the OOM killer\nexit-code\n7\nkilled by the OOM killer\nsignal\n9\nrunning"},
	{name: "the limits of a whole pod of YAML", script: limit + unit + `printf '%s' '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"kp"},"spec":{"restartPolicy":"Never","terminationGracePeriodSeconds":1,"resources":{"limits":{"memory":"64Mi"}},"containers":[
{"name":"calm","image":"localhost:5000/busybox","command":["sleep","999"]},
{"name":"shot","image":"localhost:5000/busybox","command":["tail","/dev/zero"]}]}}' >kp.yaml
` + "podunit kube play --network none kp.yaml >/dev/null; limit $($S show -P Slice kp-calm) memory.max; " +
		"U=kp-shot; " + failed + "journal $U; $S show -P Result $U; podunit inspect -f '{{.State.Status}}' kp-calm; podunit kube down kp.yaml >/dev/null 2>&1",
		want: "67108864\nkilled by the OOM killer\nsignal\nrunning"},
}

var otherLimits = []step{
	{name: "processes", script: run + "--pids-limit 10 $I sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100 & done'; echo $?",
		want: "~can't fork"},
	// The programs that start it are in there too.
	{name: "processes of a unit", script: unit + "unit tasks 'Exec=sh -c \"while true; do sleep 999 & done\"' 'TasksMax=60'; " +
		failed + "journal tasks \"can't fork\"; gone tasks",
		want: "can't fork"},
	{name: "processors", user: "root", script: run + "--cpuset-cpus 1 $I grep Cpus_allowed_list /proc/self/status",
		want: "Cpus_allowed_list:\t1"},
	{name: "processors that a user has no say in", user: "alice", script: run + "--cpuset-cpus 1 $I true; echo $?",
		want: "podunit: warning: --cpuset-cpus has no effect: the cgroup has no cpuset controller; is it delegated? see Delegate= in systemd.resource-control(5)\n0"},
	{name: "time of processors", script: run + "--cpus 0.2 $I sh -c 'cat /sys/fs/cgroup/cpu.max; timeout 3 sh -c \"while :; do :; done\"; awk \"/nr_throttled/ { print (\\$2 > 0) }\" /sys/fs/cgroup/cpu.stat' 2>/dev/null",
		want: "20000 100000\n1"},
	{name: "weight of processors", script: run + "--cpu-shares 512 $I cat /sys/fs/cgroup/cpu.weight",
		want: "20"},
	{name: "reads of a disk", user: "root", script: run + "--device /dev/vda --device-read-bps /dev/vda:1mb $I sh -c 'cat /sys/fs/cgroup/io.max; a=$(date +%s); dd if=/dev/vda of=/dev/null bs=64k count=80 iflag=direct 2>/dev/null; b=$(date +%s); [ $((b - a)) -ge 3 ] && echo slow' | sed s/^$M:0/vda/",
		want: "vda rbps=1048576 wbps=max riops=max wiops=max\nslow"},
	{name: "the four rates", user: "root", script: run + "--device-read-bps /dev/vda:2mb --device-write-bps /dev/vda:3mb --device-read-iops /dev/vda:40 --device-write-iops /dev/vda:50 $I cat /sys/fs/cgroup/io.max | sed s/^$M:0/vda/",
		want: "vda rbps=2097152 wbps=3145728 riops=40 wiops=50"},
	{name: "frozen", script: rund + "ice $I sh -c 'while :; do echo tick; sleep 0.2; done' >/dev/null; podunit pause ice; " +
		"grep frozen $(cg ice)/cgroup.events; cat $(cg ice)/cgroup.freeze; podunit inspect -f '{{.State.Status}} {{.State.Paused}}' ice; " +
		"podunit unpause ice; grep frozen $(cg ice)/cgroup.events; cat $(cg ice)/cgroup.freeze; podunit inspect -f '{{.State.Status}}' ice; podunit rm -f -t 0 ice",
		want: "ice\nfrozen 1\n1\npaused true\nice\nfrozen 0\n0\nrunning\nice"},
	{name: "stopped while frozen", script: rund + "cold $I sleep 999 >/dev/null; podunit pause cold; podunit stop -t 1 cold 2>/dev/null; podunit inspect -f '{{.State.Status}}' cold; podunit rm -f -t 0 cold",
		want: "cold\ncold\nexited\ncold"},
	// Columns: control group, tasks, CPU, memory, input, output.
	{name: "systemd-cgtop", script: rund + "top $I sh -c 'while :; do :; done' >/dev/null; c=$(cg top); systemd-cgtop --batch --raw --iterations 3 --delay 2 --depth 20 | " +
		"awk -v c=${c#/sys/fs/cgroup} '(\"/\" $1 == c || $1 == c) { n++; tasks = $2; cpu = $3; memory = $4 } END { print n, tasks, (cpu > 1), (memory > 100000) }'; podunit rm -f -t 0 top",
		want: "3 1 1 1\ntop"},
	{name: "numbers", script: rund + "num --memory 64m --pids-limit 33 $I sh -c 'x=$(head -c 8000000 /dev/zero | tr \"\\\\0\" a); while :; do :; done' >/dev/null; " +
		"until [ $(cat $(cg num)/memory.current) -gt 8000000 ]; do sleep 0.5; done; sleep 2; " +
		"podunit stats --no-stream --format '{{.Name}} {{.PIDS}}' num; " +
		"podunit stats --no-stream --format json num | jq -r '.[0] | .name, .pids, (.mem_usage | split(\" / \") | .[1]), ((.cpu_percent | rtrimstr(\"%\") | tonumber) > 1), ((.mem_percent | rtrimstr(\"%\") | tonumber) > 10)'; podunit rm -f -t 0 num",
		want: "num 1\nnum\n1\n67.11MB\ntrue\ntrue\nnum"},
}

// node is a container that may make nodes of devices; M is the major number of the machine's disk.
const node = run + "--cap-add mknod -e M=$M "

var deviceSteps = []step{
	{name: "no device", user: "root", script: node + "$I sh -c 'mknod /dev/x b $M 0 && dd if=/dev/x of=/dev/null count=1 2>&1 | grep -o \"Operation not permitted\"'",
		want: "Operation not permitted"},
	{name: "a device", user: "root", script: node + "--device /dev/vda:/dev/x $I sh -c 'dd if=/dev/x of=/dev/null count=1 2>&1 | grep -o \"1+0 records in\"'",
		want: "1+0 records in"},
	{name: "a device to read", user: "root", script: node + "--device /dev/vda:/dev/x:r $I sh -c 'dd if=/dev/x of=/dev/null count=1 2>&1 | grep -o \"1+0 records in\"; echo >/dev/x; mknod /dev/y b $M 0; echo >/dev/y'",
		want: "1+0 records in\nsh: can't create /dev/x: Operation not permitted\nsh: can't create /dev/y: Operation not permitted"},
	{name: "a rule", user: "root", script: node + "--device-cgroup-rule \"b $M:* r\" $I sh -c 'mknod /dev/x b $M 0; dd if=/dev/x of=/dev/null count=1 2>&1 | grep -o \"1+0 records in\"; echo >/dev/x'",
		want: "1+0 records in\nsh: can't create /dev/x: Operation not permitted"},
	{name: "making is not reading", user: "root", script: node + "--device-cgroup-rule 'c 1:11 m' $I sh -c 'mknod /dev/k c 1 11 && head -c 1 /dev/k'",
		want: "head: /dev/k: Operation not permitted"},
	{name: "devices of everybody", user: "root", script: node + "$I sh -c 'for d in null zero full random urandom tty; do head -c 0 /dev/$d 2>/dev/null || [ $d = tty ] || echo $d; done; echo x >/dev/null; mknod /dev/kmsg2 c 1 11; head -c 1 /dev/kmsg2'",
		want: "head: /dev/kmsg2: Operation not permitted"},
	{name: "all devices", user: "root", script: run + "--privileged $I sh -c 'dd if=/dev/vda of=/dev/null count=1 2>&1 | grep -o \"1+0 records in\"'",
		want: "1+0 records in"},
	{name: "a rule of a user", user: "alice", script: run + "--device-cgroup-rule \"b $M:* r\" $I true; echo $?",
		want: "~the kernel lets only root say which devices may be used; as a user, the permissions of the device decide\n125"},
}
