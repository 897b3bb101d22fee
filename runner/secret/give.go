// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// Masked stands where a value was. Source: podman-inspect(1) of a container with secrets.
const Masked = "*******"

// Source is where the values of a container's secrets come from.
type Source struct {
	Store Store
	// Credentials is the directory with the credentials of our unit, or empty.
	// Source: systemd.exec(5), $CREDENTIALS_DIRECTORY.
	Credentials string
	// Find finds a credential of the user that the manager did not give the unit, as a user's
	// manager cannot before systemd 258. fs.ErrNotExist says that there is none. It may be nil.
	Find func(name string) ([]byte, error)
}

// Given are the secrets of one start, with their values.
type Given struct {
	Env   map[string]string
	Files []File
}

// File is a secret that the container finds as a file.
type File struct {
	spec.Secret
	value []byte
}

// MissingCredentialError says that the unit has no such credential.
type MissingCredentialError struct{ Name string }

func (e *MissingCredentialError) Error() string { return "the unit has no credential " + e.Name }

// Hint is the way out.
func (e *MissingCredentialError) Hint() string {
	return "write LoadCredential=" + e.Name + ":/path or LoadCredentialEncrypted= in the [Service] section, or make it with: " +
		"systemd-creds encrypt --user --name=" + e.Name + " FILE ~/.config/credstore.encrypted/" + e.Name
}

// Gather reads the values.
func (s Source) Gather(secrets []spec.Secret) (Given, error) {
	given := Given{Env: map[string]string{}}
	for _, one := range secrets {
		if one.Type == spec.SecretCredential {
			value, err := s.credential(one.Name)
			if err != nil {
				return Given{}, err
			}
			given.Files = append(given.Files, File{one, value})
			continue
		}
		_, value, err := s.Store.Value(one.Name)
		if err != nil {
			return Given{}, err
		}
		if one.Type == spec.SecretEnv {
			given.Env[one.Target] = string(value)
		} else {
			given.Files = append(given.Files, File{one, value})
		}
	}
	return given, nil
}

func (s Source) credential(name string) ([]byte, error) {
	if s.Credentials != "" {
		b, err := os.ReadFile(filepath.Join(s.Credentials, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return b, err
		}
	}
	if s.Find == nil {
		return nil, &MissingCredentialError{name}
	}
	b, err := s.Find(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &MissingCredentialError{name}
	}
	if err != nil {
		return nil, fmt.Errorf("credential %s: %w", name, err)
	}
	return b, nil
}

// Owners say whom files belong to, as the process that writes them counts.
type Owners struct {
	// UID and GID are those of the container's user, who owns the credentials.
	UID, GID int
	// Outside is what the container's IDs are here.
	Outside func(uid, gid uint32) (int, int)
}

// Bind is a file or directory to be bound into the container.
type Bind struct {
	Source, Destination string
	ReadOnly            bool
}

// Place mounts a file system in memory on the directory dir, which only this process and its
// children see, and writes the files. After an error it is unmounted.
func (g Given) Place(dir string, own Owners) (binds []Bind, err error) {
	if len(g.Files) == 0 {
		return nil, nil
	}
	size := 1 << 20
	for _, f := range g.Files {
		size += 2 * (len(f.value) + 4096)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	options := "mode=0700,size=" + strconv.Itoa(size)
	// Linux 6.4 can keep it from being swapped out, for those who are root.
	if unix.Mount("podunit-secrets", dir, "tmpfs", flags, options+",noswap") != nil {
		if err := unix.Mount("podunit-secrets", dir, "tmpfs", flags, options); err != nil {
			return nil, fmt.Errorf("a file system for secrets on %s: %w", dir, err)
		}
	}
	defer func() {
		if err != nil {
			_ = Remove(dir)
		}
	}()
	credentials := filepath.Join(dir, "credentials")
	for i, f := range g.Files {
		path, uid, gid := filepath.Join(dir, strconv.Itoa(i)), own.UID, own.GID
		if f.Type == spec.SecretCredential {
			if err := os.MkdirAll(credentials, 0o500); err != nil {
				return nil, err
			}
			path = filepath.Join(credentials, filepath.Base(f.Target))
		} else {
			uid, gid = own.Outside(f.UID, f.GID)
			binds = append(binds, Bind{Source: path, Destination: f.Target})
		}
		if err := write(path, f.value, uid, gid, f.Mode); err != nil {
			return nil, fmt.Errorf("secret %s: %w", f.Name, err)
		}
	}
	if _, err := os.Stat(credentials); err != nil {
		return binds, nil //nolint:nilerr // there are none
	}
	if err := os.Lchown(credentials, own.UID, own.GID); err != nil {
		return nil, err
	}
	return append(binds, Bind{Source: credentials, Destination: spec.CredentialDir, ReadOnly: true}), nil
}

func write(path string, value []byte, uid, gid int, mode uint32) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(value)
	if err == nil {
		err = f.Chown(uid, gid)
	}
	if err == nil {
		err = unix.Fchmod(int(f.Fd()), mode)
	}
	return errors.Join(err, f.Close())
}

// Remove unmounts what Place has mounted, in the process that called it; elsewhere there is nothing.
func Remove(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// HasCredentials reports whether one of the secrets is a credential.
func HasCredentials(secrets []spec.Secret) bool {
	for _, s := range secrets {
		if s.Type == spec.SecretCredential {
			return true
		}
	}
	return false
}
