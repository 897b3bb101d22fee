// SPDX-License-Identifier: Apache-2.0

package container

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/spec"
)

func TestMasked(t *testing.T) {
	config := &rspec.Spec{Process: &rspec.Process{Env: []string{"A=b", "PW=hunter2", "PW2=x"}}}
	got := masked(config, []spec.Secret{{Type: spec.SecretEnv, Target: "PW"}, {Type: spec.SecretMount, Target: "PW2"}})
	if !slices.Equal(got.Process.Env, []string{"A=b", "PW=" + secret.Masked, "PW2=x"}) {
		t.Errorf("%v", got.Process.Env)
	}
	if config.Process.Env[1] != "PW=hunter2" {
		t.Error("what the runtime reads is masked, too")
	}
	if masked(config, nil) != config {
		t.Error("without a secret there is nothing to copy")
	}
}

// TestUnmask has one secret as the first process has it, one from the store because that has
// written over it, one that is nowhere any more, and a value that was asked for.
func TestUnmask(t *testing.T) {
	first := exec.Command("sleep", "1000")
	first.Env = []string{"KEPT=from the process", "GIVEN=no"}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Process.Kill(); _ = first.Wait() }()
	e := &Engine{Secrets: secret.Source{Store: secret.New(t.TempDir())}}
	for _, name := range []string{"kept", "over"} {
		if _, err := e.Secrets.Store.Create(name, []byte("from the store"), secret.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	env := func(name, target string) spec.Secret {
		return spec.Secret{Name: name, Type: spec.SecretEnv, Target: target}
	}
	secrets := []spec.Secret{env("kept", "KEPT"), env("over", "OVER"), env("gone", "GONE"), env("kept", "GIVEN")}
	given := []string{"A=b", "KEPT=" + secret.Masked, "OVER=" + secret.Masked, "GONE=" + secret.Masked, "GIVEN=yes"}
	got := e.unmask(given, first.Process.Pid, secrets)
	if want := []string{"A=b", "KEPT=from the process", "OVER=from the store", "GIVEN=yes"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := e.unmask(given, os.Getpid(), nil); !slices.Equal(got, given) {
		t.Errorf("without a secret: %q", got)
	}
}
