// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/unit"
	"github.com/podunit/podunit/runner/volume"
	"go.podman.io/common/pkg/config"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// Engine is what acts on containers: the storage, the runtime and the directories.
type Engine struct {
	User    rootless.Identity
	RunDir  string // podunit's own, on a tmpfs, 0700
	Store   storage.Store
	Runtime runc.Runtime
	// RootPoint is an empty directory that everybody may enter, as the installation makes it: see
	// reachable.
	RootPoint string
	// Checker is the path of podunit-checker, which stays in a container for its checks. Where it
	// is not installed, each check is the runtime's.
	Checker string
	Config  *config.Config // containers.conf(5)
	Volumes Volumes
	// Unit is the systemd service that we start or end something for; empty outside of any.
	Unit    string
	Secrets secret.Source
	// InjectDevices adds devices of the container device interface to a configuration; nil in a
	// program without them.
	InjectDevices func(config *rspec.Spec, dirs, names []string, user bool) error
	// FindImage gives the ID of an image of the storage. The error is image.ErrUnknown if there is
	// none.
	FindImage func(ctx context.Context, name string) (id string, err error)
	// Copying does work in which the storage may copy an image, which takes its time; it may be nil.
	Copying func(image string, work func() error) error
	// Warn gets what went wrong without being an error; it may be nil.
	Warn func(message string)
	// Event gets what happens to containers; it may be nil.
	Event func(journal.Event)
	// HowEnded is the exit status of the first process of a run that is over, if somebody knows it;
	// it may be nil.
	HowEnded func(Status) (code int, known bool)

	codeWait time.Duration // in place of the constant; zero means that
}

// Volumes is what a container needs of named volumes.
type Volumes interface {
	// Get returns the volume; volume.ErrNotFound says that there is none of that name.
	Get(name string) (*volume.Volume, error)
	// Ensure returns the volume, made if it does not exist, and
	// whether it was made now. Who has noted before that a container uses the volume may
	// rely on it: nobody removes it.
	Ensure(ctx context.Context, name string, options volume.Options) (got *volume.Volume, made bool, err error)
	// Fill fills an empty volume that is to be filled; from puts what it finds into dir,
	// and reports whether there was anything.
	Fill(ctx context.Context, got *volume.Volume, from func(dir string) (bool, error)) error
	// Mount mounts what the volume stands for, if anything, on its directory, in our mount
	// namespace. See volume.Volumes.
	Mount(ctx context.Context, got *volume.Volume, join func(target string) (bool, error), image func(name, upper, work, target string) error) (bool, error)
	// Remove removes the volume; none of that name is no error. Where unused is not nil, an
	// error of it stays the removal.
	Remove(ctx context.Context, name string, unused func() error) error
}

// NewID makes a container's or pod's ID: 64 random hexadecimal digits.
func NewID() string {
	b := make([]byte, store.IDLength/2)
	_, _ = rand.Read(b) // never fails, crypto/rand
	return hex.EncodeToString(b)
}

// LockWait is how long an act waits for another runner that works on the same container or pod, such
// as a start in its last steps.
const LockWait = 15 * time.Second

// ErrBusy says that another runner works on the container and did not finish in time.
var ErrBusy = errors.New("another podunit is at work on it")

// A Lock is that of a name: while it is held, nobody else starts or removes what has the name.
// The kernel gives it back when the process dies.
type Lock struct {
	file *os.File // nil once it is not held any more
	path string
}

// Release gives the lock back. Safe to repeat.
func (l *Lock) Release() {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}

// Drop gives the lock back and removes its file, with what it was for. Who waits for it takes
// a new one. After Release it does nothing: by then somebody else may hold that file.
func (l *Lock) Drop() error {
	if l.file == nil {
		return nil
	}
	err := removeFile(l.path)
	l.Release()
	return err
}

// WithLock does something while nobody else starts or removes what has the name. It waits for the
// lock as long as ctx lasts; then the error is ErrBusy. do may give the lock back before its end,
// and drops it when it has removed what has the name.
func (e *Engine) WithLock(ctx context.Context, name string, do func(*Lock) error) error {
	lock, err := e.takeLock(ctx, name)
	if err != nil {
		return err
	}
	defer lock.Release()
	return do(lock)
}

// takeLock takes the lock of a name. It waits as long as ctx lasts.
func (e *Engine) takeLock(ctx context.Context, name string) (*Lock, error) {
	for {
		lock, err := e.tryLock(name)
		if err != nil || lock != nil {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, e.busy(ctx, name)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// busy is the error of who has given up the wait for the lock of a name. It says who has that, if
// the wait was a long one.
func (e *Engine) busy(ctx context.Context, name string) error {
	err := fmt.Errorf("%s: %w", name, ErrBusy)
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	if pid := safe.Holder(e.lockPath(name)); pid != 0 {
		return hint.With(fmt.Errorf("%w: process %d", err, pid), "%s tells what that does", unit.StatusWords(strconv.Itoa(pid), e.User.Rootless()))
	}
	return err
}

// namePath says, as long as the machine runs, that there is or was about to be a
// container of that name. enter.c looks for it.
func (e *Engine) namePath(name string) string { return filepath.Join(e.RunDir, "names", name) }

func (e *Engine) lockPath(name string) string { return filepath.Join(e.RunDir, "lock", name) }

// tryLock returns nil without an error if somebody else holds the lock.
func (e *Engine) tryLock(name string) (*Lock, error) {
	path := e.lockPath(name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	}
	if err != nil {
		return nil, err
	}
	// Who removed the container removed the lock as well: the next try makes a new one.
	if held, err := safe.TryFlock(f); !held {
		f.Close()
		return nil, err
	}
	return &Lock{file: f, path: path}, nil
}

// marker is the path of the file that notes that a container of that ID is being made. The storage
// adds the layer first and the container after it, and a runner killed in between leaves a layer
// that belongs to no container. The marker outlives a power cut and names that layer.
func (e *Engine) marker(id string) string {
	return filepath.Join(e.Store.GraphRoot(), "podunit", "containers", id)
}

// Files is the directory of the files that are bound into a container, or of a pod into all of its
// containers. They lie on the disk, like everything else that a container writes: in a runtime
// directory, which is in memory, it could use up what all of the user's services share.
func (e *Engine) Files(id string) string {
	return filepath.Join(e.Store.GraphRoot(), "podunit", "files", id)
}

// SweepOrphans removes what killed runners have left of containers that the storage does not know
// and of its lists. It also removes containers made with --rm that have ended and are still there:
// those of an earlier boot, and those that our own unit had under another name, which its ExecStop=
// and ExecStopPost= do not know any more.
func (e *Engine) SweepOrphans(ctx context.Context) error {
	ids, err := e.traces()
	if err != nil {
		return err
	}
	errs := []error{store.Sweep(e.Store)}
	for _, id := range ids {
		c, err := e.Store.Container(id)
		if err == nil {
			e.unlockMade(id)
			if !e.mayBeLeft(c) {
				continue
			}
			if r, ok := decode(c); ok && r.Spec.Remove && (ofEarlierBoot(r, BootID()) || e.Unit != "" && r.Unit == e.Unit) {
				errs = append(errs, e.Sweep(ctx, r))
			}
			continue
		}
		if !errors.Is(err, storage.ErrContainerUnknown) {
			return err
		}
		if e.markedElsewhere(id) {
			continue // its maker holds a lock there
		}
		lock, err := e.tryLock(id)
		if err != nil || lock == nil {
			continue // its maker is alive
		}
		if _, err := e.Store.Container(id); !errors.Is(err, storage.ErrContainerUnknown) {
			_ = lock.Drop() // it was, and has made it
			continue
		}
		if _, err := os.Lstat(e.marker(id)); errors.Is(err, fs.ErrNotExist) {
			// Nothing else is made before the marker, or stays after it. The container may be one
			// of another storage, which has the same runtime directory.
			_ = lock.Drop()
			continue
		}
		if err := e.Store.DeleteLayer(id); err != nil && !errors.Is(err, storage.ErrLayerUnknown) && !errors.Is(err, storage.ErrNotALayer) {
			errs = append(errs, fmt.Errorf("layer %s: %w", id, err))
		} else {
			errs = append(errs, e.Runtime.Delete(ctx, id), network.Release(e.dir(id)), os.RemoveAll(e.dir(id)), os.RemoveAll(e.Files(id)), os.RemoveAll(e.kept(id)), removeFile(e.marker(id)), e.unlink(id), lock.Drop())
		}
		lock.Release()
	}
	return errors.Join(errs...)
}

// unlockMade removes the lock of an ID that a runner has left which was killed when its container
// was made.
func (e *Engine) unlockMade(id string) {
	if _, err := os.Lstat(e.lockPath(id)); err != nil {
		return
	}
	if lock, err := e.tryLock(id); err == nil && lock != nil {
		_ = lock.Drop()
	}
}

// mayBeLeft reports whether a container may be of an earlier boot or of our own unit, by the text of
// its record: to decode it takes 0.1 ms, and each start looks at all containers that there are.
func (e *Engine) mayBeLeft(c *storage.Container) bool {
	if !strings.Contains(c.Metadata, BootID()) {
		return true
	}
	unit, err := json.Marshal(e.Unit)
	return e.Unit != "" && (err != nil || strings.Contains(c.Metadata, `"Unit":`+string(unit)))
}

// traces are the IDs for which there is a marker or a lock: both are made before anything else of a
// container.
func (e *Engine) traces() ([]string, error) {
	var ids []string
	for _, dir := range []string{filepath.Dir(e.marker("x")), filepath.Dir(e.lockPath("x"))} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, entry := range entries {
			if store.IsID(entry.Name()) {
				ids = append(ids, entry.Name())
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// SweepNames removes the files that killed runners have left of names which no container has any
// more, and the locks of other things that nobody holds: their next holder makes a new one.
func (e *Engine) SweepNames() error {
	names, others := map[string]bool{}, map[string]bool{}
	for _, dir := range []string{filepath.Dir(e.namePath("x")), filepath.Dir(e.lockPath("x"))} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, entry := range entries {
			switch name := entry.Name(); {
			case store.IsID(name): // Sweep looks after it
			case strings.ContainsAny(name, " @"): // no name of a container has one
				others[name] = true
			default:
				names[name] = true
			}
		}
	}
	all, err := e.List()
	if err != nil {
		return err
	}
	for _, r := range all {
		delete(names, r.Name)
	}
	var errs []error
	for name := range others {
		lock, err := e.tryLock(name)
		if lock != nil {
			err = lock.Drop()
		}
		errs = append(errs, err)
	}
	for name := range names {
		lock, err := e.tryLock(name)
		if err != nil || lock == nil {
			errs = append(errs, err)
			continue // somebody is making one
		}
		if _, err := e.LookupExact(name); errors.Is(err, ErrNotFound) && !e.ofOthers(name) {
			errs = append(errs, removeFile(e.namePath(name)), lock.Drop())
		}
		lock.Release()
	}
	return errors.Join(errs...)
}

// ofOthers tells whether a name is that of a container of another storage, which has the same
// runtime directory.
func (e *Engine) ofOthers(name string) bool {
	id, err := os.ReadFile(e.namePath(name))
	if err != nil || !store.IsID(string(id)) {
		return false
	}
	_, err = os.Stat(e.dir(string(id)))
	return err == nil
}

// Sweep removes a container unless it runs, or somebody is at work on it.
func (e *Engine) Sweep(ctx context.Context, r Record) error {
	lock, err := e.tryLock(r.Name)
	if err != nil || lock == nil {
		return err
	}
	defer lock.Release()
	if s, err := e.Status(r.ID); err != nil || s.PID != 0 {
		return err
	}
	return errors.Join(e.remove(ctx, r, true), lock.Drop())
}

// Forsaken are the ended containers made with --rm by another unit than ours: if that unit is gone
// or does not run, nothing else removes them.
func (e *Engine) Forsaken() ([]Record, error) {
	all, err := e.List()
	if err != nil {
		return nil, err
	}
	var out []Record
	for _, r := range all {
		if !r.Spec.Remove || r.Unit == "" || r.Unit == e.Unit || e.here(r) != nil {
			continue
		}
		if s, err := e.Status(r.ID); err != nil {
			return nil, err
		} else if s.PID == 0 {
			out = append(out, r)
		}
	}
	return out, nil
}

// ofEarlierBoot reports whether a container was made in an earlier boot, so that nothing of it can
// run any more. It is false if this boot or that of the container is not known.
func ofEarlierBoot(r Record, now string) bool {
	return now != "" && r.BootID != "" && r.BootID != now
}

// BootID tells one boot from another; "" where that cannot be read. Source: proc_sys_kernel(5),
// random/boot_id.
func BootID() string { return bootID() }

var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
})
