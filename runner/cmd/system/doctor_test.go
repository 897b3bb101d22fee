// SPDX-License-Identifier: Apache-2.0

package system

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/rootless"
)

// tree writes files below a directory of the test's.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestControllers(t *testing.T) {
	for _, c := range []struct {
		name, machine, user string
		rootless            bool
		state, mend         string
	}{
		{"all", "cpu io memory pids", "cpu io memory pids", true, fine, ""},
		{"not delegated", "cpu io memory pids", "memory pids", true, warning, "Delegate="},
		{"the kernel has none", "cpu", "cpu", true, warning, "cgroup_disable="},
		{"root", "cpu io memory pids", "", false, fine, ""},
	} {
		root := tree(t, map[string]string{"cgroup.controllers": c.machine + "\n", "user/cgroup.controllers": c.user + "\n"})
		dir := root
		if c.rootless {
			dir = filepath.Join(root, "user")
		}
		if got := controllers(dir, root, c.rootless); got.State != c.state || !strings.Contains(got.Mend, c.mend) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestKernel(t *testing.T) {
	good := map[string]string{"filesystems": "nodev\tproc\nnodev\toverlay\n", "sys/user/max_user_namespaces": "7000\n", "sys/kernel/osrelease": "6.12.1-amd64\n"}
	if got := kernel(tree(t, good)); len(got) != 1 || got[0].State != fine {
		t.Errorf("%+v", got)
	}
	bad := map[string]string{"filesystems": "\text4\n", "sys/user/max_user_namespaces": "0\n", "sys/kernel/osrelease": "5.4.0\n"}
	if got := kernel(tree(t, bad)); len(got) != 3 || got[0].State != fault || got[1].State != fault || got[2].State != warning {
		t.Errorf("%+v", got)
	}
}

// TestLingerOfAUserOfADirectory: /etc/passwd does not have the user, and the login knows the name.
func TestLingerOfAUserOfADirectory(t *testing.T) {
	for login, want := range map[string]string{"carol": "carol", "": "2147483645"} {
		e := &cli.Env{User: rootless.Identity{UID: 1<<31 - 3}, Lookup: func(name string) (string, bool) { return login, name == "USER" && login != "" }}
		if got := linger(e); got.State != warning || !strings.HasPrefix(got.Text, "units of "+want+" start") || got.Mend != "loginctl enable-linger "+want {
			t.Errorf("%q: %+v", login, got)
		}
	}
}

func TestLowPorts(t *testing.T) {
	root := tree(t, map[string]string{"sys/net/ipv4/ip_unprivileged_port_start": "1024\n"})
	if got := lowPorts(root, true); got.State != warning || !strings.Contains(got.Mend, "ip_unprivileged_port_start=80") {
		t.Errorf("%+v", got)
	}
	if got := lowPorts(root, false); got.State != fine {
		t.Errorf("root: %+v", got)
	}
}

func TestPrograms(t *testing.T) {
	none := func(string) (string, error) { return "", os.ErrNotExist }
	got := programs(true, none)
	for _, want := range []finding{{"pasta", fault, "not found; it connects containers", "apt install passt"}, {"netavark", warning, "not found; it makes named networks", "apt install netavark"}} {
		if !slices.Contains(got, want) {
			t.Errorf("%+v lacks %+v", got, want)
		}
	}
	got = programs(false, none)
	if !slices.ContainsFunc(got, func(f finding) bool { return f.Check == "pasta" && f.State == fault }) {
		t.Errorf("root's containers are connected by pasta, too: %+v", got)
	}
	if slices.ContainsFunc(got, func(f finding) bool { return f.Check == "newuidmap" }) {
		t.Error("root maps IDs himself")
	}
}

func TestPublished(t *testing.T) {
	none := func(string) (string, error) { return "", os.ErrNotExist }
	if got := published(none); got.State != fine || !strings.Contains(got.Text, "a pasta of its own") {
		t.Errorf("%+v", got)
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "containers.conf")
	err := errors.Join(os.WriteFile(conf, []byte("[engine]\nhelper_binaries_dir = [\""+dir+"\"]\n"), 0o600), os.WriteFile(filepath.Join(dir, "pesto"), nil, 0o700))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_CONF", conf)
	if got := published(helpers(&cli.Env{})); !strings.HasPrefix(got.Text, filepath.Join(dir, "pesto")) {
		t.Errorf("where containers.conf says: %+v", got)
	}
	there := func(name string) (string, error) { return "/usr/bin/" + name, nil }
	if got := published(there); got.State != fine || !strings.Contains(got.Text, "/usr/bin/pesto") {
		t.Errorf("%+v", got)
	}
}

func TestMapped(t *testing.T) {
	if n := mapped([]string{"0 1000 1", "1 100000 65536"}); n != 65537 {
		t.Errorf("%d", n)
	}
}

func TestUsage(t *testing.T) {
	want := used{Type: "Images", Total: 2, Active: 1, RawSize: 3_000_000, RawReclaimable: 1_000_000, TotalCount: 2, Size: "3MB", Reclaimable: "1MB (33%)"}
	if got := usage("Images", 2, 1, 3_000_000, 1_000_000); got != want {
		t.Errorf("%+v", got)
	}
	if got := usage("Containers", 0, 0, 0, 0); got.Reclaimable != "0B (0%)" {
		t.Errorf("%+v", got)
	}
}
