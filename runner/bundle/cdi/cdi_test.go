// SPDX-License-Identifier: Apache-2.0

package cdi

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
)

const things = `cdiVersion: "0.6.0"
kind: example.org/thing
containerEdits:
  env: [THINGS=here]
devices:
- name: one
  containerEdits:
    env: [ONE=1]
    deviceNodes:
    - {path: /dev/null, permissions: rw}
    - {path: /dev/nothing, hostPath: /dev/zero, permissions: r}
    - {path: /dev/full}
    mounts:
    - {hostPath: /usr/share/thing, containerPath: /opt/thing, options: [bind, ro]}
    hooks:
    - {hookName: createContainer, path: /usr/bin/hook, args: [hook, update]}
- name: two
  containerEdits: {env: [TWO=2]}
`

func TestInject(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thing.yaml"), []byte(things), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, user := range []bool{false, true} {
		config := &rspec.Spec{Process: &rspec.Process{Env: []string{"A=b"}}, Linux: &rspec.Linux{Resources: &rspec.LinuxResources{Devices: []rspec.LinuxDeviceCgroup{{Access: "rwm"}}}}}
		if err := Inject(config, []string{dir}, []string{"example.org/thing=one"}, user); err != nil {
			t.Fatal(err)
		}
		if got := config.Process.Env; !reflect.DeepEqual(got, []string{"A=b", "THINGS=here", "ONE=1"}) {
			t.Errorf("variables %q", got)
		}
		if h := config.Hooks; h == nil || len(h.CreateContainer) != 1 || h.CreateContainer[0].Path != "/usr/bin/hook" {
			t.Errorf("hooks %+v", h)
		}
		var mounts []string
		for _, m := range config.Mounts {
			mounts = append(mounts, m.Source+":"+m.Destination+":"+m.Options[len(m.Options)-1])
		}
		nodes, rules := len(config.Linux.Devices), len(config.Linux.Resources.Devices)
		if user && (!slices.Equal(mounts, []string{"/usr/share/thing:/opt/thing:ro", "/dev/null:/dev/null:rw", "/dev/zero:/dev/nothing:ro", "/dev/full:/dev/full:rw"}) || nodes != 0 || rules != 1) {
			t.Errorf("a user's has mounts %q, %d nodes, %d rules", mounts, nodes, rules)
		}
		if !user && (!slices.Equal(mounts, []string{"/usr/share/thing:/opt/thing:ro"}) || nodes != 3 || rules != 4 || *config.Linux.Resources.Devices[1].Minor != 3) {
			t.Errorf("root's has mounts %q, %d nodes, %d rules", mounts, nodes, rules)
		}
	}
	err := Inject(&rspec.Spec{}, []string{dir}, []string{"example.org/thing=three"}, true)
	if err == nil || !strings.Contains(err.Error(), "example.org/thing=three: no specification in "+dir) || !strings.Contains(err.(interface{ Hint() string }).Hint(), "example.org/thing=one, example.org/thing=two") {
		t.Errorf("a device that is not there: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte("cdiVersion: x\nkind: a.b/c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Inject(&rspec.Spec{}, []string{dir}, []string{"a.b/c=d"}, true); err == nil || !strings.Contains(err.Error(), "bad.yaml") {
		t.Errorf("a specification that is wrong: %v", err)
	}
	if err := Inject(&rspec.Spec{}, []string{filepath.Join(dir, "none")}, []string{"nvidia.com/gpu=all"}, true); err == nil || !strings.Contains(err.(interface{ Hint() string }).Hint(), "nvidia-ctk cdi generate") {
		t.Errorf("no specification: %v", err)
	}
}
