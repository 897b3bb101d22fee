// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"golang.org/x/sys/unix"
)

// Shared is the network namespace of a user's named networks. The main process of its unit holds
// it, and pasta connects it to the outside.
type Shared struct {
	PID   int    // of the holder, in the host's PID namespace
	Ticks uint64 // tells it from a later process of the same PID
	DNS   []string
	Host  string // the address of the machine as seen from inside
	Pasta int    // the process ID of pasta
	// Control is the socket at which pesto(1) tells pasta on which ports to listen; empty of a
	// pasta that takes no orders.
	Control string `json:",omitempty"`
	dir     string // where it was read
}

const sharedFile = "shared.json"

// Save notes the namespace in its directory.
func (h Shared) Save(dir string) error {
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return safe.Replace(filepath.Join(dir, sharedFile), data, 0o600)
}

// ReadShared reads what Save noted; ok tells whether the holder lives.
func ReadShared(dir string) (h Shared, ok bool) {
	data, err := os.ReadFile(filepath.Join(dir, sharedFile))
	if err != nil || json.Unmarshal(data, &h) != nil {
		return Shared{}, false
	}
	h.dir = dir
	return h, h.PID != 0 && process.Alive(h.PID, h.Ticks)
}

// current reports whether a namespace that was read from a directory is still the one there, and
// lives.
func (h Shared) current() bool {
	now, ok := ReadShared(h.dir)
	return ok && now.PID == h.PID && now.Ticks == h.Ticks
}

// NoNamespaceError says that there is no network namespace of a user's networks.
type NoNamespaceError struct{ Unit string } // which makes it

func (e NoNamespaceError) Error() string {
	return "the network namespace of the user's networks is not there"
}

// Hint is the way out.
func (e NoNamespaceError) Hint() string { return "systemctl --user start " + e.Unit }

// host finds the namespace that has the host's ends of the links: within calls a function in it. ok
// is false if a user's namespace has yet to be made.
func (c *Connection) host() (within func(func() error) error, ok bool, err error) {
	if !c.Rootless {
		return func(do func() error) error { return do() }, true, nil
	}
	h, ok := ReadShared(c.Shared)
	if !ok {
		return nil, false, nil
	}
	return h.within, true, nil
}

// within calls do in the user's network namespace, in a mount namespace with a /run of its own:
// netavark must not see the machine's /run, and iptables writes its lock there.
func (h Shared) within(do func() error) error {
	return Within(process.Namespace(h.PID, "net"), h.dir, do)
}

// Within calls do in the network namespace at path, whose directory is dir, in a mount namespace with
// a /run of its own. Each of files is a file and the one that it is mounted on.
func Within(path, dir string, do func() error, files ...[2]string) error {
	return netns.Inside([]string{path}, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("unshare the mount namespace: %w", err)
		}
		// What is mounted here is seen here only. What the host unmounts goes here as well: a holder
		// of the namespace stays for long, and would keep a disk or a server of files in use.
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
			return fmt.Errorf("part from the mounts of the host: %w", err)
		}
		var targets []string
		for _, f := range files {
			path, err := filepath.EvalSymlinks(f[1])
			if err != nil {
				return err
			}
			targets = append(targets, path)
		}
		return ownRun(kept(dir), func() error {
			for i, f := range files {
				if err := cover(f[0], targets[i]); err != nil {
					return err
				}
			}
			return do()
		})
	})
}

// cover mounts a file on another, which may be below the /run that we have hidden.
func cover(file, target string) error {
	if strings.HasPrefix(target, "/run/") {
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, nil, 0o644); err != nil {
			return err
		}
	}
	if err := unix.Mount(file, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", file, target, err)
	}
	return nil
}

// kept are the directories that the /run of Within has from the machine's: the user's runtime
// directory, and that of the namespace, whose directory is shared, where it is another one, see
// find_run_dir.
func kept(shared string) []string {
	var all []string
	// The namespace has podunit/networks/netns in a runtime directory.
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), filepath.Dir(filepath.Dir(filepath.Dir(shared)))} {
		if strings.HasPrefix(dir, "/run/") && !slices.Contains(all, dir) {
			all = append(all, dir)
		}
	}
	return all
}

// ownRun mounts a /run that has these directories of the machine's only.
func ownRun(keep []string, do func() error) error {
	trees := map[string]int{}
	for _, dir := range keep {
		tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return fmt.Errorf("open %s: %w", dir, err)
		}
		defer unix.Close(tree)
		trees[dir] = tree
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=1m"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	for dir, tree := range trees {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := unix.MoveMount(tree, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	return do()
}

// making is a link to the process that makes the user's namespace. It is beside the records: before
// the first connection of this boot they have no directory, see EndUnused.
func (s *Store) making() string { return filepath.Join(filepath.Dir(s.Records), "making") }

// Making notes that this process makes the user's namespace. Until EndUnused, nobody else who leaves
// ends that. When the process has ended, the link leads nowhere and nobody heeds it.
func (s *Store) Making(ctx context.Context) error {
	return s.withLock(ctx, func(context.Context) error {
		if err := os.MkdirAll(filepath.Dir(s.making()), 0o700); err != nil {
			return err
		}
		if err := os.Remove(s.making()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Symlink(fmt.Sprintf("/proc/%d/stat", os.Getpid()), s.making())
	})
}

// EndUnused ends the user's namespace, whose directory is shared, if nobody is connected or about
// to be: the container that wanted it may have been killed, and have left, before the namespace was
// there. Before the first connection of this boot there is no directory of records: then the
// namespace stays, since it was started by hand.
func (s *Store) EndUnused(shared string) error {
	c := &Connection{Records: s.Records, Run: s.Run, Shared: shared}
	return s.withLock(context.Background(), func(context.Context) error {
		if err := os.Remove(s.making()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if !c.last() {
			return nil
		}
		return c.endShared()
	})
}

// endShared ends the holder of the user's namespace, and with it its unit, and removes its directory,
// or what is left of one: of a holder that was killed, or where another podunit was killed here. The
// caller has the lock, so the next container finds no namespace and starts the unit. Who makes one
// looks itself whether anybody is there when it is up: see Making and EndUnused.
func (c *Connection) endShared() error {
	if err := os.RemoveAll(c.dnsDir()); err != nil {
		return err
	}
	// The process ends first: if podunit is killed here, there is a directory that names a process
	// which has ended, and not a unit that runs without its directory.
	if h, ok := ReadShared(c.Shared); ok {
		if err := h.end(); err != nil {
			return err
		}
	}
	return os.RemoveAll(c.Shared)
}

// end ends the holder, if it has not ended meanwhile.
func (h Shared) end() error {
	p, err := process.Open(h.PID, h.Ticks)
	if p == nil || err != nil {
		return err
	}
	defer p.Close()
	if err := p.Signal(unix.SIGTERM); err != nil {
		return fmt.Errorf("end the network namespace, process %d: %w", h.PID, err)
	}
	return nil
}
