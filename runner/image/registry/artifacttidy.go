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
	"slices"
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
	// asideAge is how old a file of the artifacts must be that nothing refers to: an artifact that is being added holds
	// no lock while its files are copied.
	asideAge = 24 * time.Hour
	// blobBegun begins the names of files that are being written, beside the list. Source: the library's oci/layout.
	blobBegun = "oci-put-blob"
)

// artifactLock does something under the lock of the artifacts in dir, unless somebody else has it, or there are none.
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

// keepArtifacts keeps a copy of the list of artifacts before something changes it: the library writes it in place, and
// syncs neither it nor manifests. Of a list that a power cut has torn the copy takes the place, or an empty one; an artifact
// whose manifest is lost goes from it. What is lost is said; what a registry has, the next pull brings back.
func keepArtifacts(dir string) ([]string, error) {
	var said []string
	err := artifactLock(dir, func() error {
		path := filepath.Join(dir, v1.ImageIndexFile)
		list, err := readList(path)
		torn := err != nil
		if torn {
			said = append(said, fmt.Sprintf("the list of artifacts was damaged, and is again what it was before the last change: %v", err))
			if list, err = readList(image.KeptList(path)); err != nil {
				list = v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
				said[0] = fmt.Sprintf("the list of artifacts was damaged, and is empty now; pull them again: %v", err)
			}
		}
		whole := slices.DeleteFunc(slices.Clone(list.Manifests), func(d v1.Descriptor) bool {
			_, err := artifactOf(dir, d)
			if err != nil {
				said = append(said, fmt.Sprintf("artifact %s is lost: %v", d.Annotations[v1.AnnotationRefName], err))
			}
			return err != nil
		})
		changed := torn || len(whole) != len(list.Manifests)
		list.Manifests = whole
		data, err := json.Marshal(list)
		if err == nil && changed {
			err = safe.Write(path, data, 0o644)
		}
		if err != nil {
			return err
		}
		if old, rerr := os.ReadFile(image.KeptList(path)); rerr == nil && string(old) == string(data) {
			return nil
		}
		return safe.Write(image.KeptList(path), data, 0o644)
	})
	return said, err
}

func readList(path string) (list v1.Index, err error) {
	data, err := safe.ReadFile(path, maxList)
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	return list, err
}

func blobOf(dir string, d digest.Digest) string {
	return filepath.Join(dir, v1.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// artifactOf reads the manifest of an artifact of the list.
func artifactOf(dir string, d v1.Descriptor) (m v1.Manifest, err error) {
	if err := d.Digest.Validate(); err != nil {
		return m, err
	}
	data, err := safe.ReadFile(blobOf(dir, d.Digest), maxList)
	if err != nil {
		return m, err
	}
	if d.Digest.Algorithm().FromBytes(data) != d.Digest {
		return m, errors.New("its manifest is damaged")
	}
	return m, json.Unmarshal(data, &m)
}

// dropArtifactFiles removes files of the artifacts in dir that no artifact refers to and that are older than age: a pull or an
// addition that was killed has left them. It gives the bytes that were freed.
func dropArtifactFiles(dir string, age time.Duration) (freed int64, err error) {
	err = artifactLock(dir, func() error {
		list, err := readList(filepath.Join(dir, v1.ImageIndexFile))
		if err != nil {
			return err
		}
		used := map[string]bool{}
		for _, d := range list.Manifests {
			m, err := artifactOf(dir, d)
			if err != nil {
				return fmt.Errorf("artifact %s: %w", d.Annotations[v1.AnnotationRefName], err)
			}
			for _, one := range append(m.Layers, d, m.Config) {
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
