// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// crashPoints reads from the source at which points PODUNIT_CRASH_AFTER can kill the runner: the
// names of steps, and calls of step.Crash.
func crashPoints(t *testing.T) []string {
	t.Helper()
	names := map[string]bool{}
	text := func(e ast.Expr) {
		lit, ok := e.(*ast.BasicLit)
		if !ok {
			t.Errorf("a crash point's name is no literal: %v", e)
			return
		}
		name, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Error(err)
		}
		names[name] = true
	}
	isStep := func(e ast.Expr) bool {
		sel, ok := e.(*ast.SelectorExpr)
		return ok && fmt.Sprint(sel.X) == "step" && sel.Sel.Name == "Step"
	}
	visit := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			// An update reports its steps to whoever runs it, and that is step.Crash.
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && (fmt.Sprint(sel.X) == "step" && sel.Sel.Name == "Crash" || fmt.Sprint(sel.X) == "r" && sel.Sel.Name == "reached") {
				text(n.Args[0])
			}
		case *ast.CompositeLit:
			steps := []ast.Expr{n}
			if list, ok := n.Type.(*ast.ArrayType); ok && isStep(list.Elt) {
				steps = n.Elts // literals in a list, whose type is not repeated
			} else if !isStep(n.Type) {
				return true
			}
			for _, s := range steps {
				lit, ok := s.(*ast.CompositeLit)
				if !ok {
					continue
				}
				for _, field := range lit.Elts {
					if kv, ok := field.(*ast.KeyValueExpr); ok && fmt.Sprint(kv.Key) == "Name" {
						text(kv.Value)
					}
				}
			}
		}
		return true
	}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			ast.Inspect(file, visit)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(names))
}

// When a unit with the crash point in its environment dies.
const (
	atStart = "start" // the start fails
	atReady = "ready" // the start succeeds, for the container is the main process by then
	atStop  = "stop"
	// atUpdate is in an update, and atRollback in one that goes wrong: see TestLabKilledUpdate.
	atUpdate   = "update"
	atRollback = "rollback"
)

// kills says of each crash point which unit passes it, and when.
var kills = map[string]struct{ unit, when string }{
	"pull begun":               {"one", atStart},
	"pull stored":              {"one", atStart},
	"resolved":                 {"one", atStart},
	"locked":                   {"one", atStart},
	"cleared":                  {"one", atStart},
	"mark":                     {"one", atStart},
	"runtime begun":            {"one", atStart},
	"layer":                    {"one", atStart},
	"rootfs":                   {"one", atStart},
	"network begun":            {"one", atStart},
	"network":                  {"one", atStart},
	"bundle":                   {"one", atStart},
	"launched":                 {"one", atStart},
	"run":                      {"one", atStart},
	"ready":                    {"one", atReady},
	"stopped":                  {"one", atStop},
	"runtime deleted":          {"one", atStop},
	"network released":         {"one", atStop},
	"volumes removed":          {"one", atStop},
	"container removed":        {"one", atStop},
	"directory removed":        {"one", atStop},
	"pod noted":                {"p-pod", atStart},
	"pod directory":            {"p-pod", atStart},
	"pod network":              {"p-pod", atStart},
	"infra":                    {"p-pod", atStart},
	"pod connected":            {"p-pod", atStart},
	"pid file":                 {"p-pod", atStart},
	"members stopped":          {"p-pod", atStop},
	"infra stopped":            {"p-pod", atStop},
	"pod network released":     {"p-pod", atStop},
	"members removed":          {"p-pod", atStop},
	"pod directory removed":    {"p-pod", atStop},
	"play noted":               {"tv", atStart},
	"pod of a play started":    {"tv", atStart},
	"secrets of a play stored": {"tv", atStart},
	"play made":                {"tv", atStart},
	"pod of a play removed":    {"tv", atStop},
	"play taken down":          {"tv", atStop},
	"asked":                    {"web", atUpdate},
	"kept":                     {"web", atUpdate},
	"pulled one":               {"web", atUpdate},
	"pulled":                   {"web", atUpdate},
	"trial begun":              {"web", atUpdate},
	"restarted some":           {"web", atUpdate},
	"restarted":                {"web", atUpdate},
	"held":                     {"web", atRollback},
	"rolled back":              {"web", atRollback},
	"renewal noted":            {"hand", atUpdate},
	"renewal removed":          {"hand", atUpdate},
	"renewal created":          {"hand", atUpdate},
	"connected again":          {}, // TestLabNamespaceLost
}

const (
	image = "localhost:5000/busybox:latest"
	// serve answers hello on a port, and ends when it is told to.
	serve = `sh -c "trap 'exit 0' TERM; echo hello > index.html; httpd -p $$0; sleep 10000 & wait"`
)

// units writes a container that publishes a port, with volumes, and a pod with one container.
func (l *Lab) units() {
	const dir = ".config/containers/systemd/"
	l.t.Helper()
	l.WriteFile("alice", dir+"one.container", `[Container]
Image=`+image+`
Exec=`+serve+` 8080
PublishPort=18080:8080
Volume=/data
Volume=named:/named
`)
	l.WriteFile("alice", dir+"p.pod", "[Pod]\nPublishPort=18081:8081\n[Service]\nRestart=no\n")
	l.WriteFile("alice", dir+"m.container", `[Container]
Image=`+image+`
Exec=`+serve+` 8081
Pod=p.pod
`)
	l.WriteFile("alice", "tv.yaml", `apiVersion: v1
kind: Pod
metadata: {name: tv}
spec:
  containers:
  - name: serve
    image: `+image+`
    command: [sh, -c, "trap 'exit 0' TERM; echo hello > index.html; httpd -p 8082; sleep 10000 & wait"]
    ports: [{containerPort: 8082, hostPort: 18082}]
    volumeMounts: [{name: files, mountPath: /files}, {name: empty, mountPath: /empty}, {name: kept, mountPath: /kept}]
  volumes: [{name: files, configMap: {name: files}}, {name: empty, emptyDir: {}}, {name: kept, persistentVolumeClaim: {claimName: kept}}]
---
apiVersion: v1
kind: Pod
metadata: {name: tv2}
spec:
  containers:
  - {name: wait, image: "`+image+`", command: [sh, -c, "trap 'exit 0' TERM; sleep 10000 & wait"], env: [{name: A, valueFrom: {secretKeyRef: {name: keys, key: a}}}]}
---
{apiVersion: v1, kind: Pod, metadata: {name: tv3}, spec: {containers: [{name: wait, image: "`+image+`", command: [sh, -c, "trap 'exit 0' TERM; sleep 10000 & wait"]}]}}
---
{apiVersion: v1, kind: Secret, metadata: {name: keys}, stringData: {a: alpha}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: files}, data: {a: alpha}}
`)
	l.WriteFile("alice", dir+"tv.kube", "[Kube]\nYaml=%h/tv.yaml\n")
	l.MustRun("alice", "systemctl --user daemon-reload")
}

// answers is a shell function that waits until a port says hello.
const answers = `answers() { for i in $(seq 600); do [ "$(curl -s localhost:$1)" = hello ] && return; sleep 0.05; done; echo "port $1 does not answer"; false; }
`

// story is what a user does with some units: start, look, stop. How the machine looks meanwhile and
// afterwards is to be the same each time.
type story struct{ begin, answers, end string }

var stories = map[string]story{
	"one":   {`systemctl --user start one`, answers + `answers 18080`, `systemctl --user stop one; ! systemctl --user is-failed -q one`},
	"tv":    {`systemctl --user start tv`, answers + `answers 18082`, `systemctl --user stop tv; ! systemctl --user is-failed -q tv tv-pod tv-serve tv2-wait tv3-wait`},
	"p-pod": {`systemctl --user start p-pod m`, answers + `answers 18081`, `systemctl --user stop p-pod m; ! systemctl --user is-failed -q p-pod m`},
}

func (l *Lab) begin(unit string) {
	l.t.Helper()
	l.MustRun("alice", stories[unit].begin)
	l.MustRun("alice", stories[unit].answers)
}

func TestLabKilledAtEachStep(t *testing.T) {
	points := crashPoints(t)
	for _, name := range points {
		if _, ok := kills[name]; !ok {
			t.Errorf("nobody kills the runner after %q", name)
		}
	}
	for name := range kills {
		if !slices.Contains(points, name) {
			t.Errorf("there is no crash point %q any more", name)
		}
	}
	points = slices.DeleteFunc(points, func(name string) bool { return kills[name].unit == "" })
	l := boot(t, labtest.Options{})
	l.units()
	for _, unit := range slices.Sorted(maps.Keys(stories)) { // all must have run once
		l.begin(unit)
		l.MustRun("alice", stories[unit].end)
	}
	l.MustRun("alice", "podunit run -d --name hand "+image+" sleep 1000 && podunit rm -f -t 0 hand")
	stopped, running := l.settled(), map[string][]string{}
	for unit, s := range stories {
		l.begin(unit)
		running[unit] = l.settled()
		l.MustRun("alice", s.end)
		if n := len(added(stopped, running[unit])); len(stopped) < 20 || n < 10 {
			t.Fatalf("it sees only %d traces of a running %s, beyond:\n%s", n, unit, strings.Join(stopped, "\n"))
		}
	}
	for _, name := range points {
		k := kills[name]
		if k.when == atUpdate || k.when == atRollback {
			continue
		}
		t.Run(name, func(t *testing.T) {
			l := l.on(t)
			if strings.HasPrefix(name, "pull ") {
				l.MustRun("alice", "podunit rmi "+image)
			}
			// In the environment of every service of alice's, also of the ExecStopPost= of the same
			// unit.
			const set, unset = `systemctl --user set-environment "PODUNIT_CRASH_AFTER=$name"; `, `systemctl --user unset-environment PODUNIT_CRASH_AFTER; `
			start, stop := `systemctl --user start $unit 2>/dev/null; echo start $?; `, ""
			if k.when == atStop {
				start, stop = start+stories[k.unit].answers+"\n"+set, `systemctl --user stop $unit 2>/dev/null; `
			} else {
				start = set + start
			}
			out := l.MustRun("alice", fmt.Sprintf("name='%s' unit=%s\n", name, k.unit)+`
				since=$(journalctl -b -n 0 --show-cursor | sed -n 's/^-- cursor: //p')
				`+start+stop+unset+`
				systemctl --user show -P ActiveState $unit
				for i in $(seq 1200); do journalctl --after-cursor "$since" -o cat | grep -q "killed after $name," && echo killed && break; sleep 0.05; done
				systemctl --user stop $unit`)
			want := map[string]string{atStart: "start 1\nfailed", atReady: "start 0\nactive", atStop: "start 0\nfailed"}[k.when]
			if out != want+"\nkilled" {
				t.Errorf("got %q, want %q and that it was killed", out, want)
			}
			if name == "pull stored" {
				l.MustRun("alice", "podunit pull -q "+image) // takes the note of what was stored, as a prune does
			}
			// Only now what counts: the next start.
			l.begin(k.unit)
			l.same(t, running[k.unit], "while it runs again")
			l.MustRun("alice", stories[k.unit].end)
			l.same(t, stopped, "after it was stopped")
		})
	}
	t.Run("of containers of a play", func(t *testing.T) {
		// In the services of three pods at once. CI sees some points, and PODUNIT_LAB_ALL=1 all.
		names := []string{"pod noted", "infra", "resolved", "layer", "bundle", "run", "ready", "pod network released"}
		if os.Getenv("PODUNIT_LAB_ALL") != "" {
			names = slices.DeleteFunc(slices.Clone(points), func(name string) bool {
				return strings.HasPrefix(name, "pull ") || kills[name].when == atUpdate || kills[name].when == atRollback
			})
		}
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				l := l.on(t)
				l.MustRun("alice", "systemctl --user set-environment 'PODUNIT_CRASH_AFTER="+name+"'; systemctl --user start tv; systemctl --user stop tv; systemctl --user unset-environment PODUNIT_CRASH_AFTER; systemctl --user stop tv")
				l.begin("tv")
				l.same(t, running["tv"], "while it runs again")
				l.MustRun("alice", stories["tv"].end)
				l.same(t, stopped, "after it was stopped")
			})
		}
	})
	t.Run("of a container started by hand", func(t *testing.T) {
		l := l.on(t)
		for _, name := range []string{"mark", "layer", "rootfs", "network", "bundle"} {
			_, stderr, code := l.Run("alice", "PODUNIT_CRASH_AFTER="+name+" podunit run --rm --name hand "+image+" true")
			if code != 128+9 {
				t.Errorf("after %s: status %d: %s", name, code, stderr)
			}
			l.MustRun("alice", "podunit run --rm --replace --name hand "+image+" true")
		}
		for _, name := range []string{"rootfs", "network", "bundle", "launched", "run", "ready"} {
			l.Run("alice", "systemctl --user set-environment PODUNIT_CRASH_AFTER="+name+`
				podunit run -d --stop-timeout 0 --name hand `+image+` sleep 1000
				systemctl --user unset-environment PODUNIT_CRASH_AFTER`)
			l.MustRun("alice", "podunit run -d --stop-timeout 0 --replace --name hand "+image+" sleep 1000 && podunit rm -f -t 0 hand")
		}
		l.same(t, stopped, "after all")
		if left := l.MustRun("alice", "systemctl --user list-units --all --plain --no-legend 'hand*' 'podunit-*' | grep -v '^podunit-restart.service ' || true"); left != "" {
			t.Errorf("units are left: %s", left)
		}
	})
	t.Run("in the middle of a layer", func(t *testing.T) {
		// No crash point is there, so the storage is made as it is then: the layer is begun, the
		// file for its short name is empty, and there is no container. See runner/store/links.go.
		l := l.on(t)
		l.MustRun("alice", `cd .local/share/containers/storage
			PODUNIT_CRASH_AFTER=layer podunit run --rm --name hand `+image+` true || [ $? = 137 ] || exit
			id=$(jq -re '.[].id' overlay-layers/volatile-layers.json) && truncate -s 0 overlay/$id/link
			jq -c 'map(.flags.incomplete = true)' overlay-layers/volatile-layers.json >~/layers && mv ~/layers overlay-layers/volatile-layers.json
			echo '[]' >overlay-containers/volatile-containers.json
			podunit run --rm --replace --name hand `+image+` true`)
		l.same(t, stopped, "after it")
	})
	t.Run("at random moments", func(t *testing.T) {
		l := l.on(t)
		for _, whom := range []string{"main", "all"} {
			for range 5 {
				wait := time.Duration(rand.IntN(400)) * time.Millisecond
				t.Logf("%s after %s", whom, wait)
				l.MustRun("alice", fmt.Sprintf(`systemctl --user start --no-block one; sleep %f
					systemctl --user kill -s KILL --kill-whom=%s one
					while [[ $(systemctl --user show -P ActiveState one) = *ing ]]; do sleep 0.02; done
					systemctl --user start one && systemctl --user stop one`, wait.Seconds(), whom))
			}
		}
		l.begin("one")
		l.same(t, running["one"], "while it runs again")
		l.MustRun("alice", stories["one"].end)
		l.same(t, stopped, "after it was stopped")
	})
	t.Run("at each write of three verbs", func(t *testing.T) {
		// TestCuts has the others. This one comes last: the listings make an empty store of
		// artifacts, and the manager is started anew.
		l := l.on(t)
		l.MustRun("alice", cutUnit)
		l.MustRun("root", cutManagers)
		for _, c := range slices.Concat(cutCases, unitCases) {
			if c.name == "quadlet install" || c.name == "quadlet rm" || c.name == "unit: boot" {
				t.Run(c.name, func(t *testing.T) { l.on(t).cuts(t, c, "podunit system prune -f") }) // the units' volumes stay
			}
		}
	})
}
