// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"go.podman.io/common/libimage"
	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/directory"
	"go.podman.io/image/v5/docker/archive"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/manifest"
	ociarchive "go.podman.io/image/v5/oci/archive"
	"go.podman.io/image/v5/oci/layout"
	"go.podman.io/image/v5/signature"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
	layers "go.podman.io/storage/pkg/archive"
	"golang.org/x/sys/unix"
)

// The libraries read a layer from the storage into a file of its own before they copy it, and
// unpack an archive as one of OCI's before they look whether it is one of docker's. Of 500 MB that
// is 500 MB written once more, each time.

// onDisk reports whether an archive will be a file on the file system of the storage. The storage
// is locked while a layer is read from it, and any other destination may be slow: a pipe as slow as
// its reader, another file system as slow as its disk or server.
func onDisk(path, storage string) bool {
	var at, home unix.Stat_t
	err := unix.Stat(path, &at)
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = unix.Stat(filepath.Dir(path), &at)
	case err == nil && at.Mode&unix.S_IFMT != unix.S_IFREG:
		return false
	}
	return err == nil && unix.Stat(storage, &home) == nil && at.Dev == home.Dev
}

// archived is an image for an archive, with its names.
type archived struct {
	id   string
	tags []reference.NamedTagged
}

// addArchived adds an image by a name, which is empty or has a digest where it has no tag to be
// noted.
func addArchived(images []archived, id, name string) []archived {
	i := slices.IndexFunc(images, func(a archived) bool { return a.id == id })
	if i < 0 {
		i, images = len(images), append(images, archived{id: id})
	}
	named, err := reference.ParseNamed(name)
	tagged, ok := named.(reference.NamedTagged)
	same := func(t reference.NamedTagged) bool { return t.String() == name }
	if err == nil && ok && !slices.ContainsFunc(images[i].tags, same) {
		images[i].tags = append(images[i].tags, tagged)
	}
	return images
}

// saveArchive writes images to a docker-archive; straight takes layers straight from the storage.
func (im *Images) saveArchive(ctx context.Context, sys *types.SystemContext, images []archived, path string, straight bool, progress io.Writer) error {
	if len(images) == 0 {
		return errors.New("no image is to be saved")
	}
	w, err := archive.NewWriter(sys, path)
	if err != nil {
		return err
	}
	for _, one := range images {
		to := *sys
		to.DockerArchiveAdditionalTags = one.tags
		var dst types.ImageReference
		if dst, err = w.NewReference(nil); err == nil {
			err = im.saveOne(ctx, one.id, dst, straight, copy.Options{
				SourceCtx: sys, DestinationCtx: &to, ReportWriter: progress, ForceManifestMIMEType: manifest.DockerV2Schema2MediaType,
			})
		}
		if err != nil {
			break
		}
	}
	if cerr := w.Close(); err == nil { // after an error the writer would remove the file, which cannot be done to what stdout leads to
		err = cerr
	}
	return err
}

// saveSingle writes an image to a format that has room for one image with one name.
func (im *Images) saveSingle(ctx context.Context, sys *types.SystemContext, images []archived, names []string, format, path string, o SendOptions) error {
	if len(images) != 1 {
		return fmt.Errorf("a save as %s is of one image, not of %d", format, len(images))
	}
	name := names[0]
	if name == images[0].id {
		name = ""
	}
	c, err := o.copying()
	if err != nil {
		return err
	}
	to := *sys
	to.DirForceCompress, to.OCIAcceptUncompressedLayers = c.DirForceCompress, c.OciAcceptUncompressedLayers
	if c.CompressionFormat != nil {
		to.CompressionFormat = c.CompressionFormat
	}
	var dst types.ImageReference
	var kind string
	switch format {
	case "oci-archive":
		dst, err = ociarchive.NewReference(path, name)
	case "oci-dir":
		dst, err = layout.NewReference(path, name)
		kind = imgspecManifest
	case "docker-dir":
		dst, err = directory.NewReference(path)
		kind = manifest.DockerV2Schema2MediaType
	default:
		err = fmt.Errorf("unknown format %q: want docker-archive, oci-archive, docker-dir or oci-dir", format)
	}
	if err != nil {
		return err
	}
	return im.saveOne(ctx, images[0].id, dst, false, copy.Options{SourceCtx: sys, DestinationCtx: &to, ReportWriter: o.Progress, ForceManifestMIMEType: kind})
}

// saveOne copies an image of the storage to where it is saved, without its signatures: archives
// have no place for them; a directory would, but goes without as with podman.
func (im *Images) saveOne(ctx context.Context, id string, dst types.ImageReference, straight bool, o copy.Options) error {
	src, err := istorage.Transport.ParseStoreReference(im.store, "@"+id)
	if err != nil {
		return err
	}
	allowed, err := signature.NewPolicyContext(&signature.Policy{Default: signature.PolicyRequirements{signature.NewPRInsecureAcceptAnything()}})
	if err != nil {
		return err
	}
	o.RemoveSignatures = true
	from := types.ImageReference(src)
	if straight {
		from = streamed{src, im.store}
	}
	_, err = copy.Image(ctx, allowed, dst, from, &o)
	return errors.Join(err, allowed.Destroy())
}

// streamed is an image of the storage whose layers are read where they lie.
type streamed struct {
	types.ImageReference
	store storage.Store
}

// NewImageSource opens the image.
func (s streamed) NewImageSource(ctx context.Context, sys *types.SystemContext) (types.ImageSource, error) {
	src, err := s.ImageReference.NewImageSource(ctx, sys)
	if err != nil {
		return nil, err
	}
	return &streamedSource{src, s.store}, nil
}

type streamedSource struct {
	types.ImageSource
	store storage.Store
}

// GetBlob gives a layer, whose digest whoever copies it verifies, or another blob.
func (s *streamedSource) GetBlob(ctx context.Context, info types.BlobInfo, cache types.BlobInfoCache) (io.ReadCloser, int64, error) {
	if info.Digest != "" {
		same, err := s.store.LayersByUncompressedDigest(info.Digest)
		if err == nil && len(same) > 0 && same[0].UncompressedSize >= 0 {
			plain := layers.Uncompressed
			diff, err := s.store.Diff("", same[0].ID, &storage.DiffOptions{Compression: &plain})
			return diff, same[0].UncompressedSize, err
		}
	}
	return s.ImageSource.GetBlob(ctx, info, cache)
}

// load reads the images of an archive or a directory.
func (im *Images) load(ctx context.Context, runtime *libimage.Runtime, path string, o *libimage.LoadOptions) ([]string, error) {
	if isDockerArchive(path) {
		ref, err := archive.ParseReference(path)
		if err == nil { // else there is a colon in the path
			return runtime.LoadReference(ctx, ref, o)
		}
	}
	return runtime.Load(ctx, path, o)
}

// isDockerArchive reports whether a file is an archive in docker's format and not in OCI's as well.
// It reads only the names in the archive; for a compressed archive it is false.
func isDockerArchive(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return false
	}
	docker := false
	for in := tar.NewReader(f); ; {
		h, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return docker
		case err != nil, h.Name == "oci-layout", h.Name == "./oci-layout":
			return false
		case h.Name == "manifest.json":
			docker = true
		}
	}
}
