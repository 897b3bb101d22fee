// SPDX-License-Identifier: Apache-2.0

package container

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/bundle"
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

// TestSecretOfNobody: an owner whom the container cannot have is refused: outside, the ID is somebody
// else's.
func TestSecretOfNobody(t *testing.T) {
	e := &Engine{RunDir: t.TempDir(), Secrets: secret.Source{Store: secret.New(t.TempDir())}}
	if _, err := e.Secrets.Store.Create("pw", []byte("x"), secret.Options{}); err != nil {
		t.Fatal(err)
	}
	in := bundle.Input{
		UIDMap: []spec.IDRange{{Container: 0, Host: 1, Size: 1000}}, GIDMap: []spec.IDRange{{Container: 0, Host: 1, Size: 1000}}, User: &bundle.User{},
	}
	for _, c := range []struct {
		uid, gid uint32
		want     string
	}{
		{1000, 0, "container web: secret pw: user 1000 is not mapped in the user namespace of the container; give it a range with it in"},
		{0, 1000, "container web: secret pw: group 1000 is not mapped in the user namespace of the container; give it a range with it in"},
	} {
		r := Record{ID: NewID(), Name: "web"}
		r.Spec.Secrets = []spec.Secret{{Name: "pw", Type: spec.SecretMount, Target: "/run/secrets/pw", UID: c.uid, GID: c.gid, Mode: 0o400}}
		if err := e.giveSecrets(r, &in); err == nil || err.Error() != c.want {
			t.Errorf("%d:%d: %v", c.uid, c.gid, err)
		}
		if _, err := os.Stat(e.secretDir(r.ID)); err == nil {
			t.Errorf("%d:%d: it was placed", c.uid, c.gid)
		}
	}
}

// TestUnmask has one secret as the first process has it, one from the store because that has
// written over it, one that is nowhere any more, and a value that was asked for.
func TestUnmask(t *testing.T) {
	first := exec.Command("yes")
	first.Env = []string{"KEPT=from the process", "GIVEN=no"}
	out, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Process.Kill(); _ = first.Wait() }()
	// Before it writes, it may have no variables yet: see TestWordsOfAProcess.
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
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
	got := e.unmask(given, "x", first.Process.Pid, secrets)
	if want := []string{"A=b", "KEPT=from the process", "OVER=from the store", "GIVEN=yes"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := e.unmask(given, "x", os.Getpid(), nil); !slices.Equal(got, given) {
		t.Errorf("without a secret: %q", got)
	}
}

// TestUnmaskWhatAStartWasHanded has variables that are in no store, of a first process that has
// written over them: nginx, PostgreSQL and Redis do.
func TestUnmaskWhatAStartWasHanded(t *testing.T) {
	e := &Engine{RunDir: t.TempDir()}
	r := Record{ID: "x", Hidden: []string{"PW", "GONE"}}
	if err := os.MkdirAll(e.dir(r.ID), 0o700); err != nil {
		t.Fatal(err)
	}
	given := []string{"A=b", "PW=" + secret.Masked, "GONE=" + secret.Masked}
	for want, handed := range map[string]map[string]string{"A=b": nil, "A=b PW=hunter2": {"PW": "hunter2"}} {
		if handed != nil {
			if err := e.keepHanded(r.ID, handed); err != nil {
				t.Fatal(err)
			}
			st, err := os.Stat(e.handedPath(r.ID))
			if err != nil || st.Mode() != 0o600 {
				t.Errorf("%v, %v", st.Mode(), err)
			}
		} else if err := os.RemoveAll(e.handedPath(r.ID)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(e.unmask(given, r.ID, os.Getpid(), r.secrets()), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
