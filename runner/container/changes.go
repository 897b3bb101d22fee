// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"go.podman.io/storage/pkg/archive"
	"go.podman.io/storage/pkg/idtools"
	"golang.org/x/sys/unix"
)

// Changes are the files in which a container differs from its image, by path. Files that a start
// makes or mounts do not count.
func (e *Engine) Changes(r Record) ([]archive.Change, error) {
	if r.Spec.Rootfs != nil {
		return nil, errors.New("container " + r.Name + " has no image (--rootfs), so there is nothing to compare it with")
	}
	c, err := e.Store.Container(r.ID)
	if err != nil {
		return nil, err
	}
	var all []archive.Change
	if own, below, ok, lerr := e.layerDirs(c.LayerID); lerr != nil {
		return nil, lerr
	} else if ok {
		all, err = changes(tree{Own: own, Below: below})
	} else {
		all, err = e.Store.Changes("", c.LayerID)
	}
	if err != nil {
		return nil, err
	}
	made := []string{"/dev", "/proc", "/sys", "/run", "/run/.containerenv", "/run/secrets", "/run/notify", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"}
	for _, m := range r.Spec.Mounts {
		made = append(made, filepath.Clean(m.Destination))
	}
	all = slices.DeleteFunc(all, func(c archive.Change) bool { return slices.Contains(made, c.Path) })
	slices.SortFunc(all, func(a, b archive.Change) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// changes lists the changes of a tree, to which a running container may add.
func changes(t tree) (all []archive.Change, err error) {
	list, err := packed(t)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	text, err := io.ReadAll(list)
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(text, &all)
}

// Diff returns the files in which a container differs from its image, as the archive of a layer.
// The caller closes it.
func (e *Engine) Diff(r Record) (io.ReadCloser, error) {
	c, err := e.Store.Container(r.ID)
	if err != nil {
		return nil, err
	}
	own, below, ok, err := e.layerDirs(c.LayerID)
	if err != nil {
		return nil, err
	}
	if !ok {
		return e.Store.Diff("", c.LayerID, nil)
	}
	uids, gids, err := e.IDMappings(r)
	if err != nil {
		return nil, err
	}
	return packed(tree{Own: own, Below: below, Options: &archive.TarOptions{
		Compression: archive.Uncompressed, WhiteoutFormat: archive.OverlayWhiteoutFormat,
		UIDMaps: orNone(idMap(uids)), GIDMaps: orNone(idMap(gids)),
	}})
}

// orNone is nil where there is nothing to map.
func orNone(m []idtools.IDMap) []idtools.IDMap {
	if len(m) == 0 {
		return nil
	}
	return m
}

// layerDirs are the directories of a layer and of those below it, nearest first, where the driver
// is overlay. They are read as they lie on the disk: otherwise the layer of a running container
// would have to be mounted a second time. Source: go.podman.io/storage/drivers/overlay.
func (e *Engine) layerDirs(id string) (own string, below []string, ok bool, err error) {
	if e.Store.GraphDriverName() != "overlay" {
		return "", nil, false, nil
	}
	for at := id; at != ""; {
		l, err := e.Store.Layer(at)
		if err != nil {
			return "", nil, false, err
		}
		dir := filepath.Join(e.Store.GraphRoot(), "overlay", at, "diff")
		if unix.Access(dir, unix.F_OK) != nil {
			return "", nil, false, nil // of an additional store
		}
		if at == id {
			own = dir
		} else {
			below = append(below, dir)
		}
		at = l.Parent
	}
	return own, below, true, nil
}

// Export writes the file system of a container to w as a tar archive, without what is mounted in it.
func (e *Engine) Export(r Record, w io.Writer) error {
	return e.WithLayer(r, func(root string) error {
		uids, gids, err := e.IDMappings(r)
		if err != nil {
			return err
		}
		content, err := packed(tree{Own: root, Options: &archive.TarOptions{
			Compression: archive.Uncompressed, UIDMaps: orNone(idMap(uids)), GIDMaps: orNone(idMap(gids)),
		}})
		if err != nil {
			return err
		}
		defer content.Close()
		_, err = io.Copy(w, content)
		return err
	})
}
