// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"github.com/podunit/podunit/runner/volume/claim"
)

// VolumeUser is a container and the volumes it mounts.
type VolumeUser struct {
	ID, Name string
	Volumes  []string
}

// VolumeUsers lists podunit's containers and what they mount.
func (e *Engine) VolumeUsers() ([]VolumeUser, error) {
	records, err := e.Containers.List()
	if err != nil {
		return nil, err
	}
	var users []VolumeUser
	for _, r := range records {
		u := VolumeUser{ID: r.ID, Name: r.Name, Volumes: slices.Clone(r.AnonymousVolumes)}
		for _, m := range r.Spec.Mounts {
			if m.Type == spec.MountVolume {
				u.Volumes = append(u.Volumes, m.Source)
			}
		}
		users = append(users, u)
	}
	return users, nil
}

// VolumeClaims reads which volumes the units of the user name.
func (e *Engine) VolumeClaims() (claim.Units, error) {
	uid := e.Containers.User.UID
	account := bundle.FindAccount(uid, e.Containers.User.GID, e.Lookup)
	w := claim.Where{UID: uid, Name: account.Name}
	home, _ := e.Lookup("HOME")
	home = cmp.Or(home, account.Home)
	var ok bool
	if w.Config, ok = e.Lookup("XDG_CONFIG_HOME"); !ok && home != "" {
		w.Config = filepath.Join(home, ".config")
	}
	if w.Data, ok = e.Lookup("XDG_DATA_HOME"); !ok && home != "" {
		w.Data = filepath.Join(home, ".local", "share")
	}
	w.Ask = func(name string) (string, [][]string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		m, err := unit.Connect(ctx, unit.Config{UID: uid, System: true})
		if err != nil {
			return "", nil, err
		}
		defer m.Close()
		return m.Executes(ctx, name)
	}
	units, err := w.Read()
	if err != nil {
		err = fmt.Errorf("which units use volumes is not known: %w", err)
	}
	return units, err
}
