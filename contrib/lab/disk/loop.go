// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// A lab that shares the host's kernel has its disk by three layers of that kernel: ext4 on a loop
// device, whose file is the only one of a FUSE file system, which this process serves. The kernel
// caches the file nowhere (direct I/O), so that what ext4 writes is here at once, and what it
// flushes comes as fsync. When this process is killed, every later write and flush fails. Pages that
// ext4 had not written yet go with its mount, which nobody but the lab holds.

// name of the disk in the FUSE file system, which losetup shows. It tells whose it is.
func name(path string) string { return strings.ReplaceAll(strings.Trim(path, "/"), "/", "-") }

// Attached tells whether the kernel still has a loop device of the disk in this file.
func Attached(path string) bool {
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, f := range files {
		// One that goes meanwhile cannot be read.
		if data, _ := os.ReadFile(f); filepath.Base(strings.TrimSpace(string(data))) == name(path) {
			return true
		}
	}
	return false
}

// patience is how long the end of a mount may take: the kernel ends the mounts of a namespace whose
// processes are gone in the background.
const patience = time.Minute

// mounter has ext4 in a mount namespace of its own. The end of a mount waits until all is written:
// were it in the namespace of this process, and the process killed, it would wait for itself.
const mounter = `set -e
mount -t ext4 "$1" "$2"
shift 2
exec "$@" 3<&-
`

// Mounted executes a command in a mount namespace where dir has the ext4 file system of the disk. It
// returns when the command has ended and all is written. Who kills this process before cuts the
// power, and kills the command then. The caller has a mount namespace of its own.
func (d *Disk) Mounted(dir string, args []string) error {
	server, device, err := d.device(dir)
	if err != nil {
		return err
	}
	cmd := exec.Command("unshare", append([]string{"--mount", "--propagation", "private", "sh", "-c", mounter, "sh", device.Name(), dir}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// The command holds the device until it is mounted.
	cmd.ExtraFiles = []*os.File{device}
	err = errors.Join(cmd.Start(), device.Close())
	if err == nil {
		err = cmd.Wait()
	}
	// The loop device lets go of its file when the mount has ended; with the file ends the FUSE file
	// system.
	ended := make(chan struct{})
	go func() {
		server.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		return errors.Join(err, fmt.Errorf("the file system of %s is in use a minute after its end", dir))
	}
	return errors.Join(err, d.Flush())
}

// device serves the disk as a loop device, of which no mount is left in this namespace.
func (d *Disk) device(dir string) (*fuse.Server, *os.File, error) {
	// Mounted here and not by go-fuse, whose file would be open in the command, too, and answer for
	// us when we are dead.
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open /dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
	if err := unix.Mount("podunit-lab", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		unix.Close(fd)
		return nil, nil, fmt.Errorf("mount a FUSE file system on %s: %w", dir, err)
	}
	second := time.Second
	server, err := fs.Mount(fmt.Sprintf("/dev/fd/%d", fd), &directory{disk: d}, &fs.Options{
		EntryTimeout: &second, AttrTimeout: &second,
		MountOptions: fuse.MountOptions{MaxWrite: 1 << 20, DisableXAttrs: true},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("serve %s: %w", dir, err)
	}
	device, err := loop(filepath.Join(dir, name(d.file.Name())))
	return server, device, errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH))
}

// loop makes a loop device of a file. It ends with its last use: close the device when it is
// mounted.
func loop(path string) (*os.File, error) {
	// The runtime polls what package os opens, and would wait for an answer of ourselves.
	file, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(file)
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: a disk that loses writes needs loop devices of the host", err)
	}
	defer control.Close()
	for {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("get a free loop device: %w", err)
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", number), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(file), Size: block}
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) { // another took it meanwhile
			return nil, fmt.Errorf("make %s of %s: %w", device.Name(), path, err)
		}
	}
}

// directory is the root of the FUSE file system.
type directory struct {
	fs.Inode
	disk *Disk
}

// OnAdd gives the directory its file.
func (r *directory) OnAdd(ctx context.Context) {
	r.AddChild(name(r.disk.file.Name()), r.NewPersistentInode(ctx, &node{disk: r.disk}, fs.StableAttr{Mode: syscall.S_IFREG}), false)
}

// node is the file that is the disk. The kernel asks with several threads.
type node struct {
	fs.Inode
	mutex sync.Mutex
	disk  *Disk
}

// Getattr tells the size, for which the loop device asks.
func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = syscall.S_IFREG|0o600, uint64(n.disk.size)
	return 0
}

// Open has the kernel cache nothing.
func (n *node) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

// Read is ReadAt.
func (n *node) Read(_ context.Context, _ fs.FileHandle, to []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if _, err := n.disk.ReadAt(to, off); err != nil {
		return nil, syscall.EIO
	}
	return fuse.ReadResultData(to), 0
}

// Write is WriteAt. A loop device has no "force unit access": the kernel flushes instead.
func (n *node) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.disk.WriteAt(data, off, false) != nil {
		return 0, syscall.EIO
	}
	return uint32(len(data)), 0
}

// Fsync is Flush.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.disk.Flush() != nil {
		return syscall.EIO
	}
	return 0
}
