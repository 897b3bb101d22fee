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
	if err := e.rename(old, name, string(metadata)); err != nil {
		if errors.Is(err, storage.ErrDuplicateName) {
			err = ErrNameInUse
		}
		return errors.Join(fmt.Errorf("container %s: %w", name, err), removeFile(e.namePath(name)))
	}
	// A cut before this costs a file in memory: nobody finds it by the new name.
	return removeFile(e.namePath(old))
}

// rename has the storage change a container by its name. By its ID the storage would take the layer,
// which has the same; and a name that is also the beginning of an ID could be that of another layer.
func (e *Engine) rename(old, name, metadata string) error {
	if err := e.CanNote(old); err != nil {
		return err
	}
	if err := e.Store.SetMetadata(old, metadata); err != nil {
		return err
	}
	return e.Store.SetNames(old, []string{name})
}
