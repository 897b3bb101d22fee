// SPDX-License-Identifier: Apache-2.0

package served

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/unit"
)

// TestVerbsOfServices: the program that services execute has what they execute, and leaves the rest
// to the full one.
func TestVerbsOfServices(t *testing.T) {
	for line, want := range map[string]bool{
		"start-container tv.service web a": true, "stop-container tv.service web a": true, "ended tv.service web a": true,
		"ended tv.service web --volume=v:": true, "hold tv.service web": true, "probe tv.service web a liveness 0123": true,
		"expire tv.service web": true, "again tv.service web": true, "down --force tv.yaml": true,
		"down --service-container=true tv.yaml": true,
		"play tv.yaml":                          false, "generate web": false, "cron tv.service web": false, "--help": false,
	} {
		words := strings.Fields(line)
		found, _, err := New(&cli.Env{}, nil).Find(words)
		if has := err == nil && found.HasParent() && found.Name() == words[0]; has != want {
			t.Errorf("%s: %v, want %v", line, has, want)
		}
	}
}

// TestDownOfNothing: where a unit has played nothing, or its first down has removed the note, the
// storage is not opened. Here nobody could open it.
func TestDownOfNothing(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "storage.conf")
	text := "[storage]\ndriver = \"overlay\"\ngraphroot = \"" + dir + "/g\"\nrunroot = \"" + dir + "/r\"\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_STORAGE_CONF", conf)
	own, err := unit.CurrentUnit(os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	down := func() error {
		e := &cli.Env{Lookup: os.LookupEnv, User: rootless.Identity{RunDir: dir, UID: os.Getuid()}}
		e.Modules = []string{filepath.Join(dir, "absent")}
		cmd := newDown(e, nil)
		cmd.SetArgs([]string{"--service-container=true", "tv.yaml"})
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		return cmd.ExecuteContext(t.Context())
	}
	if err := down(); err != nil {
		t.Errorf("without a note: %v", err)
	}
	note := filepath.Join(dir, "g", "podunit", "kube", "plays", own.Name+".json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(note), 0o700), os.WriteFile(note, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := down(); err == nil {
		t.Error("with a note, no storage is opened")
	}
}
