// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/safe"
	"go.podman.io/storage/pkg/lockfile"
)

const (
	// maxList is the most bytes of the list of artifacts, and of the manifest of one.
	maxList = 16 << 20
	// asideAge is how old a file of the artifacts must be that nothing refers to: an artifact that
	// is being added holds no lock while its files are copied.
	asideAge = 24 * time.Hour
	// blobBegun begins the names of files that are being written, beside the list. Source: the
	// library's oci/layout.
	blobBegun = "oci-put-blob"
)

// artifactLock does something under the lock of the artifacts in dir, unless somebody else has it,
// or there are none.
func artifactLock(dir string, do func() error) error {
	if _, err := os.Stat(filepath.Join(dir, v1.ImageIndexFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := lockfile.GetLockFile(filepath.Join(dir, "index.lock"))
	if err != nil {
		return err
	}
	if lock.TryLock() != nil {
		return nil
	}
	defer lock.Unlock()
	return do()
}

// errLost is what a power cut has torn: a list that is no JSON, or a manifest that is gone or
// another one. Whatever else keeps a file from being read may pass.
var errLost = errors.New("it is damaged or gone")

// damagedList is the copy of a list of artifacts from before something that was lost went from it.
func damagedList(list string) string { return list + ".damaged" }

// keepArtifacts keeps a copy of the list of artifacts before something changes it: the library
// writes it in place, and syncs neither it nor manifests. If a power cut has torn the list, the copy
// takes its place, or an empty list; an artifact whose manifest is lost is taken off the list. It
// returns what is lost, in words; the next pull brings back what a registry has. If a note in
// changing says that podunit was killed during a change, nothing counts as lost: nobody was told that
// the change was made.
func keepArtifacts(dir, changing string) ([]string, error) {
	var said []string
	err := artifactLock(dir, func() error {
		path := filepath.Join(dir, v1.ImageIndexFile)
		killed := killedChanges(changing, dir)
		cut := len(killed) > 0
		list, err := readList(path)
		torn := errors.Is(err, errLost)
		if torn {
			said = append(said, fmt.Sprintf("the list of artifacts was damaged, and is again what it was before the last change: %v", err))
			if list, err = readList(image.KeptList(path)); errors.Is(err, errLost) || errors.Is(err, fs.ErrNotExist) {
				said[0] = fmt.Sprintf("the list of artifacts was damaged, and is empty now; pull them again: %v", err)
				cut = false
				list, err = v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}, nil
			}
		}
		if err != nil {
			return err
		}
		whole := []v1.Descriptor{}
		for _, d := range list.Manifests {
			switch _, err := artifactOf(dir, d); {
			case err == nil:
				whole = append(whole, d)
			case errors.Is(err, errLost):
				said = append(said, fmt.Sprintf("artifact %s is lost: %v", d.Annotations[v1.AnnotationRefName], err))
			default:
				return fmt.Errorf("artifact %s: %w", d.Annotations[v1.AnnotationRefName], err)
			}
		}
		changed := torn || len(whole) != len(list.Manifests)
		list.Manifests = whole
		data, err := json.Marshal(list)
		switch {
		case err != nil || !changed:
		case cut:
			said = nil
			err = safe.Write(path, data, 0o644)
		default:
			err = replaceList(path, data)
			said = append(said, "the list of artifacts as it was: "+damagedList(path))
		}
		if err != nil {
			return err
		}
		for _, note := range killed {
			_ = os.Remove(note) // one that stays hides what is lost later
		}
		if old, rerr := os.ReadFile(image.KeptList(path)); rerr == nil && string(old) == string(data) {
			return nil
		}
		// A disk that is full is no reason to remove nothing from it.
		if err := safe.Write(image.KeptList(path), data, 0o644); err != nil {
			said = append(said, fmt.Sprintf("the list of artifacts has no copy, should the power fail now: %v", err))
		}
		return nil
	})
	if err != nil {
		return nil, err // nothing has changed
	}
	return said, nil
}

// replaceList writes a list of artifacts, and keeps what it was.
func replaceList(path string, data []byte) error {
	old, err := safe.ReadFile(path, maxList)
	if err == nil {
		err = safe.Write(damagedList(path), old, 0o644)
	}
	if err != nil {
		return err
	}
	return safe.Write(path, data, 0o644)
}

// readList reads a list of artifacts. The error is errLost if it is torn.
func readList(path string) (list v1.Index, err error) {
	data, err := safe.ReadFile(path, maxList)
	if err != nil {
		return list, err
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return list, fmt.Errorf("%s: %w: %w", path, errLost, err)
	}
	return list, nil
}

func blobOf(dir string, d digest.Digest) string {
	return filepath.Join(dir, v1.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// artifactOf reads the manifest of an artifact of the list. The error is errLost if that is not
// what the list means, and never will be.
func artifactOf(dir string, d v1.Descriptor) (m v1.Manifest, err error) {
	if err := d.Digest.Validate(); err != nil {
		return m, fmt.Errorf("its digest %q: %w: %w", d.Digest, errLost, err)
	}
	data, err := safe.ReadFile(blobOf(dir, d.Digest), maxList)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, fmt.Errorf("its manifest: %w: %w", errLost, err)
	case err != nil:
		return m, err
	case d.Digest.Algorithm().FromBytes(data) != d.Digest:
		return m, fmt.Errorf("its manifest: %w", errLost)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("its manifest: %w: %w", errLost, err)
	}
	return m, nil
}

// dropArtifactFiles removes files of the artifacts in dir that no artifact refers to and that are
// older than age: a pull or an addition that was killed has left them. It gives the bytes that were
// freed. Where a list or a manifest is damaged, what that refers to is not known, and all stays;
// the next command on artifacts says what is lost.
func dropArtifactFiles(dir string, age time.Duration) (freed int64, err error) {
	err = artifactLock(dir, func() error {
		list, err := readList(filepath.Join(dir, v1.ImageIndexFile))
		if errors.Is(err, errLost) {
			return nil
		}
		if err != nil {
			return err
		}
		used := map[string]bool{}
		for _, d := range list.Manifests {
			m, err := artifactOf(dir, d)
			if errors.Is(err, errLost) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("artifact %s: %w", d.Annotations[v1.AnnotationRefName], err)
			}
			for _, one := range append(m.Layers, d, m.Config) {
				if one.Digest.Validate() != nil {
					continue // no file has such a name
				}
				used[path.Join(v1.ImageBlobsDir, one.Digest.Algorithm().String(), one.Digest.Encoded())] = true
			}
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer root.Close()
		begun, err := fs.Glob(root.FS(), blobBegun+"*")
		blobs, berr := fs.Glob(root.FS(), v1.ImageBlobsDir+"/*/*")
		errs := []error{err, berr}
		for _, name := range append(begun, blobs...) {
			st, err := root.Lstat(name)
			if err != nil || used[name] || !st.Mode().IsRegular() || time.Since(st.ModTime()) < age {
				continue
			}
			if err := root.Remove(name); err != nil {
				errs = append(errs, err)
				continue
			}
			freed += st.Size()
		}
		return errors.Join(errs...)
	})
	return freed, err
}
