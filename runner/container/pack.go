// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"go.podman.io/storage/pkg/archive"
	"go.podman.io/storage/pkg/reexec"
	"go.podman.io/storage/pkg/unshare"
	"golang.org/x/sys/unix"
)

// packer is the name under which this program reads a tree that a container may change meanwhile.
// Processes with names that begin so are in the namespaces already: see runner/rootless/enter.c.
const packer = "storage-podunit-pack"

//nolint:gochecknoinits // reexec finds what is registered before main asks it
func init() {
	reexec.Register(packer, func() {
		if err := pack(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	})
}

// A tree is the directory of a layer, or of a whole root, and the directories of the layers below it,
// nearest first.
type tree struct {
	Own   string
	Below []string
	// Options are for an archive; without them, the changes are wanted.
	Options *archive.TarOptions
}

// packed starts a process that reads the tree, and returns what it writes: an archive, or a list of
// changes as JSON. That process has a root directory with nothing but the tree in it: a directory
// that the container exchanges for a link while it is read leads nowhere.
func packed(t tree) (io.ReadCloser, error) {
	order, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd := reexec.Command(packer)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(order), to, &said
	// What it mounts is its own.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	to.Close()
	if err != nil {
		from.Close()
		return nil, fmt.Errorf("read %s: %w", t.Own, err)
	}
	return &packing{file: from, wait: func() error {
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("read %s: %w: %s", t.Own, err, strings.TrimSpace(said.String()))
		}
		return nil
	}}, nil
}

// packing is what a process writes: at its end it tells whether that is all. The file is not
// embedded: io.Copy would take the file's own way to write itself, which asks nothing of the
// process.
type packing struct {
	file *os.File
	wait func() error
	err  error
}

func (p *packing) end() error {
	if p.wait != nil {
		p.err = p.wait()
		p.wait = nil
	}
	return p.err
}

// Read returns io.EOF only when the process has done all of its work.
func (p *packing) Read(b []byte) (int, error) {
	n, err := p.file.Read(b)
	if errors.Is(err, io.EOF) {
		if failed := p.end(); failed != nil {
			return n, failed
		}
	}
	return n, err
}

// Close ends the process if it has not ended.
func (p *packing) Close() error {
	err := p.file.Close()
	if p.wait != nil {
		p.end() //nolint:errcheck // nobody reads any more, of which it complains
	}
	return err
}

// pack is the process's work.
func pack(order io.Reader, out io.Writer) error {
	var t tree
	if err := json.NewDecoder(order).Decode(&t); err != nil {
		return err
	}
	unshare.IsRootless() // which it asks /proc once, where something else is soon
	if err := confine(&t); err != nil {
		return err
	}
	if t.Options == nil {
		changes, err := archive.OverlayChanges(t.Below, t.Own)
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(changes)
	}
	if t.Options.WhiteoutFormat == archive.OverlayWhiteoutFormat {
		t.Options.WhiteoutData = t.Below
	}
	content, err := archive.TarWithOptions(t.Own, t.Options)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(out, &whole{ReadCloser: content})
	return err
}

// ErrCut says that an archive ends in the middle.
var ErrCut = errors.New("a file could not be read to its end, or has changed meanwhile (files of /proc and /sys can't be copied)")

// whole reads an archive, and returns ErrCut in place of io.EOF where that is not the end of an
// archive. The library that writes it loses its errors, and ends the archive in the middle of a
// file.
type whole struct {
	io.ReadCloser
	bytes, zeros int // that were read, and how many of them are zeros at the end
}

func (w *whole) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	rest := len(bytes.TrimRight(b[:n], "\x00"))
	if rest > 0 {
		w.zeros = 0
	}
	w.bytes, w.zeros = w.bytes+n, w.zeros+n-rest
	if errors.Is(err, io.EOF) && (w.bytes%512 != 0 || w.zeros < 1024) { // see tar(5)
		return n, ErrCut
	}
	return n, err
}

// confine makes a root directory in which there is the tree and nothing else, and has the paths say
// where.
func confine(t *tree) error {
	// Any existing directory will do as mount point: the mount namespace is our own.
	const place = "/proc"
	dirs := append([]string{t.Own}, t.Below...)
	held := make([]*os.File, len(dirs))
	for i, dir := range dirs {
		f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if held[i] = f; i == 0 {
			t.Own = "/0"
			continue
		}
		t.Below[i-1] = "/" + strconv.Itoa(i)
	}
	trees := make([]int, len(held))
	for i, f := range held {
		fd, err := unix.OpenTree(int(f.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
		if err != nil {
			return fmt.Errorf("mount %s: %w", f.Name(), err)
		}
		trees[i] = fd
	}
	if err := unix.Mount("podunit-pack", place, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=1m,mode=0755"); err != nil {
		return fmt.Errorf("mount a root directory: %w", err)
	}
	for i, fd := range trees {
		at := filepath.Join(place, strconv.Itoa(i))
		if err := os.Mkdir(at, 0o700); err != nil {
			return err
		}
		if err := unix.MoveMount(fd, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("mount %s: %w", held[i].Name(), err)
		}
		unix.Close(fd)
	}
	if err := unix.Chroot(place); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	return unix.Chdir("/")
}
