// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"slices"
	"strings"
)

// unitCases are verbs that units execute, which are killed there. Somebody's verb has the manager
// execute them, and nobody does anything again: what the manager does of itself must be enough.
// $S is systemctl of the user's manager, and $Q where the unit files are.
var unitCases = slices.Concat(containerUnits, podUnits, transientUnits, sourceUnits, kubeUnits)

// restarts has the manager start a unit again at once that was killed, as often as it takes.
const restarts = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=on-failure\nRestartSec=0\n"

// quadlet is the command that writes a unit file. $U is the user of dave's units, which are the
// system's.
func quadlet(name, text string) string {
	return "printf %s " + quoted(text+restarts) + " >$Q/" + name + `; [ -z "$U" ] || echo User=$U >>$Q/` + name
}

// ends is a command that ends at TERM, which the manager sends where ExecStop= was killed.
const ends = `sh -c 'trap "exit 0" TERM; sleep 1000 & wait'`

const (
	reloadQ = "$S daemon-reload"
	// dropQ removes the unit files, as nobody needs them any more.
	dropQ = "rm -f $Q/x*; $S daemon-reload; $S reset-failed"
	busyQ = "[Container]\nContainerName=xc\nImage=" + image + "\nExec=" + ends + "\n"
	runsQ = "podunit exec xc true && $S is-active xq"
	// comesBack is that a stopped unit starts, runs and stops again.
	comesBack = "$S start xq; " + runsQ + "; $S stop xq"
	goneQ     = "! $S is-active xq && ! " + hasC
)

// A container with all that takes a place of its own, one on a named network, and one that has a
// pod.
var (
	xq      = quadlet("xq.container", busyQ+"PublishPort=8080:80\nVolume=cv:/data\nVolume=/anonymous\nSecret=cs\nHealthCmd=true\n") + "; podunit volume create cv; podunit secret create cs new; " + reloadQ
	endXQ   = "podunit secret rm cs; podunit volume rm cv; " + dropQ
	xn      = quadlet("xq.container", busyQ+"Network=cn\nPublishPort=8080:80\n") + "; podunit network create cn; " + reloadQ
	onNet   = runsQ + " && podunit exec xc ip addr show eth0"
	endXN   = "podunit network rm cn; " + dropQ
	xp      = quadlet("xp.pod", "[Pod]\nPodName=cp\nPublishPort=8080:80\n") + "; " + quadlet("xq.container", busyQ+"Pod=xp.pod\n") + "; " + reloadQ
	runsP   = runsQ + " && $S is-active xp-pod && podunit pod exists cp"
	goneP   = goneQ + " && ! $S is-active xp-pod && ! podunit pod exists cp"
	startXP = "$S start xp-pod xq"
	stopXP  = "$S stop xp-pod xq"
)

var containerUnits = []cutCase{
	{name: "unit: run", of: "run --name xc", before: xq, verb: "$S start xq", keeps: "podunit volume exists cv", done: runsQ, undo: "$S stop xq; " + endXQ},
	{name: "unit: rm", of: "rm -v", before: xq + "; $S start xq", verb: "$S stop xq", keeps: "podunit volume exists cv", done: goneQ, undo: comesBack + "; " + endXQ},
	{name: "unit: rm of one that died", of: "rm -v", before: xq + "; $S start xq; " + began + " >made/at", verb: "podunit kill xc", keeps: "podunit volume exists cv",
		done: runsQ + " && [ $(" + began + ") != $(cat made/at) ]", undo: "rm made/at; $S stop xq; " + endXQ},
	{name: "unit: run on a network", of: "run --name xc", before: xn, verb: "$S start xq", keeps: "podunit network exists cn", done: onNet, undo: "$S stop xq; " + endXN},
	{name: "unit: rm on a network", of: "rm -v", before: xn + "; $S start xq", verb: "$S stop xq", keeps: "podunit network exists cn", done: goneQ, undo: comesBack + "; " + endXN},
	{name: "unit: network hold", only: "alice", of: "network hold", before: xn, verb: "$S start xq", keeps: "podunit network exists cn", done: onNet, undo: "$S stop xq; " + endXN},
	{name: "unit: network hold of one that was lost", only: "alice", of: "network hold", before: xn + "; $S start xq", verb: "$S kill -s KILL podunit-netns", keeps: "podunit network exists cn", done: onNet + " && $S is-active podunit-netns", undo: "$S stop xq; " + endXN},
	{name: "unit: network names", only: "root", of: "network names", before: xn, verb: "$S start xq", keeps: "podunit network exists cn", done: onNet + " && podunit exec xc nslookup xc", undo: "$S stop xq; " + endXN},
	{name: "unit: network names of one that was lost", only: "root", of: "network names", before: xn + "; $S start xq", verb: "$S kill -s KILL podunit-dns", keeps: "podunit exec xc true", done: "podunit exec xc nslookup xc && $S is-active podunit-dns", undo: "$S stop xq; " + endXN},
	{name: "unit: healthcheck run", of: "healthcheck run --timer", before: "podunit run -d --name xc --stop-signal KILL --health-cmd 'touch /made' --health-interval 2s " + image + " " + ends, verb: "podunit exec xc rm -f /made",
		keeps: "podunit exec xc true", done: "podunit exec xc test -e /made && [ \"$(podunit inspect -f '{{.State.Health.Status}}' xc)\" = healthy ]", undo: endC},
	{name: "unit: ExecReload", of: "exec systemd-xq", before: quadlet("xq.container", "[Container]\nImage="+image+"\nExec="+ends+"\nReloadCmd=touch /made\n") + "; " + reloadQ + "; $S start xq",
		verb: "$S reload xq; true", keeps: "$S is-active xq && podunit exec systemd-xq true", done: "$S reload xq && podunit exec systemd-xq test -e /made", undo: "$S stop xq; " + dropQ},
}

var podUnits = []cutCase{
	{name: "unit: pod create", of: "pod create", before: xp, verb: startXP, done: runsP, undo: stopXP + "; " + dropQ},
	{name: "unit: pod start", of: "pod start", before: xp, verb: startXP, done: runsP, undo: stopXP + "; " + dropQ},
	{name: "unit: run in a pod", of: "run --name xc", before: xp, verb: startXP, done: runsP, undo: stopXP + "; " + dropQ},
	{name: "unit: pod rm", of: "pod rm", before: xp + "; " + startXP, verb: stopXP, done: goneP, undo: startXP + "; " + runsP + "; " + stopXP + "; " + dropQ},
	{name: "unit: rm in a pod", of: "rm -v", before: xp + "; " + startXP, verb: stopXP, done: goneP, undo: startXP + "; " + runsP + "; " + stopXP + "; " + dropQ},
}

// What is started by hand is a unit, too.
const (
	always  = "podunit run -d --restart always --name xc -v /anonymous " + image + " " + ends
	alwaysP = "podunit pod create --restart always --name cp; podunit create --restart always --pod cp --name xc " + image + " " + ends + "; podunit pod start cp"
)

var transientUnits = []cutCase{
	{name: "unit: start", of: "start", before: always, verb: "podunit restart -t 0 xc", keeps: hasC, done: runsC, undo: endC},
	{name: "unit: stop", of: "stop -i", before: always, verb: "$S stop xc", keeps: hasC, done: "! $S is-active xc", undo: "podunit start xc; " + runsC + "; " + endC},
	{name: "unit: cleanup", of: "cleanup", before: always, verb: "podunit stop -t 0 xc", keeps: hasC, done: "! $S is-active xc", undo: "podunit start xc; " + runsC + "; " + endC},
	{name: "unit: cleanup of one that died", of: "cleanup", before: always + "; " + began + " >made/at", verb: "podunit kill xc", keeps: hasC, done: runsC + " && [ $(" + began + ") != $(cat made/at) ]", undo: "rm made/at; " + endC},
	{name: "unit: rm of one that goes", of: "rm -v", before: "podunit run -d --rm --name xc -v /anonymous " + image + " " + ends, verb: "$S stop xc", done: "! " + hasC + " && [ -z \"$(podunit volume ls -q)\" ]"},
	{name: "unit: pod start, by hand", of: "pod start", before: alwaysP, verb: "podunit pod restart cp", keeps: hasP, done: runsC + " && " + stateP + "Running ]", undo: endP},
	{name: "unit: pod stop, by hand", of: "pod stop", before: alwaysP, verb: "$S stop cp-pod", keeps: hasP, done: "! $S is-active cp-pod", undo: "podunit pod start cp; podunit exec xc true; " + endP},
	{name: "unit: boot", of: "boot", before: always + "; printf %s " + quoted(playPlain) + " >u.yaml; podunit kube play u.yaml; $S stop xc kp-pod", verb: "$S reset-failed podunit-restart; $S restart podunit-restart", keeps: hasC + " && podunit pod exists kp",
		done: runsC + " && podunit exec kp-c true && $S is-active kp-pod", undo: "podunit rm -f -v -t 0 xc; podunit kube down u.yaml; rm u.yaml"},
	{name: "unit: auto-update", of: "auto-update", before: updateC, verb: "$S reset-failed podunit-auto-update; $S start podunit-auto-update", keeps: keepsUpdate, done: "podunit exec xc cat /etc/image-version && podunit exec xc ls /data/file && ! $S is-failed podunit-auto-update", undo: noC + "; podunit rmi " + cu},
}

// unitsOfUsers are the cases of units of the system that say User=: dave's, who has no login. His
// units need no manager of his but for named networks, which come last: he lingers from there on.
var unitsOfUsers = slices.Concat(slices.DeleteFunc(slices.Clone(containerUnits), func(c cutCase) bool {
	return !slices.Contains([]string{"unit: run", "unit: rm", "unit: rm of one that died"}, c.name)
}), podUnits, sourceUnits, networkUnitsOfUsers)

// lingers is that dave has a manager of his own.
const lingers = "loginctl enable-linger dave; until [ -S /run/user/1003/bus ]; do sleep 0.1; done"

var networkUnitsOfUsers = []cutCase{
	{name: "unit: run on his network", of: "run --name xc", before: lingers + "; " + xn, verb: "$S start xq", keeps: "podunit network exists cn", done: onNet, undo: "$S stop xq; " + endXN},
	{name: "unit: rm on his network", of: "rm -v", before: lingers + "; " + xn + "; $S start xq", verb: "$S stop xq", keeps: "podunit network exists cn", done: goneQ, undo: comesBack + "; " + endXN},
	{name: "unit: hold of his network", of: "network hold", before: lingers + "; " + xn, verb: "$S start xq", keeps: "podunit network exists cn", done: onNet, undo: "$S stop xq; " + endXN},
	{name: "unit: hold of his network that was lost", of: "network hold", before: lingers + "; " + xn + "; $S start xq", verb: "pkill -KILL -u dave -x podunit-netns", keeps: "podunit network exists cn", done: onNet, undo: "$S stop xq; " + endXN},
}

// runsC is a container that runs as a unit.
const runsC = "podunit exec xc true && $S is-active xc"

// Units whose only work is that something is there.
var sourceUnits = []cutCase{
	source("volume", "[Volume]\nVolumeName=cv\n", "volume create", "podunit volume inspect cv", "podunit volume rm cv"),
	source("network", "[Network]\nNetworkName=cn\n", "network create", "podunit network inspect cn", "podunit network rm cn"),
	source("image", "[Image]\nImage="+its+"\n", "image pull", "podunit run --rm --network none "+its, "podunit rmi "+its),
	source("artifact", "[Artifact]\nArtifact="+theirs+"\n", "artifact pull", "rm -f made/out && podunit artifact extract "+theirs+" made/out && grep new made/out", "rm made/out; podunit artifact rm "+theirs),
	{name: "unit: build", of: "build", before: quadlet("xs.build", "[Build]\nImageTag=localhost/cb:1\nSetWorkingDirectory=/b\n") + "; " + reloadQ, verb: "$S start xs-build", done: "! $S is-active xs-build && podunit run --rm --network none localhost/cb:1 test -e /made", undo: "podunit rmi localhost/cb:1; " + dropQ},
	{name: "unit: network rm", of: "network rm", before: quadlet("xs.network", "[Network]\nNetworkName=cn\nNetworkDeleteOnStop=true\n") + "; " + reloadQ + "; $S start xs-network", verb: "$S stop xs-network", done: "! $S is-active xs-network",
		undo: "$S start xs-network; podunit network exists cn; $S stop xs-network; ! podunit network exists cn; " + dropQ},
}

// source is the case of the start of such a unit.
func source(kind, text, words, done, undo string) cutCase {
	return cutCase{name: "unit: " + words, of: words, before: quadlet("xs."+kind, text) + "; " + reloadQ, verb: "$S start xs-" + kind, done: "$S is-active xs-" + kind + " && " + done,
		undo: "$S stop xs-" + kind + "; " + undo + "; " + dropQ}
}

// ofPlay is a unit of a play of documents.
func ofPlay(documents string) string {
	return "printf %s " + quoted(documents) + " >u.yaml; printf '[Kube]\\nYaml=%s/u.yaml\\n%s' $PWD " + quoted(restarts) + " >$Q/xk.kube; " + reloadQ
}

// A pod with a volume in memory, a probe, and a hook before the end.
const (
	playPod = `{apiVersion: v1, kind: Pod, metadata: {name: kp}, spec: {terminationGracePeriodSeconds: 0, volumes: [{name: m, emptyDir: {medium: Memory}}, {name: f, configMap: {name: f}}], containers: [{name: c, image: "` + image + `", command: [sh, -c, "trap 'exit 0' TERM; sleep 1000 & wait"], ` +
		`livenessProbe: {exec: {command: [touch, /probed]}, periodSeconds: 2, timeoutSeconds: 60}, lifecycle: {preStop: {exec: {command: ["true"]}}}, volumeMounts: [{name: m, mountPath: /m}, {name: f, mountPath: /f}]}]}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: f}, data: {a: alpha}}
`
	playPlain = `{apiVersion: v1, kind: Pod, metadata: {name: kp}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: "` + image + `", command: [sh, -c, "trap 'exit 0' TERM; sleep 1000 & wait"]}]}}
`
	playOnce = `{apiVersion: batch/v1, kind: Job, metadata: {name: kp}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: "` + image + `", command: [sleep, "2"]}]}}}}
`
	playFails = `{apiVersion: batch/v1, kind: Job, metadata: {name: kp}, spec: {backoffLimit: 0, template: {spec: {restartPolicy: OnFailure, containers: [{name: c, image: "` + image + `", command: [sh, -c, "sleep 2; exit 3"]}]}}}}
`
	playAgain = `{apiVersion: v1, kind: Pod, metadata: {name: kp}, spec: {terminationGracePeriodSeconds: 0, volumes: [{name: s, emptyDir: {}}], containers: [{name: c, image: "` + image + `", command: [sh, -c, "[ -e /s/begun ] || { touch /s/begun; exit 42; }; trap 'exit 0' TERM; sleep 1000 & wait"], restartPolicy: Always, ` +
		`restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}], volumeMounts: [{name: s, mountPath: /s}]}]}}
`
	playJob = `{apiVersion: batch/v1, kind: Job, metadata: {name: kp}, spec: {ttlSecondsAfterFinished: 1, template: {spec: {restartPolicy: Never, containers: [{name: c, image: "` + image + `", command: ["true"]}]}}}}
` + "---\n" + `{apiVersion: v1, kind: Pod, metadata: {name: kq}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: "` + image + `", command: [sh, -c, "trap 'exit 0' TERM; sleep 1000 & wait"]}]}}
`
	playCron = `{apiVersion: batch/v1, kind: CronJob, metadata: {name: kc}, spec: {schedule: "5 4 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: OnFailure, containers: [{name: c, image: "` + image + `", command: ["true"]}]}}}}}}
`
	runsK  = "podunit exec kp-c grep alpha /f/a && podunit exec kp-c ls /m && [ \"$($S is-active xk kp-c kp-pod | sort -u)\" = active ]"
	plainK = "podunit exec kp-c true && $S is-active xk && $S is-active kp-c"
	goneK  = "! podunit pod exists kp && ! podunit container exists kp-c && ! $S is-active xk && ! ls $(podunit info -f '{{.Store.GraphRoot}}')/podunit/kube/plays/*.json"
	endK   = "$S stop xk; ! podunit pod exists kp; rm u.yaml; " + dropQ
)

var kubeUnits = []cutCase{
	{name: "unit: kube play", of: "kube play", before: ofPlay(playPod), verb: "$S start xk", done: runsK, undo: endK},
	// A start that was killed when its container ran already ends long before its own limit, 90 s.
	{name: "unit: kube start-container", of: "kube start-container", within: 60, before: ofPlay(playPod), verb: "$S start xk", done: runsK, undo: endK},
	{name: "unit: kube hold", of: "kube hold", before: ofPlay(playPod), verb: "$S start xk", done: runsK, undo: endK},
	{name: "unit: kube probe", of: "kube probe", before: ofPlay(playPod) + "; $S start xk", verb: "podunit exec kp-c rm -f /probed", keeps: "podunit exec kp-c true", done: "podunit exec kp-c test -e /probed", undo: endK},
	{name: "unit: kube down", of: "kube down", before: ofPlay(playPod) + "; $S start xk", verb: "$S stop xk", done: goneK, undo: "$S start xk; " + runsK + "; " + endK},
	{name: "unit: kube stop-container", of: "kube stop-container", before: ofPlay(playPod) + "; $S start xk", verb: "$S stop xk", done: goneK, undo: "$S start xk; " + runsK + "; " + endK},
	{name: "unit: kube ended", of: "kube ended", before: ofPlay(playPod) + "; $S start xk", verb: "$S stop xk", done: goneK, undo: "$S start xk; " + runsK + "; " + endK},
	{name: "unit: kube ended of one that died", of: "kube ended", before: ofPlay(playPlain) + "; $S start xk; podunit inspect -f '{{.State.Pid}}' kp-c >made/pid", verb: "podunit kill kp-c", done: plainK + " && [ $(podunit inspect -f '{{.State.Pid}}' kp-c) != $(cat made/pid) ]", undo: "rm made/pid; " + endK},
	// Nobody starts its container again, and the play ends with its pod.
	{name: "unit: kube ended of a job", of: "kube ended", before: ofPlay(playOnce), verb: "$S start xk", done: strings.ReplaceAll(goneK, "kp", "kp-pod"), undo: endK},
	{name: "unit: kube ended of a job that fails", of: "kube ended", before: ofPlay(playFails), verb: "$S start xk", done: strings.ReplaceAll(goneK, "kp", "kp-pod"), undo: endK},
	{name: "unit: pod start of a play", of: "pod start", before: ofPlay(playPlain), verb: "$S start xk", done: plainK, undo: endK},
	{name: "unit: kube again", of: "kube again", before: ofPlay(playAgain), verb: "$S start xk", done: plainK + " && podunit exec kp-c test -e /s/begun && [ -z \"$($S list-units -q --plain 'podunit-again-*')\" ]", undo: endK},
	{name: "unit: kube expire", of: "kube expire", before: ofPlay(playJob), verb: "$S start xk", done: "$S is-active xk && podunit exec kq-c true && ! podunit pod exists kp-pod", undo: endK},
	{name: "unit: kube cron", of: "kube cron", before: ofPlay(playCron) + "; $S start xk", verb: "$S start kc-cron", done: "[[ $($S show -P ActiveState,SubState kc-cron) != *ing* ]] && ! $S is-failed kc-cron && [ -z \"$(podunit pod ps -q)\" ]", undo: endK},
	{name: "unit: kube cron, one at a time", of: "kube cron", before: ofPlay(strings.Replace(playCron, "jobTemplate", "concurrencyPolicy: Forbid, jobTemplate", 1)) + "; $S start xk", verb: "$S start kc-cron", done: "[[ $($S show -P ActiveState,SubState kc-cron) != *ing* ]] && ! $S is-failed kc-cron && [ -z \"$(podunit pod ps -q)\" ]", undo: endK},
}
