// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/machine"
)

// slowImage is as big as the image of that name, and comes through a throttle.
const slowImage = "localhost:5001/"

// throttle puts a slow registry before the lab's.
func (l *Lab) throttle(flags string) {
	l.t.Helper()
	l.WriteFile("alice", ".config/containers/registries.conf.d/slow.conf", "[[registry]]\nlocation = \"localhost:5001\"\ninsecure = true\n")
	l.MustRun("root", "systemctl stop throttle 2>/dev/null; systemd-run --quiet --collect --unit throttle podunit-lab throttle --listen 127.0.0.1:5001 "+flags)
	l.Eventually("root", "curl -fsS -o /dev/null localhost:5001/v2/", time.Minute)
}

// slowUnit writes a container of that image, with more for its [Service].
func (l *Lab) slowUnit(name, service string) {
	l.t.Helper()
	l.WriteFile("alice", ".config/containers/systemd/slow.container", "[Container]\nImage="+slowImage+name+":latest\nExec=sleep 1000\n[Service]\n"+service+"\n")
	l.MustRun("alice", "systemctl --user daemon-reload")
}

// received is how many bytes the loopback device has carried.
func (l *Lab) received() int64 {
	l.t.Helper()
	n, err := strconv.ParseInt(l.MustRun("alice", "cat /sys/class/net/lo/statistics/rx_bytes"), 10, 64)
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

// screen is what a terminal shows; look gets all of it when there is more.
type screen struct {
	strings.Builder
	look func(text string)
}

func (s *screen) Write(p []byte) (int, error) {
	n, err := s.Builder.Write(p)
	s.look(s.String())
	return n, err
}

func TestLabSlowPull(t *testing.T) {
	l := boot(t, labtest.Options{})

	t.Run("a unit that pulls for longer than its start timeout shows how far it is, and starts", func(t *testing.T) {
		l := l.on(t)
		const limit = 8 * time.Second // long enough that a busy machine has begun the pull by then
		l.throttle("--rate 4000000")
		l.slowUnit("big", fmt.Sprintf("TimeoutStartSec=%g", limit.Seconds()))
		begun := time.Now()
		l.MustRun("alice", "systemctl --user start --no-block slow")
		status := func() (done, total float64) {
			text := l.Eventually("alice", `systemctl --user show -P StatusText slow | grep ' of '`, time.Minute)
			if _, err := fmt.Sscanf(text, "pulling "+slowImage+"big:latest: %g of %g MB", &done, &total); err != nil {
				t.Errorf("status line %q: %v", text, err)
			}
			return done, total
		}
		one, total := status()
		for two := one; two < one+5; time.Sleep(100 * time.Millisecond) {
			if two, total = status(); time.Since(begun) > time.Minute {
				t.Fatalf("the status line went from %g to %g of %g MB in a minute", one, two, total)
			}
		}
		if total < 40 {
			t.Errorf("the status line has a total of %g MB", total)
		}
		l.Eventually("alice", "systemctl --user is-active slow", 2*time.Minute)
		took := time.Since(begun)
		if took < limit {
			t.Errorf("it took only %s: this proves nothing", took)
		}
		t.Logf("up after %s", took)
		l.MustRun("alice", "systemctl --user stop slow; podunit rmi "+slowImage+"big")
	})

	t.Run("a registry that falls silent fails the unit, which names it", func(t *testing.T) {
		l := l.on(t)
		l.throttle("--rate 8000000 --stall-after 3000000")
		l.slowUnit("big", "Environment=PODUNIT_PULL_STALL_TIMEOUT=3s")
		begun := time.Now()
		_, _, code := l.Run("alice", "systemctl --user start slow")
		took := time.Since(begun)
		status, _, _ := l.Run("alice", hinted+"hinted slow")
		if code == 0 || took > 45*time.Second { // without the limit of 3 s it is a minute
			t.Errorf("status %d after %s", code, took)
		}
		for _, want := range []string{
			`Status: "error: ` + slowImage + `big:latest: registry localhost:5001: no byte received for 3s"`,
			"podunit: error: " + slowImage + "big:latest: registry localhost:5001: no byte received for 3s",
			"  hint: is localhost:5001 up",
		} {
			if !strings.Contains(status, want) {
				t.Errorf("no %q in\n%s", want, status)
			}
		}
	})

	t.Run("ctrl-c and stop end a pull within two seconds, and the next goes on with what was complete", func(t *testing.T) {
		l := l.on(t)
		var manifest struct {
			Layers []struct {
				Digest string
				Size   int64
			}
		}
		raw := l.MustRun("alice", "skopeo inspect --raw docker://localhost:5000/qbittorrent")
		if err := json.Unmarshal([]byte(raw), &manifest); err != nil || len(manifest.Layers) < 3 {
			t.Fatalf("%v: %s", err, raw)
		}
		l.throttle("--rate 6000000")

		in, keys := io.Pipe()
		var pressed time.Time
		var shown screen
		shown.look = func(text string) {
			_, end, _ := strings.Cut(text, "ended ")
			switch {
			case strings.Contains(end, "\n"):
				keys.Close()
			case strings.Contains(text, " of ") && pressed.IsZero():
				pressed = time.Now()
				go func() { _, _ = keys.Write([]byte{3}) }() // the terminal makes it a SIGINT; it may be gone
			}
		}
		l.Command(machine.Command{User: "alice", Terminal: true, Stdin: in, Stdout: &shown, Args: []string{
			"trap : INT; podunit pull " + slowImage + "qbittorrent; echo ended $? $(date +%s%N)"}})
		out := shown.String()
		var code int
		var at int64
		_, rest, _ := strings.Cut(out, "ended ")
		if _, err := fmt.Sscan(rest, &code, &at); err != nil {
			t.Errorf("ctrl-c: %v in %q", err, out)
		}
		if took := time.Unix(0, at).Sub(pressed); took < 0 || took > l.Promptly() || code == 0 {
			t.Errorf("ctrl-c: it ended %s later with status %d:\n%s", took, code, out)
		}
		if !strings.Contains(out, " of ") || !strings.Contains(out, "the pull was interrupted") || strings.Contains(out, "level=") {
			t.Errorf("on the terminal:\n%s", out)
		}

		l.slowUnit("qbittorrent", "")
		l.MustRun("alice", "systemctl --user start --no-block slow")
		l.Eventually("alice", "ls ~/.local/share/containers/storage/tmp/podunit-1000/blobs | grep "+manifest.Layers[1].Digest, time.Minute)
		begun := time.Now()
		l.MustRun("alice", "systemctl --user stop slow")
		if took := time.Since(begun); took > l.Promptly() {
			t.Errorf("stop took %s", took)
		}
		l.MustRun("root", "systemctl stop throttle") // it goes on to receive what it was not to pass on
		before := l.received()
		l.MustRun("alice", "podunit pull -q localhost:5000/qbittorrent") // the same blobs, without a throttle
		got, last := l.received()-before, manifest.Layers[len(manifest.Layers)-1].Size
		t.Logf("the second pull received %d bytes, of layers %v", got, manifest.Layers)
		if got > last+manifest.Layers[0].Size { // with headers and acknowledgements less than any other layer
			t.Errorf("the next pull received %d bytes, where only a layer of %d was not complete", got, last)
		}
	})
}
