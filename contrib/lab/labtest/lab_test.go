// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/cache"
	"github.com/podunit/podunit/contrib/lab/machine"
)

func TestLabUsers(t *testing.T) {
	l := Boot(t, Options{Bare: true, NoImages: true})
	for _, c := range []struct{ name, user, script, want string }{
		{"alice has a manager and a bus", "alice", `systemctl --user is-system-running --wait; echo $XDG_RUNTIME_DIR`, "running\n/run/user/1000"},
		{"bob too", "bob", `systemctl --user is-system-running --wait`, "running"},
		{"carol does not linger", "carol", `echo "$XDG_RUNTIME_DIR$DBUS_SESSION_BUS_ADDRESS"; pwd`, "\n/home/carol"},
		{"root is root", "root", `id -u; pwd`, "0\n/root"},
		{"subordinate ids of all but carol", "root", `cut -d: -f1,2 /etc/subuid; cmp /etc/subuid /etc/subgid`, "alice:100000\nbob:165536\ndave:300000"},
		{"a command's cgroup is a unit", "alice", `cat /proc/self/cgroup | grep ^0: ; systemctl is-active lab-alice.scope`, "0::/user.slice/user-1000.slice/lab-alice.scope\nactive"},
		{"the user manager may take a command over", "alice", `systemd-run --user --scope --quiet cat /proc/self/cgroup | grep -c user@1000.service/app.slice`, "1"},
		{"the network is online, with a route", "root", `systemctl is-active network-online.target; ip route get 192.0.2.1 | grep -c host0`, "active\n1"},
		{"devices for rootless use", "alice", `test -w /dev/fuse && test -w /dev/net/tun && echo yes`, "yes"},
		{"a user namespace may mount proc and sysfs", "alice", `unshare -Urmpnf --mount-proc sh -c 'mount -t sysfs sysfs /sys && echo yes'`, "yes"},
		{"Podman's generators are masked", "root", `readlink /etc/systemd/*-generators/podman-*`, "/dev/null\n/dev/null"},
		{"no unit has failed", "root", `systemctl list-units --failed --plain --no-legend`, ""},
		{"versions the design counts on", "root", `systemctl --version | head -1 | cut -d' ' -f2; podman --version`, "257\npodman version 5.4.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := (&Lab{l.Machine, t}).MustRun(c.user, c.script)
			if c.user == "root" && strings.HasPrefix(c.script, "systemctl --version") {
				got = strings.TrimSpace(got)
			}
			if got != c.want {
				t.Errorf("%s\ngot  %q\nwant %q", c.script, got, c.want)
			}
		})
	}
}

func TestLabCommands(t *testing.T) {
	l := Boot(t, Options{Bare: true, NoImages: true})
	if _, _, code := l.Run("alice", "exit 7"); code != 7 {
		t.Errorf("exit 7: status %d", code)
	}
	if _, _, code := l.Run("alice", "kill -TERM $$"); code != 128+15 {
		t.Errorf("killed by SIGTERM: status %d", code)
	}
	out, _, _ := l.Command(machine.Command{Args: []string{"cat"}, Stdin: strings.NewReader("in")})
	if out != "in" {
		t.Errorf("standard input: %q", out)
	}
	out, _, _ = l.Command(machine.Command{Args: []string{"tty"}, Terminal: true})
	if !strings.HasPrefix(out, "/dev/pts/") {
		t.Errorf("tty: %q", out)
	}
	out, _, _ = l.Command(machine.Command{Args: []string{"echo $A; pwd"}, Env: []string{"A=b c"}, Dir: "/"})
	if out != "b c\n/\n" {
		t.Errorf("environment and directory: %q", out)
	}
	start := time.Now()
	_, err := l.Machine.Run(context.Background(), machine.Command{Args: []string{"sleep 100 & sleep 100"}, Timeout: 100 * time.Millisecond})
	if err == nil || time.Since(start) > time.Minute {
		t.Errorf("timeout: %v after %v", err, time.Since(start))
	}
	l.WriteFile("alice", "a/b/c", "text\n")
	if got := l.ReadFile("alice", "a/b/c"); got != "text\n" {
		t.Errorf("file: %q", got)
	}
	// At their best, beside what a shell takes where nothing is entered: a busy machine makes both
	// slow.
	enter, shell := time.Hour, time.Hour
	for range 20 {
		start := time.Now()
		l.MustRun("alice", "true")
		enter = min(enter, time.Since(start))
		start = time.Now()
		if err := exec.Command("sh", "-c", "true").Run(); err != nil {
			t.Fatal(err)
		}
		shell = min(shell, time.Since(start))
	}
	if enter > max(50*time.Millisecond, 10*shell) {
		t.Errorf("a command takes %v to enter, where a shell takes %v: 50 ms at most", enter, shell)
	}
}

func TestLabKeepsStateOverBoots(t *testing.T) {
	l := Boot(t, Options{Bare: true, NoImages: true})
	l.MustRun("alice", "echo one >state; sync")
	l.MustRun("root", "echo one >/etc/state")
	l.Reboot()
	l.MustRun("alice", `[ "$(cat state /etc/state)" = "$(printf 'one\none')" ]; systemctl --user is-system-running --wait`)
	l.MustRun("alice", "echo two >state")
	l.PowerCut()
	if l.Machine.Running() {
		t.Fatal("runs after a power cut")
	}
	l.Boot()
	l.MustRun("alice", `[ "$(cat state)" = two ]`)
	if n := l.MustRun("root", "journalctl --list-boots -o json | jq length"); n != "3" {
		t.Errorf("%s boots in the journal", n)
	}
}

func TestLabRoute(t *testing.T) {
	l := Boot(t, Options{Bare: true, NoImages: true, NoRoute: true})
	if out := l.MustRun("root", "ip route show default"); out != "" {
		t.Errorf("default route: %s", out)
	}
	ctx := context.Background()
	if err := l.Machine.SetRoute(ctx, true); err != nil {
		t.Fatal(err)
	}
	l.Reboot()
	if out := l.MustRun("root", "ip route show default"); out == "" {
		t.Error("no default route after it was given back")
	}
	if err := l.Machine.SetRoute(ctx, false); err != nil {
		t.Fatal(err)
	}
	if out := l.MustRun("root", "ip route show default"); out != "" {
		t.Errorf("default route: %s", out)
	}
}

// imageConfig is what the tests ask of skopeo inspect --config.
type imageConfig struct {
	Config struct {
		User, StopSignal string
		Entrypoint, Cmd  []string
		Volumes          map[string]struct{}
		ExposedPorts     map[string]struct{}
		Healthcheck      *struct{ Test []string }
	}
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	}
}

func TestLabImages(t *testing.T) {
	l := Boot(t, Options{Bare: true})
	if err := l.Machine.SetPeer(context.Background(), true); err != nil { // podman run needs its settings here
		t.Fatal(err)
	}
	get := func(ref string) (c imageConfig) {
		out := l.MustRun("alice", "skopeo inspect --config --raw docker://localhost:5000/"+ref)
		if err := json.Unmarshal([]byte(out), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	has := func(m map[string]struct{}, key string) bool { _, ok := m[key]; return ok }
	if c := get("nginx").Config; c.StopSignal != "SIGQUIT" || len(c.Entrypoint) == 0 || len(c.Cmd) == 0 || !has(c.ExposedPorts, "80/tcp") {
		t.Errorf("nginx: %+v", c)
	}
	if c := get("redis").Config; c.User != "redis" || !has(c.Volumes, "/data") || c.Healthcheck == nil || len(c.Entrypoint) == 0 {
		t.Errorf("redis: %+v", c)
	}
	if c := get("qbittorrent").Config; !has(c.ExposedPorts, "8988/tcp") || !has(c.Volumes, "/downloads") {
		t.Errorf("qbittorrent: %+v", c)
	}
	if n := len(get("layers").RootFS.DiffIDs); n != 4 {
		t.Errorf("layers: %d of them", n)
	}
	for _, name := range []string{"busybox", "nginx", "redis", "qbittorrent", "transmission", "lighttpd", "layers", "big"} {
		if one, two := get(name+":latest"), get(name+":2"); len(two.RootFS.DiffIDs) != len(one.RootFS.DiffIDs)+1 {
			t.Errorf("%s: the tag 2 is no update of latest", name)
		}
	}
	for script, want := range map[string]string{
		"podman run --rm localhost:5000/layers":                                         "layers ok",
		"podman run --rm localhost:5000/busybox:2 cat /etc/image-version":               "2",
		"podman run --rm localhost:5000/nginx:latest readlink /var/log/nginx/error.log": "/docker-entrypoint.sh: ready for start up\n/dev/stderr",
		"podman run --rm localhost:5000/redis id -u":                                    "999",
	} {
		if got := l.MustRun("alice", script+" 2>/dev/null"); got != want {
			t.Errorf("%s: got %q, want %q", script, got, want)
		}
	}
	if _, _, code := l.Run("alice", "skopeo inspect docker://busybox"); code == 0 {
		t.Error("a short name found an image")
	}
}

func TestLabThrottle(t *testing.T) {
	l := Boot(t, Options{Bare: true})
	blob := l.MustRun("root", `skopeo inspect docker://localhost:5000/big | jq -r '.Layers[-1]'`)
	l.MustRun("root", "systemd-run --quiet --unit=slow podunit-lab throttle --rate 1000000")
	l.Eventually("root", "curl -fsS localhost:5001/v2/", time.Minute)
	start := time.Now()
	n := l.MustRun("root", "curl -fsS --range 0-1999999 localhost:5001/v2/big/blobs/"+blob+" | wc -c")
	if took := time.Since(start); n != "2000000" || took < 1500*time.Millisecond {
		t.Errorf("%s bytes in %v at 1 MB/s", n, took)
	}
	l.MustRun("root", "systemctl stop slow; systemd-run --quiet --unit=stall podunit-lab throttle --stall-after 100000")
	l.Eventually("root", "curl -fsS localhost:5001/v2/", time.Minute)
	n = l.MustRun("root", "curl -s --max-time 2 localhost:5001/v2/big/blobs/"+blob+" | wc -c")
	if got, err := strconv.Atoi(n); err != nil || got > 100_000 {
		t.Errorf("%s bytes passed a stall after 100000", n)
	}
}

// Two labs do not see each other, and a registry that one writes to is not the other's.
func TestLabTwo(t *testing.T) {
	a := Boot(t, Options{Bare: true, Name: "one-" + fmt.Sprint(os.Getpid())})
	b := Boot(t, Options{Bare: true, Name: "two-" + fmt.Sprint(os.Getpid())})
	if a.Machine.Address() == b.Machine.Address() {
		t.Fatalf("both have %s", a.Machine.Address())
	}
	a.MustRun("root", "skopeo copy -q docker://localhost:5000/busybox:2 docker://localhost:5000/busybox:only-here")
	if _, _, code := b.Run("root", "skopeo inspect docker://localhost:5000/busybox:only-here"); code == 0 {
		t.Error("what one pushed, the other has")
	}
	a.MustRun("alice", "echo a >mine")
	if _, _, code := b.Run("alice", "test -e mine"); code == 0 {
		t.Error("homes are shared")
	}
	a.PowerCut()
	b.MustRun("alice", "systemctl --user is-system-running --wait")
}

// TestLabDriverKilled runs itself as the driver of a lab, kills it, and looks for remains.
func TestLabDriverKilled(t *testing.T) {
	if os.Getenv("PODUNIT_LAB_VICTIM") != "" {
		l := Boot(t, Options{Bare: true, NoImages: true, Name: os.Getenv("PODUNIT_LAB_VICTIM")})
		fmt.Println("victim up", l.Machine.Address())
		time.Sleep(time.Minute)
		return
	}
	Boot(t, Options{Off: true, Bare: true, NoImages: true}) // skips without root, builds what the victim needs
	name := fmt.Sprintf("victim-%d", os.Getpid())
	cmd := exec.Command(os.Args[0], "-test.run=^TestLabDriverKilled$", "-test.v")
	cmd.Env = append(os.Environ(), "PODUNIT_LAB_VICTIM="+name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	up := false
	for s := bufio.NewScanner(out); s.Scan(); {
		if strings.Contains(s.Text(), "victim up") {
			up = true
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	if !up {
		t.Fatal("the victim did not come up")
	}
	c, err := cache.Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := machine.GC(c, t.Output()); err != nil {
		t.Fatal(err)
	}
	// The watcher may be at it at the same time.
	var left []string
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if left = remains(name); len(left) == 0 {
			return
		}
	}
	t.Errorf("left: %s", strings.Join(left, ", "))
}

// remains of a lab on the host: directory, mounts, processes, cgroups.
func remains(name string) (left []string) {
	for _, pattern := range []string{
		filepath.Join(os.Getenv("HOME"), ".cache/podunit-lab/labs", name),
		"/sys/fs/cgroup/podunit-lab-" + name, "/sys/fs/cgroup/*/podunit-lab-" + name,
		"/sys/fs/cgroup/machine.slice/podunit-lab-" + name + ".scope",
	} {
		found, _ := filepath.Glob(pattern)
		left = append(left, found...)
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	if strings.Contains(string(mounts), "labs/"+name) {
		left = append(left, "a mount")
	}
	cmdlines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range cmdlines {
		data, _ := os.ReadFile(f)
		if strings.Contains(string(data), "--machine="+name) {
			left = append(left, f)
		}
	}
	return left
}
