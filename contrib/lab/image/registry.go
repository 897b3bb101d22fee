// SPDX-License-Identifier: Apache-2.0

package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// registry writes images into the directory that the docker-registry program serves, so that none
// has to run for it. Its layout: blobs by digest, and in each repository links to the blobs it has,
// its manifests and what tags point to.
type registry string

func (r registry) v2(elem ...string) string {
	return filepath.Join(append([]string{string(r), "docker/registry/v2"}, elem...)...)
}

func (r registry) blobPath(digest string) string {
	hash := digest[len("sha256:"):]
	return r.v2("blobs/sha256", hash[:2], hash, "data")
}

// adopt moves a file that has this digest in among the blobs.
func (r registry) adopt(file, digest string) error {
	path := r.blobPath(digest)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.Rename(file, path)
}

func (r registry) put(data []byte) (descriptor, error) {
	sum := sha256.Sum256(data)
	d := descriptor{Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(data))}
	path := r.blobPath(d.Digest)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return d, err
	}
	return d, os.WriteFile(path, data, 0o644)
}

// link writes a file that holds a digest.
func (r registry) link(digest string, elem ...string) error {
	path := r.v2(append(elem, "link")...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(digest), 0o644)
}

// descriptor of the OCI and the Docker formats.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

// config is the image configuration; Healthcheck is known to the Docker format only.
type config struct {
	Created      time.Time   `json:"created"`
	Architecture string      `json:"architecture"`
	OS           string      `json:"os"`
	Config       runConfig   `json:"config"`
	RootFS       rootFS      `json:"rootfs"`
	History      []histEntry `json:"history"`
}

type runConfig struct {
	User         string              `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Env          []string            `json:",omitempty"`
	Entrypoint   []string            `json:",omitempty"`
	Cmd          []string            `json:",omitempty"`
	Volumes      map[string]struct{} `json:",omitempty"`
	WorkingDir   string              `json:",omitempty"`
	Labels       map[string]string   `json:",omitempty"`
	StopSignal   string              `json:",omitempty"`
	Healthcheck  *healthcheck        `json:",omitempty"`
}

type healthcheck struct {
	Test        []string
	Interval    time.Duration // in nanoseconds, as Go counts
	Timeout     time.Duration
	StartPeriod time.Duration
	Retries     int
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type histEntry struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
}

// push adds an image under a tag, replacing what the tag pointed to.
func (r registry) push(repo, tag string, run runConfig, docker bool, layers []layer, arch string) error {
	manifestType, configType, layerType := "application/vnd.oci.image.manifest.v1+json",
		"application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"
	if docker {
		manifestType, configType, layerType = "application/vnd.docker.distribution.manifest.v2+json",
			"application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip"
	}
	c := config{Created: epoch(), Architecture: arch, OS: "linux", Config: run, RootFS: rootFS{Type: "layers"}}
	m := manifest{SchemaVersion: 2, MediaType: manifestType}
	var all []error
	for _, l := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.diffID)
		c.History = append(c.History, histEntry{epoch(), l.name})
		m.Layers = append(m.Layers, descriptor{layerType, l.digest, l.size})
		all = append(all, r.link(l.digest, "repositories", repo, "_layers/sha256", l.digest[len("sha256:"):]))
	}
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if m.Config, err = r.put(data); err != nil {
		return err
	}
	m.Config.MediaType = configType
	all = append(all, r.link(m.Config.Digest, "repositories", repo, "_layers/sha256", m.Config.Digest[len("sha256:"):]))
	if data, err = json.Marshal(m); err != nil {
		return err
	}
	d, err := r.put(data)
	if err != nil {
		return err
	}
	hash := d.Digest[len("sha256:"):]
	return errors.Join(append(all,
		r.link(d.Digest, "repositories", repo, "_manifests/revisions/sha256", hash),
		r.link(d.Digest, "repositories", repo, "_manifests/tags", tag, "index/sha256", hash),
		r.link(d.Digest, "repositories", repo, "_manifests/tags", tag, "current"))...)
}

// epoch is the time of everything that is made here and not taken from a package, so that equal
// input gives equal digests.
func epoch() time.Time { return time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC) }

// open makes everything below dir readable for whoever serves it.
func open(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	})
}
