// SPDX-License-Identifier: Apache-2.0

package container

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/podunit/podunit/runner/safe"

	"go.podman.io/storage/pkg/archive"
	"go.podman.io/storage/pkg/chrootarchive"
	"go.podman.io/storage/pkg/idtools"
	"go.podman.io/storage/pkg/unshare"
	"golang.org/x/sys/unix"
)

// Place is one end of a copy: a path on the host, or in a container.
type Place struct {
	Container *Record // nil for the host
	Path      string
}

// inside is the absolute path in a container: relative ones begin in its working directory.
func (p Place) inside() string {
	dir := p.Path
	if !path.IsAbs(dir) {
		dir = path.Join("/", p.Container.Spec.WorkDir, dir)
		if p.Container.Spec.WorkDir == "" {
			dir = path.Join("/", p.Container.Config.WorkingDir, p.Path)
		}
	}
	return archive.PreserveTrailingDotOrSeparator(path.Clean(dir), p.Path)
}

// CopyOptions say how files are copied.
type CopyOptions struct {
	// KeepOwners leaves files in a container the owners that they have; otherwise they get the user
	// of its first process.
	KeepOwners bool
	// Overwrite lets a file take the place of a directory, and a directory that of a file.
	Overwrite bool
}

// ErrDirectoryNeeded says that a directory cannot be copied to what is none.
var ErrDirectoryNeeded = errors.New("destination must be a directory when copying a directory")

// Copy copies a file or a directory from one place to another, as docker-cp does: into a directory
// that exists, else to the name that is given; of DIRECTORY/. what is in it.
func (e *Engine) Copy(ctx context.Context, from, to Place, o CopyOptions) error {
	return e.at(ctx, from, func(source string) error {
		return e.at(ctx, to, func(target string) error {
			content, what, err := e.read(from, source)
			if err != nil {
				return err
			}
			defer content.Close()
			return e.write(content, what, to, target, o)
		})
	})
}

// CopyOut writes a file or directory of a container to w as a tar archive.
func (e *Engine) CopyOut(ctx context.Context, from Place, w io.Writer) error {
	return e.at(ctx, from, func(root string) error {
		content, _, err := e.read(from, root)
		if err != nil {
			return err
		}
		defer content.Close()
		_, err = io.Copy(w, content)
		return err
	})
}

// ErrNoArchive is podman's way to say that what comes from stdin is no archive.
var ErrNoArchive = errors.New("source must be a (compressed) tar archive when copying from stdin")

// CopyIn unpacks a tar archive into a directory of a container. Nothing at all is ErrNoArchive.
func (e *Engine) CopyIn(ctx context.Context, archived io.Reader, to Place, o CopyOptions) error {
	return e.at(ctx, to, func(root string) error {
		st, err := stat(root, to.inside())
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return notFound(to)
		case err != nil:
			return err
		case !st:
			return fmt.Errorf("destination must be a directory when copying from stdin: %q", to.Path)
		}
		content := bufio.NewReader(archived)
		if _, err := content.Peek(1); errors.Is(err, io.EOF) {
			return ErrNoArchive
		}
		return e.unpack(content, root, to.inside(), to, o)
	})
}

// at does something with the root directory of a place.
func (e *Engine) at(ctx context.Context, p Place, do func(root string) error) error {
	if p.Container == nil {
		return do("/")
	}
	return e.WithRoot(ctx, *p.Container, do)
}

// notFound is podman's way to say that there is no such file.
func notFound(p Place) error {
	if p.Container == nil {
		return fmt.Errorf("%q could not be found on the host: %w", p.Path, unix.ENOENT)
	}
	return fmt.Errorf("%q could not be found on container %s: %w", p.Path, p.Container.Name, unix.ENOENT)
}

// stat tells whether a path in a root directory is a directory. Links are followed within it.
func stat(root, name string) (isDir bool, err error) {
	f, err := safe.OpenIn(root, name, unix.O_PATH)
	if err != nil {
		return false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	return st.IsDir(), nil
}

// read archives what is at a place. A link that is named is what is copied from the host; in a
// container it is followed, as podman does.
func (e *Engine) read(p Place, root string) (io.ReadCloser, archive.CopyInfo, error) {
	name := p.Path
	if p.Container != nil {
		name = p.inside()
	} else {
		abs, err := filepath.Abs(name)
		if err != nil {
			return nil, archive.CopyInfo{}, err
		}
		name = archive.PreserveTrailingDotOrSeparator(abs, name)
	}
	isDir, err := stat(root, strings.TrimSuffix(name, "/."))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, archive.CopyInfo{}, notFound(p)
	}
	if err != nil {
		return nil, archive.CopyInfo{}, err
	}
	info := archive.CopyInfo{Path: name, Exists: true, IsDir: isDir}
	dir, base := archive.SplitPathDirEntry(name)
	o := &archive.TarOptions{
		Compression: archive.Uncompressed, IncludeFiles: []string{base}, IncludeSourceDir: true,
		InUserNS: unshare.IsRootless(),
	}
	content, err := chrootarchive.Tar(filepath.Join(root, dir), o, root)
	if err != nil {
		return nil, info, err
	}
	return &whole{ReadCloser: content}, info, nil
}

// write unpacks what read has archived.
func (e *Engine) write(content io.Reader, what archive.CopyInfo, to Place, root string, o CopyOptions) error {
	name := to.Path
	if to.Container != nil {
		name = to.inside()
	} else if abs, err := filepath.Abs(name); err != nil {
		return err
	} else {
		name = archive.PreserveTrailingDotOrSeparator(abs, name)
	}
	info := archive.CopyInfo{Path: name}
	isDir, err := stat(root, strings.TrimSuffix(name, "/."))
	switch {
	case err == nil:
		info.Exists, info.IsDir = true, isDir
	case !errors.Is(err, fs.ErrNotExist):
		return err
	default:
		if _, err := stat(root, path.Dir(path.Clean(name))); errors.Is(err, fs.ErrNotExist) {
			return notFound(to)
		}
	}
	if !isDir && info.Exists && o.Overwrite && what.IsDir {
		return fmt.Errorf("%q: %w", to.Path, ErrDirectoryNeeded)
	}
	dir, content, err := prepare(content, what, info)
	if err != nil {
		return fmt.Errorf("%q: %w", to.Path, err)
	}
	return e.unpack(content, root, dir, to, o)
}

// prepare is archive.PrepareArchiveCopy with podman's words.
func prepare(content io.Reader, what, to archive.CopyInfo) (string, io.Reader, error) {
	dir, rebased, err := archive.PrepareArchiveCopy(content, what, to)
	switch {
	case errors.Is(err, archive.ErrCannotCopyDir):
		return "", nil, ErrDirectoryNeeded
	case errors.Is(err, archive.ErrDirNotExists):
		return "", nil, unix.ENOENT
	}
	return dir, rebased, err
}

// unpack unpacks an archive into a directory below a root directory.
func (e *Engine) unpack(content io.Reader, root, dir string, to Place, o CopyOptions) error {
	how := &archive.TarOptions{InUserNS: unshare.IsRootless(), NoOverwriteDirNonDir: !o.Overwrite}
	switch {
	case to.Container == nil:
		how.ChownOpts = &idtools.IDPair{UID: os.Getuid(), GID: os.Getgid()}
	case !o.KeepOwners:
		uid, gid, err := e.Owner(*to.Container)
		if err != nil {
			return err
		}
		how.ChownOpts = &idtools.IDPair{UID: uid, GID: gid}
	}
	if to.Container == nil {
		// The container may have made of a directory a link while it was read: what then comes
		// below the link must not lie where it leads.
		return chrootarchive.UntarWithRoot(content, dir, how, dir)
	}
	// The library makes the directory that it is given where it does not find it, and looks for it as
	// we see it: a link in the container would have it made on the machine. The root is there, and
	// what the names say is looked up inside.
	plain, err := archive.DecompressStream(content)
	if err != nil {
		return err
	}
	defer plain.Close()
	from, into := io.Pipe()
	defer from.Close()
	go func() { into.CloseWithError(below(dir, plain, into)) }()
	return chrootarchive.UntarWithRoot(from, root, how, root)
}

// below writes an archive anew with the names of its files, and the files that its hard links name,
// in a directory. What the archive says of that directory itself is left out: it is there.
func below(dir string, content io.Reader, w io.Writer) error {
	in, out := tar.NewReader(content), tar.NewWriter(w)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if err != nil {
			return err
		}
		name := path.Clean(strings.TrimLeft(h.Name, "/"))
		if name == "." {
			continue
		}
		names := []*string{&h.Name}
		if h.Typeflag == tar.TypeLink {
			names = append(names, &h.Linkname)
		}
		for _, n := range names {
			local := path.Clean(strings.TrimLeft(*n, "/"))
			if !filepath.IsLocal(local) {
				return fmt.Errorf("the archive has a file %q, which would lie outside of the directory", *n)
			}
			*n = strings.TrimPrefix(path.Join(dir, local), "/")
		}
		if h.Typeflag == tar.TypeDir {
			h.Name += "/"
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}
