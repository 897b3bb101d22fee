// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/machine"
	"github.com/podunit/podunit/contrib/lab/strace"
)

// tracer is what root does in the lab beside a traced user: it attaches strace to each shell that
// asks for it, and to the manager %[1]s, whose services are traced with it.
const tracer = `mkdir -p /root/traced /tmp/ask; chmod 1777 /tmp/ask; rm -f /root/traced/*
attach() { strace -ff -qq -ttt -y --decode-pids=pidns -s 4096 -e '%[2]s' -o /root/traced/$1 -p $1 >>/root/traced.out 2>&1 & }
attach %[1]s
while sleep 0.02; do for pid in $(ls /tmp/ask); do rm /tmp/ask/$pid; attach $pid; done; done`

// traced has a shell wait until strace is there, and calls out where a script is.
const traced = `is() { grep -q '^TracerPid:[[:space:]]*[1-9]' /proc/$1/status; }
touch /tmp/ask/$$; until is $$ && is %s; do sleep 0.02; done
`

// furtherVerbs are scripts as verbCases are, of what those do not do. $S is systemctl with the
// manager, $Q the directory of unit files.
var furtherVerbs = []string{
	`printf s3cret | $P secret create s - && $P secret ls && $P secret inspect s && $P secret exists s`,
	`$P network create n1 && $P network ls && $P network inspect n1 && $P network exists n1 && $P network connect n1 $N-web; $P network disconnect n1 $N-web; $P network reload -a; $P network update --dns-add 10.0.0.1 n1; $P network prune -f`,
	`$P volume create v && $P volume ls && $P volume inspect v && $P volume exists v && $P volume export -o v.tar v && $P volume import v v.tar; $P volume mount v; $P volume unmount v; $P volume reload; $P volume rm v && $P volume prune -f`,
	`$P events --stream=false --since 1h; $P system events --stream=false --since 1h`,
	// A volume that is filled, one that is given away, one with a layer above it, and all that is
	// made for a container.
	`echo A=b >env; mkdir -p dir; $P run --rm -v filled:/etc -v given:/given:U -v filled:/over:O -v $PWD/dir:/dir --tmpfs /t --read-only --secret s --env-file env --user 1000 --init --pidfile $PWD/pid --mount type=image,source=localhost:5000/busybox:latest,target=/image localhost:5000/busybox:latest true`,
	`$P run --rm --network n1 --userns auto -v auto:/auto localhost:5000/busybox:latest true; $P run --rm --userns keep-id localhost:5000/busybox:latest true; $P run --rm --ipc private --uts host --pid host --cgroupns host localhost:5000/busybox:latest true`,
	`$P run -d --name $N-h --health-cmd true --health-interval 1h localhost:5000/busybox:latest sleep 1000 && $P healthcheck run $N-h; $P logs $N-h; $P exec -u nobody $N-h true; $P kill $N-h; $P rm -f -t 0 $N-h; $P run -d --name $N-at localhost:5000/busybox:latest sleep 5; $P attach $N-at; $P rm $N-at`,
	`mkdir -p $Q; printf '[Container]\nImage=localhost:5000/nginx:latest\nAutoUpdate=registry\nVolume=web.volume:/usr/share/nginx/html:U\nNetwork=web.network\n' >$Q/web.container; printf '[Volume]\n' >$Q/web.volume; printf '[Network]\n' >$Q/web.network; printf '[Pod]\n' >$Q/p.pod; printf '[Container]\nImage=localhost:5000/busybox:latest\nPod=p.pod\nExec=sleep 1000\n' >$Q/m.container
	$S daemon-reload; $S start web p-pod m; $P auto-update --dry-run; skopeo copy -q --src-tls-verify=false --dest-tls-verify=false docker://localhost:5000/nginx:2 docker://localhost:5000/nginx:latest; $P auto-update; $S stop p-pod m; $P generate quadlet systemd-web; $P generate systemd systemd-web; $P generate kube systemd-web`,
	`$P quadlet list; $P quadlet print web.container; $P check $Q; printf '[Container]\nImage=localhost:5000/busybox:latest\n' >new.container; $P quadlet install new.container; $P quadlet rm new.container; EDITOR=true $P quadlet edit web.container; $S stop web; rm -f $Q/*.*`,
	`cat >k.yaml <<E
apiVersion: v1
kind: Pod
metadata: {name: kp}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: localhost:5000/busybox:latest, command: [sleep, "1000"], volumeMounts: [{name: f, mountPath: /f}, {name: e, mountPath: /e}, {name: k, mountPath: /k}]}
  volumes: [{name: f, configMap: {name: f}}, {name: e, emptyDir: {}}, {name: k, persistentVolumeClaim: {claimName: k}}]
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: f}, data: {a: alpha}}
E
$P kube play k.yaml; $P kube generate kp; $P kube down k.yaml; $P play kube k.yaml; $P play kube --down k.yaml; $P manifest create l; $P manifest annotate l x; $P manifest remove l x; $P manifest rm l`,
	// Flags that name files: of what is made, of who is told, of a registry, of a play, of a network
	// and a namespace, of mounts.
	`echo a=b >labels; printf '10.0.0.9 here\n' >hosts; echo '{"defaultAction":"SCMP_ACT_ALLOW"}' >seccomp.json; mkdir -p log up work low/part certs; echo '{}' >auth.json; I=localhost:5000/busybox:latest
	$P run -d --name $N-f --label-file labels --cidfile $PWD/cid --conmon-pidfile $PWD/cpid --hosts-file $PWD/hosts --tz Asia/Tokyo --security-opt seccomp=$PWD/seccomp.json --log-driver k8s-file --log-opt path=$PWD/log/f --log-opt max-size=1kb --device /dev/null:/dev/nothing --health-cmd true --health-interval 1s --health-log-destination $PWD/log -v $PWD/low:/o:O,upperdir=$PWD/up,workdir=$PWD/work --mount type=glob,src=$PWD/l*,dst=/g --mount type=volume,source=kept,dst=/k -v /anonymous $I sh -c 'mkdir -p /k/part; seq 500; exec sleep 1000'
	$P exec --env-file env $N-f true; $P run --rm --network none --volumes-from $N-f --mount type=volume,source=kept,dst=/p,subpath=part --pid container:$N-f --ipc container:$N-f $I true; $P run --rm --network ns:/proc/$($P inspect -f '{{.State.Pid}}' $N-f)/ns/net $I true
	$P logs $N-f >/dev/null; $P stop --cidfile cid -t 0; $P start $N-f; $P rm -f -t 0 --cidfile cid; $P pod create --name q2 --pod-id-file $PWD/pod --infra-conmon-pidfile $PWD/ipid; $P pod start --pod-id-file pod; $P pod stop --pod-id-file pod; $P pod rm -f --pod-id-file pod
	$P volume create -o type=bind -o device=$PWD/low bound; $P volume create -o type=tmpfs -o device=tmpfs mem; $P run --rm --network none -v bound:/b -v mem:/m $I true; $P volume rm bound mem
	echo p | $P login --authfile $PWD/auth.json -u u --password-stdin localhost:5000; $P pull -q --authfile $PWD/auth.json --cert-dir $PWD/certs $I; $P push -q --tls-verify=false --authfile $PWD/auth.json --digestfile $PWD/digest $I localhost:5000/pushed:1; $P logout --authfile $PWD/auth.json localhost:5000; $P search --cert-dir $PWD/certs --list-tags localhost:5000/busybox
	for f in docker-archive oci-archive oci-dir; do $P save -q --format $f -o saved-$f $I; $P load -q -i saved-$f; done; $P generate systemd --files --name $N-web; $P kube generate -f made.yaml $N-web; $P create --name $N-r --rootfs $PWD/low true; $P rm $N-r
	printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: kh}\nspec:\n  restartPolicy: Never\n  containers: [{name: c, image: "%s", command: ["true"], envFrom: [{configMapRef: {name: f}}], volumeMounts: [{name: h, mountPath: /h}, {name: d, mountPath: /d}]}]\n  volumes: [{name: h, hostPath: {path: %s/low}}, {name: d, hostPath: {path: %s/up/made, type: FileOrCreate}}]\n' $I $PWD $PWD >kh.yaml
	printf '{apiVersion: v1, kind: ConfigMap, metadata: {name: f}, data: {a: alpha}}\n' >map.yaml; $P kube play --configmap map.yaml --log-driver k8s-file --authfile $PWD/auth.json --seccomp-profile-root $PWD kh.yaml; $P kube play --configmap map.yaml kh.yaml; $P kube down kh.yaml; $P system df -v`,
	`$P pod create --name q; $P run -d --pod q --name qc localhost:5000/busybox:latest sleep 1000; $P pod inspect q; $P pod ps; $P pod stop -t 0 q; $P pod start q; $P pod rm -f -t 0 q`,
	`$P image list; $P image exists localhost:5000/busybox; $P tag localhost:5000/busybox t:1; $P untag t:1; $P pull -q localhost:5000/layers; $P image rm localhost:5000/layers; $P rmi nothing; $P image prune -f; $P system info >/dev/null; $P version; $P doctor; $P images; $P unshare true; echo p | $P login -u u --password-stdin localhost:5000; $P logout localhost:5000; $P build .; $P search --list-tags localhost:5000/busybox; $P stats --no-stream -a; $P inspect $N-web; $P info; $P system check; $P image tree localhost:5000/busybox; $P restart -t 0 $N-web; $P stop -t 0 $N-web; $P start $N-web; $P update --pids-limit 100 $N-web`,
	`echo a >art; $P artifact add localhost:5000/art:1 art && $P artifact ls && $P artifact inspect localhost:5000/art:1 && $P artifact push -q --tls-verify=false localhost:5000/art:1 && $P artifact rm localhost:5000/art:1 && $P artifact pull -q --tls-verify=false localhost:5000/art:1 && mkdir out && $P artifact extract localhost:5000/art:1 out; $P artifact rm localhost:5000/art:1`,
	// What services and timers of a play execute: a probe, a hook before the end, a volume in
	// memory, a job that goes, a run of the calendar, a pod whose containers all begin anew.
	`cat >$Q/kt.yaml <<E
apiVersion: v1
kind: Pod
metadata: {name: kt}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: c, image: localhost:5000/busybox:latest, command: [sleep, "1000"], livenessProbe: {exec: {command: [touch, /probed]}, periodSeconds: 1, timeoutSeconds: 60}, lifecycle: {preStop: {exec: {command: ["true"]}}}, volumeMounts: [{name: m, mountPath: /m}]}
  volumes: [{name: m, emptyDir: {medium: Memory}}]
---
{apiVersion: v1, kind: Pod, metadata: {name: ka}, spec: {terminationGracePeriodSeconds: 1, volumes: [{name: s, emptyDir: {}}], containers: [{name: c, image: "localhost:5000/busybox:latest", command: [sh, -c, "[ -e /s/begun ] && exec sleep 1000; touch /s/begun; exit 42"], restartPolicy: Always, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}], volumeMounts: [{name: s, mountPath: /s}]}]}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: kj}, spec: {ttlSecondsAfterFinished: 1, template: {spec: {restartPolicy: Never, containers: [{name: c, image: "localhost:5000/busybox:latest", command: ["true"]}]}}}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: kc}, spec: {schedule: "5 4 * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: "localhost:5000/busybox:latest", command: ["true"]}]}}}}}}
E
printf '[Kube]\nYaml=kt.yaml\n' >$Q/kt.kube; $S daemon-reload; $S start kt; $S start kc-cron; for i in $(seq 60); do $P pod ps --format '{{.Name}}' | grep -q kj || ! $P exec kt-c test -e /probed || break; sleep 1; done; for i in $(seq 60); do $P exec ka-c test -e /s/begun && break; sleep 1; done; $S stop kt; rm $Q/kt.*; $S daemon-reload`,
	// What units of ours execute: a start after a boot, a file with a fault.
	`$P run -d --name $N-al --restart always localhost:5000/busybox:latest sleep 1000; $S restart podunit-restart; $P rm -f -t 0 $N-al; printf '[Container]\nExec=true\n' >$Q/bad.container; $S daemon-reload; $S start bad; rm $Q/bad.container; $S daemon-reload`,
	`$P secret rm s; $P rm -f -t 0 $N-web; $P system prune -f -a --volumes; $P volume rm -a; $P network rm n1; $P system migrate; $P system reset -f`,
}

var (
	// layers are directories of layers, of which containers write to those that have their IDs.
	layers = regexp.MustCompile(`/overlay/([0-9a-f]{64})/(diff|merged|mapped)[0-9]*(/|$)`)
	// volumes are directories of volumes.
	volumes = regexp.MustCompile(`/volumes/[^/]+/_data(/|$)`)
	// containers have directories of their own.
	containers = regexp.MustCompile(`/podunit/containers/([0-9a-f]{64})(/|$)`)
)

// everyVerb lists the verbs, and those of groups; not those of container and image that are there
// without the word, too, nor those that only print what the program knows.
const everyVerb = `of() { podunit $1 --help | awk '/^Available Commands:/ {p = 1; next} /^$/ {p = 0} p {print $1}' | grep -v -x -e help -e completion; }
for v in $(of); do case $v in artifact|image|kube|manifest|network|pod|quadlet|secret|system|volume|generate|play|healthcheck) for w in $(of $v); do [ $v = image ] && of | grep -qx $w || echo $v $w; done ;; container) ;; *) echo $v ;; esac; done`

// hiddenVerbs are those that no help lists, as only services and timers execute them: what they do
// is not done by others.
var hiddenVerbs = []string{"boot", "cleanup", "fault", "kube start-container", "kube stop-container", "kube ended", "kube probe", "kube hold", "kube expire", "kube cron", "kube again", "network hold", "network names"}

// taken is a name that safe.Take has made root's before it is relied on; the directory is sticky.
const taken = "/run/lock/netavark.lock"

// unitsOfDave are those of a user without a login, and then with one: what they do at a start, a
// restart, a stop and a start that fails, and what he does to them.
var unitsOfDave = []string{
	`cd $Q; for n in a b c; do printf '[Container]\nContainerName=d%s\nImage=localhost:5000/busybox:latest\nExec=sleep 1000\nStopTimeout=1\nVolume=d%s:/data\nEnvironmentFile=/home/dave/env\n[Service]\nUser=dave\n' $n $n >d$n.container; done
	printf 'PublishPort=8601:80\n' | sed -i '/StopTimeout/r /dev/stdin' da.container; printf '[Pod]\n[Service]\nUser=dave\n' >dp.pod; sed -i '/StopTimeout/aPod=dp.pod' db.container; sed -i 's/Exec=.*/Exec=nothing/' dc.container
	printf A=b >/home/dave/env; chown dave: /home/dave/env; $S daemon-reload
	test ! -e /run/user/1003; $S start da dp-pod db; $S restart da; $S start dc`,
	`loginctl enable-linger dave; his() { runuser -l dave -c "XDG_RUNTIME_DIR=/run/user/1003 podunit $*"; }
	his exec da true && his stop -t 0 da; his pod ps`,
	`loginctl disable-linger dave; $S stop da dp-pod db; rm $Q/d?.*; $S daemon-reload`,
}

// TestLabNamesOfOthers runs every verb under strace, and judges each open, link, removal, renaming
// and change of owner: none by name below a directory that another user or a container can write.
// Of dave, who has only units of the system's manager, it runs these.
func TestLabNamesOfOthers(t *testing.T) {
	l := boot(t, labtest.Options{})
	for _, user := range []string{"alice", "root", "dave"} {
		t.Run(user, func(t *testing.T) {
			l := l.on(t)
			id, manager, systemctl, quadlets := "0", "1", "systemctl", "/etc/containers/systemd"
			if user == "alice" {
				id, manager = "1000", l.MustRun("root", "systemctl show -P MainPID user@1000")
				systemctl, quadlets = "systemctl --user", "/home/alice/.config/containers/systemd"
			}
			pid := l.MustRun("root", "setsid bash -c "+quoted(fmt.Sprintf(tracer, manager, strace.Trace()))+" >/dev/null 2>&1 & echo $!; until [ -d /tmp/ask ]; do sleep 0.02; done")
			scripts := slices.Concat([]string{
				"podunit pull -q " + image + "; podunit run -d --name ours-web -p 8600:80 -v ours-data:/data --stop-signal KILL " + image + " sh -c 'echo >/data/in; while :; do sleep 1000; done'",
			}, scriptsOf(tracedCases(user)), furtherVerbs)
			shell := user
			if user == "dave" {
				id, shell, scripts = "1003", "root", unitsOfDave
			}
			all := "mkdir -p ours; cd ours; export P=podunit N=ours S='" + systemctl + "' Q=" + quadlets + "; x() { \"$@\"; }; export -f x\n"
			for _, s := range scripts {
				all += "timeout 300 bash -c " + quoted(s) + "; echo \"[$?] $SECONDS\"\n"
			}
			// One shell for all: to attach takes its time.
			stdout, stderr, _ := l.Command(machine.Command{User: shell, Args: []string{fmt.Sprintf(traced, manager) + all}, Timeout: 20 * time.Minute})
			if os.Getenv("PODUNIT_TRACE_LOG") != "" {
				t.Logf("%s\n%s", stdout, stderr)
			}
			if strings.Contains(stdout, "[124]") {
				t.Errorf("something did not end:\n%s%s", stdout, stderr)
			}
			l.MustRun("root", "kill "+pid+"; pkill -x strace; while pgrep -x strace; do sleep 0.1; done; rm -r /tmp/ask")
			judgeNames(t, l, id, user == "alice" || user == "root" && tracesAll())
		})
	}
}

// tracedCases are those of verbCases that are traced: all with PODUNIT_TRACE=all. Without it alice
// runs each verb once, and root those that read and write the trees of containers.
func tracedCases(user string) []verbCase {
	if tracesAll() {
		return verbCases
	}
	trees := regexp.MustCompile(`^(cp|commit|export|save|import|diff|pods)\b`)
	more := regexp.MustCompile(`^(exists|inspect|ls|port|pause|top|history|push|lists|wait|rename|pod prune|container prune|system df)$|^(push|lists) `)
	return slices.DeleteFunc(slices.Clone(verbCases), func(c verbCase) bool {
		return !trees.MatchString(c.name) && (user == "root" || !more.MatchString(c.name))
	})
}

func tracesAll() bool { return os.Getenv("PODUNIT_TRACE") == "all" }

func scriptsOf(cases []verbCase) []string {
	var list []string
	for _, c := range cases {
		list = append(list, c.script)
	}
	return list
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// judgeNames reads what strace has written of a user's programs; every says that each verb must
// have run.
func judgeNames(t *testing.T, l *Lab, id string, every bool) {
	root, err := l.Machine.Root()
	if err != nil {
		t.Fatal(err)
	}
	list, err := strace.Read(os.DirFS(filepath.Join(root, "root/traced")), func(program string) bool {
		return strings.HasPrefix(program, "podunit") || strings.HasPrefix(program, "storage-") // the library executes us so
	})
	if err != nil {
		t.Fatal(err)
	}
	dirs, ids := map[string]bool{}, map[string]bool{}
	for _, a := range list {
		if m := containers.FindStringSubmatch(a.Name); m != nil {
			ids[m[1]] = true
		}
		for _, d := range a.Directories() {
			dirs[d] = true
		}
	}
	who := map[string]string{}
	out, _, _ := l.Command(machine.Command{User: "root", Args: []string{"xargs -d '\\n' stat -c '%u %g %a %n'"}, Stdin: strings.NewReader(strings.Join(slices.Sorted(maps.Keys(dirs)), "\n"))})
	for line := range strings.Lines(out) {
		var owner, group, dir string
		var mode int
		if _, err := fmt.Sscanf(line, "%s %s %o %s", &owner, &group, &mode, &dir); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		switch {
		case owner != "0" && owner != id:
			who[dir] = "user " + owner
		case mode&0o002 != 0, mode&0o020 != 0 && group != "0" && group != id:
			who[dir] = "everybody"
		}
	}
	stranger := func(dir string) string {
		if m := layers.FindStringSubmatch(dir); m != nil && ids[m[1]] || volumes.MatchString(dir) {
			return "a container"
		}
		return who[dir]
	}
	found, verbs := map[string]int{}, map[string]bool{}
	for _, a := range list {
		for n := 2; n <= min(len(a.Command), 3); n++ {
			verbs[strings.Join(a.Command[1:n], " ")] = true
		}
		if a.Name == taken {
			continue
		}
		if fault := a.Judge(stranger); fault != "" {
			found[fmt.Sprintf("%s\n\t%s\n\t%s", strings.Join(a.Command, " "), a.Call, fault)]++
		}
	}
	t.Logf("%d names in %d directories", len(list), len(dirs))
	for _, v := range append(strings.Split(l.MustRun("root", everyVerb), "\n"), hiddenVerbs...) {
		// Root's links need no namespace that somebody holds; in a user's, it serves the names, too.
		if v == "network hold" && id == "0" || v == "network names" && id != "0" {
			continue
		}
		if every && !verbs[v] {
			t.Errorf("podunit %s was not traced", v)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(found)) {
		t.Errorf("%s", f)
	}
}
