// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/spec"
)

// secretDir is where the file system in memory with a container's secrets is mounted, for the
// runner that starts it.
func (e *Engine) secretDir(id string) string { return filepath.Join(e.dir(id), "secrets") }

// giveSecrets reads the secrets of a start and puts them where the container finds them.
func (e *Engine) giveSecrets(r Record, in *bundle.Input) error {
	if len(r.Spec.Secrets) == 0 {
		return nil
	}
	given, err := e.Secrets.Gather(r.Spec.Secrets)
	if err != nil {
		return fmt.Errorf("container %s: %w", r.Name, err)
	}
	for _, f := range given.Files {
		// A file whose owner nobody has chosen is 0:0, and a container without a root may have it.
		chosen := f.UID != 0 || f.GID != 0
		if err := in.Mapped(f.UID, f.GID); err != nil && chosen {
			return fmt.Errorf("container %s: secret %s: %w", r.Name, f.Name, err)
		}
	}
	own := secret.Owners{Outside: in.Outside}
	own.UID, own.GID = in.Outside(in.User.UID, in.User.GID)
	binds, err := given.Place(e.secretDir(r.ID), own)
	if err != nil {
		return fmt.Errorf("container %s: %w", r.Name, err)
	}
	for _, b := range binds {
		in.Files = append(in.Files, bundle.File{Source: b.Source, Destination: b.Destination, ReadOnly: b.ReadOnly})
	}
	in.Variables = given.Env
	if secret.HasCredentials(r.Spec.Secrets) {
		in.Variables["CREDENTIALS_DIRECTORY"] = spec.CredentialDir
	}
	return nil
}

// masked is the configuration as it may lie in a file: without the values of secrets.
func masked(config *rspec.Spec, secrets []spec.Secret) *rspec.Spec {
	names := variables(secrets)
	if len(names) == 0 {
		return config
	}
	out, process := *config, *config.Process
	process.Env = slices.Clone(process.Env)
	for i, kv := range process.Env {
		if name, _, _ := strings.Cut(kv, "="); slices.Contains(names, name) {
			process.Env[i] = name + "=" + secret.Masked
		}
	}
	out.Process = &process
	return &out
}

// variables are the names of the variables whose values are secrets.
func variables(secrets []spec.Secret) []string {
	var names []string
	for _, s := range secrets {
		if s.Type == spec.SecretEnv {
			names = append(names, s.Target)
		}
	}
	return names
}

// handedPath is the file in memory with the variables that a start was handed and that are in no
// store: see unmask. It goes with the container.
func (e *Engine) handedPath(id string) string { return filepath.Join(e.dir(id), "variables.json") }

// keepHanded notes them.
func (e *Engine) keepHanded(id string, variables map[string]string) error {
	b, err := json.Marshal(variables)
	if err != nil {
		return err
	}
	return safe.Replace(e.handedPath(id), b, 0o600)
}

// handed reads them; without the file there are none.
func (e *Engine) handed(id string) map[string]string {
	var variables map[string]string
	if b, err := os.ReadFile(e.handedPath(id)); err == nil {
		_ = json.Unmarshal(b, &variables) // there are none then
	}
	return variables
}

// unmask gives another process in a container the variables with secrets that the first process
// has. It reads them from that process, or, if the process has overwritten them, from the store or
// from what the start was handed. One that is in no such place is left out.
func (e *Engine) unmask(env []string, id string, pid int, secrets []spec.Secret) []string {
	if len(variables(secrets)) == 0 {
		return env
	}
	// A program that shows what it does in the list of processes writes over this.
	has, err := process.Environ(pid)
	if err != nil {
		has = nil
	}
	var out []string
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		i := slices.IndexFunc(secrets, func(s spec.Secret) bool { return s.Type == spec.SecretEnv && s.Target == name })
		if i < 0 || value != secret.Masked {
			out = append(out, kv)
			continue
		}
		if j := slices.IndexFunc(has, func(kv string) bool { return strings.HasPrefix(kv, name+"=") }); j >= 0 {
			out = append(out, has[j])
		} else if secrets[i].Name == "" {
			if value, known := e.handed(id)[name]; known {
				out = append(out, name+"="+value)
			}
		} else if _, value, err := e.Secrets.Store.Value(secrets[i].Name); err == nil {
			out = append(out, name+"="+string(value))
		}
	}
	return out
}

// secrets are those that the process of a container has in its environment, or as files.
func (r Record) secrets() []spec.Secret {
	all := slices.Clone(r.Spec.Secrets)
	for _, name := range r.Hidden {
		all = append(all, spec.Secret{Type: spec.SecretEnv, Target: name}) // in no store
	}
	return all
}
