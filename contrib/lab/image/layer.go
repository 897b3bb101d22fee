// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// layer is one in the registry.
type layer struct {
	name           string
	digest, diffID string
	size           int64
	paths          map[string]bool // what it holds, without leading slash
}

// entry is a file that is made here. A name that ends in a slash is a directory, a target makes a
// symbolic link.
type entry struct {
	name, target string
	data         []byte
	mode         fs.FileMode // zero means 0755 for directories and 0644 for files
	uid          int         // also the group
}

func dir(name string) entry              { return entry{name: strings.TrimSuffix(name, "/") + "/"} }
func file(name, text string) entry       { return entry{name: name, data: []byte(text)} }
func script(name, text string) entry     { return entry{name: name, data: []byte(text), mode: 0o755} }
func link(name, target string) entry     { return entry{name: name, target: target} }
func owned(e entry, uid int) entry       { e.uid = uid; return e }
func moded(e entry, m fs.FileMode) entry { e.mode = m; return e }
func whiteout(name string) entry         { return file(path.Join(path.Dir(name), ".wh."+path.Base(name)), "") }
func opaque(dirname string) entry        { return file(path.Join(dirname, ".wh..wh..opq"), "") }
func hash(h interface{ Sum([]byte) []byte }) string {
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// content of a layer: what Debian packages unpacked to, then what is made here.
type content struct {
	name    string
	tree    string // directory, or empty
	keep    func(name string) bool
	entries []entry
	below   []layer // paths that these have are left out of tree
}

// layer writes c as a compressed layer into the registry.
func (r registry) layer(c content) (l layer, err error) {
	tmp, err := os.CreateTemp(string(r), "layer-")
	if err != nil {
		return l, err
	}
	defer os.Remove(tmp.Name())
	defer func() { err = errors.Join(err, tmp.Close()) }()
	l = layer{name: c.name, paths: map[string]bool{}}
	packed, plain := sha256.New(), sha256.New()
	buf := bufio.NewWriterSize(io.MultiWriter(tmp, packed), 1<<16)
	zip, err := gzip.NewWriterLevel(buf, gzip.BestSpeed)
	if err != nil {
		return l, err
	}
	w := tar.NewWriter(io.MultiWriter(zip, plain))
	if err := c.write(w, l.paths); err != nil {
		return l, fmt.Errorf("layer %s: %w", c.name, err)
	}
	if err := errors.Join(w.Close(), zip.Close(), buf.Flush()); err != nil {
		return l, err
	}
	info, err := tmp.Stat()
	if err != nil {
		return l, err
	}
	l.digest, l.diffID, l.size = hash(packed), hash(plain), info.Size()
	return l, r.adopt(tmp.Name(), l.digest)
}

func (c content) write(w *tar.Writer, paths map[string]bool) error {
	made := map[string]bool{}
	for _, e := range c.entries {
		made[strings.TrimSuffix(e.name, "/")] = true
	}
	if c.tree != "" {
		err := filepath.WalkDir(c.tree, func(p string, d fs.DirEntry, err error) error {
			name := strings.TrimPrefix(strings.TrimPrefix(p, c.tree), "/")
			if err != nil || name == "" {
				return err
			}
			if c.keep != nil && !c.keep(name) {
				if d.IsDir() {
					return filepath.SkipDir
				}
				return nil
			}
			there := slices.ContainsFunc(c.below, func(l layer) bool { return l.paths[name] })
			if there || made[name] {
				return nil
			}
			paths[name] = true
			return copyEntry(w, p, name, d)
		})
		if err != nil {
			return err
		}
	}
	for _, e := range c.entries {
		if err := c.ancestors(w, e.name, paths); err != nil {
			return err
		}
		paths[strings.TrimSuffix(e.name, "/")] = true
		h := &tar.Header{Name: e.name, Mode: int64(e.mode.Perm()), Size: int64(len(e.data)), ModTime: epoch(), Uid: e.uid, Gid: e.uid, Typeflag: tar.TypeReg}
		// The type bits of fs.FileMode are Go's own: tar wants the traditional ones.
		for bit, old := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
			if e.mode&bit != 0 {
				h.Mode |= old
			}
		}
		switch {
		case e.target != "":
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.target, 0o777
		case strings.HasSuffix(e.name, "/"):
			h.Typeflag = tar.TypeDir
			if e.mode == 0 {
				h.Mode = 0o755
			}
		case e.mode == 0:
			h.Mode = 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := w.Write(e.data); err != nil {
			return err
		}
	}
	return nil
}

// ancestors writes the directories above name that neither this layer nor one below has.
func (c content) ancestors(w *tar.Writer, name string, paths map[string]bool) error {
	parent := path.Dir(strings.TrimSuffix(name, "/"))
	if parent == "." || paths[parent] || slices.ContainsFunc(c.below, func(l layer) bool { return l.paths[parent] }) {
		return nil
	}
	if err := c.ancestors(w, parent, paths); err != nil {
		return err
	}
	paths[parent] = true
	return w.WriteHeader(&tar.Header{Name: parent + "/", Mode: 0o755, ModTime: epoch(), Typeflag: tar.TypeDir})
}

func copyEntry(w *tar.Writer, from, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(from); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	// Names come from the host's user database otherwise, and would win over the numbers.
	h.Name, h.Uname, h.Gname = name, "", ""
	if info.IsDir() {
		h.Name += "/"
		h.ModTime = epoch() // extracting touched it
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		h.Uid, h.Gid = int(st.Uid), int(st.Gid)
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
