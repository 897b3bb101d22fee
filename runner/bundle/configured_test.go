// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/pkg/config"
)

// input is a container that runs sh, for tests of one thing each.
func input(t *testing.T, args ...string) Input {
	t.Helper()
	c := container(t, append(args, "x")...)
	return Input{
		ID: strings.Repeat("0123456789abcdef", 4), Host: machine(), Rootfs: t.TempDir(), Hostname: "box",
		Image: &v1.ImageConfig{Cmd: []string{"sh"}}, Spec: c, Mounts: resolved(c),
	}
}

// TestAFlagWins has containers.conf say what the spec, which has it from a flag, denies.
func TestAFlagWins(t *testing.T) {
	in := input(t)
	in.Config = defaults()
	in.Config.ReadOnly, in.Config.Init, in.Config.Privileged = true, true, true
	config, _, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	if config.Root.Readonly || config.Process.Args[0] != "sh" || config.Linux.Seccomp == nil {
		t.Errorf("read-only %v, %q, filter %v", config.Root.Readonly, config.Process.Args, config.Linux.Seccomp != nil)
	}
}

func TestSeccompProfiles(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine.json")
	if err := os.WriteFile(mine, []byte(`{"defaultAction":"SCMP_ACT_LOG"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(dir, "nowhere.json")
	for name, tc := range map[string]struct {
		configured string
		places     []string
		asked      string
		want       string // the action, or what the error says
	}{
		"the built-in one":                {"", []string{nowhere}, "", "SCMP_ACT_ERRNO"},
		"one that a package brought":      {"", []string{nowhere, mine}, "", "SCMP_ACT_LOG"},
		"one that is configured":          {mine, nil, "", "SCMP_ACT_LOG"},
		"a configured one not there":      {nowhere, nil, "", "seccomp_profile of containers.conf"},
		"the default place written out":   {nowhere, []string{nowhere}, "", "SCMP_ACT_ERRNO"},
		"one asked for that is not there": {mine, nil, nowhere, "seccomp profile: open"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t)
			in.Host.SeccompProfiles = tc.places
			in.Config = defaults()
			in.Config.SeccompProfile, in.Spec.Seccomp = tc.configured, tc.asked
			c, _, err := Build(in)
			switch {
			case err != nil && !strings.Contains(err.Error(), tc.want):
				t.Error(err)
			case err == nil && string(c.Linux.Seccomp.DefaultAction) != tc.want:
				t.Errorf("the action is %s", c.Linux.Seccomp.DefaultAction)
			}
		})
	}
}

// TestConfiguredInit has init=true reach the command line of the first process.
func TestConfiguredInit(t *testing.T) {
	conf := &config.Config{Containers: config.ContainersConfig{Init: true, HTTPProxy: true}}
	c := spec.Configured(conf)
	c.Image = "x"
	in := input(t)
	in.Spec, in.Init = &c, "/bin/true"
	got, _, err := Build(in)
	if err != nil || got.Process.Args[0] != initPath {
		t.Errorf("%v, %v", got, err)
	}
}

// TestNoSwap has an option that the kernel takes from nobody in a user namespace. Source: tmpfs(5).
func TestNoSwap(t *testing.T) {
	for rootless, want := range map[bool]string{true: "noswap is for containers of root", false: ""} {
		in := input(t, "--tmpfs", "/t:noswap")
		in.Rootless = rootless
		if _, _, err := Build(in); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("rootless %v: %v", rootless, err)
		}
	}
}

// TestSocketsAreAnnounced has the container told of sockets under the number that its process will
// have.
func TestSocketsAreAnnounced(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"its first process": {nil, "LISTEN_FDNAMES=http:https LISTEN_FDS=2 LISTEN_PID=1"},
		"the one of --init": {[]string{"--init"}, "LISTEN_FDNAMES=http:https LISTEN_FDS=2 LISTEN_PID=2"},
		"what others say":   {[]string{"--env", "LISTEN_PID=77", "--env", "LISTEN_FDS=9"}, "LISTEN_FDNAMES=http:https LISTEN_FDS=2 LISTEN_PID=1"},
	} {
		in := input(t, tc.args...)
		in.Sockets, in.SocketNames, in.Init = 2, "http:https", "/usr/libexec/init"
		config, _, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, kv := range config.Process.Env {
			if strings.HasPrefix(kv, "LISTEN_") {
				got = append(got, kv)
			}
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v, want %s", name, got, tc.want)
		}
	}
}

// TestAWorkingDirectoryThatIsNotThere is a mistake where the command line names it; where it is the
// image's own, or below a mount or what the kernel brings, it is none.
func TestAWorkingDirectoryThatIsNotThere(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		ok   bool
	}{
		"one that is there":         {[]string{"--workdir=/there"}, true},
		"one that is not":           {[]string{"--workdir=/nowhere"}, false},
		"a file":                    {[]string{"--workdir=/there/file"}, false},
		"the image's own":           {[]string{"--workdir=/image"}, true},
		"in a mount":                {[]string{"--workdir=/vol/x", "--volume=/etc:/vol"}, true},
		"in a file system of Linux": {[]string{"--workdir=/dev/shm"}, true},
		"none":                      {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t, c.args...)
			in.Image.WorkingDir = "/image"
			if err := os.Mkdir(filepath.Join(in.Rootfs, "there"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(in.Rootfs, "there/file"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err := Build(in)
			if c.ok && err != nil || !c.ok && !errors.Is(err, ErrNoWorkDir) {
				t.Error(err)
			}
			in.Spec.MakeWorkDir = true
			if _, _, err := Build(in); err != nil {
				t.Errorf("where it is to be made: %v", err)
			}
		})
	}
}
