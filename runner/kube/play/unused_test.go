// SPDX-License-Identifier: Apache-2.0

package play

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/volume"
)

// TestForcedDownLeavesOthersVolumes: kube down --force removes the volumes of what it takes down,
// and no volume that a container, a pod of another play, a unit or another tool has besides. It
// reads the unit files once.
func TestForcedDownLeavesOthersVolumes(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("an owner can be given by root only")
	}
	w := newWorld(t)
	names := []string{"own", "mounted", "noted", "named", "foreign", "damaged"}
	one := &kube.Pod{Name: "web", Unit: "web-pod.service"}
	for _, name := range names {
		if _, err := w.volumes.Create(name, volume.Options{}); err != nil {
			t.Fatal(err)
		}
		one.Volumes = append(one.Volumes, &kube.Volume{Name: name, Kind: kube.VolumeClaim, Claim: name})
	}
	w.mounts(t, "db", "mounted")
	nightly := &kube.Pod{Name: "nightly", Cron: &kube.Cron{Name: "nightly"}, Volumes: []*kube.Volume{{Kind: kube.VolumeClaim, Claim: "noted"}}}
	for _, st := range []*State{
		{Name: "pod web", Unit: "", Plan: &kube.Plan{Pods: []*kube.Pod{one}}},
		{Name: "pod nightly", Plan: &kube.Plan{Pods: []*kube.Pod{nightly}}},
	} {
		if err := w.Player.store.save(st); err != nil {
			t.Fatal(err)
		}
	}
	units := filepath.Join(w.env["HOME"], ".config", "systemd", "user")
	record := func(name string) string { return filepath.Join(w.storage.root, "volumes", name, "podunit.json") }
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(units, "app.service"), "[Service]\nExecStart=podunit run -v named:/n img\n")
	// It goes, and so what it says does not count.
	write(filepath.Join(units, "web-pod.service"), "[Service]\nExecStopPost=podunit kube ended x web --volume=own:\n")
	write(record("damaged"), "")
	if err := os.Remove(record("foreign")); err != nil {
		t.Fatal(err)
	}
	reads, lookup := 0, w.Lookup
	w.Lookup = func(name string) (string, bool) {
		if name == "XDG_CONFIG_HOME" {
			reads++
		}
		return lookup(name)
	}
	gone, err := w.Down(t.Context(), &kube.Plan{Pods: []*kube.Pod{one}}, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(gone.Volume) != 1 || gone.Volume[0] != "own" {
		t.Errorf("removed: %q", gone.Volume)
	}
	if reads != 1 {
		t.Errorf("the unit files were read %d times", reads)
	}
	for _, name := range names {
		if w.exists(t, name) != (name != "own") {
			t.Errorf("volume %s: %v", name, w.exists(t, name))
		}
	}
	for name, who := range map[string]string{"mounted": "container db", "noted": "pod nightly", "named": "app.service", "foreign": "another tool", "damaged": "podunit.json"} {
		if !w.warned("volume "+name+" stays", who) {
			t.Errorf("%s: %q", name, w.warnings)
		}
	}
	if _, err := w.Player.store.load("pod web"); err == nil {
		t.Error("the play is still noted")
	}
}
