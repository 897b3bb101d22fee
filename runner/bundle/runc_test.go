// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/pflag"
)

// container parses a command line.
func container(t testing.TB, args ...string) *spec.Container {
	t.Helper()
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	flags := spec.ContainerFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	c, err := flags.Container(fs.Args(), spec.Host{Dir: "/"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// resolved stands in for the work on volumes.
func resolved(c *spec.Container) []Mount {
	var ms []Mount
	for _, m := range c.Mounts {
		ms = append(ms, Mount{Mount: m, Path: m.Source})
	}
	return ms
}

// busybox makes a root file system of a static busybox.
func busybox(t testing.TB) string {
	t.Helper()
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("needs busybox-static on this machine")
	}
	// The way there must be open to users of a user namespace.
	dir, err := os.MkdirTemp("", "podunit-bundle-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "rootfs")
	for _, dir := range []string{"bin", "etc", "tmp", "var/tmp", "root", "home/app", "proc", "sys", "dev", "run"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
		"etc/group":  "root:x:0:\ntty:x:5:\nvideo:x:44:app\napp:x:1000:\n",
		"etc/seed":   "seed\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "bin/busybox"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, applet := range []string{"sh", "cat", "id", "env", "mount", "ls", "stat", "touch", "ulimit", "hostname", "pwd", "grep", "date", "sleep", "unshare"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", applet)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// runc runs a configuration to its end and returns what it wrote.
func runc(t *testing.T, config *rspec.Spec) string {
	t.Helper()
	dir := t.TempDir()
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	id := fmt.Sprintf("podunit-bundle-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	cmd := exec.CommandContext(ctx, "runc", "--root", filepath.Join(dir, "state"), "run", "--bundle", dir, id)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return out.String()
}

// TestRunc has the real runtime take what Build makes.
func TestRunc(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skip("needs runc")
	}
	host, err := Probe(false, false)
	if err != nil {
		t.Fatal(err)
	}
	root := busybox(t)
	data := t.TempDir()
	for name, tc := range map[string]struct {
		args []string
		want []string // each must be a part of the output
		not  []string
	}{
		"root has the default capabilities": {
			args: []string{"x", "grep", "Cap", "/proc/self/status"},
			want: []string{"CapBnd:\t00000000800405fb", "CapEff:\t00000000800405fb", "CapInh:\t0000000000000000"},
		},
		"a user has none, but may keep one that was added": {
			args: []string{"--user", "app", "--cap-add", "net_raw", "x", "sh", "-c", "id; grep Cap /proc/self/status; env"},
			want: []string{"uid=1000(app) gid=1000(app) groups=44(video),1000(app)", "CapEff:\t0000000000002000", "CapAmb:\t0000000000002000", "HOME=/home/app", "container=podman"},
		},
		"everything dropped": {
			args: []string{"--cap-drop", "all", "--security-opt", "no-new-privileges", "x", "grep", "-E", "Cap|NoNew|Seccomp", "/proc/self/status"},
			want: []string{"CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"},
		},
		"a read-only root with its tmpfs": {
			args: []string{"--read-only", "x", "sh", "-c", "touch /etc/a; touch /tmp/b && touch /run/c && echo written; cat /etc/seed"},
			want: []string{"touch: /etc/a: Read-only file system", "written", "seed"},
		},
		"a tmpfs begins with what the image has": {
			args: []string{"--tmpfs", "/etc:size=1m,mode=755", "x", "sh", "-c", "cat /etc/seed; grep ' /etc ' /proc/mounts"},
			want: []string{"seed", "size=1024k", "mode=755", "nosuid"},
		},
		"a bind mount, read-only": {
			args: []string{"-v", data + ":/data:ro", "x", "sh", "-c", "touch /data/a; grep ' /data ' /proc/mounts"},
			want: []string{"Read-only file system", "ro,"},
		},
		"limits of files, a mask, a hostname, a directory": {
			args: []string{"--ulimit", "nofile=100:200", "--umask", "0027", "-w", "/home/app", "x", "sh", "-c", "ulimit -Sn; ulimit -Hn; umask; hostname; pwd"},
			want: []string{"100\n200\n0027\nbox\n/home/app\n"},
		},
		"paths masked and shown": {
			args: []string{"--security-opt", "mask=/etc/seed", "--security-opt", "unmask=/proc/keys", "x", "sh", "-c", "stat -c %t,%T /etc/seed; grep -c /proc/keys /proc/mounts; grep -c /proc/timer_list /proc/mounts"},
			want: []string{"1,3\n0\n1\n"},
		},
		"a time zone": {
			args: []string{"--tz", "Asia/Tokyo", "x", "date", "-d", "@0", "+%Z%H"},
			want: []string{"JST09"},
		},
		"privileged": {
			args: []string{"--privileged", "x", "sh", "-c", "grep -E 'Seccomp:' /proc/self/status; grep ' /sys ' /proc/mounts; grep -c /proc/timer_list /proc/mounts; true"},
			want: []string{"Seccomp:\t0", "sysfs rw,", "\n0\n"},
		},
		"a device": {
			args: []string{"--device", "/dev/kmsg:/dev/log9:r", "x", "stat", "-c", "%t,%T", "/dev/log9"},
			want: []string{"1,b"},
		},
		"a kernel parameter": {
			args: []string{"--sysctl", "net.ipv4.ip_unprivileged_port_start=80", "x", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"},
			want: []string{"80\n"},
		},
		"a user namespace of its own": {
			args: []string{"--uidmap", "0:100000:1000", "x", "cat", "/proc/self/uid_map"},
			want: []string{"0     100000       1000"},
		},
		"nothing can be mounted": {
			args: []string{"x", "sh", "-c", "mount -t tmpfs none /tmp 2>&1; true"},
			want: []string{"permission denied"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := container(t, append([]string{"--name", "box"}, tc.args...)...)
			in := Input{ID: "0123456789ab", Spec: c, Image: &v1.ImageConfig{Env: []string{"PATH=/bin"}}, Rootfs: root, Host: host,
				Hostname: "box", Mounts: resolved(c), Cgroup: Cgroup{Path: "/podunit-bundle-test/" + strings.ReplaceAll(t.Name(), "/", "-")}}
			for _, m := range c.UIDMap {
				in.UIDMap, in.GIDMap = append(in.UIDMap, m.IDRange), append(in.GIDMap, m.IDRange)
			}
			if err := in.SetTimezone(0, 0); err != nil {
				t.Fatal(err)
			}
			config, warnings, err := Build(in)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range warnings {
				t.Error("warning: " + w)
			}
			out := runc(t, config)
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in:\n%s", want, out)
				}
			}
		})
	}
}
