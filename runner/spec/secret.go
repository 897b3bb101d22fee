// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"encoding/csv"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// How a secret reaches a container.
const (
	SecretMount      = "mount"      // as a file
	SecretEnv        = "env"        // as a variable
	SecretCredential = "credential" // as a file, from a credential of the unit; see systemd.exec(5)
)

// secretDir is where the files of secrets are unless told otherwise. Source: podman-run(1),
// --secret.
const secretDir = "/run/secrets"

// CredentialDir is where the container finds its credentials; CREDENTIALS_DIRECTORY says so. A
// systemd inside takes them from there, too. Source: https://systemd.io/CONTAINER_INTERFACE.
const CredentialDir = "/run/host/credentials"

// credentialMode is that of a credential's file. Source: systemd.exec(5), LoadCredential=.
const credentialMode = 0o400

// Secret says that a container gets a secret, and how. The value is looked up at each start and
// is in no record.
type Secret struct {
	// Name of the secret in the store, or of the unit's credential.
	Name string
	// Type is one of the Secret constants.
	Type string
	// Target is an absolute path in the container, or the variable's name with SecretEnv.
	Target string
	// UID, GID and Mode are those of the file, as the container sees them; unused with SecretEnv. A
	// credential belongs to the container's user.
	UID, GID uint32 `json:",omitempty"`
	Mode     uint32 `json:",omitempty"`
}

// ParseSecret reads NAME[,type=mount|env|credential][,target=T][,uid=U][,gid=G][,mode=OCTAL],
// where NAME may be written source=NAME, and fills in what was not said. Source: podman-run(1),
// --secret.
func ParseSecret(s string) (Secret, error) {
	fields, err := csv.NewReader(strings.NewReader(s)).Read()
	if err != nil {
		return Secret{}, fmt.Errorf("it is not one line of comma-separated values: %w", err)
	}
	secret := Secret{}
	said := map[string]bool{}
	for i, f := range fields {
		name, value, given := strings.Cut(f, "=")
		if !given {
			if i > 0 {
				return secret, fmt.Errorf("%q has no value", f)
			}
			name, value = "source", f
		}
		switch name {
		case "src":
			name = "source"
		case "dst", "destination":
			name = "target"
		}
		if said[name] {
			return secret, fmt.Errorf("%s= is given twice", name)
		}
		said[name] = true
		if err := secret.set(name, value); err != nil {
			return secret, err
		}
	}
	if secret.Name == "" {
		return secret, errors.New("the name of the secret is missing")
	}
	if secret.Type == SecretEnv || secret.Type == SecretCredential {
		for _, name := range []string{"uid", "gid", "mode"} {
			if said[name] {
				return secret, fmt.Errorf("%s= is for type=mount, not for type=%s", name, secret.Type)
			}
		}
	}
	if secret.Type == SecretCredential && strings.Contains(secret.Target, "/") {
		return secret, errors.New("target= of a credential is a name, not a path")
	}
	return secret.complete(), nil
}

// set takes one option of --secret.
func (s *Secret) set(name, value string) error {
	number := func(to *uint32, base int, most uint64) error {
		n, err := strconv.ParseUint(value, base, 32)
		if err != nil || n > most {
			return fmt.Errorf("%q is not a number in %s=", value, name)
		}
		*to = uint32(n)
		return nil
	}
	switch name {
	case "source":
		s.Name = value
		return CheckSecretName(value)
	case "type":
		switch value {
		case SecretMount, SecretEnv, SecretCredential:
			s.Type = value
			return nil
		}
		return fmt.Errorf("%q is not a type, mount, env and credential are", value)
	case "target":
		if value == "" {
			return errors.New("target= is empty")
		}
		s.Target = value
		return nil
	case "uid":
		return number(&s.UID, 10, 1<<32-2)
	case "gid":
		return number(&s.GID, 10, 1<<32-2)
	case "mode":
		return number(&s.Mode, 8, 0o7777)
	}
	return fmt.Errorf("%q is not an option", name)
}

// complete fills in what was not said: a file of the secret's name that everybody inside may
// read, or a variable of its name.
func (s Secret) complete() Secret {
	if s.Type == "" {
		s.Type = SecretMount
	}
	if s.Target == "" {
		s.Target = s.Name
	}
	switch s.Type {
	case SecretEnv:
		return s
	case SecretCredential:
		s.Target, s.Mode = path.Join(CredentialDir, s.Target), credentialMode
		return s
	}
	if !path.IsAbs(s.Target) {
		s.Target = path.Join(secretDir, s.Target)
	}
	if s.Mode == 0 {
		s.Mode = 0o444
	}
	return s
}

// CheckSecretName is the store's rule for names of secrets. Source: podman-secret-create(1).
func CheckSecretName(s string) error {
	switch {
	case s == "":
		return errors.New("the name of the secret is missing")
	case len(s) > 253:
		return fmt.Errorf("the name of a secret has up to 253 bytes, this one has %d", len(s))
	case strings.ContainsAny(s, ",/=\x00"):
		return fmt.Errorf("%q is not the name of a secret: it holds a comma, a slash, an equals sign or a NUL byte", s)
	}
	return nil
}

// checkSecrets finds secrets that take each other's place, and places that cannot be.
func checkSecrets(secrets []Secret, mounts []Mount, add func(string, ...any)) {
	taken := map[string]string{}
	for _, s := range secrets {
		switch {
		case s.Type == SecretEnv && strings.ContainsAny(s.Target, "=\x00"):
			add("--secret %s: %q is not the name of a variable", s.Name, s.Target)
			continue
		case s.Type != SecretEnv && (!path.IsAbs(s.Target) || path.Clean(s.Target) == "/"):
			add("--secret %s: %q is not the path of a file in the container", s.Name, s.Target)
			continue
		}
		place := s.Target
		if s.Type != SecretEnv {
			place = path.Clean(place)
		}
		if other, double := taken[place]; double {
			add("--secret: %s and %s both go to %s", other, s.Name, place)
		}
		taken[place] = s.Name
		for _, m := range mounts {
			if s.Type != SecretEnv && path.Clean(m.Destination) == place {
				add("--secret %s and a mount both go to %s", s.Name, place)
			}
		}
	}
}
