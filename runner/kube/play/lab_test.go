// SPDX-License-Identifier: Apache-2.0

//go:build lab

package play

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

const (
	units  = ".config/containers/systemd/"
	sleeps = `[sh, -c, "trap exit TERM; while :; do sleep 0.1; done"]`
)

// media is the pod that people play: three containers, a port, and updates.
const media = `apiVersion: v1
kind: Pod
metadata:
  name: media
  annotations: {io.containers.autoupdate: registry}
spec:
  containers:
  - name: down
    image: localhost:5000/nginx:1
    ports: [{containerPort: 80, hostPort: 18090}]
    readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
  - name: movies
    image: localhost:5000/movies:1
    command: ` + sleeps + `
  - name: series
    image: localhost:5000/busybox:1
    command: ` + sleeps + `
`

// lab is a machine on which YAML is played.
type lab struct{ *labtest.Lab }

// push gives an image a new version.
func (l lab) push(from, to string) {
	l.MustRun("alice", "skopeo copy -q --src-tls-verify=false --dest-tls-verify=false docker://localhost:5000/"+from+" docker://localhost:5000/"+to)
}

// pids are the main processes of the media pod's containers.
func (l lab) pids() []string {
	return strings.Fields(l.MustRun("alice", "systemctl --user show -P MainPID media-down media-movies media-series"))
}

// other tells which of three main processes have changed.
func other(a, b []string) string {
	var out []string
	for i, name := range []string{"down", "movies", "series"} {
		if len(a) != 3 || len(b) != 3 || a[i] != b[i] || b[i] == "0" {
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}

// is compares what a script prints.
func (l lab) is(t *testing.T, script, want string) {
	t.Helper()
	if got := l.MustRun("alice", script); got != want {
		t.Errorf("%s\n%s\nwant\n%s", script, got, want)
	}
}

// nothing is what is left of a play.
func (l lab) nothing(t *testing.T) {
	t.Helper()
	l.Gone("alice", `podunit ps -aq; podunit pod ps -q; systemctl --user list-units --all --plain --no-legend 'media*' 'web*' 'podunit-probe*' 'app-kube-*' 'app-pod-*'
		find ~/.local/share/containers/storage/podunit/kube $XDG_RUNTIME_DIR/podunit/kube -mindepth 2 2>/dev/null; pgrep -u alice -a podunit`)
}

func TestLabKube(t *testing.T) {
	l := lab{labtest.Boot(t, labtest.Options{})}
	l.push("busybox:1", "movies:1")
	l.WriteFile("alice", "media.yaml", media)
	t.Run("from a .kube file", func(t *testing.T) { lab{l.For(t)}.fromFile(t) })
	t.Run("updates", func(t *testing.T) { lab{l.For(t)}.updates(t) })
	t.Run("a change", func(t *testing.T) { lab{l.For(t)}.change(t) })
	t.Run("a boot", func(t *testing.T) { lab{l.For(t)}.boot(t) })
	t.Run("power cuts", func(t *testing.T) { lab{l.For(t)}.cuts(t) })
	t.Run("by hand", func(t *testing.T) { lab{l.For(t)}.byHand(t) })
	t.Run("inside", func(t *testing.T) { lab{l.For(t)}.inside(t) })
	t.Run("names", func(t *testing.T) { lab{l.For(t)}.names(t) })
	t.Run("limits of all", func(t *testing.T) { lab{l.For(t)}.limits(t) })
	t.Run("a stored secret", func(t *testing.T) { lab{l.For(t)}.stored(t) })
	t.Run("probes and jobs", func(t *testing.T) { lab{l.For(t)}.probes(t) })
	t.Run("at times of the calendar", func(t *testing.T) { lab{l.For(t)}.cron(t) })
	t.Run("life", func(t *testing.T) { lab{l.For(t)}.life(t) })
	t.Run("from a shell to a boot", func(t *testing.T) { lab{l.For(t)}.toBoot(t) })
	t.Run("by hand, and after a boot", func(t *testing.T) { lab{l.For(t)}.handBoot(t) })
	t.Run("broken", func(t *testing.T) { lab{l.For(t)}.broken(t) })
	t.Run("as root", func(t *testing.T) { lab{l.For(t)}.root(t) })
}

// fromFile: two lines start a pod whose containers are services; killing one restarts one.
func (l lab) fromFile(t *testing.T) {
	l.WriteFile("alice", units+"tv.kube", "[Kube]\nYaml=%h/media.yaml\n[Install]\nWantedBy=default.target\n")
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start tv")
	l.is(t, "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:18090/", "200")
	l.is(t, "systemctl --user is-active tv media-pod media-down media-movies media-series", strings.Repeat("active\n", 4)+"active")
	// One tree shows all of the play; the unit says where.
	l.is(t, "systemctl --user status app-kube-tv.slice | grep -o 'media-[a-z]*.service$' | sort -u; systemctl --user show -P StatusText tv",
		"media-down.service\nmedia-movies.service\nmedia-pod.service\nmedia-series.service\npods: media; all of it: systemctl --user status app-kube-tv.slice")
	before := l.pids()
	l.MustRun("alice", "podunit kill -s KILL media-movies")
	l.Eventually("alice", "systemctl --user is-active media-movies && [ $(systemctl --user show -P NRestarts media-movies) = 1 ]", time.Minute)
	if got := other(before, l.pids()); got != "movies" {
		t.Errorf("killing one restarts %s", got)
	}
	before = l.pids()
	l.MustRun("alice", "systemctl --user restart media-series")
	if got := other(before, l.pids()); got != "series" {
		t.Errorf("restarting one restarts %s", got)
	}
	l.Gone("alice", "pgrep -u alice -af '[p]odunit kube' | grep -v 'podunit kube probe'") // who starts one ends when that has begun
}

// updates: a new image for one container restarts that one.
func (l lab) updates(t *testing.T) {
	l.push("busybox:2", "movies:1")
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow=3s\n")
	before := l.pids()
	got := l.MustRun("alice", "podunit auto-update --wait --format '{{.Unit}} {{.Updated}}' | sort")
	if want := "media-down.service false\nmedia-movies.service true\nmedia-series.service false"; got != want {
		t.Errorf("%s", got)
	}
	if got := other(before, l.pids()); got != "movies" {
		t.Errorf("the update restarts %s", got)
	}
	l.is(t, "podunit exec media-movies cat /etc/image-version; systemctl --user is-active tv", "2\nactive")
}

// change: what has changed in the YAML is restarted, and nothing else.
func (l lab) change(t *testing.T) {
	before := l.pids()
	l.MustRun("alice", "systemctl --user restart tv")
	if got := other(before, l.pids()); got != "" {
		t.Errorf("a restart without a change restarts %s", got)
	}
	l.MustRun("alice", "sed -i '/name: series/a\\    env: [{name: A, value: b}]' media.yaml && systemctl --user daemon-reload && systemctl --user restart tv")
	if got := other(before, l.pids()); got != "series" {
		t.Errorf("a change of series restarts %s", got)
	}
	l.is(t, "podunit exec media-series sh -c 'echo $A'", "b")
	// Its stop needs no YAML.
	l.MustRun("alice", "mv media.yaml away && systemctl --user stop tv && mv away media.yaml")
	l.nothing(t)
	if _, _, code := l.Run("alice", "systemctl --user is-failed -q tv"); code == 0 {
		t.Error("the unit has failed by its stop")
	}
}

func (l lab) boot(t *testing.T) {
	l.MustRun("alice", "systemctl --user start tv")
	l.Reboot()
	l.Eventually("alice", "systemctl --user is-active tv && curl -sf http://127.0.0.1:18090/", 2*time.Minute)
	l.PowerCut()
	l.Boot()
	l.Eventually("alice", "systemctl --user is-active tv && curl -sf http://127.0.0.1:18090/", 2*time.Minute)
}

// cuts: whatever the power cut comes into, the next boot starts the pods, and a stop leaves nothing.
func (l lab) cuts(t *testing.T) {
	number := 2
	if n, err := strconv.Atoi(os.Getenv("PODUNIT_LAB_CUTS")); err == nil {
		number = n
	}
	const layers = "ls ~/.local/share/containers/storage/overlay ~/.local/share/containers/storage/overlay-containers | sort"
	l.MustRun("alice", "systemctl --user stop tv")
	before := l.MustRun("alice", layers)
	for i := range number {
		wait := time.Duration(rand.IntN(3000)) * time.Millisecond
		verb := []string{"start", "restart", "stop"}[i%3]
		t.Logf("%s, cut after %s", verb, wait)
		l.MustRun("alice", fmt.Sprintf("[ %s = start ] || systemctl --user start tv; systemctl --user --no-block %s tv; sleep %f", verb, verb, wait.Seconds()))
		l.PowerCut()
		l.Boot()
		l.Eventually("alice", "systemctl --user is-active tv && curl -sf http://127.0.0.1:18090/", 2*time.Minute)
		l.MustRun("alice", "systemctl --user stop tv")
		l.nothing(t)
		if after := l.MustRun("alice", layers); after != before {
			t.Errorf("layers: %s, before\n%s", after, before)
		}
	}
	l.MustRun("alice", "rm "+units+"tv.kube && systemctl --user daemon-reload")
}

// byHand: what kube play, play kube, and kube down print, and their exit statuses.
func (l lab) byHand(t *testing.T) {
	id := "[0-9a-f]\\{64\\}"
	l.is(t, "podunit kube play media.yaml | sed 's/"+id+"/ID/'", "Pod:\nID\nContainers:\nID\nID\nID\n")
	if _, stderr, code := l.Run("alice", "podunit play kube media.yaml"); code != 125 || !strings.Contains(stderr, "pod already exists") {
		t.Errorf("a second time: %d %s", code, stderr)
	}
	before := l.pids()
	l.MustRun("alice", "podunit play kube --replace - <media.yaml")
	if got := other(before, l.pids()); got != "" {
		t.Errorf("--replace without a change restarts %s", got)
	}
	l.is(t, "podunit generate kube media > again.yaml && podunit kube play --replace again.yaml >/dev/null && podunit generate kube media | grep -v '^#' | sha256sum >a; grep -v '^#' again.yaml | sha256sum | cmp - a && echo same", "same")
	l.is(t, "podunit kube down media.yaml | sed 's/"+id+"/ID/'", "Pods stopped:\nID\nPods removed:\nID\nSecrets removed:\nVolumes removed:")
	l.nothing(t)
	l.is(t, "podunit kube down media.yaml", "Pods stopped:\nPods removed:\nSecrets removed:\nVolumes removed:")
	if _, stderr, code := l.Run("alice", "podunit kube play http://127.0.0.1:5000/none.yaml"); code != 125 || !strings.Contains(stderr, "404") {
		t.Errorf("an address without a document: %d %s", code, stderr)
	}
}

// inside: variables, files and volumes as containers have them.
func (l lab) inside(t *testing.T) {
	l.WriteFile("alice", "in.yaml", `apiVersion: v1
kind: Pod
metadata: {name: web, labels: {tier: front}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: one, image: localhost:5000/busybox:1, command: [sh, -c, "echo one >> /scratch/order"], volumeMounts: [{name: scratch, mountPath: /scratch}]}
  - {name: two, image: localhost:5000/busybox:1, command: [sh, -c, "[ -e /scratch/failed ] || { touch /scratch/failed; exit 1; }; echo two >> /scratch/order"], volumeMounts: [{name: scratch, mountPath: /scratch}]}
  containers:
  - name: a
    image: localhost:5000/busybox:1
    command: `+sleeps+`
    args: ["$(PASS)"]
    env:
    - {name: B, value: "b-$(A)"}
    - {name: A, value: a}
    - {name: C, value: "c-$(A)-$$(A)"}
    - {name: PASS, valueFrom: {secretKeyRef: {name: keys, key: pass}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    envFrom: [{prefix: P_, configMapRef: {name: conf}}]
    volumeMounts:
    - {name: conf, mountPath: /conf}
    - {name: keys, mountPath: /keys}
    - {name: meta, mountPath: /meta}
    - {name: scratch, mountPath: /scratch}
    - {name: memory, mountPath: /memory}
    - {name: kept, mountPath: /kept}
    - {name: kept, mountPath: /below, subPath: some/where}
  - name: b
    image: localhost:5000/busybox:1
    command: `+sleeps+`
    volumeMounts: [{name: memory, mountPath: /m}, {name: scratch, mountPath: /s}]
  volumes:
  - {name: conf, configMap: {name: conf, items: [{key: k, path: d/file, mode: 0640}]}}
  - {name: keys, secret: {secretName: keys, defaultMode: 0400}}
  - {name: meta, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: scratch, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory, sizeLimit: 2Mi}}
  - {name: kept, persistentVolumeClaim: {claimName: kept}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {k: v}}
---
{apiVersion: v1, kind: Secret, metadata: {name: keys}, stringData: {pass: hunter2}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: kept}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
`)
	l.is(t, "podunit kube play in.yaml | head -4 | sed 's/^[0-9a-f]\\{25\\}$/ID/'; podunit secret ls --format '{{.Name}} {{.Driver}}'", "Volumes:\nkept\nSecrets:\nID\nkeys file")
	l.is(t, `podunit exec web-a sh -c 'echo $B $C $PASS $POD $P_k; [ "$IP" ] && echo ip; until grep -q trap /proc/1/cmdline; do sleep 0.1; done; tr "\0" " " </proc/1/cmdline | grep -o hunter2'`, "b-$(A) c-a-$(A) hunter2 web v\nip\nhunter2")
	l.is(t, `podunit exec web-a sh -c 'cat /scratch/order /conf/d/file; echo; stat -c "%a %U" /conf/d/file /keys/pass; cat /keys/pass; echo; grep tier /meta/labels; touch /conf/x 2>/dev/null || echo read-only'`,
		"one\ntwo\nv\n640 root\n400 root\nhunter2\ntier=\"front\"\nread-only")
	l.is(t, `podunit exec web-a sh -c 'echo shared > /memory/x; df -k /memory | tail -1 | tr -s " " | cut -d" " -f2; touch /kept/f /below/g; ls /kept/some/where'; podunit exec web-b cat /m/x`, "2048\ng\nshared")
	l.is(t, "systemctl --user stop web-a; podunit volume rm -a >/dev/null 2>&1; podunit volume ls -q", "kept")
	l.is(t, `podunit kube play --replace in.yaml >/dev/null; podunit exec web-a sh -c 'cat /scratch/order /memory/x; ls /kept'`, "one\ntwo\nshared\nf\nsome")
	l.is(t, `grep -rls hunter2 ~/.local/share/containers/storage/overlay-containers ~/.local/share/containers/storage/podunit; systemctl --user cat web-a 2>/dev/null | grep hunter2; podunit inspect web-a | grep hunter2; true`, "")
	l.is(t, "podunit kube down in.yaml >/dev/null; podunit volume ls -q; podunit kube play in.yaml >/dev/null; podunit exec web-a ls /kept; podunit kube down --force in.yaml | tail -4 | sed 's/^[0-9a-f]\\{25\\}$/ID/'; podunit secret ls -q", "kept\nf\nsome\nSecrets removed:\nID\nVolumes removed:\nkept")
	l.nothing(t)
}

// names: pods of a play and of another one find each other by name, and the command line gives
// addresses.
func (l lab) names(t *testing.T) {
	l.WriteFile("alice", "shop.yaml", `apiVersion: v1
kind: Pod
metadata: {name: media-db, labels: {app: db}}
spec:
  containers: [{name: server, image: "localhost:5000/nginx:1", readinessProbe: {httpGet: {port: 80}, periodSeconds: 1}}]
---
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: media-shop}
spec:
  hostname: shop
  subdomain: front
  terminationGracePeriodSeconds: 1
  dnsConfig: {searches: [default.svc.cluster.local]}
  containers: [{name: a, image: "localhost:5000/busybox:1", command: `+sleeps+`, ports: [{containerPort: 80, hostPort: 18092}]}]
`)
	l.WriteFile("alice", "none.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  dnsPolicy: None\n  dnsConfig: {nameservers: [192.0.2.53]}\n"+
		"  terminationGracePeriodSeconds: 1\n  containers: [{name: a, image: \"localhost:5000/busybox:1\", command: "+sleeps+"}]\n")
	l.MustRun("alice", "podunit kube play --ip 10.89.0.77 --ip 10.89.0.78 --mac-address 92:d0:c6:0a:29:33 shop.yaml && podunit kube play none.yaml")
	const found = "for n in media-db server store store.default.svc.cluster.local 10.89.0.77; do wget -q -T 30 -O /dev/null http://$n/ || echo no $n; done"
	l.is(t, `podunit exec media-shop-a sh -c '`+found+`; hostname; grep -c "10.89.0.78.shop.front.default.svc.cluster.local.shop" /etc/hosts; ip addr show eth0 | grep -c 10.89.0.78
		grep -o default.svc.cluster.local /etc/resolv.conf; nslookup media-db 10.89.0.1 | grep -c 10.89.0.77'`, "shop\n1\n1\ndefault.svc.cluster.local\n1")
	l.is(t, "podunit exec media-db-server cat /sys/class/net/eth0/address", "92:d0:c6:0a:29:33")
	l.is(t, "podunit exec web-a grep -v options /etc/resolv.conf; podunit exec web-a wget -q -T 10 -O /dev/null http://10.89.0.77/ && echo other plays are near", "nameserver 192.0.2.53\nother plays are near")
	l.is(t, "podunit network ls --format '{{.Name}}'; podunit kube down shop.yaml >/dev/null && podunit kube down none.yaml >/dev/null && podunit network ls --format '{{.Name}}'",
		"podman\npodman-default-kube-network\npodman\npodman-default-kube-network")
	if _, stderr, code := l.Run("alice", "podunit kube play --network host --ip 10.89.0.7 none.yaml"); code != 125 || !strings.Contains(stderr, "--ip 10.89.0.7 needs one network with a name") {
		t.Errorf("an address on the host's network: %d %s", code, stderr)
	}
	l.nothing(t)
}

// limits: those of a .kube file are for all its pods together, those of a pod for its containers.
func (l lab) limits(t *testing.T) {
	l.WriteFile("alice", "limits.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  terminationGracePeriodSeconds: 1\n  resources: {limits: {memory: 64Mi, cpu: 500m}}\n"+
		"  containers: [{name: a, image: \"localhost:5000/busybox:1\", command: "+sleeps+"}]\n")
	l.WriteFile("alice", units+"limits.kube", "[Kube]\nYaml=%h/limits.yaml\n[Service]\nMemoryMax=96M\nCPUWeight=50\n")
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start limits")
	l.is(t, "systemctl --user show -P MemoryMax -P CPUWeight app-kube-limits.slice; systemctl --user show -P MemoryMax -P CPUQuotaPerSecUSec app-kube-limits-web.slice; systemctl --user show -P Slice web-a web-pod",
		"50\n100663296\n500ms\n67108864\napp-kube-limits-web.slice\n\napp-kube-limits-web.slice")
	l.MustRun("alice", "systemctl --user stop limits && rm "+units+"limits.kube && systemctl --user daemon-reload")
	l.nothing(t)
}

// stored: a secret that somebody has stored is one value, under every key; inspect does not show it.
func (l lab) stored(t *testing.T) {
	l.WriteFile("alice", "stored.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n"+
		"  - {name: a, image: localhost:5000/busybox:1, command: "+sleeps+", env: [{name: PW, valueFrom: {secretKeyRef: {name: db, key: password}}}]}\n")
	l.MustRun("alice", "printf hunter3 | podunit secret create db - && podunit kube play stored.yaml")
	l.is(t, "podunit exec web-a sh -c 'echo $PW'; podunit inspect web-a | grep -o 'PW=.*\"'", "hunter3\nPW=*******\"")
	l.MustRun("alice", "podunit kube down stored.yaml && podunit secret rm db")
	l.nothing(t)
}

// life: ends, hooks and probes.
func (l lab) life(t *testing.T) {
	l.WriteFile("alice", "life.yaml", fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 2
  initContainers:
  - {name: side, image: localhost:5000/busybox:1, restartPolicy: Always, command: %[1]s}
  containers:
  - name: live
    image: localhost:5000/busybox:1
    command: %[1]s
    volumeMounts: [{name: s, mountPath: /s}]
    livenessProbe: {exec: {command: ["test", "!", "-e", "/bad"]}, periodSeconds: 1, timeoutSeconds: 20, failureThreshold: 2}
    lifecycle:
      postStart: {exec: {command: [sh, -c, "echo post >> /s/hooks"]}}
      preStop: {exec: {command: [sh, -c, "echo pre >> /s/hooks"]}}
  - {name: job, image: localhost:5000/busybox:1, restartPolicy: Never, command: [sh, -c, "exit 3"]}
  volumes: [{name: s, hostPath: {path: %[2]s, type: DirectoryOrCreate}}]
`, sleeps, "/home/alice/hooks.d"))
	l.MustRun("alice", "podunit kube play life.yaml")
	l.Eventually("alice", "systemctl --user is-failed web-job && [ $(systemctl --user show -P ExecMainStatus web-job) = 3 ]", time.Minute)
	side := l.MustRun("alice", "systemctl --user show -P MainPID web-side")
	// The first look of a probe leaves what executes the others.
	l.Eventually("alice", "cat /proc/$(cat $(find /sys/fs/cgroup/user.slice -path '*/web-live.service/*' -name podunit-check-liveness)/cgroup.procs)/comm | grep -x podunit-checker", time.Minute)
	// The timers of an older program have no such notes.
	l.MustRun("alice", "rm \"$XDG_RUNTIME_DIR\"/podunit/kube/plays/*/probes/*.watched")
	was := l.MustRun("alice", "systemctl --user show -P MainPID web-live; podunit exec web-live touch /bad")
	l.Eventually("alice", "p=$(systemctl --user show -P MainPID web-live); [ $p != "+was+" ] && [ $p != 0 ] && systemctl --user is-active web-live", time.Minute)
	l.is(t, "cat hooks.d/hooks; systemctl --user show -P MainPID web-side", "post\npre\npost\n"+side)
	l.MustRun("alice", "podunit kube down life.yaml")
	l.is(t, "cat hooks.d/hooks", "post\npre\npost\npre")
	l.nothing(t)
	// A .kube unit ends with its pods, as ExitCodePropagation= says.
	l.WriteFile("alice", "end.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  restartPolicy: Never\n  containers:\n  - {name: a, image: localhost:5000/busybox:1, command: [sh, -c, \"until test -e /go; do sleep 0.1; done; exit 4\"]}\n")
	for mode, want := range map[string]string{"none": "inactive", "any": "failed"} {
		l.WriteFile("alice", units+"end.kube", "[Kube]\nYaml=%h/end.yaml\nExitCodePropagation="+mode+"\n")
		l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start end && systemctl --user is-active end")
		l.Run("alice", "podunit exec web-a touch /go") // which ends the container, and what is executed in it
		l.Eventually("alice", "[ $(systemctl --user show -P ActiveState end) = "+want+" ]", time.Minute)
		l.MustRun("alice", "systemctl --user reset-failed end; true")
		l.nothing(t)
	}
	l.MustRun("alice", "rm "+units+"end.kube && systemctl --user daemon-reload")
}

// toBoot: a pod made in a shell becomes YAML, is played, and becomes services that start at boot; and
// the same with unit files.
func (l lab) toBoot(t *testing.T) {
	// Word for word what people do, and where Podman gives up.
	const (
		run    = "podunit run -d --pod multimediacenter --restart=unless-stopped --label io.containers.autoupdate=registry "
		answer = "for port in 8988 7878 8989; do curl -sfL -o /dev/null http://127.0.0.1:$port/ || exit 1; done"
	)
	l.MustRun("alice", "podunit pod create -p 8988:8988 -p 7878:7878 -p 8989:8989 --name multimediacenter && "+run+"--name qbittorrent localhost:5000/qbittorrent:1 && "+
		run+"--name transmission localhost:5000/transmission:1 && "+run+"--name lighttpd localhost:5000/lighttpd:1")
	l.is(t, "podunit generate quadlet multimediacenter | grep -c AutoUpdate=registry; podunit ps -ap --format '{{.Names}} {{.PodName}}' | sort",
		"3\nlighttpd multimediacenter\nqbittorrent multimediacenter\ntransmission multimediacenter")
	l.MustRun("alice", "podunit ps -ap && podunit generate kube multimediacenter > center.yaml && podunit pod rm -f multimediacenter && podunit play kube center.yaml")
	l.Eventually("alice", answer, time.Minute) // they have no probes
	l.is(t, "podunit generate systemd --new --files --name multimediacenter", "/home/alice/pod-multimediacenter.service\n/home/alice/multimediacenter.yaml")
	l.MustRun("alice", `mkdir -p .config/systemd/user && cp pod-multimediacenter.service multimediacenter.yaml .config/systemd/user && systemctl --user daemon-reload &&
		systemctl --user enable --now pod-multimediacenter.service`)
	l.MustRun("root", "loginctl enable-linger alice") // polkit, which would let her do it, is not here
	l.Reboot()
	l.Eventually("alice", "systemctl --user is-active pod-multimediacenter && "+answer, 2*time.Minute)
	l.is(t, "for c in qbittorrent transmission lighttpd; do podunit inspect -f '{{.Config.Labels}}' $c | grep -c autoupdate:registry; done", "1\n1\n1")
	l.MustRun("alice", "systemctl --user disable --now pod-multimediacenter.service && rm .config/systemd/user/*multimediacenter* *multimediacenter* && systemctl --user daemon-reload")
	l.nothing(t)
	// And with one command in place of the last three.
	l.MustRun("alice", "podunit play kube center.yaml && podunit generate quadlet --install multimediacenter && systemctl --user start multimediacenter")
	l.Reboot()
	l.Eventually("alice", "systemctl --user is-active multimediacenter && "+answer, 2*time.Minute)
	l.MustRun("alice", "systemctl --user stop multimediacenter && rm "+units+"multimediacenter.* && systemctl --user daemon-reload")
	l.nothing(t)
	// What there is, started and stopped by services, which keep what the container has written.
	l.MustRun("alice", `podunit pod create --name multi && podunit run -d --pod multi --name box localhost:5000/busybox:1 sh -c 'trap exit TERM; while :; do sleep 0.1; done'
		podunit exec box touch /kept && podunit generate systemd --files --name multi >/dev/null && podunit pod stop -t 5 multi
		mkdir -p .config/systemd/user && mv pod-multi.service container-box.service .config/systemd/user && systemctl --user daemon-reload && systemctl --user start pod-multi container-box`)
	l.is(t, "systemctl --user is-active pod-multi container-box; podunit exec box ls /kept; systemctl --user stop container-box pod-multi; podunit ps -a --format '{{.Names}} {{.State}}'", "active\nactive\n/kept\nbox exited")
	l.MustRun("alice", "podunit pod rm -f multi && rm .config/systemd/user/{pod-multi,container-box}.service && systemctl --user daemon-reload")
	l.nothing(t)
}

// broken: nothing is made of what is wrong, and what runs goes on.
func (l lab) broken(t *testing.T) {
	l.MustRun("alice", "podunit kube play media.yaml")
	before := l.pids()
	const head = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n"
	const one = head + "  - {name: a, image: \"localhost:5000/busybox:1\""
	bomb := "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nx:\n  a: &a [x]\n"
	for c := 'b'; c < 'j'; c++ {
		bomb += fmt.Sprintf("  %c: &%[1]c [%s]\n", c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 10), ", "))
	}
	for name, c := range map[string]struct{ yaml, want, place string }{
		"a tab":                  {"apiVersion: v1\n\tkind: Pod\n", "tab", "b.yaml:2"},
		"a duplicate key":        {head + "  - {name: a, name: b, image: x}\n", "name", "b.yaml:6"},
		"a wrong type":           {one + ", command: no}\n", "spec.containers[0].command", "b.yaml:6"},
		"an unknown field":       {head + "  - {name: a, imagee: x}\n", "did you mean image?", "b.yaml:6"},
		"an alias bomb":          {bomb, "more than 200000 values", "b.yaml:"},
		"10 MB":                  {one + "}\n" + strings.Repeat("# "+strings.Repeat("x", 97)+"\n", 100000), "more than 8 MiB", "b.yaml:"},
		"two of one name":        {one + "}\n  - {name: a, image: x}\n", "spec.containers[1].name", "b.yaml:7"},
		"a port twice":           {one + ", ports: [{containerPort: 80, hostPort: 18099}, {containerPort: 81, hostPort: 18099}]}\n", "spec.containers[0].ports[1]", "b.yaml:6"},
		"no such image":          {head + "  - {name: a, image: \"localhost:5000/none:1\"}\n", "localhost:5000/none:1", ""},
		"no such ConfigMap":      {one + ", envFrom: [{configMapRef: {name: none}}]}\n", "there is no ConfigMap none", "b.yaml:6"},
		"no such secret":         {one + ", env: [{name: A, valueFrom: {secretKeyRef: {name: none, key: a}}}]}\n", "none", "b.yaml:6"},
		"no such path":           {one + ", volumeMounts: [{name: v, mountPath: /v}]}\n  volumes: [{name: v, hostPath: {path: /none, type: Directory}}]\n", "DirectoryOrCreate", ""},
		"a path of another kind": {one + ", volumeMounts: [{name: v, mountPath: /v}]}\n  volumes: [{name: v, hostPath: {path: /etc, type: Socket}}]\n", "/etc is not a socket", ""},
		"a port that is taken":   {one + ", ports: [{containerPort: 80, hostPort: 18090}]}\n", "18090", ""},
		"a command that fails":   {one + ", command: [/none]}\n", "/none", ""},
	} {
		l.WriteFile("alice", "b.yaml", c.yaml)
		stdout, stderr, code := l.Run("alice", "podunit kube play b.yaml")
		if code != 125 || stdout != "" || !strings.Contains(stderr, c.want) || !strings.Contains(stderr, c.place) {
			t.Errorf("%s: status %d\n%s%s", name, code, stdout, stderr)
		}
		l.is(t, "podunit pod ps --format '{{.Name}}'; podunit ps -a --format '{{.Names}}' | grep web; systemctl --user list-units --all --plain --no-legend 'web*'; true", "media")
	}
	if got := other(before, l.pids()); got != "" {
		t.Errorf("what ran has been restarted: %s", got)
	}
	l.MustRun("alice", "podunit kube down media.yaml")
	l.nothing(t)
}

// probes: each kind of probe holds the start up until it passes, and a job ends as its containers do.
func (l lab) probes(t *testing.T) {
	build := exec.Command("go", "build", "-o", filepath.Join(t.TempDir(), "health"), "./testdata/grpchealth")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program, err := os.ReadFile(build.Args[3])
	if err != nil {
		t.Fatal(err)
	}
	l.WriteFile("alice", "health", string(program))
	l.WriteFile("alice", "probes.yaml", `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {fsGroup: 2000, runAsUser: 1000}
  containers:
  - name: slow
    image: localhost:5000/busybox:1
    command: [sh, -c, "sleep 3; touch /data/started; exec httpd -f -p 7000"]
    volumeMounts: [{name: data, mountPath: /data}]
    startupProbe: {exec: {command: [test, -e, /data/started]}, periodSeconds: 1, failureThreshold: 60}
    readinessProbe: {tcpSocket: {port: 7000}, periodSeconds: 1}
  - name: grpc
    image: localhost:5000/busybox:1
    command: [sh, -c, "(sleep 2; touch /tmp/up) & exec /health"]
    volumeMounts: [{name: health, mountPath: /health}]
    readinessProbe: {grpc: {port: 9000}, periodSeconds: 1}
  - name: again
    image: localhost:5000/busybox:1
    command: [sh, -c, "[ ! -e /data/first ] || touch /data/ok; touch /data/first; exec sleep 600"]
    volumeMounts: [{name: data, mountPath: /data, subPath: again}]
    startupProbe: {exec: {command: [test, -e, /data/ok]}, periodSeconds: 1, failureThreshold: 4, timeoutSeconds: 20}
  volumes:
  - {name: health, hostPath: {path: /home/alice/health, type: File}}
  - {name: data, emptyDir: {}}
`)
	l.MustRun("alice", "chmod 755 health && podunit kube play probes.yaml")
	// The one whose startup probe failed at its first start has been started again.
	l.is(t, "systemctl --user is-active web-again; [ $(systemctl --user show -P NRestarts web-again) -ge 1 ] && echo again", "active\nagain")
	// It came back when all were ready: the files that say so are there.
	l.is(t, "podunit exec web-slow sh -c 'ls /data; stat -c \"%g %A\" /data; id -G'; podunit exec web-grpc ls /tmp/up", "again\nstarted\n2000 drwxrwsrwx\n0 2000\n/tmp/up")
	l.Gone("alice", "find /sys/fs/cgroup/user.slice -name podunit-check-start 2>/dev/null") // its work is done
	l.MustRun("alice", "podunit kube down probes.yaml")
	job := func(name, script, more string) {
		l.WriteFile("alice", name+".yaml", "apiVersion: batch/v1\nkind: Job\nmetadata: {name: web-"+name+"}\nspec:\n  backoffLimit: 1\n"+more+"  template:\n    spec:\n      restartPolicy: Never\n"+
			"      containers: [{name: a, image: \"localhost:5000/busybox:1\", command: [sh, -c, \""+script+"\"], volumeMounts: [{name: v, mountPath: /v}]}]\n"+
			"      volumes: [{name: v, hostPath: {path: /home/alice/jobs, type: DirectoryOrCreate}}]\n")
	}
	job("good", "echo good >> /v/log", "")
	job("bad", "echo bad >> /v/log; exit 3", "")
	job("brief", "echo brief >> /v/log", "  ttlSecondsAfterFinished: 1\n")
	l.MustRun("alice", "podunit kube play --wait good.yaml 2>/dev/null")
	l.is(t, "cat jobs/log; podunit pod ps -q", "good")
	l.MustRun("alice", "podunit kube play brief.yaml")
	l.Eventually("alice", "[ -z \"$(podunit pod ps -q)\" ] && ! pgrep -u alice -f '[p]odunit kube'", time.Minute)
	l.is(t, "cat jobs/log", "good\nbrief")
	l.MustRun("alice", "podunit kube play bad.yaml || true")
	l.Eventually("alice", "[ $(grep -c bad jobs/log) = 2 ] && systemctl --user is-failed web-bad-pod-a", time.Minute)
	l.MustRun("alice", "podunit kube down bad.yaml")
	// What a rule ignores costs no try, and one ends the job at once.
	job("ruled", "echo ruled >> /v/log; [ $(grep -c ruled /v/log) -lt 4 ] && exit 7; exit 42", "  podFailurePolicy: {rules: [{action: Ignore, onExitCodes: {operator: In, values: [7]}}, {action: FailJob, onExitCodes: {operator: In, values: [42]}}]}\n")
	l.MustRun("alice", "podunit kube play ruled.yaml || true")
	l.Eventually("alice", "[ $(grep -c ruled jobs/log) = 4 ] && [ $(systemctl --user show -P ActiveState web-ruled-pod-pod) != active ]", 2*time.Minute)
	l.MustRun("alice", "podunit kube down ruled.yaml")
	l.nothing(t)
}

// cron: a CronJob is a timer; each run is a job of its own, and goes when it has ended.
func (l lab) cron(t *testing.T) {
	l.WriteFile("alice", "cron.yaml", `apiVersion: batch/v1
kind: CronJob
metadata: {name: web-tick}
spec:
  schedule: "5 4 * * 0"
  timeZone: Europe/Zurich
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 1
          containers:
          - name: a
            image: localhost:5000/busybox:1
            command: [sh, -c, "echo $ME >> /v/runs; while [ -e /v/hold ]; do sleep 0.1; done"]
            env: [{name: ME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
            volumeMounts: [{name: v, mountPath: /v}]
          volumes: [{name: v, hostPath: {path: /home/alice/ticks, type: DirectoryOrCreate}}]
`)
	l.WriteFile("alice", units+"tick.kube", "[Kube]\nYaml=%h/cron.yaml\n")
	l.MustRun("alice", "mkdir -p ticks && touch ticks/hold && systemctl --user daemon-reload && systemctl --user start tick")
	l.is(t, "systemctl --user is-active tick web-tick-cron.timer; systemctl --user show -P TimersCalendar web-tick-cron.timer | grep -o 'OnCalendar=[^;]*'; systemctl --user start web-tick-cron; podunit pod ps --format '{{.Name}}' | sed 's/[0-9]\\{8\\}/N/'",
		"active\nactive\nOnCalendar=Sun *-*-* 04:05:00 Europe/Zurich \nweb-tick-N-pod")
	l.is(t, "podunit kube generate web-tick | grep -c 'schedule: 5 4'; podunit kube generate $(podunit pod ps --format '{{.Name}}') | grep 'kind:'", "1\nkind: CronJob")
	// One that still runs forbids another one; when it ends, all of it goes and the timer stays.
	l.is(t, "systemctl --user start web-tick-cron; podunit pod ps -q | wc -l; rm ticks/hold", "1")
	l.Eventually("alice", "[ -z \"$(podunit pod ps -q)$(systemctl --user list-units --all --plain --no-legend 'web-tick-[0-9]*')\" ] && ! pgrep -u alice -f '[p]odunit kube'", time.Minute)
	l.is(t, "sed 's/[0-9]\\{8\\}/N/' ticks/runs; systemctl --user is-active tick web-tick-cron.timer", "web-tick-N-pod\nactive\nactive")
	// A person may start as many runs as he likes.
	l.is(t, "for i in $(seq 12); do systemctl --user start web-tick-cron || echo $i; done; systemctl --user is-failed web-tick-cron; systemctl --user is-active web-tick-cron.timer", "inactive\nactive")
	l.Eventually("alice", "[ -z \"$(podunit pod ps -q)\" ]", time.Minute)
	// A change of the schedule changes the timer; the stop takes a run along.
	l.MustRun("alice", "touch ticks/hold; sed -i 's/5 4 /6 4 /' cron.yaml && systemctl --user restart tick && systemctl --user start web-tick-cron && podunit pod ps -q | grep -q .")
	l.is(t, "systemctl --user show -P TimersCalendar web-tick-cron.timer | grep -c 04:06:00; systemctl --user stop tick; ls ~/.local/share/systemd/timers | grep tick; true", "1")
	// The timer elapses by itself, and what it starts takes the place of a run that goes on.
	l.MustRun("alice", "rm ticks/runs; sed -i 's/6 4 . . 0/* * * * */; s/Forbid/Replace/' cron.yaml && systemctl --user start tick && systemctl --user start web-tick-cron")
	first := l.Eventually("alice", "head -n 1 ticks/runs | grep .", time.Minute)
	l.Eventually("alice", "[ $(wc -l <ticks/runs) -ge 2 ] && pods=$(podunit pod ps --format '{{.Name}}') && [ $(echo \"$pods\" | grep -c web-tick) = 1 ] && [ \"$pods\" != "+first+" ]", 3*time.Minute)
	l.MustRun("alice", "systemctl --user stop tick")
	l.MustRun("alice", "rm "+units+"tick.kube && systemctl --user daemon-reload; rm -f ticks/*")
	l.nothing(t)
}

// root: a unit of the system plays as a user's does.
func (l lab) root(t *testing.T) {
	const dir = "/etc/containers/systemd/"
	left := func() {
		t.Helper()
		l.Gone("root", `podunit ps -aq; podunit pod ps -q; systemctl list-units --all --plain --no-legend 'media*' 'web*' 'system-kube-*' 'system-pod-*'
			find /var/lib/containers/storage/podunit/kube /run/podunit/kube -mindepth 2 2>/dev/null`)
	}
	is := func(script, want string) {
		t.Helper()
		if got := l.MustRun("root", script); got != want {
			t.Errorf("%s\n%s\nwant\n%s", script, got, want)
		}
	}
	l.WriteFile("root", dir+"media.yaml", media+"---\n{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {terminationGracePeriodSeconds: 1, containers: [{name: a, image: \"localhost:5000/busybox:1\", command: "+sleeps+
		", env: [{name: PW, valueFrom: {secretKeyRef: {name: keys, key: pass}}}], resources: {limits: {example.org/thing=one: 1}}, volumeMounts: [{name: nas, mountPath: /nas}, {name: ram, mountPath: /ram}]}]"+
		", volumes: [{name: nas, nfs: {server: nas.example.org, path: /srv}}, {name: ram, persistentVolumeClaim: {claimName: ram}}]}}\n---\n{apiVersion: v1, kind: Secret, metadata: {name: keys}, stringData: {pass: hunter4}}\n"+
		"---\n{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: ram, annotations: {volume.podman.io/type: tmpfs, volume.podman.io/mount-options: size=1m}}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}\n")
	// A server of files, as far as mount(8) sees one, and a device of a vendor.
	l.WriteFile("root", "/sbin/mount.nfs", "#!/bin/sh\n[ \"$1\" = nas.example.org:/srv ] && exec mount --bind /srv/nas \"$2\"\n")
	l.WriteFile("root", "/etc/cdi/thing.yaml", "cdiVersion: 0.6.0\nkind: example.org/thing\ndevices: [{name: one, containerEdits: {env: [ONE=1]}}]\n")
	l.MustRun("root", "chmod 755 /sbin/mount.nfs; mkdir -p /srv/nas; echo served >/srv/nas/file")
	l.WriteFile("root", dir+"tv.kube", "[Kube]\nYaml=media.yaml\n[Install]\nWantedBy=multi-user.target\n")
	l.MustRun("root", "systemctl daemon-reload && systemctl start tv")
	pids := func() []string {
		return strings.Fields(l.MustRun("root", "systemctl show -P MainPID media-down media-movies media-series"))
	}
	is("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:18090/; echo; systemctl is-active tv media-pod media-down web-a; systemctl show -P Slice media-down", "200\nactive\nactive\nactive\nactive\nsystem-kube-tv.slice")
	is("podunit exec web-a sh -c 'echo $PW; wget -q -T 10 -O /dev/null http://media/ && wget -q -T 10 -O /dev/null http://down/ && echo found'; podunit secret ls --format '{{.Name}}'", "hunter4\nfound\nkeys")
	is("podunit exec web-a sh -c 'cat /nas/file; grep \" /ram \" /proc/mounts | cut -d \" \" -f 3; echo $ONE'; podunit volume ls -q", "served\ntmpfs\n1\nram\nweb-nas")
	before := pids()
	l.MustRun("root", "podunit kill -s KILL media-movies")
	l.Eventually("root", "systemctl is-active media-movies && [ $(systemctl show -P NRestarts media-movies) = 1 ]", time.Minute)
	if got := other(before, pids()); got != "movies" {
		t.Errorf("killing one restarts %s", got)
	}
	before = pids()
	l.MustRun("root", "sed -i '/name: series/a\\    env: [{name: A, value: b}]' "+dir+"media.yaml && systemctl daemon-reload && systemctl restart tv")
	if got := other(before, pids()); got != "series" {
		t.Errorf("a change of series restarts %s", got)
	}
	l.Reboot()
	l.Eventually("root", "systemctl is-active tv && curl -sf http://127.0.0.1:18090/", 2*time.Minute)
	l.MustRun("root", "systemctl stop tv && rm "+dir+"tv.kube && systemctl daemon-reload")
	left()
	is("podunit volume ls -q", "ram")
	// By hand, there and back again.
	l.MustRun("root", "podunit kube play "+dir+"media.yaml && podunit kube generate media > /root/again.yaml && podunit kube down "+dir+"media.yaml && podunit kube play /root/again.yaml")
	l.Eventually("root", "curl -sf http://127.0.0.1:18090/", time.Minute)
	l.MustRun("root", "podunit kube down /root/again.yaml && podunit volume rm ram")
	left()
}
