// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
	if err := os.WriteFile(e.namePath(name), []byte(r.ID), 0o600); err != nil {
		return err
	}
	if err := e.Store.SetNames(r.ID, []string{name}); err != nil {
		if errors.Is(err, storage.ErrDuplicateName) {
			err = ErrNameInUse
		}
		return errors.Join(fmt.Errorf("container %s: %w", name, err), removeFile(e.namePath(name)))
	}
	// A cut from here on costs what is left of the old name, which a removal does not find: a file in
	// memory.
	return errors.Join(e.Store.SetMetadata(r.ID, string(metadata)), removeFile(e.namePath(old)))
}
