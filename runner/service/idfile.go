// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/store"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// An idFile is the file for the ID of a new container or pod. One that is there may be what another
// container is known by, unless it has the ID of a container that is gone, or never was because its
// start was killed: then it is as good as none. So is an empty one, of a start that was killed before
// it wrote. A maker holds the lock of the file until the storage knows the ID that it has written.
type idFile struct {
	flag, path string               // an empty path means that none is wanted
	known      func(id string) bool // whether there is something of that ID
}

// cidFile is the file of --cidfile.
func (e *Engine) cidFile(path string) idFile {
	return idFile{"cidfile", path, func(id string) bool {
		_, err := e.Containers.Store.Container(id)
		return !errors.Is(err, storage.ErrContainerUnknown)
	}}
}

// podIDFile is the file of --pod-id-file.
func (e *Engine) podIDFile(path string) idFile {
	return idFile{"pod-id-file", path, func(id string) bool {
		_, err := e.Pods.LookupExact(id)
		return !errors.Is(err, pod.ErrNotFound)
	}}
}

// freeCIDFile returns an error if the file for a container's ID is in the way. That of a container
// which makes way for this one is not.
func (e *Engine) freeCIDFile(c *spec.Container) error {
	return e.cidFile(c.CIDFile).free(func(id string) bool {
		old, err := e.Containers.LookupExact(id)
		if err != nil || c.Name == "" || old.Name != c.Name {
			return false
		}
		return mayReplace(container.Record{Spec: *c, Unit: e.startingUnit()}, old) || e.forsaken(old)
	})
}

// freePodIDFile is freeCIDFile for a pod.
func (e *Engine) freePodIDFile(p *spec.Pod) error {
	return e.podIDFile(p.PodIDFile).free(func(id string) bool {
		old, err := e.Pods.LookupExact(id)
		return err == nil && p.Replace && old.Name == p.Name
	})
}

// free returns an error if the file is in the way. It is called before anything is made; makesWay
// tells whether what has an ID is to be removed for it.
func (i idFile) free(makesWay func(id string) bool) error {
	known := i.known
	i.known = func(id string) bool { return known(id) && !makesWay(id) }
	f, err := i.left()
	if f != nil {
		f.Close()
	}
	return err
}

// write writes an ID. The caller calls release when the storage knows it.
func (i idFile) write(id string) (release func(), err error) {
	if i.path == "" {
		return func() {}, nil
	}
	f, err := os.OpenFile(i.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	switch {
	case errors.Is(err, os.ErrExist):
		if f, err = i.left(); err == nil && f == nil { // taken away just now
			err = i.inTheWay()
		}
	case err == nil:
		ctx, cancel := context.WithTimeout(context.Background(), lockWait)
		defer cancel()
		err = safe.Flock(ctx, f)        // another maker may be looking at it
		if err == nil && !i.isNone(f) { // or has written its ID
			err = i.inTheWay()
		}
	}
	if err == nil {
		_, err = f.WriteAt([]byte(id), 0)
	}
	if err == nil {
		err = f.Truncate(int64(len(id)))
	}
	if err != nil && f != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { f.Close() }, err
}

// left opens and locks the file if it is there and is as good as none. It returns nil if there is
// none, and an error if the file is in the way.
func (i idFile) left() (*os.File, error) {
	if i.path == "" {
		return nil, nil
	}
	st, err := os.Lstat(i.path)
	if err != nil {
		return nil, nil //nolint:nilerr // who writes it will tell
	}
	if !st.Mode().IsRegular() {
		return nil, i.inTheWay()
	}
	f, err := os.OpenFile(i.path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, i.inTheWay()
	}
	if !i.isLeft(f) {
		return nil, errors.Join(i.inTheWay(), f.Close())
	}
	return f, nil
}

// isLeft locks an open file, and reports whether it is ours and as good as none: nobody else has its
// lock, and it is empty or has the ID of something that is gone.
func (i idFile) isLeft(f *os.File) bool {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid() {
		return false
	}
	locked, err := safe.TryFlock(f)
	return err == nil && locked && i.isNone(f)
}

// isNone reports whether what is in an open file is as good as none. It does not ask whose the file
// is: a file system without owners, or a server that does not know us, gives a new one to another.
func (i idFile) isNone(f *os.File) bool {
	b, err := io.ReadAll(io.LimitReader(f, 2*store.IDLength))
	if err != nil {
		return false
	}
	id := strings.TrimSpace(string(b))
	return len(b) == 0 || store.IsID(id) && !i.known(id)
}

func (i idFile) inTheWay() error {
	return hint.With(fmt.Errorf("--%s %s: the file exists", i.flag, i.path), "rm %s, unless something still goes by it", i.path)
}
