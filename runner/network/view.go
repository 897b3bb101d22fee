// SPDX-License-Identifier: Apache-2.0

package network

import (
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// viewed is where pasta sees the runtime directories. AppArmor's profile for it, in force
// on a Debian 13, knows /run/user/UID and /tmp but not where root's runtime directories are.
const viewed = "/tmp"

// seenDir is the name that pasta has for a runtime directory: its own, where AppArmor lets
// pasta, and otherwise one below viewed that only pasta's mount namespace knows. In the
// machine's own /tmp there is nothing of ours: anybody could take its name.
func seenDir(dir string) string {
	if strings.HasPrefix(dir, "/run/user/") || strings.HasPrefix(dir, viewed+"/") {
		return dir
	}
	return filepath.Join(viewed, filepath.Base(dir))
}

// inView calls do on a thread where dir can be found at seenDir(dir), so that programs
// which it starts find it there, too.
func inView(dir string, do func() error) error {
	if seenDir(dir) == dir {
		return do()
	}
	return onLostThread(func() error {
		// Both changes are this thread's only: it has a mount namespace of its own, and the
		// runner's takes no part in what is mounted here.
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := unix.Mount(filepath.Dir(dir), viewed, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return err
		}
		return do()
	})
}

// onLostThread calls do on a thread that ends with it. That is never the main thread: it
// cannot end, and /proc/self shows its namespaces as those of the process.
func onLostThread(do func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			result <- onLostThread(do) // which is given another thread, as this one is taken
			runtime.UnlockOSThread()
			return
		}
		result <- do()
	}()
	return <-result
}
