// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/podunit/podunit/runner/safe"
	"go.podman.io/storage"
)

// Rename gives a container another name. The caller holds the locks of both.
func (e *Engine) Rename(r Record, name string) error {
	old := r.Name
	storeName, err := e.storeName(r)
	if err != nil {
		return err
	}
	r.Spec.Name = name
	metadata, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(e.namePath(name)), 0o700); err != nil {
		return err
	}
	if err := safe.Replace(e.namePath(name), []byte(r.ID), 0o600); err != nil {
		return err
	}
	if err := e.rename(storeName, name, string(metadata)); err != nil {
		if errors.Is(err, storage.ErrDuplicateName) {
			err = ErrNameInUse
		}
		return errors.Join(fmt.Errorf("container %s: %w", name, err), removeFile(e.namePath(name)))
	}
	// A cut before this costs a file in memory: nobody finds it by the new name.
	return removeFile(e.namePath(old))
}

// rename has the storage change a container; storeName says how it finds it.
func (e *Engine) rename(storeName, name, metadata string) error {
	if err := e.Store.SetMetadata(storeName, metadata); err != nil {
		return err
	}
	return e.Store.SetNames(storeName, []string{name})
}
