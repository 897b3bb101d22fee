// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/podunit/podunit/runner/hint"
	"go.podman.io/storage/pkg/archive"
	"go.podman.io/storage/pkg/chrootarchive"
	"go.podman.io/storage/pkg/unshare"
	"golang.org/x/sys/unix"
)

// Export writes the files of a volume as an uncompressed tar archive. The error is ErrNotFound if
// there is no such volume.
func (v *Volumes) Export(name string, w io.Writer) (err error) {
	got, err := v.own(name)
	if err != nil {
		return err
	}
	if err := readable(got.Dir); err != nil {
		return fmt.Errorf("export volume %s: %w", name, err)
	}
	// Containers may put links there: what is read is read by a process whose root directory is the
	// volume.
	content, err := chrootarchive.Tar(got.Dir, &archive.TarOptions{Compression: archive.Uncompressed, InUserNS: unshare.IsRootless()}, got.Dir)
	if err != nil {
		return fmt.Errorf("export volume %s: %w", name, err)
	}
	_, err = io.Copy(w, content)
	return errors.Join(err, content.Close())
}

// readable looks for what cannot be read in a directory. The library that packs a volume leaves
// that out, and only logs it.
func readable(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return readableFS(root.FS())
}

func readableFS(files fs.FS) error {
	return fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var f fs.File
			if f, err = files.Open(path); err == nil {
				err = f.Close()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a container has removed it meanwhile
		}
		return err
	})
}

// Import unpacks a tar archive, which may be compressed, into a volume, over what is there. The
// error is ErrNotFound if there is no such volume.
func (v *Volumes) Import(ctx context.Context, name string, r io.Reader) error {
	got, err := v.own(name)
	if err != nil {
		return err
	}
	// A new container that has the volume would fill it with what its image has there, or find half
	// of it.
	if err := v.WithLock(ctx, name, func() error { return Unpack(got.Dir, r) }); err != nil {
		return fmt.Errorf("import volume %s: %w", name, err)
	}
	return nil
}

// Unpack unpacks a tar archive, which may be compressed, into a directory, over what is there, and
// nowhere else.
func Unpack(dir string, r io.Reader) error {
	plain, err := archive.DecompressStream(r)
	if err != nil {
		return err
	}
	defer plain.Close()
	return chrootarchive.UntarUncompressed(plain, dir, &archive.TarOptions{InUserNS: unshare.IsRootless()})
}

// own is a volume whose files lie in the storage.
func (v *Volumes) own(name string) (*Volume, error) {
	got, err := v.Get(name)
	if err != nil {
		return nil, err
	}
	if _, mounts := got.What(); mounts {
		return nil, hint.With(fmt.Errorf("volume %s stands for something that is mounted where a container has it", name), "podunit cp, from or to a container that has it")
	}
	return got, nil
}

// fill fills the directory of a new volume, and waits until all of it is on the disk.
func (o *Options) fill(dir string) error {
	if o.Fill == nil {
		return nil
	}
	if _, mounts := what(o.Options); mounts {
		return errors.New("it stands for something that is mounted where a container has it")
	}
	if err := o.Fill(dir); err != nil {
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return &fs.PathError{Op: "sync", Path: dir, Err: err}
	}
	return nil
}
