// SPDX-License-Identifier: Apache-2.0

//go:build lab

package play

import (
	"testing"
	"time"
)

// handBoot: what was played from a shell can be stopped, started and restarted as a pod, and is there
// again after a boot and after a power cut; what was to run once is not.
func (l lab) handBoot(t *testing.T) {
	pod := func(name, policy string) string {
		return "---\n{apiVersion: v1, kind: Pod, metadata: {name: " + name + "}, spec: {restartPolicy: " + policy + ", containers: [{name: c, image: \"localhost:5000/busybox:1\", command: " + sleeps +
			", volumeMounts: [{name: f, mountPath: /f}, {name: e, mountPath: /e}, {name: s, mountPath: /s}]}]" +
			", volumes: [{name: f, configMap: {name: f}}, {name: e, emptyDir: {}}, {name: s, secret: {secretName: sec}}]}}\n"
	}
	l.WriteFile("alice", "hand.yaml", "{apiVersion: v1, kind: Secret, metadata: {name: sec}, stringData: {pw: hush}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: f}, data: {a: alpha}}\n"+
		pod("kp", "Always")+pod("once", "Never")+
		"---\n{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly}, spec: {schedule: \"0 3 1 1 *\", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: \"localhost:5000/busybox:1\"}]}}}}}}\n")
	l.WriteFile("alice", "wait.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: waited}, spec: {containers: [{name: c, image: \"localhost:5000/busybox:1\", command: "+sleeps+"}]}}\n")
	// Its init container waits for containers that are started at boot, too: one that was started by
	// hand, and one of another pod of the play.
	l.WriteFile("alice", "early.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: early}, spec: {initContainers: [{name: w, image: \"localhost:5000/busybox:1\", command: [sh, -c, \"until test -e /h/last && test -e /h/late; do sleep 0.2; done\"], volumeMounts: [{name: h, mountPath: /h}]}]"+
		", containers: [{name: c, image: \"localhost:5000/busybox:1\", command: "+sleeps+"}], volumes: [{name: h, hostPath: {path: /home/alice/signs}}]}}\n"+
		"---\n{apiVersion: v1, kind: Pod, metadata: {name: late}, spec: {containers: [{name: c, image: \"localhost:5000/busybox:1\", command: [sh, -c, \"touch /h/late; trap exit TERM; while :; do sleep 0.1; done\"], volumeMounts: [{name: h, mountPath: /h}]}]"+
		", volumes: [{name: h, hostPath: {path: /home/alice/signs}}]}}\n")
	const files = "podunit exec kp-c cat /f/a /e/d /s/pw"
	const pods = "podunit pod ps --format '{{.Name}} {{.Status}} {{.NumberOfContainers}}' | sort"
	l.MustRun("alice", "podunit kube play -q hand.yaml && podunit exec kp-c sh -c 'echo data >/e/d'")
	l.is(t, "podunit pod stop kp >/dev/null; "+pods+"; podunit pod start kp >/dev/null; "+files, "kp Exited 0\nonce Running 1\nalphadata\nhush")
	// A restart is one of its containers. Its services fail once, and are started all the same.
	l.is(t, `a=$(systemctl --user show -P MainPID kp-c); p=$(systemctl --user show -P MainPID kp-pod); podunit pod restart kp >/dev/null
		b=$(systemctl --user show -P MainPID kp-c); [ $a != $b ] && [ $p = $(systemctl --user show -P MainPID kp-pod) ] && echo another one; podunit pod stop kp >/dev/null; podunit pod restart kp >/dev/null; `+files,
		"another one\nalphadata\nhush")
	l.is(t, "systemctl --user stop kp-c; podunit exec kp-c true 2>/dev/null || podunit pod start kp; "+files, "kp\nalphadata\nhush")
	l.MustRun("alice", "mkdir signs; podunit run -d --restart always -v ~/signs:/h --name last localhost:5000/busybox:1 sh -c 'touch /h/last; trap exit TERM; while :; do sleep 0.1; done' && podunit kube play -q early.yaml")
	l.MustRun("alice", "systemd-run --user -q podunit kube play -q --wait wait.yaml; until podunit exec waited-c true 2>/dev/null; do sleep 0.1; done")
	for _, boot := range []func(){func() { l.PowerCut(); l.Boot() }, l.Reboot} {
		l.MustRun("alice", "rm signs/*")
		boot()
		l.Eventually("alice", "[ \"$(systemctl --user is-active podunit-restart kp-pod kp-c early-c late-c nightly-cron.timer | sort -u)\" = active ]", time.Minute)
		l.is(t, files+"; "+pods, "alphadata\nhushearly Running 1\nkp Running 1\nlate Running 1\nonce Created 0\nwaited Created 0")
	}
	// One whose pod somebody has removed alone is no fault of the next boot.
	l.MustRun("alice", "podunit pod rm -f early && systemctl --user restart podunit-restart && podunit kube down early.yaml && podunit rm -f last && podunit exec kp-c true")
	l.is(t, "podunit pod start once >/dev/null; podunit exec once-c cat /f/a", "alpha")
	l.MustRun("alice", "podunit kube down hand.yaml && podunit kube down wait.yaml")
	l.nothing(t)
	l.Reboot()
	l.Eventually("alice", "systemctl --user is-active default.target", time.Minute)
	l.is(t, "podunit pod ps -q; podunit ps -aq; test -e ~/.local/share/podunit/start-at-boot || echo no note", "no note")
}
