// SPDX-License-Identifier: Apache-2.0

//go:build lab

package stories

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// TestLabPower: the media pod, and a container beside it, are up after a boot, whatever happened
// before.
func TestLabPower(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{})
	writeMedia(t, l, "alice", ".config/containers/systemd", nil)
	quadlet(l, "alice", "web.container", "[Container]\nImage=localhost:5000/nginx\nPublishPort=8080:80\nVolume=:/data\n[Service]\nRestart=on-failure\n[Install]\nWantedBy=default.target\n")
	l.MustRun("alice", `mkdir -p ~/media/downloads ~/media/config/{qbittorrent,transmission}
		systemctl --user daemon-reload && systemctl --user start media-pod web`)
	if err := up(l, 5*time.Minute); err != nil {
		t.Fatal(err)
	}

	t.Run("after power off and on, with nobody logged in", func(t *testing.T) {
		l := l.For(t)
		l.Poweroff()
		l.Boot()
		start := time.Now()
		if err := up(l, 2*time.Minute); err != nil {
			t.Fatalf("%v\n%s", err, l.MustRun("alice", "systemctl --user status; journalctl --user -b -q -n 50"))
		}
		t.Logf("all ports answer %v after the boot", time.Since(start).Round(10*time.Millisecond))
		if out := l.MustRun("root", "loginctl list-sessions --no-legend | grep -v manager; true"); out != "" {
			t.Errorf("somebody is logged in: %s", out)
		}
		nothingLeft(t, l, "alice")
	})

	t.Run("after ten boots whose power was cut on the way", func(t *testing.T) {
		l := l.For(t)
		seed := uint64(time.Now().UnixNano())
		if s := os.Getenv("PODUNIT_SEED"); s != "" {
			var err error
			if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("PODUNIT_SEED=%d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		for i := range 10 {
			after := time.Duration(random.Int64N(int64(1500 * time.Millisecond)))
			t.Logf("boot %d is cut %v after the user's manager is there", i, after.Round(time.Millisecond))
			l.PowerCut()
			cutBoot(t, l, after)
		}
		l.Boot()
		start := time.Now()
		if err := up(l, 2*time.Minute); err != nil {
			t.Fatalf("%v\n%s", err, l.MustRun("alice", "systemctl --user status; journalctl --user -b -q -n 100"))
		}
		t.Logf("all ports answer %v after the last boot", time.Since(start).Round(10*time.Millisecond))
		if out, _, _ := l.Run("alice", "journalctl --user -q --case-sensitive=no -g 'name.* in use|already in use|is taken'"); out != "" {
			t.Errorf("a name was in use:\n%s", out)
		}
		for _, u := range append([]string{"media-pod", "web"}, mediaMembers...) {
			if n := property(l, "alice", u, "NRestarts"); n != "0" {
				t.Errorf("%s came up only after %s restarts", u, n)
			}
		}
		nothingLeft(t, l, "alice")
	})
}

// up waits until all ports answer another machine.
func up(l *labtest.Lab, within time.Duration) error {
	deadline := time.Now().Add(within)
	client := http.Client{Timeout: 3 * time.Second}
	for _, port := range append([]int{8080}, mediaPorts...) {
		url := fmt.Sprintf("http://%s:%d/", l.Machine.Address(), port)
		for {
			res, err := client.Get(url)
			if err == nil {
				res.Body.Close()
				if res.StatusCode == http.StatusOK {
					break
				}
				err = fmt.Errorf("%s: %s", url, res.Status)
			}
			if time.Now().After(deadline) {
				return err
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// cutBoot boots and cuts the power some time after alice's manager has begun.
func cutBoot(t *testing.T, l *labtest.Lab, after time.Duration) {
	t.Helper()
	ctx, cut := context.WithCancel(context.Background())
	defer cut()
	began := make(chan bool, 1)
	go func() {
		defer cut()
		for deadline := time.Now().Add(80 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			root, err := l.Machine.Root()
			if err != nil {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, "run/user/1000/systemd/private")); err == nil {
				time.Sleep(after)
				began <- true
				return
			}
		}
		began <- false
	}()
	// It ends at the cut, or before.
	if err := l.Machine.Boot(ctx); err != nil && !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Fatal(err)
	}
	if !<-began {
		t.Fatal("the user's manager did not begin")
	}
	l.PowerCut()
}
