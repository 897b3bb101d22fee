// SPDX-License-Identifier: Apache-2.0

//go:build lab

package registry

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/download"
)

// slow is a registry in the lab that serves as slowly as a throttle says.
const slow = "localhost:5001"

// slowRegistry starts a throttle before the lab's registry, for alice.
func slowRegistry(l *labtest.Lab, flags string) {
	l.WriteFile("alice", ".config/containers/registries.conf.d/slow.conf", fmt.Sprintf("[[registry]]\nlocation = %q\ninsecure = true\n", slow))
	l.Run("alice", "systemctl --user stop slow-registry; systemctl --user reset-failed")
	l.MustRun("alice", "systemd-run --quiet --user --unit slow-registry podunit-lab throttle --listen 127.0.0.1:5001 "+flags)
	l.Eventually("alice", "bash -c 'exec 3<>/dev/tcp/127.0.0.1/5001'", time.Minute)
}

// clean fails when a pull has left something beyond what the next one goes on with. A
// layer that was being unpacked is removed by whoever opens the storage next.
func clean(t *testing.T, l *labtest.Lab, user string) {
	t.Helper()
	l.MustRun(user, "podunit images")
	if left := l.MustRun(user, `find ~/.local/share/containers/storage/tmp/podunit-$(id -u) -mindepth 1 -path '*/pull-*'`); left != "" {
		t.Errorf("half-written files are left:\n%s", left)
	}
	// Every layer on disk is one that the storage knows.
	left := l.MustRun(user, `cd ~/.local/share/containers/storage/overlay && for d in *; do
		case $d in l|tempdirs) continue;; esac; grep -q "\"$d\"" ../overlay-layers/layers.json || echo $d; done; ls tempdirs`)
	if left != "" {
		t.Errorf("half-written layers are left:\n%s", left)
	}
}

func TestLabPull(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{})

	t.Run("a unit's start timeout does not end a pull that moves", func(t *testing.T) {
		const limit = 8 * time.Second // long enough that a busy machine has begun the pull by then
		slowRegistry(l, "--rate 4000000")
		begun := time.Now()
		l.MustRun("alice", fmt.Sprintf("systemd-run --user --quiet --no-block --unit pull -p Type=oneshot -p RemainAfterExit=yes -p NotifyAccess=all -p TimeoutStartSec=%g podunit pull "+slow+"/big", limit.Seconds()))
		l.Eventually("alice", `systemctl --user show -P StatusText pull | grep -E '^pulling `+slow+`/big:latest: [0-9.]+ of [0-9.]+ MB$'`, time.Minute)
		l.Eventually("alice", "systemctl --user is-active --quiet pull", 2*time.Minute)
		if took := time.Since(begun); took < limit {
			t.Errorf("it took only %s: this proves nothing", took)
		}
		l.MustRun("alice", "podunit image exists "+slow+"/big")
		l.MustRun("alice", "systemctl --user stop pull; podunit rmi "+slow+"/big")
	})

	t.Run("a registry that falls silent fails the unit and is named", func(t *testing.T) {
		slowRegistry(l, "--rate 4000000 --stall-after 3000000")
		_, _, code := l.Run("alice", "systemd-run --user --quiet --wait --unit silent -p Type=oneshot -p NotifyAccess=all -E "+image.StallEnv+"=3s podunit pull "+slow+"/big")
		if code == 0 {
			t.Error("it succeeds")
		}
		l.Eventually("alice", "journalctl --user -u silent -o cat | grep 'registry "+slow+": no byte received for 3s'", time.Minute)
		clean(t, l, "alice")
	})

	t.Run("a stop ends it at once, and the next pull goes on", func(t *testing.T) {
		l.Run("alice", "podunit rmi -a -f; podunit image prune -f")
		raw := l.MustRun("alice", `skopeo inspect --raw docker://localhost:5000/qbittorrent`)
		var m v1.Manifest
		if err := json.Unmarshal([]byte(raw), &m); err != nil || len(m.Layers) < 3 {
			t.Fatalf("%v: %s", err, raw)
		}
		slowRegistry(l, "--rate 6000000")
		l.MustRun("alice", "systemd-run --user --quiet --no-block --unit cut -p Type=oneshot -p NotifyAccess=all podunit pull "+slow+"/qbittorrent")
		// The small ones are complete first: all share the rate.
		l.Eventually("alice", "test -e ~/.local/share/containers/storage/tmp/podunit-1000/blobs/"+m.Layers[1].Digest.String()+download.Unverified, 60*time.Second)
		begun := time.Now()
		l.MustRun("alice", "systemctl --user stop cut")
		if took := time.Since(begun); took > l.Promptly() {
			t.Errorf("the stop took %s", took)
		}
		clean(t, l, "alice")
		before := received(t, l)
		l.MustRun("alice", "podunit pull -q localhost:5000/qbittorrent")
		got := int64(received(t, l) - before)
		all, last := int64(0), m.Layers[len(m.Layers)-1].Size
		for _, layer := range m.Layers {
			all += layer.Size
		}
		t.Logf("of %d bytes in %d layers, the last of %d, the second pull received %d", all, len(m.Layers), last, got)
		if got > last+last/20 { // headers and acknowledgements count as well
			t.Errorf("the second pull received %d bytes, the layer that was not complete has %d", got, last)
		}
		clean(t, l, "alice")
	})

	t.Run("killed at any moment, nothing half-written stays", func(t *testing.T) {
		l.Run("alice", "podunit rmi -a -f; podunit image prune -f")
		for _, after := range []string{"0.05", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6"} {
			l.Run("alice", "podunit pull -q localhost:5000/qbittorrent & p=$!; sleep "+after+"; kill -9 $p")
		}
		l.MustRun("alice", "podunit pull -q localhost:5000/qbittorrent")
		clean(t, l, "alice")
		// Whole blobs of a pull that was killed are kept for a day: a later one needs them.
		if left := l.MustRun("alice", "find ~/.local/share/containers/storage/tmp/podunit-1000 -type f -not -path '*/blobs/*'"); left != "" {
			t.Errorf("left: %s", left)
		}
		whole := l.MustRun("alice", "cd ~/.local/share/containers/storage/tmp/podunit-1000/blobs 2>/dev/null || exit 0; for f in *; do test ! -e $f || printf '%s  %s\\n' ${f#sha256:} $f; done | sha256sum --check --quiet --status 2>/dev/null || ls | wc -l")
		if whole != "" && whole != "0" {
			t.Errorf("a blob that is kept is not whole: %s", whole)
		}
	})

	t.Run("two at once download once", func(t *testing.T) {
		l.Run("alice", "podunit rmi -a -f; podunit image prune -f")
		slowRegistry(l, "--rate 8000000")
		size, _ := strconv.Atoi(l.MustRun("alice", `skopeo inspect --raw docker://localhost:5000/big | grep -o '"size":[0-9]*' | tail -1 | cut -d: -f2`))
		before := received(t, l)
		l.MustRun("alice", "podunit pull -q --policy missing "+slow+"/big & podunit pull -q --policy missing "+slow+"/big; wait $!")
		// Each byte crosses the loopback twice: to the throttle, and from it.
		if got := received(t, l) - before; got > 3*size {
			t.Errorf("%d bytes crossed the loopback for a layer of %d", got, size)
		}
	})
}

// received is what the lab's loopback has carried.
func received(t *testing.T, l *labtest.Lab) int {
	t.Helper()
	n, err := strconv.Atoi(l.MustRun("alice", "cat /sys/class/net/lo/statistics/rx_bytes"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLabMachines(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{})
	for _, c := range []struct {
		name, user, script string
		want               string // in the output
		status             int
	}{
		{
			"a full disk under the storage", "root",
			`d=/home/bob/.local/share/containers; mkdir -p $d; chown -R bob: /home/bob/.local
			mount -t tmpfs -o size=30m,uid=1001,gid=1001,mode=700 tmpfs $d
			runuser -l bob -c 'podunit pull -q localhost:5000/qbittorrent'; s=$?
			find $d/storage/overlay -mindepth 1 -maxdepth 1 -type d ! -name l ! -name tempdirs; umount $d; exit $s`,
			"no space left on the disk of /home/bob/.local/share/containers/storage\n  hint: nothing of the pull was kept", 125,
		},
		{
			"a full disk for downloads", "root",
			`mount -t tmpfs -o size=5m,uid=1001,gid=1001,mode=700 tmpfs /mnt
			runuser -l bob -c 'TMPDIR=/mnt podunit pull -q localhost:5000/qbittorrent'; s=$?
			find /mnt -type f; umount /mnt; exit $s`,
			"no space left on the disk of /mnt\n", 125,
		},
		{
			"a read-only home", "root",
			`mount --bind /home/bob /home/bob; mount -o remount,ro,bind /home/bob
			runuser -l bob -c 'podunit pull -q localhost:5000/busybox'; s=$?; umount /home/bob; exit $s`,
			"read-only file system\n  hint: the file system is read-only; put the storage elsewhere", 125,
		},
		{
			"no directory for runtime state", "root",
			`mkdir -m 777 /tmp/podunit-run-1003; runuser -u dave -- env -u XDG_RUNTIME_DIR HOME=/home/dave podunit pull -q localhost:5000/busybox; s=$?
			ls -A /tmp/podunit-run-1003; rmdir /tmp/podunit-run-1003; exit $s`,
			"error: no directory for runtime state: /run/user/1003 is not there\n  hint: a login makes it", 125,
		},
		{
			"a system unit of a user", "root",
			`systemd-run --quiet --wait --pipe -p User=dave -p Requires=user-runtime-dir@1003.service -p After=user-runtime-dir@1003.service \
				sh -c 'podunit pull -q localhost:5000/busybox >/dev/null; podunit images -n; stat -c "%U %a" /run/user/1003'`,
			"localhost:5000/busybox", 0,
		},
		{
			"root", "root",
			`podunit pull -q localhost:5000/busybox >/dev/null; podunit images -n; podman images -n`,
			"localhost:5000/busybox", 0,
		},
		{"a name that isn't there", "alice", `podunit pull localhost:5000/nosuch`, "registry localhost:5000 does not have it", 125},
		{"a registry that isn't there", "alice", `podunit pull localhost:5009/nginx`, "registry localhost:5009 is unreachable: connection refused", 125},
		{"plain HTTP", "alice", `podunit pull --tls-verify=true localhost:5000/nginx`, "registry localhost:5000 speaks plain HTTP", 125},
		{"a short name", "alice", `podunit pull nginx`, "docker.io/library/nginx, if Docker Hub is meant", 125},
		{
			"a volume's life", "alice",
			`podunit volume create --label a=b data && podunit volume create --ignore data && podunit volume ls && podunit volume inspect -f '{{.Mountpoint}} {{.Labels.a}}' data && podunit volume rm data && podunit volume exists data`,
			"/home/alice/.local/share/containers/storage/volumes/data/_data b", 1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, code := l.Run(c.user, c.script)
			if out := stdout + stderr; code != c.status || !strings.Contains(out, c.want) {
				t.Errorf("status %d, want %d; want %q in\n%s", code, c.status, c.want, out)
			}
		})
	}
}
