// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/safe"
	"go.podman.io/common/pkg/seccomp"
	"golang.org/x/sys/unix"
)

// action is what a filter does with a call whose arguments don't matter.
func action(f *rspec.LinuxSeccomp, call string) (rspec.LinuxSeccompAction, *uint) {
	for _, rule := range f.Syscalls {
		if len(rule.Args) == 0 && slices.Contains(rule.Names, call) {
			return rule.Action, rule.ErrnoRet
		}
	}
	return f.DefaultAction, f.DefaultErrnoRet
}

func TestDefaultProfile(t *testing.T) {
	without, err := convert(seccomp.DefaultProfile(), "amd64", []string{"CAP_CHOWN"})
	if err != nil {
		t.Fatal(err)
	}
	with, err := convert(seccomp.DefaultProfile(), "amd64", []string{"CAP_SYS_ADMIN"})
	if err != nil {
		t.Fatal(err)
	}
	for call, want := range map[string][2]rspec.LinuxSeccompAction{
		"read":       {rspec.ActAllow, rspec.ActAllow},
		"bpf":        {rspec.ActErrno, rspec.ActAllow},
		"kexec_load": {rspec.ActErrno, rspec.ActErrno},
		"nosuchcall": {rspec.ActErrno, rspec.ActErrno},
	} {
		for i, f := range []*rspec.LinuxSeccomp{without, with} {
			if got, _ := action(f, call); got != want[i] {
				t.Errorf("%s, filter %d: %s", call, i, got)
			}
		}
	}
	// A call that the profile does not know is one that the kernel does not
	// have: libraries fall back to an older one on ENOSYS only.
	if _, e := action(without, "nosuchcall"); e == nil || *e != uint(unix.ENOSYS) {
		t.Errorf("errno %v", e)
	}
	if _, e := action(without, "bpf"); e == nil || *e != uint(unix.EPERM) {
		t.Errorf("errno %v", e)
	}
	if !slices.Equal(without.Architectures, []rspec.Arch{rspec.ArchX86_64, rspec.ArchX86, rspec.ArchX32}) {
		t.Errorf("architectures %v", without.Architectures)
	}
	arm, err := convert(seccomp.DefaultProfile(), "arm64", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := action(arm, "arch_prctl"); got == rspec.ActAllow {
		t.Error("arch_prctl is a call of another machine")
	}
}

func TestProfileFile(t *testing.T) {
	for name, tc := range map[string]struct{ text, err string }{
		"a profile":         {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"mkdir","action":"SCMP_ACT_ERRNO","errno":"ENOTTY"}]}`, ""},
		"no JSON":           {`{`, "unexpected end of JSON"},
		"an unknown errno":  {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"mkdir","action":"SCMP_ACT_ERRNO","errno":"EWHAT"}]}`, `"EWHAT" is not the name of an error`},
		"name and names":    {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"mkdir","names":["rmdir"]}]}`, "both name and names"},
		"two architectures": {`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}`, "both architectures and archMap"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "profile.json")
			if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			c := container(t, "--security-opt", "seccomp="+file, "x", "sh")
			config, _, err := Build(Input{Spec: c, Rootfs: t.TempDir(), Host: machine()})
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || !strings.Contains(err.Error(), file) {
					t.Fatalf("got %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, e := action(config.Linux.Seccomp, "mkdir"); got != rspec.ActErrno || e == nil || *e != uint(unix.ENOTTY) {
				t.Errorf("%s %v", got, e)
			}
		})
	}
	c := container(t, "--security-opt", "seccomp=/nowhere/p.json", "x", "sh")
	if _, _, err := Build(Input{Spec: c, Rootfs: t.TempDir(), Host: machine()}); err == nil {
		t.Error("a profile that is not there is no error")
	}
	c = container(t, "--security-opt", "seccomp=/dev/zero", "x", "sh") // which has no end
	if _, _, err := Build(Input{Spec: c, Rootfs: t.TempDir(), Host: machine()}); !errors.Is(err, safe.ErrNotRegular) {
		t.Errorf("a profile that is a device: %v", err)
	}
}

func TestProbe(t *testing.T) {
	h, err := Probe(false, false)
	if err != nil {
		t.Fatal(err)
	}
	if h.UIDs == 0 || h.GIDs == 0 || h.Rlimits["nofile"].Hard == 0 || len(h.MaskedPaths) == 0 || h.MountFlags == nil {
		t.Errorf("%+v", h)
	}
	if n := mapped([]byte("         0       1000          1\n         1     100000      65536\n")); n != 65537 {
		t.Errorf("mapped: %d", n)
	}
	if n := mapped([]byte("         0          0 4294967295\n")); n != 1<<32-1 {
		t.Errorf("mapped: %d", n)
	}
}
