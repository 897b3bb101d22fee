// SPDX-License-Identifier: Apache-2.0

//go:build lab

package play

import (
	"fmt"
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
	l.is(t, `podunit ps -aq; podunit pod ps -q; systemctl --user list-units --all --plain --no-legend 'media*' 'web*' 'podunit-probe*'
		find ~/.local/share/containers/storage/podunit/kube $XDG_RUNTIME_DIR/podunit/kube -mindepth 2 2>/dev/null; pgrep -u alice -a podunit || true`, "")
}

func TestLabKube(t *testing.T) {
	l := lab{labtest.Boot(t, labtest.Options{})}
	l.push("busybox:1", "movies:1")
	l.WriteFile("alice", "media.yaml", media)
	t.Run("from a .kube file", func(t *testing.T) { lab{l.For(t)}.fromFile(t) })
	t.Run("updates", func(t *testing.T) { lab{l.For(t)}.updates(t) })
	t.Run("a change", func(t *testing.T) { lab{l.For(t)}.change(t) })
	t.Run("a boot", func(t *testing.T) { lab{l.For(t)}.boot(t) })
	t.Run("by hand", func(t *testing.T) { lab{l.For(t)}.byHand(t) })
	t.Run("inside", func(t *testing.T) { lab{l.For(t)}.inside(t) })
	t.Run("a stored secret", func(t *testing.T) { lab{l.For(t)}.stored(t) })
	t.Run("life", func(t *testing.T) { lab{l.For(t)}.life(t) })
	t.Run("from a shell to a boot", func(t *testing.T) { lab{l.For(t)}.toBoot(t) })
	t.Run("broken", func(t *testing.T) { lab{l.For(t)}.broken(t) })
}

// fromFile: two lines start a pod whose containers are services; killing one restarts one.
func (l lab) fromFile(t *testing.T) {
	l.WriteFile("alice", units+"tv.kube", "[Kube]\nYaml=%h/media.yaml\n[Install]\nWantedBy=default.target\n")
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start tv")
	l.is(t, "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:18090/", "200")
	l.is(t, "systemctl --user is-active tv media-pod media-down media-movies media-series", strings.Repeat("active\n", 4)+"active")
	before := l.pids()
	l.MustRun("alice", "podunit kill -s KILL media-movies")
	l.Eventually("alice", "systemctl --user is-active media-movies && [ $(systemctl --user show -P NRestarts media-movies) = 1 ]", 10*time.Second)
	if got := other(before, l.pids()); got != "movies" {
		t.Errorf("killing one restarts %s", got)
	}
	before = l.pids()
	l.MustRun("alice", "systemctl --user restart media-series")
	if got := other(before, l.pids()); got != "series" {
		t.Errorf("restarting one restarts %s", got)
	}
	if got := l.MustRun("alice", "pgrep -u alice -af '[p]odunit kube' || true"); got != "" {
		t.Errorf("podunit stays: %s", got)
	}
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
	l.Eventually("alice", "systemctl --user is-active tv && curl -sf http://127.0.0.1:18090/", time.Minute)
	l.PowerCut()
	l.Boot()
	l.Eventually("alice", "systemctl --user is-active tv && curl -sf http://127.0.0.1:18090/", time.Minute)
	l.MustRun("alice", "systemctl --user stop tv && rm "+units+"tv.kube && systemctl --user daemon-reload")
	l.nothing(t)
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
	l.is(t, "podunit kube play in.yaml | head -4", "Volumes:\nkept\nSecrets:\nkeys")
	l.is(t, `podunit exec web-a sh -c 'echo $B $C $PASS $POD $P_k; [ "$IP" ] && echo ip; tr "\0" " " </proc/1/cmdline | grep -o hunter2'`, "b-$(A) c-a-$(A) hunter2 web v\nip\nhunter2")
	l.is(t, `podunit exec web-a sh -c 'cat /scratch/order /conf/d/file; echo; stat -c "%a %U" /conf/d/file /keys/pass; cat /keys/pass; echo; grep tier /meta/labels; touch /conf/x 2>/dev/null || echo read-only'`,
		"one\ntwo\nv\n640 root\n400 root\nhunter2\ntier=\"front\"\nread-only")
	l.is(t, `podunit exec web-a sh -c 'echo shared > /memory/x; df -k /memory | tail -1 | tr -s " " | cut -d" " -f2; touch /kept/f /below/g; ls /kept/some/where'; podunit exec web-b cat /m/x`, "2048\ng\nshared")
	l.is(t, "systemctl --user stop web-a; podunit volume rm -a >/dev/null 2>&1; podunit volume ls -q", "kept")
	l.is(t, `podunit kube play --replace in.yaml >/dev/null; podunit exec web-a sh -c 'cat /scratch/order /memory/x; ls /kept'`, "one\ntwo\nshared\nf\nsome")
	l.is(t, `grep -rls hunter2 ~/.local/share/containers/storage/overlay-containers ~/.local/share/containers/storage/podunit; systemctl --user cat web-a 2>/dev/null | grep hunter2; podunit inspect web-a | grep hunter2; true`, "")
	l.is(t, "podunit kube down in.yaml >/dev/null; podunit volume ls -q; podunit kube play in.yaml >/dev/null; podunit exec web-a ls /kept; podunit kube down --force in.yaml | tail -3", "kept\nf\nsome\nkeys\nVolumes removed:\nkept")
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
    livenessProbe: {exec: {command: ["test", "!", "-e", "/bad"]}, periodSeconds: 1, failureThreshold: 2}
    lifecycle:
      postStart: {exec: {command: [sh, -c, "echo post >> /s/hooks"]}}
      preStop: {exec: {command: [sh, -c, "echo pre >> /s/hooks"]}}
  - {name: job, image: localhost:5000/busybox:1, restartPolicy: Never, command: [sh, -c, "exit 3"]}
  volumes: [{name: s, hostPath: {path: %[2]s, type: DirectoryOrCreate}}]
`, sleeps, "/home/alice/hooks.d"))
	l.MustRun("alice", "podunit kube play life.yaml")
	l.Eventually("alice", "systemctl --user is-failed web-job && [ $(systemctl --user show -P ExecMainStatus web-job) = 3 ]", 10*time.Second)
	side := l.MustRun("alice", "systemctl --user show -P MainPID web-side")
	was := l.MustRun("alice", "systemctl --user show -P MainPID web-live; podunit exec web-live touch /bad")
	l.Eventually("alice", "p=$(systemctl --user show -P MainPID web-live); [ $p != "+was+" ] && [ $p != 0 ] && systemctl --user is-active web-live", 20*time.Second)
	l.is(t, "cat hooks.d/hooks; systemctl --user show -P MainPID web-side", "post\npre\npost\n"+side)
	l.MustRun("alice", "podunit kube down life.yaml")
	l.is(t, "cat hooks.d/hooks", "post\npre\npost\npre")
	l.nothing(t)
	// A .kube unit ends with its pods, as ExitCodePropagation= says.
	l.WriteFile("alice", "end.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  restartPolicy: Never\n  containers:\n  - {name: a, image: localhost:5000/busybox:1, command: [sh, -c, \"sleep 2; exit 4\"]}\n")
	for mode, want := range map[string]string{"none": "inactive", "any": "failed"} {
		l.WriteFile("alice", units+"end.kube", "[Kube]\nYaml=%h/end.yaml\nExitCodePropagation="+mode+"\n")
		l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start end && systemctl --user is-active end")
		l.Eventually("alice", "[ $(systemctl --user show -P ActiveState end) = "+want+" ]", 20*time.Second)
		l.MustRun("alice", "systemctl --user reset-failed end; true")
		l.nothing(t)
	}
	l.MustRun("alice", "rm "+units+"end.kube && systemctl --user daemon-reload")
}

// toBoot: a pod made in a shell becomes YAML, is played, and becomes services that start at boot; and
// the same with unit files.
func (l lab) toBoot(t *testing.T) {
	l.MustRun("alice", `podunit pod create -p 18091:80 --name multi
		podunit run -d --pod multi --name web --restart=unless-stopped --label io.containers.autoupdate=registry localhost:5000/nginx:1
		podunit run -d --pod multi --name box --restart=unless-stopped --label io.containers.autoupdate=registry localhost:5000/busybox:1 sh -c 'trap exit TERM; while :; do sleep 0.1; done'`)
	l.is(t, "podunit generate quadlet multi | grep -c AutoUpdate=registry; podunit ps -ap --format '{{.Names}} {{.PodName}}' | sort", "2\nbox multi\nweb multi")
	l.MustRun("alice", "podunit generate kube multi > multi.yaml && podunit pod rm -f multi && podunit play kube multi.yaml")
	l.Eventually("alice", "curl -sf http://127.0.0.1:18091/", 30*time.Second) // it has no probe
	l.is(t, "podunit generate systemd --new --files --name multi", "/home/alice/pod-multi.service\n/home/alice/multi.yaml")
	l.MustRun("alice", "mkdir -p .config/systemd/user && mv pod-multi.service multi.yaml .config/systemd/user && systemctl --user daemon-reload && systemctl --user enable --now pod-multi.service")
	l.Reboot()
	const up = "systemctl --user is-active pod-multi && curl -sf http://127.0.0.1:18091/ && podunit inspect -f '{{.Config.Labels}}' web | grep autoupdate:registry"
	l.Eventually("alice", up, time.Minute)
	l.MustRun("alice", "systemctl --user disable --now pod-multi.service && rm .config/systemd/user/*multi* && systemctl --user daemon-reload")
	l.nothing(t)
	// Unit files, with one command.
	l.MustRun("alice", "printf '%s' '"+strings.ReplaceAll(media, "'", `'\''`)+"' | podunit kube play - && podunit generate quadlet --install media && systemctl --user start media")
	l.Reboot()
	l.Eventually("alice", "systemctl --user is-active media && curl -sf http://127.0.0.1:18090/", time.Minute)
	l.MustRun("alice", "systemctl --user stop media && rm "+units+"media.* && systemctl --user daemon-reload")
	l.nothing(t)
}

// broken: nothing is made of what is wrong, and what runs goes on.
func (l lab) broken(t *testing.T) {
	l.MustRun("alice", "podunit kube play media.yaml")
	before := l.pids()
	const head = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n"
	for name, c := range map[string]struct{ yaml, want string }{
		"a tab":                {"apiVersion: v1\n\tkind: Pod\n", "b.yaml:2"},
		"a duplicate key":      {head + "  - {name: a, name: b, image: x}\n", "b.yaml:6"},
		"an unknown field":     {head + "  - {name: a, imagee: x}\n", "did you mean image?"},
		"no such image":        {head + "  - {name: a, image: \"localhost:5000/none:1\"}\n", "localhost:5000/none:1"},
		"no such ConfigMap":    {head + "  - {name: a, image: \"localhost:5000/busybox:1\", envFrom: [{configMapRef: {name: none}}]}\n", "there is no ConfigMap none"},
		"no such path":         {head + "  - {name: a, image: \"localhost:5000/busybox:1\", volumeMounts: [{name: v, mountPath: /v}]}\n  volumes: [{name: v, hostPath: {path: /none, type: Directory}}]\n", "DirectoryOrCreate"},
		"a port that is taken": {head + "  - {name: a, image: \"localhost:5000/busybox:1\", ports: [{containerPort: 80, hostPort: 18090}]}\n", "18090"},
		"a command that fails": {head + "  - {name: a, image: \"localhost:5000/busybox:1\", command: [/none]}\n", "/none"},
	} {
		l.WriteFile("alice", "b.yaml", c.yaml)
		stdout, stderr, code := l.Run("alice", "podunit kube play b.yaml")
		if code != 125 || stdout != "" || !strings.Contains(stderr, c.want) {
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
