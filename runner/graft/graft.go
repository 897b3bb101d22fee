// SPDX-License-Identifier: Apache-2.0

// Package graft brings mounts into this process's mount namespace that belong
// to other namespaces: the sysfs of a network namespace, or a tree that another
// process has mounted for itself. Each mount goes away with the last process
// that has it, or with unix.Unmount of its target.
package graft

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Sysfs mounts, read-only on the directory target, the sysfs of the network
// namespace at the path netns. It is for a container whose own user namespace
// does not own its network namespace: the kernel does not let it mount one.
func Sysfs(netns, target string) error {
	err := onThread(func() error {
		f, err := os.Open(netns)
		if err != nil {
			return err
		}
		defer f.Close() // only held open
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter %s: %w", netns, err)
		}
		// A sysfs shows the network namespace of whoever mounts it.
		return unix.Mount("sysfs", target, "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "")
	})
	if err != nil {
		return fmt.Errorf("mount sysfs on %s: %w", target, err)
	}
	return nil
}

// Tree mounts on target, in this process's mount namespace, what the process
// pid has mounted at path in its own. Both mounts are of the same file system;
// neither needs the other. Needs Linux 5.2.
func Tree(pid int, path, target string) error {
	var fd int
	err := onThread(func() error {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
		if err != nil {
			return err
		}
		defer f.Close() // only held open
		// Threads share their root and working directory, which setns(2) with a
		// mount namespace does not allow.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("enter the mount namespace of process %d: %w", pid, err)
		}
		fd, err = unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		return err
	})
	if err != nil {
		return fmt.Errorf("mount %s of process %d on %s: %w", path, pid, target, err)
	}
	defer unix.Close(fd) // the mount stays where it was put
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s of process %d on %s: %w", path, pid, target, err)
	}
	return nil
}

// onThread runs f on a thread of its own, which ends with it and takes its
// namespaces along.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The first thread never ends, and what /proc says of the process is
			// true of it; while it is held, f gets another.
			defer runtime.UnlockOSThread()
			done <- onThread(f)
			return
		}
		done <- f() // never unlocked, so the thread is not used again
	}()
	return <-done
}
