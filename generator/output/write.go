// SPDX-License-Identifier: Apache-2.0

package output

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/podunit/podunit/generator/convert"
	"github.com/podunit/podunit/generator/parallel"
	"github.com/podunit/podunit/generator/rawfs"
)

// Result is what went wrong, if anything.
type Result struct {
	Units []error // a unit could not be written
	Links []error // a link could not be made
}

// Write puts units and links into dir, which it creates. Each appears whole or not at all: it gets
// its name only when it is complete.
func Write(dir, header string, out convert.Output) (Result, error) {
	var res Result
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return res, err
	}
	fd, err := rawfs.Open(rawfs.Here, dir, rawfs.Locate|syscall.O_DIRECTORY, 0)
	if err != nil {
		return res, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer rawfs.Close(fd)
	w := writer{path: dir, dir: fd, tag: ".podunit-" + strconv.Itoa(os.Getpid()) + "-", header: header}
	w.buffers.New = func() any { return new([]byte) }
	parents := map[string]error{}
	for _, l := range out.Links {
		parent := filepath.Dir(l.Path)
		if _, ok := parents[parent]; !ok {
			parents[parent] = os.MkdirAll(filepath.Join(dir, parent), 0o777)
		}
	}
	units, links := make([]error, len(out.Units)), make([]error, len(out.Links))
	// Units and links by turns: they lie in different directories, and whoever changes a directory
	// locks it.
	parallel.Each(max(len(units), len(links)), func(i int) {
		if i < len(units) {
			units[i] = w.unit(&out.Units[i], w.tag+strconv.Itoa(i)+".tmp")
		}
		if i < len(links) {
			l := out.Links[i]
			if links[i] = parents[filepath.Dir(l.Path)]; links[i] == nil {
				links[i] = w.link(l.Target, l.Path, w.tag+"link-"+strconv.Itoa(i)+".tmp")
			}
		}
	})
	res.Units, res.Links = present(units), present(links)
	return res, nil
}

func present(errs []error) []error {
	var out []error
	for _, err := range errs {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}

// writer writes into one directory. Names are relative to it: its path is walked once, not three
// times a file.
type writer struct {
	path, tag, header string
	dir               int // descriptor
	buffers           sync.Pool
	named             atomic.Bool // files without a name are not for this kernel, file system or user
}

// unit writes a unit. It goes by way of temp, a name beside it, if it must.
func (w *writer) unit(u *convert.Unit, temp string) error {
	buf, _ := w.buffers.Get().(*[]byte)
	defer w.buffers.Put(buf)
	*buf = append(append((*buf)[:0], w.header...), u.Text...)
	mode := 0o666 &^ u.Hidden
	if !w.named.Load() {
		switch err := w.nameless(u.Name, temp, *buf, mode); {
		case err == nil:
			return nil
		case !errors.Is(err, errors.ErrUnsupported):
			return &os.PathError{Op: "write", Path: w.path + "/" + u.Name, Err: err}
		}
		w.named.Store(true)
	}
	const flags = syscall.O_WRONLY | syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOFOLLOW
	fd, err := rawfs.Open(w.dir, temp, flags, mode)
	if errors.Is(err, syscall.EEXIST) {
		// Left by a run that was killed and had our process number.
		if err = rawfs.Remove(w.dir, temp); err == nil {
			fd, err = rawfs.Open(w.dir, temp, flags, mode)
		}
	}
	if err != nil {
		return &os.PathError{Op: "create", Path: w.path + "/" + u.Name, Err: err}
	}
	err = rawfs.Write(fd, *buf)
	if e := rawfs.Close(fd); err == nil {
		err = e
	}
	if err == nil {
		err = syscall.Renameat(w.dir, temp, w.dir, u.Name)
	}
	if err != nil {
		_ = rawfs.Remove(w.dir, temp) // the first error is the one to tell
		return &os.PathError{Op: "write", Path: w.path + "/" + u.Name, Err: err}
	}
	return nil
}

// nameless writes a file that gets its name at the end: that locks the directory once instead of
// twice. The error is ErrUnsupported where that does not work: on some file systems, and before
// Linux 6.10 without CAP_DAC_READ_SEARCH.
func (w *writer) nameless(name, temp string, text []byte, mode uint32) error {
	fd, err := rawfs.Open(w.dir, ".", rawfs.Nameless|syscall.O_WRONLY, mode)
	if err != nil {
		return errors.ErrUnsupported
	}
	defer rawfs.Close(fd)
	if err := rawfs.Write(fd, text); err != nil {
		return err
	}
	switch err := rawfs.Name(fd, w.dir, name); {
	case err == nil:
		return nil
	case !errors.Is(err, syscall.EEXIST):
		return errors.ErrUnsupported
	}
	_ = rawfs.Remove(w.dir, temp) // left by a run that was killed; usually there is none
	if err := rawfs.Name(fd, w.dir, temp); err != nil {
		return err
	}
	if err := syscall.Renameat(w.dir, temp, w.dir, name); err != nil {
		_ = rawfs.Remove(w.dir, temp) // the error of the rename is the one to tell
		return err
	}
	return nil
}

// link makes a symlink, replacing what is there unless it is a directory.
func (w *writer) link(target, path, temp string) error {
	err := rawfs.Symlink(target, w.dir, path)
	if err == nil {
		return nil
	}
	full := w.path + "/" + path
	if !errors.Is(err, syscall.EEXIST) {
		return &os.LinkError{Op: "symlink", Old: target, New: full, Err: err}
	}
	if old, e := os.Readlink(full); e == nil && old == target {
		return nil
	}
	_ = rawfs.Remove(w.dir, temp) // left by a run that was killed; usually there is none
	if err := rawfs.Symlink(target, w.dir, temp); err != nil {
		return &os.LinkError{Op: "symlink", Old: target, New: full, Err: err}
	}
	if err := syscall.Renameat(w.dir, temp, w.dir, path); err != nil {
		_ = rawfs.Remove(w.dir, temp) // the error of the rename is the one to tell
		return &os.LinkError{Op: "symlink", Old: target, New: full, Err: err}
	}
	return nil
}
