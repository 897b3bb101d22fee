// SPDX-License-Identifier: Apache-2.0

package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/hint"
)

// ArtifactDir is where a storage keeps artifacts: an OCI layout, as podman has it.
func ArtifactDir(graphRoot string) string { return filepath.Join(graphRoot, "artifacts") }

// KeptList is the copy of a list of artifacts from before it was changed last.
func KeptList(list string) string { return list + ".kept" }

// Blob is one file of an artifact.
type Blob struct {
	// Name is its title, or its digest with a dash for the colon if it has none: a word without
	// slashes.
	Name string
	// Path is the file. Its name is its digest: whoever writes to it damages the storage.
	Path string
}

// Blobs are the files of an artifact in the storage, of those with a title or a digest only that
// one. The artifact goes by its name, by that without :latest, by NAME@DIGEST, or by the beginning
// of its digest. The error is ErrUnknown if there is none.
func Blobs(graphRoot, name, title, of string) ([]Blob, error) {
	dir := ArtifactDir(graphRoot)
	m, err := artifact(dir, name)
	if err != nil {
		return nil, err
	}
	var blobs []Blob
	seen := map[string]bool{}
	for _, layer := range m.Layers {
		called := layer.Annotations[v1.AnnotationTitle]
		if title != "" && called != title || of != "" && layer.Digest.String() != of {
			continue
		}
		path, err := blobPath(dir, layer.Digest)
		if err != nil {
			return nil, err
		}
		if called == "" {
			called = strings.ReplaceAll(layer.Digest.String(), ":", "-")
		}
		// Whoever has made the artifact could name a place of his choice.
		if strings.Contains(called, "/") || called == "." || called == ".." {
			return nil, fmt.Errorf("artifact %s: %q is no name of a file", name, called)
		}
		if seen[called] {
			return nil, hint.With(fmt.Errorf("artifact %s: more than one file is called %q", name, called), "digest= takes one of them")
		}
		seen[called] = true
		blobs = append(blobs, Blob{called, path})
	}
	switch {
	case len(blobs) > 0:
		return blobs, nil
	case title != "":
		return nil, fmt.Errorf("artifact %s: no blob with the title %q", name, title)
	case of != "":
		return nil, fmt.Errorf("artifact %s: no blob with the digest %q", name, of)
	}
	return nil, fmt.Errorf("artifact %s: there is no file in it", name)
}

// artifact finds the manifest of an artifact.
func artifact(dir, name string) (m v1.Manifest, err error) {
	unknown := hint.With(fmt.Errorf("%s: artifact does not exist: %w", name, ErrUnknown), "podunit artifact pull %s; an .artifact file does so before the start", name)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return m, unknown
	}
	var index v1.Index
	if err := readIndex(filepath.Join(dir, v1.ImageIndexFile), &index); errors.Is(err, fs.ErrNotExist) {
		return m, unknown
	} else if err != nil {
		return m, err
	}
	found := map[digest.Digest]bool{}
	for _, d := range index.Manifests {
		if isArtifact(d, name) {
			found[d.Digest] = true
		}
	}
	if len(found) > 1 {
		return m, fmt.Errorf("%s: several artifacts begin like this", name)
	}
	for d := range found {
		path, err := blobPath(dir, d)
		if err == nil {
			err = readJSON(path, &m)
		}
		return m, err
	}
	return m, unknown
}

// isArtifact reports whether an artifact of the index is meant by a name.
func isArtifact(d v1.Descriptor, name string) bool {
	called := d.Annotations[v1.AnnotationRefName]
	bare, of, digested := strings.Cut(name, "@")
	if digested {
		return d.Digest.String() == of && strings.TrimSuffix(called, TagOf(called)) == bare
	}
	return called == name || called == name+":latest" && TagOf(name) == "" || isHex(name) && strings.HasPrefix(d.Digest.Encoded(), name)
}

// blobPath is where a layout has a blob.
func blobPath(dir string, d digest.Digest) (string, error) {
	if err := d.Validate(); err != nil {
		return "", err
	}
	return filepath.Join(dir, v1.ImageBlobsDir, d.Algorithm().String(), d.Encoded()), nil
}

const (
	// indexReads is how often an index that is no JSON is read.
	indexReads = 100
	// indexWait is the time between two reads of it.
	indexWait = 10 * time.Millisecond
)

// readIndex reads the index of the artifacts without its lock: who pulls an artifact, of whatever
// size, holds that until all is here, and a start must not wait for that. Who changes the index
// writes it in place, and half of it is no JSON: then it is read again. If it stays so, a power cut
// has torn it, and its copy is read instead.
func readIndex(path string, into *v1.Index) error {
	for n := 1; ; n++ {
		*into = v1.Index{}
		err := readJSON(path, into)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if n == indexReads {
			if readJSON(KeptList(path), into) == nil {
				return nil
			}
			return err
		}
		time.Sleep(indexWait)
	}
}

func readJSON(path string, into any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
