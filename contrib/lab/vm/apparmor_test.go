// SPDX-License-Identifier: Apache-2.0

//go:build lab

package vm

import (
	"testing"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// profile lets everything happen but reading one file.
const profile = `abi <abi/4.0>,
profile podunit-lab flags=(attach_disconnected,mediate_deleted) {
	file, capability, network, mount, umount, pivot_root, signal, ptrace, unix, userns, mqueue, io_uring,
	deny /etc/passwd r,
}
`

// TestVMAppArmor confines containers. Debian's kernel has AppArmor, and no profile for containers.
func TestVMAppArmor(t *testing.T) {
	l := boot(t, labtest.Options{}, "alice", "root")
	l.WriteFile("root", "/etc/apparmor.d/podunit-lab", profile)
	l.MustRun("root", "apparmor_parser --replace /etc/apparmor.d/podunit-lab")
	const look = "$I sh -c 'tr -d \"\\0\" </proc/self/attr/current; wc -l </etc/group; cat /etc/passwd'; echo $?"
	play(t, l, []step{
		{name: "Podman's by default", user: "root", script: run + "$I sh -c 'cat /proc/self/attr/current; echo x >/proc/sys/kernel/core_pattern; mkdir /m; mount -t tmpfs none /m' 2>&1 | head -n 1",
			want: "~containers-default-"},
		{name: "none for a user", user: "alice", script: run + "$I cat /proc/self/attr/current", want: "~unconfined"},
		{name: "a profile", user: "root", script: run + "--security-opt apparmor=podunit-lab " + look,
			want: "~podunit-lab (enforce)"},
		{name: "what it forbids", user: "root", script: run + "--security-opt apparmor=podunit-lab " + look,
			want: "~cat: can't open '/etc/passwd': Permission denied\n1"},
		{name: "unconfined", user: "root", script: run + "--security-opt apparmor=unconfined $I sh -c 'cat /proc/self/attr/current; grep -c ^root: /etc/passwd'",
			want: "~unconfined)\n1"},
		{name: "a command inside", user: "root", script: rund + "in --security-opt apparmor=podunit-lab $I sleep 999 >/dev/null; podunit exec in cat /proc/self/attr/current; podunit exec in cat /etc/passwd; " +
			"podunit inspect -f '{{.AppArmorProfile}}' in; podunit rm -f -t 0 in",
			want: "podunit-lab (enforce)\ncat: can't open '/etc/passwd': Permission denied\npodunit-lab\nin"},
		{name: "a unit's", user: "root", script: unit + "unit conf 'AppArmor=podunit-lab\\nExec=sh -c \"cat /proc/self/attr/current; exec sleep 999\"' ''; " +
			"until podunit logs systemd-conf 2>/dev/null | grep enforce; do sleep 0.5; done; gone conf",
			want: "podunit-lab (enforce)"},
		{name: "of a pod's YAML", user: "root", script: `printf '%s' '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"aa"},"spec":{"securityContext":{"appArmorProfile":{"type":"Localhost","localhostProfile":"podunit-lab"}},"containers":[{"name":"c","image":"localhost:5000/busybox","command":["sleep","999"]}]}}' >aa.yaml
podunit kube play --network none aa.yaml >/dev/null; podunit exec aa-c cat /proc/self/attr/current; podunit exec aa-c cat /etc/passwd; podunit kube down aa.yaml >/dev/null 2>&1 || echo down $?; podunit ps -a --format '{{.Names}} {{.Status}}'`,
			want: "podunit-lab (enforce)\ncat: can't open '/etc/passwd': Permission denied"},
		{name: "one that is not there", user: "root", script: run + "--security-opt apparmor=nosuch $I true 2>&1 | grep -o 'apparmor=nosuch.*'; echo ${PIPESTATUS[0]}",
			want: "apparmor=nosuch: AppArmor profile \"nosuch\" specified but not loaded\n125"},
		{name: "a user's", user: "alice", script: run + "--security-opt apparmor=podunit-lab $I true; echo $?",
			want: "~: --security-opt apparmor=podunit-lab: only root can confine a container with a profile; use AppArmorProfile= in a system unit\n125"},
		// pasta runs under a profile of its own there.
		{name: "the network of a user", user: "alice", script: "podunit run -d --name net $I sleep 999 >/dev/null; cat /proc/$(pgrep -u alice -n pasta)/attr/current; podunit exec net sh -c 'ip route | grep -c ^default'; podunit rm -f -t 0 net", want: "pasta (enforce)\n1\nnet"},
	})
}
