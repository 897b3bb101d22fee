// SPDX-License-Identifier: Apache-2.0

// Package secret keeps the secrets of containers: podman's store, the same files under the same
// locks, so that either program reads what the other has written; and it puts values where a
// container finds them.
//
// podman rewrites its files in place, and a power cut then leaves half of one. Here each is
// replaced in one step, and in an order in which no cut loses a secret: its value comes before its
// name, and a value that is replaced goes last.
package secret

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.podman.io/common/pkg/secrets/define"
)

// Names of the files. Source: go.podman.io/common/pkg/secrets and its filedriver.
const (
	dirName   = "secrets"
	listName  = "secrets.json"
	listLock  = "secrets.lock"
	driverDir = "filedriver"
	dataName  = "secretsdata.json"
	dataLock  = "secretsdata.lock"
)

// MaxSize is the size in bytes that a value must stay below. Source: podman-secret-create(1).
const MaxSize = 512000

// idLength is the length of an ID in hexadecimal digits, and maxName that of a name in bytes.
const (
	idLength = 25
	maxName  = 253
)

// The faults that callers tell apart.
var (
	ErrNotFound  = define.ErrNoSuchSecret
	ErrInUse     = errors.New("secret name in use")
	ErrAmbiguous = errors.New("secret is ambiguous")
	ErrSize      = errors.New("secret data must be larger than 0 and less than 512000 bytes")
	ErrName      = errors.New("secret name must have 1 to 253 bytes, without ',', '/', '=' and NUL")
	ErrDriver    = errors.New("there are the drivers file, pass and shell")
)

// Secret is all that is known of a secret but its value. The names in JSON are those of the file.
type Secret struct {
	Name          string            `json:"name"`
	ID            string            `json:"id"`
	Labels        map[string]string `json:"labels,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"`
	CreatedAt     time.Time         `json:"createdAt"`
	UpdatedAt     time.Time         `json:"updatedAt"`
	Driver        string            `json:"driver"`
	DriverOptions map[string]string `json:"driverOptions"`
}

// Options of a secret to be made.
type Options struct {
	Driver        string // file, pass or shell; empty means file
	DriverOptions map[string]string
	Labels        map[string]string
	Metadata      map[string]string // for programs: kube play notes here that a secret is immutable
	Replace       bool              // one of that name goes
	Ignore        bool              // one of that name stays, and is returned
}

// Store is the secrets of one user.
type Store struct {
	dir string
}

// New gives access to the secrets that belong to the storage in graphRoot. It makes nothing.
func New(graphRoot string) Store { return Store{filepath.Join(graphRoot, dirName)} }

// Dir is where the secrets are.
func (s Store) Dir() string { return s.dir }

// At is the store in a directory, as Dir told it.
func At(dir string) Store { return Store{dir} }

// list is the file that knows the secrets.
type list struct {
	Secrets  map[string]Secret `json:"secrets"`
	NameToID map[string]string `json:"nameToID"`
	IDToName map[string]string `json:"idToName"`
}

// Create makes a secret and returns its ID.
func (s Store) Create(name string, value []byte, o Options) (string, error) {
	if name == "" || len(name) > maxName || strings.ContainsAny(name, ",/=\x00") {
		return "", fmt.Errorf("secret %q: %w", name, ErrName)
	}
	if len(value) == 0 || len(value) >= MaxSize {
		return "", ErrSize
	}
	var id string
	err := s.withList(func(l *list) error {
		old, taken := l.Secrets[l.NameToID[name]]
		switch {
		case taken && o.Ignore:
			id = old.ID
			return nil
		case taken && !o.Replace:
			return fmt.Errorf("%s: %w", name, ErrInUse)
		}
		made := Secret{
			Name: name, ID: l.newID(), Labels: orEmpty(o.Labels), Metadata: maps.Clone(orEmpty(o.Metadata)), UpdatedAt: time.Now(),
			Driver: o.Driver, DriverOptions: maps.Clone(orEmpty(o.DriverOptions)),
		}
		if made.Driver == "" {
			made.Driver = "file"
		}
		made.CreatedAt = made.UpdatedAt
		if taken {
			made.CreatedAt = old.CreatedAt
		}
		if _, given := made.DriverOptions["path"]; made.Driver == "file" && !given {
			made.DriverOptions["path"] = filepath.Join(s.dir, driverDir)
		}
		d, err := s.driver(made)
		if err != nil {
			return err
		}
		if err := d.Store(made.ID, value); err != nil {
			return fmt.Errorf("secret %s: %w", name, err)
		}
		if taken {
			l.drop(old)
		}
		l.Secrets[made.ID], l.NameToID[name], l.IDToName[made.ID] = made, made.ID, name
		// After an error nobody knows which list a power cut would leave: the value stays until the
		// next sweep.
		if err := s.saveList(l); err != nil {
			return err
		}
		id = made.ID
		if !taken {
			return s.sweep(l)
		}
		if d, err = s.driver(old); err == nil {
			err = d.Delete(old.ID)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("secret %s is replaced, and its old value is still there: %w", name, err)
		}
		return s.sweep(l)
	})
	return id, err
}

// Remove removes a secret, by name, ID or the beginning of an ID, and returns its ID.
func (s Store) Remove(nameOrID string) (string, error) {
	var id string
	err := s.withList(func(l *list) error {
		one, err := l.find(nameOrID)
		if err != nil {
			return err
		}
		d, err := s.driver(one)
		if err != nil {
			return err
		}
		// Without a value it may still have a name: a power cut came between.
		if err := d.Delete(one.ID); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("secret %s: %w", nameOrID, err)
		}
		l.drop(one)
		if err := s.saveList(l); err != nil {
			return err
		}
		id = one.ID
		return s.sweep(l)
	})
	return id, err
}

// Lookup finds a secret by its ID, its name, or a beginning of its ID that is unique.
func (s Store) Lookup(nameOrID string) (Secret, error) {
	var one Secret
	err := s.withList(func(l *list) (err error) {
		one, err = l.find(nameOrID)
		return err
	})
	return one, err
}

// Value is a secret and its value.
func (s Store) Value(nameOrID string) (Secret, []byte, error) {
	var one Secret
	var value []byte
	err := s.withList(func(l *list) (err error) {
		if one, err = l.find(nameOrID); err != nil {
			return err
		}
		d, err := s.driver(one)
		if err != nil {
			return err
		}
		if value, err = d.Lookup(one.ID); err != nil {
			return fmt.Errorf("value of secret %s: %w", nameOrID, err)
		}
		return nil
	})
	return one, value, err
}

// List returns all secrets by name.
func (s Store) List() ([]Secret, error) {
	var all []Secret
	err := s.withList(func(l *list) error {
		all = slices.SortedFunc(maps.Values(l.Secrets), func(a, b Secret) int { return strings.Compare(a.Name, b.Name) })
		return nil
	})
	return all, err
}

// withList does something with the list, which nobody else reads or changes meanwhile.
func (s Store) withList(do func(*list) error) error {
	return withLock(s.dir, listLock, func() error {
		var l list
		if err := readJSON(filepath.Join(s.dir, listName), &l); err != nil {
			return err
		}
		l.Secrets, l.NameToID, l.IDToName = orEmpty(l.Secrets), orEmpty(l.NameToID), orEmpty(l.IDToName)
		return do(&l)
	})
}

func (s Store) saveList(l *list) error { return replaceJSON(filepath.Join(s.dir, listName), l) }

// sweep drops values that nobody knows: those of secrets whose making a power cut has ended.
func (s Store) sweep(l *list) error {
	d := fileDriver{filepath.Join(s.dir, driverDir)}
	if _, err := os.Stat(d.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return d.change(func(values map[string][]byte) (changed bool, err error) {
		before := len(values)
		maps.DeleteFunc(values, func(id string, _ []byte) bool { _, known := l.Secrets[id]; return !known })
		return len(values) != before, nil
	})
}

func (l *list) drop(one Secret) {
	delete(l.Secrets, one.ID)
	delete(l.NameToID, one.Name)
	delete(l.IDToName, one.ID)
}

func (l *list) newID() string {
	for {
		b := make([]byte, (idLength+1)/2)
		_, _ = rand.Read(b) // never fails, crypto/rand
		id := hex.EncodeToString(b)[:idLength]
		if _, taken := l.Secrets[id]; !taken {
			return id
		}
	}
}

func (l *list) find(nameOrID string) (Secret, error) {
	if one, ok := l.Secrets[nameOrID]; ok {
		return one, nil
	}
	if one, ok := l.Secrets[l.NameToID[nameOrID]]; ok {
		return one, nil
	}
	var found []Secret
	for id, one := range l.Secrets {
		if nameOrID != "" && strings.HasPrefix(id, nameOrID) {
			found = append(found, one)
		}
	}
	switch len(found) {
	case 0:
		return Secret{}, fmt.Errorf("no secret with name or id %q: %w", nameOrID, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return Secret{}, fmt.Errorf("more than one secret with prefix %s: %w", nameOrID, ErrAmbiguous)
}
