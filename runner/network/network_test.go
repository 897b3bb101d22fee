// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/pkg/config"
	"golang.org/x/sys/unix"
)

func port(t *testing.T, s string) spec.PortMapping {
	t.Helper()
	m, err := spec.ParsePort(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestArgs(t *testing.T) {
	const tail = " --no-netns-quit --pid P --netns N"
	for _, tt := range []struct {
		name  string
		extra []string
		ports []string
		root  bool
		want  string
	}{
		{"nothing published", nil, nil, false,
			"--config-net -t none -u none -T none -U none --dns-forward 169.254.1.1 --no-map-gw --map-guest-addr 169.254.1.2 --quiet"},
		{"ports of both protocols", nil, []string{"8080:80", "127.0.0.1:53:5353/udp", "[::1]:9000-9002:9000-9002"}, false,
			"--config-net -t 8080:80 -u 127.0.0.1/53:5353 -t ::1/9000-9002:9000-9002 -T none -U none " +
				"--dns-forward 169.254.1.1 --no-map-gw --map-guest-addr 169.254.1.2 --quiet"},
		{"what the user settles is not settled again",
			[]string{"--map-gw", "-T", "5432", "--dns-forward", "10.0.0.1", "--map-guest-addr=10.0.0.2", "--debug"}, nil, false,
			"--config-net -T 5432 --dns-forward 10.0.0.1 --map-guest-addr=10.0.0.2 --debug -t none -u none -U none"},
		{"root's runs as a user of its own", nil, nil, true,
			"--config-net -t none -u none -T none -U none --dns-forward 169.254.1.1 --no-map-gw --map-guest-addr 169.254.1.2 --quiet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var ports []spec.PortMapping
			for _, p := range tt.ports {
				ports = append(ports, port(t, p))
			}
			a := args(tt.extra, ports, "N", "P", tt.root)
			if got := strings.Join(a.words, " "); got != tt.want+tail {
				t.Errorf("got  %s\nwant %s", got, tt.want+tail)
			}
		})
	}
	a := args([]string{"--dns-forward=10.0.0.1"}, nil, "N", "P", false)
	if len(a.dns) != 1 || a.dns[0] != "10.0.0.1" {
		t.Errorf("dns %v", a.dns)
	}
	a = args([]string{"--pid", "/a", "-4", "--pid=/b", "-P", "/c"}, nil, "N", "P", false)
	if got := strings.Join(a.words, " "); strings.Count(got, "--pid") != 1 || !strings.Contains(got, "--config-net -4 -t") || !strings.HasSuffix(got, tail) || !slices.Equal(a.pids, []string{"/a", "/b", "/c"}) {
		t.Errorf("files for the process ID: %s, %q", got, a.pids)
	}
}

// TestPIDFile writes pasta's process ID where the user wants it, and where Release looks for it.
func TestPIDFile(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	dir, bin := t.TempDir(), t.TempDir()
	wanted := filepath.Join(dir, "wanted")
	// It has ended by the time that it is looked for, as far as anybody can tell.
	fake := "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in --pid) echo 4194305 >$2 ;; esac; shift; done\n"
	if err := os.WriteFile(filepath.Join(bin, "pasta"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	if !reexec(t, false) {
		return
	}
	n, err := Start(context.Background(), Request{
		Network: spec.Network{Mode: spec.NetPasta, Options: []string{"--pid", wanted}}, Dir: dir, Config: &config.Config{},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := n.Wait(context.Background(), "")
	if err != nil || r.PastaPID != 4194305 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, path := range []string{wanted, filepath.Join(dir, pidFile)} {
		if b, err := os.ReadFile(path); err != nil || string(b) != "4194305\n" {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

func TestFitting(t *testing.T) {
	six := []spec.PortMapping{port(t, "80:80"), port(t, "[::1]:81:81")}
	for _, tt := range []struct {
		name  string
		ports []spec.PortMapping
		extra []string
		r     routes
		want  string
	}{
		{"no IPv6 port", six[:1], nil, routes{default4: "eth0"}, ""},
		{"no IPv6 route", six, nil, routes{default4: "eth0", any4: "eth1"}, "--outbound-if6 eth0 -a fd00::3 -g fd00::1"},
		{"no default route", six[:1], nil, routes{any4: "eth1"}, "-a 169.254.2.1 -n 16 -g 169.254.2.2"},
		{"neither", six, nil, routes{any4: "eth1"}, "-a 169.254.2.1 -n 16 -g 169.254.2.2 --outbound-if6 eth1 -a fd00::3 -g fd00::1"},
		{"no route at all", six, nil, routes{}, ""},
		{"an IPv6 route", six, nil, routes{default4: "eth0", default6: "eth0"}, ""},
		{"the user settles it", six, []string{"-a", "fd01::2"}, routes{default4: "eth0"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(fitting(tt.ports, tt.extra, tt.r), " "); got != tt.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestAddressed(t *testing.T) {
	ports := []spec.PortMapping{port(t, "80:80"), port(t, "[::1]:81:81")}
	for _, tt := range []struct {
		r    routes
		want string
	}{
		{routes{}, "0.0.0.0/80:80 ::1/81:81"},
		{routes{any4: "eth0"}, "80:80 ::1/81:81"},
		{routes{any6: "eth0"}, "80:80 ::1/81:81"},
	} {
		var got []string
		for _, p := range addressed(ports, tt.r) {
			got = append(got, portArg(p))
		}
		if got := strings.Join(got, " "); got != tt.want {
			t.Errorf("%+v: got %s", tt.r, got)
		}
	}
	if ports[0].HostIP.IsValid() {
		t.Error("what the user asked for is changed")
	}
}

func TestLastWords(t *testing.T) {
	out := "Failed to send 46 bytes to syslog\nNo external routable interface for IPv4\nFailed to send 9 bytes to syslog\nUsage: pasta\n  -d"
	if got := lastWords([]byte(out)); got != "No external routable interface for IPv4" {
		t.Errorf("got %q", got)
	}
}

func TestAssignPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port

	var inUse PortInUseError
	for _, s := range []string{fmt.Sprintf("%d:80", taken), fmt.Sprintf("127.0.0.1:%d-%d:80-81", taken-1, taken)} {
		_, err = AssignPorts([]spec.PortMapping{port(t, s)})
		if !errors.As(err, &inUse) || int(inUse.Port) != taken {
			t.Errorf("%s: got %v", s, err)
		}
	}
	if want := fmt.Sprintf("network.test (PID %d)", os.Getpid()); !strings.Contains(inUse.Error(), want) {
		t.Errorf("%q does not name %s", inUse.Error(), want)
	}

	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	udp := u.LocalAddr().(*net.UDPAddr).Port
	if _, err := AssignPorts([]spec.PortMapping{port(t, fmt.Sprintf("%d:80/udp", udp))}); !errors.As(err, &inUse) {
		t.Errorf("udp: got %v", err)
	}
	if _, err := AssignPorts([]spec.PortMapping{port(t, fmt.Sprintf("127.0.0.1:%d:80/tcp", udp))}); err != nil && !errors.As(err, &inUse) {
		t.Errorf("the same number of the other protocol: %v", err)
	}

	got, err := AssignPorts([]spec.PortMapping{port(t, "80"), port(t, "127.0.0.1::90-93"), port(t, "53/udp")})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range got {
		if m.HostPort == 0 {
			t.Errorf("%s has no host port", m)
		}
	}
	free := got[0].HostPort
	_, err = AssignPorts([]spec.PortMapping{{HostPort: free, ContainerPort: 80, Range: 1, Protocol: "tcp"}, {HostPort: free, ContainerPort: 81, Range: 1, Protocol: "tcp"}})
	if err == nil || !strings.Contains(err.Error(), "the same on the host") {
		t.Errorf("one host port twice: %v", err)
	}
}

func TestLowPort(t *testing.T) {
	if data, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err != nil || strings.TrimSpace(string(data)) == "0" || os.Getuid() == 0 {
		t.Skip("every port is open to this user")
	}
	var denied PortDeniedError
	if _, err := AssignPorts([]spec.PortMapping{port(t, "79:80")}); !errors.As(err, &denied) || denied.Port != 79 {
		t.Errorf("got %v", err)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base")
	if err := os.WriteFile(base, []byte("10.9.9.9 base # comment\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := Result{Path: "/run/x/netns", IPs: []netip.Addr{netip.MustParseAddr("10.0.2.15")}, DNS: []string{"169.254.1.1"}, Host: "169.254.1.2"}
	entry := func(s string) spec.HostEntry {
		e, err := spec.ParseHostEntry(s)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	conf := &config.Config{}
	path := filepath.Join(dir, "hosts")
	h := Hosts{Base: base, Entries: []spec.HostEntry{entry("db;db2:10.1.1.1"), entry("gw:host-gateway"), entry("six:[fd00::1]")}, Names: []string{"web", "systemd-web"}}
	if err := h.write(path, r, "", conf); err != nil {
		t.Fatal(err)
	}
	want := "10.1.1.1\tdb db2\n169.254.1.2\tgw\nfd00::1\tsix\n10.9.9.9\tbase\n127.0.0.1\tlocalhost\n::1\tlocalhost\n" +
		"169.254.1.2\thost.containers.internal host.docker.internal\n10.0.2.15\tweb systemd-web\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("hosts, %v:\n%s\nwant\n%s", err, got, want)
	}
	r.Host = ""
	var none NoHostAddressError
	if err := h.write(path, r, "", conf); !errors.As(err, &none) {
		t.Errorf("host-gateway without one: %v", err)
	}

	path = filepath.Join(dir, "resolv.conf")
	if err := (Resolver{Servers: []string{"9.9.9.9"}, Search: []string{"."}, Options: []string{"ndots:2"}}).write(path, r, conf); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "nameserver 9.9.9.9\noptions ndots:2\n" {
		t.Errorf("resolv.conf, %v:\n%s", err, got)
	}
	if err := (Resolver{}).write(path, r, conf); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !strings.Contains(string(got), "nameserver 169.254.1.1\n") {
		t.Errorf("resolv.conf of the host, %v:\n%s", err, got)
	}
}

// TestHostileHostsOfTheImage has an image whose file is none: a pipe would hold the start for ever.
func TestHostileHostsOfTheImage(t *testing.T) {
	given := filepath.Join(t.TempDir(), "given")
	if err := unix.Mkfifo(given, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := (Hosts{Base: given}).write(filepath.Join(t.TempDir(), "hosts"), Result{}, "", &config.Config{}); !errors.Is(err, safe.ErrNotRegular) {
		t.Errorf("a file that is given: %v", err)
	}
	dir, rootfs := t.TempDir(), t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(rootfs, "etc"), 0o755), unix.Mkfifo(filepath.Join(rootfs, "etc/hosts"), 0o644)); err != nil {
		t.Fatal(err)
	}
	err := Hosts{Base: "image"}.write(filepath.Join(dir, "hosts"), Result{}, rootfs, &config.Config{})
	if err == nil || !strings.Contains(err.Error(), "hosts: of the image: read /etc/hosts: it is not a regular file but a pipe") {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(rootfs, "etc/hosts")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(rootfs, "etc/hosts"), []byte("10.8.8.8 a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := (Hosts{Base: "image"}).write(filepath.Join(dir, "hosts"), Result{}, rootfs, &config.Config{}); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*"+givenHosts)); err != nil || len(left) != 0 {
		t.Errorf("left is %q, %v", left, err)
	}
}

// TestHostsOfTheImage begins with the image's file and never with the host's.
func TestHostsOfTheImage(t *testing.T) {
	dir, rootfs := t.TempDir(), t.TempDir()
	image := filepath.Join(rootfs, "etc/hosts")
	if err := errors.Join(os.Mkdir(filepath.Dir(image), 0o755), os.WriteFile(image, []byte("10.8.8.8 of-the-image\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	hosts := func(base, rootfs string) string {
		t.Helper()
		n, err := Start(context.Background(), Request{
			Network: spec.Network{Mode: spec.NetHost}, Dir: t.TempDir(), Files: dir, Config: &config.Config{}, Hosts: &Hosts{Base: base, Names: []string{"web"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, hostsFile)
		if b, err := os.ReadFile(path); err != nil || len(b) > 0 {
			t.Errorf("to be bound: %q, %v", b, err)
		}
		if _, err := n.Wait(context.Background(), rootfs); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err := errors.Join(err, n.Close()); err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := hosts("image", rootfs); !strings.Contains(got, "10.8.8.8\tof-the-image\n") || !strings.Contains(got, "\tweb\n") {
		t.Errorf("got\n%s", got)
	}
	none := hosts("none", rootfs)
	for name, root := range map[string]string{"a pod, without a root": "", "an image without the file": t.TempDir()} {
		if got := hosts("image", root); got != none {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, none)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, resolvFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a resolv.conf that nobody wanted: %v", err)
	}
}

func TestHostServers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		v6    bool
		want  string
	}{
		{"plain", map[string]string{"/etc/resolv.conf": "# x\nnameserver 10.0.0.1\nnameserver fd00::1\nnameserver fe80::1%eth0\n"}, true, "10.0.0.1 fd00::1"},
		{"no IPv6 inside", map[string]string{"/etc/resolv.conf": "nameserver 10.0.0.1\nnameserver fd00::1\n"}, false, "10.0.0.1"},
		{"systemd-resolved", map[string]string{"/etc/resolv.conf": "nameserver 127.0.0.53\n", "/run/systemd/resolve/resolv.conf": "nameserver 10.0.0.2\n"}, false, "10.0.0.2"},
		{"a local server only", map[string]string{"/etc/resolv.conf": "nameserver 127.0.0.1\n"}, false, ""},
		{"nothing", nil, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			read := func(path string) ([]byte, error) {
				if text, ok := tt.files[path]; ok {
					return []byte(text), nil
				}
				return nil, os.ErrNotExist
			}
			if got := strings.Join(hostServers(read, tt.v6), " "); got != tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	ctx := context.Background()
	for _, mode := range []string{spec.NetNone, spec.NetHost} {
		var publish PublishError
		_, err := Start(ctx, Request{Network: spec.Network{Mode: mode}, Ports: []spec.PortMapping{port(t, "80:80")}, Config: &config.Config{}})
		if !errors.As(err, &publish) || publish.Hint() == "" {
			t.Errorf("%s with ports: %v", mode, err)
		}
	}
	_, err := Start(ctx, Request{Network: spec.Network{Mode: spec.NetNS, Path: "/etc/hostname"}, Config: &config.Config{}})
	if err == nil || !strings.Contains(err.Error(), "not a network namespace") {
		t.Errorf("a file as a namespace: %v", err)
	}
	if err := Release(t.TempDir()); err != nil {
		t.Errorf("release of nothing: %v", err)
	}
}

// inside names the test to run when this binary executes itself in namespaces of
// its own, which a process with threads cannot make for itself.
const inside = "PODUNIT_TEST_INSIDE"

// loopbackUp brings up the loopback device of the network namespace we are in.
func loopbackUp(t *testing.T) {
	t.Helper()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
}

// reexec runs the calling test again in a private mount namespace, also in a
// network namespace without any route if cut, and as root in a user namespace if
// it is not root. It reports whether this is that second run.
func reexec(t *testing.T, cut bool) bool {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	if _, err := exec.LookPath("pasta"); err != nil {
		t.Skip("needs pasta: apt install passt")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if cut {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	}
	if os.Getuid() != 0 {
		if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
			t.Skipf("needs /dev/net/tun: %v", err)
		} else {
			f.Close()
		}
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		t.Skipf("namespaces are not allowed here: %v", err)
	}
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "network_test.go") {
			t.Log(strings.TrimSpace(line))
		}
	}
	return false
}

// TestPasta publishes a port of a new namespace, talks through it, and takes all
// of it back.
func TestPasta(t *testing.T) {
	for _, tt := range []struct {
		name string
		cut  bool
		dir  string
	}{
		{"routed", false, "/tmp"},
		{"cut", true, "/tmp"},    // a machine without any route
		{"subnet", true, "/tmp"}, // one with a network but no default route
		{"elsewhere", false, "/dev/shm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !reexec(t, tt.cut) {
				return
			}
			if tt.cut {
				loopbackUp(t)
			}
			if tt.name == "subnet" {
				out, err := exec.Command("sh", "-c", "ip link add d0 type veth peer name d1 && ip addr add 10.99.0.2/24 dev d0 && ip link set d1 up && ip link set d0 up").CombinedOutput()
				if err != nil {
					t.Skipf("no device to test with: %v: %s", err, out)
				}
			}
			dir, err := os.MkdirTemp(tt.dir, "podunit-test-")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			for range 2 { // a second start in the same place
				pastaStory(t, dir, !tt.cut)
				if tt.name == "subnet" {
					pastaStory(t, dir, false, "10.99.0.2")
				}
			}
		})
	}
}

func pastaStory(t *testing.T, dir string, v6 bool, also ...string) {
	ports := []spec.PortMapping{port(t, "127.0.0.1::80")}
	for _, ip := range also {
		ports = append(ports, port(t, ip+"::80"))
	}
	// Before the first namespace is made: package net looks once whether there is
	// IPv6, and in a namespace of this very moment ::1 is not quite there yet.
	if l, err := net.Listen("tcp", "[::1]:0"); v6 && err == nil {
		l.Close()
		ports = append(ports, port(t, "[::1]::80"))
	}
	before := time.Now()
	p, err := Start(context.Background(), Request{
		Network: spec.Network{Mode: spec.NetPasta}, Ports: ports, Dir: dir,
		Root: !inUserNS(), Config: &config.Config{},
	})
	if err != nil {
		t.Fatal(err)
	}
	made := time.Since(before)
	r, err := p.Wait(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("namespace after %s, pasta after %s: %+v", made.Round(time.Microsecond), time.Since(before).Round(time.Microsecond), r)
	if len(r.IPs) == 0 || r.PastaPID == 0 || len(r.Ports) != len(ports) {
		t.Fatalf("result %+v", r)
	}
	ns, err := netns.Open(r.Path)
	if err != nil {
		t.Fatal(err)
	}
	serving := make(chan net.Listener, 1)
	err = netns.Do(ns, func() error {
		if data, err := os.ReadFile("/proc/sys/net/ipv4/ping_group_range"); err != nil || strings.Join(strings.Fields(string(data)), " ") != "0 0" {
			t.Errorf("ping_group_range %q, %v", data, err)
		}
		// One device leads out: the one we made, and no other of pasta's own.
		if devices, err := net.Interfaces(); err != nil || len(devices) != 2 {
			t.Errorf("devices %v, %v", devices, err)
		}
		l, err := net.Listen("tcp", ":80")
		serving <- l
		return err
	})
	ns.Close()
	if err != nil {
		t.Fatal(err)
	}
	l := <-serving
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "hello\n")
			// The other side closes first: pasta may drop the last words of one
			// that ends before it has connected both.
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	for _, p := range r.Ports {
		if r.Host != guestAddr && !p.HostIP.IsLoopback() {
			continue // Debian 12's pasta: from the machine itself through loopback only
		}
		c, err := net.DialTimeout("tcp", netip.AddrPortFrom(p.HostIP, p.HostPort).String(), time.Minute)
		if err != nil {
			t.Error(err)
			continue
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		if got, err := bufio.NewReader(c).ReadString('\n'); err != nil || got != "hello\n" {
			t.Errorf("through pasta on %s: %q, %v", p.HostIP, got, err)
		}
		c.Close()
	}

	// Somebody else wants the port.
	var inUse PortInUseError
	_, err = AssignPorts(r.Ports)
	if !errors.As(err, &inUse) || !strings.Contains(inUse.Holder, fmt.Sprintf("(PID %d)", r.PastaPID)) {
		t.Errorf("the port once more: %v", err)
	}

	if err := Release(dir); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left over: %v, %v", entries, err)
	}
	if s := procState(r.PastaPID); s != "" && s != "Z" && s != "X" {
		t.Errorf("pasta %d lives on: %s", r.PastaPID, s)
	}
	if err := Release(dir); err != nil {
		t.Errorf("once more: %v", err)
	}
}

func inUserNS() bool {
	data, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && !strings.Contains(string(data), "4294967295")
}

func procState(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(data), ") ")
	return rest[:min(1, len(rest))]
}

// TestInterrupted cancels while pasta is starting.
func TestInterrupted(t *testing.T) {
	if !reexec(t, false) {
		return
	}
	dir, err := os.MkdirTemp("/tmp", "podunit-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(context.Background())
	p, err := Start(ctx, Request{Network: spec.Network{Mode: spec.NetPasta}, Dir: dir, Root: !inUserNS(), Config: &config.Config{}})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := p.Wait(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

// TestOrphan is the end of a pasta whose runner was killed before the PID was there.
func TestOrphan(t *testing.T) {
	dir := t.TempDir()
	netns := filepath.Join(dir, netnsFile)
	if err := os.WriteFile(filepath.Join(dir, pidFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "read x", "pasta", netns)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(30*time.Millisecond, func() {
		_ = os.WriteFile(filepath.Join(dir, pidFile), fmt.Appendln(nil, cmd.Process.Pid), 0o600)
	})
	if err := stopPasta(dir); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.String() != "signal: killed" {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
}

func TestNoPasta(t *testing.T) {
	if !reexec(t, false) {
		return
	}
	t.Setenv("PATH", "/nonexistent")
	dir, err := os.MkdirTemp("/tmp", "podunit-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	p, err := Start(context.Background(), Request{Network: spec.Network{Mode: spec.NetPasta}, Dir: dir, Config: &config.Config{}})
	if err != nil {
		t.Fatal(err)
	}
	var missing NoPastaError
	if _, err := p.Wait(context.Background(), ""); !errors.As(err, &missing) || !strings.Contains(missing.Hint(), "passt") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(p.Path()); err != nil {
		t.Errorf("whoever uses the namespace has lost it: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

// TestPingers: what the containers.conf that everybody has says of the container's root is meant of
// the root of its own user namespace; what somebody has written is meant as it stands.
func TestPingers(t *testing.T) {
	last := func(conf *config.Config, ping int) (value string) {
		for _, s := range sysctls(conf, ping) {
			if s[0] == "net/ipv4/ping_group_range" {
				value = s[1]
			}
		}
		return value
	}
	conf, err := config.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	conf.Containers.DefaultSysctls.Set([]string{"net.ipv4.ping_group_range=0 0"})
	if got := last(conf, 0); got != "0 0" {
		t.Errorf("in our own user namespace: %q", got)
	}
	if got := last(conf, 7); got != "0 7" {
		t.Errorf("in one where 7 is root: %q", got)
	}
	conf.Containers.DefaultSysctls.Set([]string{"net.ipv4.ping_group_range=0 100"})
	if got := last(conf, 7); got != "0 100" {
		t.Errorf("configured: %q", got)
	}
}

// TestOldPasta: an option of ours that the program does not have in it is not tried, and the host
// has no address then. What a script executes may have it.
func TestOldPasta(t *testing.T) {
	old, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$@\" >"+script+".args\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]string{old: "-q", script: "--map-guest-addr 169.254.1.2 -q"} {
		a := pastaArgs{words: []string{"--map-guest-addr", guestAddr, "-q"}, host: []string{guestAddr}}
		if err := runPasta(context.Background(), program, &a); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(a.words, " "); got != want || (len(a.host) == 0) != (program == old) {
			t.Errorf("%s: %q, host %v", program, got, a.host)
		}
	}
	if got, err := os.ReadFile(script + ".args"); err != nil || string(got) != "--map-guest-addr 169.254.1.2 -q\n" {
		t.Errorf("the script was executed with %q, %v", got, err)
	}
}

// TestPastaOfDebian12WithoutRoute: where a port is published on an IPv6 address and the machine has
// no default route, it would leave IPv4 out and fail.
func TestPastaOfDebian12WithoutRoute(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "pasta")
	script := "#!/bin/sh\necho \"$@\" >>" + dir + "/words\n[ \"$1\" = -i ] && exit\n" +
		"echo No external routable interface for IPv4 >&2\necho \"Failed to bind any port for '-t 127.0.0.1/3999:80', exiting\" >&2\nexit 1\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	r := routes{any4: "eth7"}
	ports := []spec.PortMapping{port(t, "127.0.0.1:3999:80"), port(t, "[::1]:3998:80")}
	a := args(fitting(ports, nil, r), ports, "/netns", "/pid", false)
	if err := runPasta(context.Background(), program, &a); err != nil {
		t.Error(err)
	}
	words, err := os.ReadFile(filepath.Join(dir, "words"))
	if lines := strings.Split(strings.TrimSpace(string(words)), "\n"); err != nil || len(lines) != 2 || lines[1] != "-i eth7 "+lines[0] {
		t.Errorf("%q, %v", lines, err)
	}
	if err := os.WriteFile(program, []byte(strings.Replace(script, "[ ", "[ x", 1)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := runPasta(context.Background(), program, &a); !errors.As(err, &PastaError{}) {
		t.Errorf("it fails again: %v", err)
	}
}

// TestMayHavePasta: in its own namespace, or beside named networks for what is published, also where
// the pasta of the user's networks is to have the ports: it may not be told of them.
func TestMayHavePasta(t *testing.T) {
	for _, c := range []struct {
		mode   string
		bridge *netavark.Connection
		want   bool
	}{
		{spec.NetPasta, nil, true}, {spec.NetNone, nil, false}, {spec.NetHost, nil, false},
		{spec.NetBridge, &netavark.Connection{}, false}, {spec.NetBridge, &netavark.Connection{Routed: true}, true},
		{spec.NetBridge, &netavark.Connection{Forward: &netavark.Forward{}}, true},
	} {
		n := Network{req: Request{Network: spec.Network{Mode: c.mode}}, bridge: c.bridge}
		if got := n.MayHavePasta(); got != c.want {
			t.Errorf("%s, %+v: %t", c.mode, c.bridge, got)
		}
	}
}
