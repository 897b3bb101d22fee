// SPDX-License-Identifier: Apache-2.0

//go:build lab

package vm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/machine"
)

// patience is how long an emulated processor on a busy machine may take to start what starts at boot.
const patience = 10 * time.Minute

// number is a setting of the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// phase is what the power fails in.
type phase struct {
	name    string
	prepare string // before it, as alice
	script  string // as alice
	after   string // what must succeed after the boot, and again whenever it is called
}

func phases() []phase {
	return []phase{
		{"pull", "podunit rmi -f localhost:5000/big", "podunit pull -q localhost:5000/big", "podunit pull -q localhost:5000/big"},
		{"first start", "systemctl --user stop first; podunit rmi -f localhost:5000/layers", "systemctl --user start first", "true"},
		{"update", "version $((3 - $(version)))", "podunit auto-update --wait", `podunit auto-update --wait && podunit exec app sh -c "cat /etc/image-version 2>/dev/null || echo 1" | grep -x $(version)`},
		{"play", "true", "systemctl --user restart tv", "true"},
		{"play by hand", "true", "podunit kube play --network none --replace hand.yaml", "podunit kube play --network none --replace hand.yaml && podunit exec hand-c true"},
		{"stop", "true", "systemctl --user stop pair-pod base tv", "true"},
		{"restart", "true", "systemctl --user restart pair-pod base", "true"},
	}
}

// functions for scripts: the version that the registry has of what is updated, 1 or 2, and how to
// change it. Its tag moves without a transfer, and the registry does not sync.
const functions = `R=localhost:5000/v2/busybox/manifests; A='Accept: application/vnd.oci.image.manifest.v1+json'
digest() { curl -fsS -H "$A" $R/$1 | sha256sum; }
version() {
	if [ $# = 0 ]; then [ "$(digest app)" = "$(digest 2)" ] && echo 2 || echo 1; return; fi
	curl -fsS -H "$A" $R/$1 -o manifest && curl -fsS -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary @manifest $R/app
}
`

const tv = `apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  restartPolicy: Always
  terminationGracePeriodSeconds: 1
  containers:
  - {name: c, image: localhost:5000/busybox, command: [sleep, "999999"], volumeMounts: [{name: v, mountPath: /v}]}
  volumes:
  - {name: v, persistentVolumeClaim: {claimName: %[1]s-data}}
`

// units of alice that must be active after every boot.
const units = "base pair-pod a b first app tv"

func (c *cutter) declare() {
	l := c.l
	quadlet := func(name, text string) {
		l.WriteFile("alice", ".config/containers/systemd/"+name, text+"\n[Install]\nWantedBy=default.target\n[Service]\nTimeoutStartSec=900\n")
	}
	sleeps := "[Container]\nExec=sleep infinity\nStopTimeout=1\nContainerName=%s\nImage=localhost:5000/%s\n%s"
	quadlet("base.container", fmt.Sprintf(sleeps, "base", "busybox", "Volume=data.volume:/data\nNetwork=none\n"))
	quadlet("data.volume", "[Volume]\nVolumeName=data\n")
	quadlet("pair.pod", "[Pod]\nPodName=pair\n")
	quadlet("a.container", fmt.Sprintf(sleeps, "a", "busybox", "Pod=pair.pod\n"))
	quadlet("b.container", fmt.Sprintf(sleeps, "b", "busybox", "Pod=pair.pod\n"))
	quadlet("first.container", fmt.Sprintf(sleeps, "first", "layers", "Network=none\n"))
	quadlet("app.container", fmt.Sprintf(sleeps, "app", "busybox:app", "Network=none\nAutoUpdate=registry\n"))
	quadlet("tv.kube", "[Kube]\nNetwork=none\nYaml=%h/tv.yaml\n")
	l.WriteFile("alice", "tv.yaml", fmt.Sprintf(tv, "tv"))
	l.WriteFile("alice", "hand.yaml", fmt.Sprintf(tv, "hand"))
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow="+c.window+"\n")
}

// content sums up every file of an image, whichever layer it came in.
const content = `sum() { podunit run --rm --network none --pull never localhost:5000/$1 sh -c 'cd /; find . -xdev -type f ! -path "./etc/host*" ! -path ./etc/resolv.conf ! -path "./run/*" | sort | xargs md5sum | md5sum'; }
`

// TestVMPowerCuts fails the power of a machine with a kernel of its own.
func TestVMPowerCuts(t *testing.T) {
	powerCuts(t, 20, cutter{disk: "/", window: "40s"}, func(seed uint64) *labtest.Lab {
		return boot(t, labtest.Options{Seed: seed}, "alice")
	})
}

// TestLossyPowerCuts fails the power of a lab that boots in seconds, and so more often.
func TestLossyPowerCuts(t *testing.T) {
	powerCuts(t, 200, cutter{disk: "/home", window: "5s"}, func(seed uint64) *labtest.Lab {
		l := labtest.Boot(t, labtest.Options{Lossy: true, Seed: seed})
		l.MustRun("alice", "podunit pull -q "+image)
		return l
	})
}

// powerCuts fails the power at random moments of what podunit does, with a disk that loses what was
// not flushed. After each boot, without hands, every unit is active, nothing is left over, and every
// image and volume is whole.
func powerCuts(t *testing.T, usually uint64, c cutter, boot func(seed uint64) *labtest.Lab) {
	cuts, seed := number(t, "PODUNIT_VM_CUTS", usually), number(t, "PODUNIT_VM_SEED", uint64(time.Now().Unix()))
	t.Logf("%d cuts; the same phases and moments again: PODUNIT_VM_SEED=%d", cuts, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c.l, c.t = boot(seed), t
	c.took, c.sums, c.count, c.ended = map[string]time.Duration{}, map[string]string{}, map[string]int{}, map[string]int{}
	all := phases()
	var order []phase
	var parts []float64 // of the time that each takes
	for uint64(len(order)) < cuts {
		for _, i := range random.Perm(len(all)) {
			order, parts = append(order, all[i]), append(parts, random.Float64())
		}
	}
	order = order[:cuts]
	c.setUp(order)
	defer c.summary() // also of a run that ends in the middle
	for i, p := range order {
		c.cut(i, p, parts[i])
		if t.Failed() {
			break // what is broken stays broken
		}
	}
}

// summary counts the cuts of each phase.
func (c *cutter) summary() {
	for _, p := range phases() {
		c.t.Logf("%-12s %3d cuts, of which %d came after its end", p.name, c.count[p.name], c.ended[p.name])
	}
}

// cutter is one run.
type cutter struct {
	l      *labtest.Lab
	t      *testing.T
	disk   string                   // where the disk is mounted
	window string                   // for how long an update looks at what it has started
	took   map[string]time.Duration // of each phase, without a cut
	sums   map[string]string        // of the content of each image
	count  map[string]int
	ended  map[string]int
}

// must runs a script that may take its time.
func (c *cutter) must(user, script string) string {
	c.t.Helper()
	return c.l.MustRun(user, functions+content+script)
}

// setUp starts everything, and does each phase that is to be cut once without a cut.
func (c *cutter) setUp(order []phase) {
	c.declare()
	c.must("alice", "version 1 && for i in big layers busybox:app; do podunit pull -q localhost:5000/$i; done; systemctl --user daemon-reload && systemctl --user start "+units)
	c.active()
	for _, image := range []string{"big", "layers", "busybox"} {
		c.sums[image] = c.must("alice", "sum "+image)
	}
	for _, p := range order {
		if c.took[p.name] > 0 {
			continue
		}
		c.must("alice", p.prepare)
		start := time.Now()
		c.must("alice", p.script)
		c.took[p.name] = time.Since(start)
		c.t.Logf("%s takes %.1f s", p.name, c.took[p.name].Seconds())
		c.must("alice", p.after)
	}
	c.must("alice", "systemctl --user start "+units)
	c.active()
}

// active waits until all units are.
func (c *cutter) active() {
	c.t.Helper()
	c.l.Eventually("alice", `for unit in `+units+`; do
		state=$(systemctl --user is-active $unit); [ "$state" = active ] || { echo $unit is $state; systemctl --user status --no-pager -n 20 $unit; exit 1; }
	done`, patience)
}

// cut is one cut of the power, at a part of the time that the phase took, or a little later.
func (c *cutter) cut(i int, p phase, part float64) {
	wait := time.Duration(part * 1.1 * float64(c.took[p.name]))
	c.must("alice", p.prepare+fmt.Sprintf("; podunit exec base sh -c 'echo %d >/data/n'", i))
	// Longer than a disk's patience, so that more is lost; and what was prepared is not what is lost.
	c.must("root", "mount -o remount,commit=60 "+c.disk+" && sync --file-system "+c.disk)
	images := c.must("alice", "podunit images --format '{{.Repository}}:{{.Tag}}' | sort")
	ended := make(chan error, 1)
	go func() {
		res, err := c.l.Machine.Run(context.Background(), machine.Command{User: "alice", Args: []string{functions + p.script}})
		if err == nil && res.Code != 0 {
			err = fmt.Errorf("status %d: %s%s", res.Code, res.Stdout, res.Stderr)
		}
		ended <- err
	}()
	time.Sleep(wait)
	c.count[p.name]++
	select {
	case err := <-ended:
		c.ended[p.name]++
		if err != nil {
			c.t.Errorf("%s fails before the cut: %v", p.name, err)
		}
		ended <- nil
	default:
	}
	c.l.PowerCut()
	if err := <-ended; err != nil {
		c.t.Logf("%s, cut: %s", p.name, strings.ReplaceAll(err.Error(), functions, ""))
	}
	start := time.Now()
	c.l.Boot()
	c.active()
	active := time.Since(start)
	c.judge(i, p, images)
	c.t.Logf("cut %d: %s after %.1f s; all is active after %.0f s and judged after %.0f s", i, p.name, wait.Seconds(), active.Seconds(), time.Since(start).Seconds())
}

// judge looks at what is there after a boot.
func (c *cutter) judge(i int, p phase, images string) {
	c.t.Helper()
	now := c.must("alice", "podunit images --format '{{.Repository}}:{{.Tag}}' | sort")
	for _, image := range strings.Fields(images) {
		// Of an update, the old image may have lost its name already.
		if !strings.Contains(now+"\n", image+"\n") && image != "<none>:<none>" {
			c.t.Errorf("cut %d, %s: the image %s is lost", i, p.name, image)
		}
	}
	if n := c.must("alice", "podunit exec base cat /data/n"); n != fmt.Sprint(i) {
		c.t.Errorf("cut %d, %s: the volume has %q", i, p.name, n)
	}
	c.l.Eventually("root", "curl -fsS localhost:5000/v2/_catalog", patience)
	c.must("alice", p.after)
	for image, want := range c.sums {
		if p.name == "pull" || image != "big" {
			if got := c.must("alice", "sum "+image); got != want {
				c.t.Errorf("cut %d, %s: the content of %s is damaged", i, p.name, image)
			}
		}
	}
	c.l.NothingLeft("alice", 2*time.Minute)
}
