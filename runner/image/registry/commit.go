// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/image/download"
	"go.podman.io/common/libimage"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/storage"
)

// Commit is an image to be made of what a container has of its own.
type Commit struct {
	Parent  string    // the ID of the image that the container stands on; "" for none
	Layer   io.Reader // what it has of its own, as an archive
	Name    string    // "" for none
	Changes []string  // Dockerfile instructions
	Author  string
	Message string            // Docker's format only
	Docker  bool              // in Docker's format, else in OCI's
	Squash  bool              // Layer holds all files, and nothing of the parent's layers is wanted
	Config  ispec.ImageConfig // how the container runs; it takes the place of the parent's
}

// ErrMessage says that a format has no place for a message.
var ErrMessage = errors.New("messages are only compatible with the docker image format (-f docker)")

// Commit adds an image to the storage and returns its ID.
func (im *Images) Commit(ctx context.Context, c Commit) (id string, err error) {
	if c.Message != "" && !c.Docker {
		return "", ErrMessage
	}
	name := ""
	if c.Name != "" {
		named, err := reference.ParseNormalizedNamed(c.Name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", c.Name, err)
		}
		name = localName(c.Name, reference.TagNameOnly(named))
	}
	config, top, err := im.parentOf(c)
	if err != nil {
		return "", err
	}
	err = im.making(ctx, func(own *os.Root, note *download.Note) error {
		layer, made, err := im.putLayer(own, note, top, c.Layer)
		if err != nil {
			return err
		}
		id, err = im.finish(c, name, config, layer)
		if err != nil && made {
			err = errors.Join(err, im.store.DeleteLayer(layer.ID))
		}
		return err
	})
	return id, err
}

// putLayer stores a layer under the ID that it gets when it is pulled: by another one, an image
// that comes back from a registry would be refused, as its layers would not be those that its ID
// has. It tells whether the layer is new. Source: go.podman.io/image, storage/storage_dest.go,
// layerID.
func (im *Images) putLayer(own *os.Root, note *download.Note, parent string, diff io.Reader) (layer *storage.Layer, made bool, err error) {
	f, err := os.CreateTemp(own.Name(), "commit-")
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil { // who is killed leaves nothing
		return nil, false, err
	}
	sum := digest.Canonical.Digester()
	if _, err := io.Copy(io.MultiWriter(f, sum.Hash()), diff); err != nil {
		return nil, false, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, false, err
	}
	id := sum.Digest().Encoded()
	if parent != "" {
		id = digest.Canonical.FromString(parent + "+" + id).Encoded()
	}
	if layer, err := im.store.Layer(id); err == nil {
		return layer, false, nil
	}
	note.Add(id)
	layer, _, err = im.store.PutLayer(id, parent, nil, "", false, nil, f)
	return layer, err == nil, err
}

// localName is a name in full: one without a registry is of localhost, as podman has it.
func localName(written string, named reference.Named) string {
	first, _, ok := strings.Cut(written, "/")
	if ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return named.String()
	}
	tagged := strings.TrimPrefix(strings.TrimPrefix(named.String(), "docker.io/"), "library/")
	return "localhost/" + tagged
}

// parentOf is the configuration that the new image begins with, as JSON has it, and the layer on
// which it stands.
func (im *Images) parentOf(c Commit) (map[string]json.RawMessage, string, error) {
	if c.Parent == "" {
		config := map[string]json.RawMessage{}
		return config, "", errors.Join(set(config, "architecture", runtime.GOARCH), set(config, "os", runtime.GOOS))
	}
	stored, err := im.store.Image(c.Parent)
	if err != nil {
		return nil, "", err
	}
	raw, err := im.store.ImageBigData(stored.ID, storage.ImageDigestBigDataKey)
	if err != nil {
		return nil, "", err
	}
	var m struct {
		Config struct{ Digest digest.Digest }
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, "", err
	}
	blob, err := im.store.ImageBigData(stored.ID, m.Config.Digest.String())
	if err != nil {
		return nil, "", err
	}
	var config map[string]json.RawMessage
	if err := json.Unmarshal(blob, &config); err != nil {
		return nil, "", err
	}
	if !c.Squash {
		return config, stored.TopLayer, nil
	}
	delete(config, "rootfs")
	delete(config, "history")
	return config, "", nil
}

// finish writes configuration and manifest of an image whose layers are there.
func (im *Images) finish(c Commit, name string, config map[string]json.RawMessage, top *storage.Layer) (string, error) {
	layers, err := im.chain(top)
	if err != nil {
		return "", err
	}
	now := time.Now().UTC()
	blob, err := configured(c, config, layers, now)
	if err != nil {
		return "", err
	}
	raw, err := manifestOf(c.Docker, blob, layers)
	if err != nil {
		return "", err
	}
	d, id := digest.FromBytes(raw), digest.FromBytes(blob)
	o := &storage.ImageOptions{
		CreationDate: now, Digest: d,
		BigData: []storage.ImageBigDataOption{
			{Key: id.String(), Data: blob, Digest: id},
			{Key: storage.ImageDigestManifestBigDataNamePrefix + "-" + d.String(), Data: raw, Digest: d},
			{Key: storage.ImageDigestBigDataKey, Data: raw, Digest: d},
		},
	}
	if _, err := im.store.CreateImage(id.Encoded(), nil, top.ID, "", o); err != nil {
		return "", err
	}
	if name == "" {
		return id.Encoded(), nil
	}
	return id.Encoded(), im.store.AddNames(id.Encoded(), []string{name})
}

// chain are the layers of an image from the lowest on.
func (im *Images) chain(top *storage.Layer) ([]*storage.Layer, error) {
	layers := []*storage.Layer{top}
	for id := top.Parent; id != ""; {
		l, err := im.store.Layer(id)
		if err != nil {
			return nil, err
		}
		layers, id = append(layers, l), l.Parent
	}
	slices.Reverse(layers)
	for _, l := range layers {
		if l.UncompressedDigest == "" {
			return nil, fmt.Errorf("layer %s has no digest of its files: it was pulled in part (zstd:chunked)", l.ID[:12])
		}
	}
	return layers, nil
}

// set puts a value into JSON.
func set(config map[string]json.RawMessage, key string, value any) error {
	raw, err := json.Marshal(value)
	config[key] = raw
	return err
}

// configured is the configuration of the new image. What OCI does not know stays as the parent has
// it, such as Docker's HEALTHCHECK.
func configured(c Commit, config map[string]json.RawMessage, layers []*storage.Layer, now time.Time) ([]byte, error) {
	inner := map[string]json.RawMessage{}
	if raw := config["config"]; len(raw) > 0 && string(raw) != "null" {
		if err := json.Unmarshal(raw, &inner); err != nil {
			return nil, err
		}
	}
	wanted, err := changed(c.Config, c.Changes)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(wanted.ImageConfig)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"} {
		delete(inner, key)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	maps.Copy(inner, fields)
	errs := []error{}
	if len(wanted.OnBuild) > 0 {
		errs = append(errs, set(inner, "OnBuild", wanted.OnBuild))
	}
	root := ispec.RootFS{Type: "layers"}
	for _, l := range layers {
		root.DiffIDs = append(root.DiffIDs, l.UncompressedDigest)
	}
	var history []ispec.History
	if raw := config["history"]; len(raw) > 0 {
		errs = append(errs, json.Unmarshal(raw, &history))
	}
	history = append(history, ispec.History{Created: &now, CreatedBy: "/bin/sh -c " + strings.Join(wanted.Cmd, " "), Author: c.Author, Comment: c.Message})
	errs = append(errs, set(config, "config", inner), set(config, "rootfs", root), set(config, "history", history), set(config, "created", now))
	delete(config, "author")
	if c.Author != "" {
		errs = append(errs, set(config, "author", c.Author))
	}
	delete(config, "comment")
	if c.Message != "" {
		errs = append(errs, set(config, "comment", c.Message))
	}
	blob, err := json.Marshal(config)
	return blob, errors.Join(append(errs, err)...)
}

// changed is how an image runs after Dockerfile instructions.
func changed(c ispec.ImageConfig, changes []string) (libimage.ImageConfig, error) {
	asked, err := libimage.ImageConfigFromChanges(changes)
	if err != nil {
		return libimage.ImageConfig{}, err
	}
	out := libimage.ImageConfig{ImageConfig: c, OnBuild: asked.OnBuild}
	out.User, out.WorkingDir = cmp.Or(asked.User, c.User), cmp.Or(asked.WorkingDir, c.WorkingDir)
	out.StopSignal = cmp.Or(stopSignal(changes), c.StopSignal)
	if asked.Entrypoint != nil {
		out.Entrypoint = asked.Entrypoint
		out.Cmd = nil // it was that of the other entrypoint
	}
	if asked.Cmd != nil {
		out.Cmd = asked.Cmd
	}
	for _, variable := range asked.Env {
		name, _, _ := strings.Cut(variable, "=")
		out.Env = append(slices.DeleteFunc(slices.Clone(out.Env), func(v string) bool { return strings.HasPrefix(v, name+"=") }), variable)
	}
	out.Labels = merged(c.Labels, asked.Labels)
	out.Volumes, out.ExposedPorts = merged(c.Volumes, asked.Volumes), merged(c.ExposedPorts, asked.ExposedPorts)
	return out, nil
}

// stopSignal is the signal of the last STOPSIGNAL, as it was written: the library has judged it,
// and makes a number of it.
func stopSignal(changes []string) string {
	said := ""
	for _, change := range changes {
		key, value, ok := strings.Cut(change, " ")
		if !ok {
			key, value, _ = strings.Cut(change, "=")
		}
		if strings.EqualFold(strings.TrimSpace(key), "STOPSIGNAL") {
			said = strings.TrimSpace(value)
		}
	}
	return said
}

// merged is what is in either map; the second wins.
func merged[V any](a, b map[string]V) map[string]V {
	if len(a)+len(b) == 0 {
		return nil
	}
	out := maps.Clone(a)
	if out == nil {
		out = map[string]V{}
	}
	maps.Copy(out, b)
	return out
}

// manifestOf is the manifest of an image with layers as they lie in the storage, not compressed.
func manifestOf(docker bool, config []byte, layers []*storage.Layer) ([]byte, error) {
	m := ispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageManifest,
		Config: ispec.Descriptor{MediaType: ispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))},
	}
	layer := ispec.MediaTypeImageLayer
	if docker {
		m.MediaType, m.Config.MediaType, layer = manifest.DockerV2Schema2MediaType, manifest.DockerV2Schema2ConfigMediaType, manifest.DockerV2SchemaLayerMediaTypeUncompressed
	}
	for _, l := range layers {
		m.Layers = append(m.Layers, ispec.Descriptor{MediaType: layer, Digest: l.UncompressedDigest, Size: l.UncompressedSize})
	}
	return json.Marshal(m)
}
