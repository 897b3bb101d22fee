// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

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
	return inOwnView(dir, do)
}

// inOwnView is inView for a directory that has another name there.
func inOwnView(dir string, do func() error) error {
	return onLostThread(func() error {
		// Both changes are this thread's only: it has a mount namespace of its own, and the
		// runner's takes no part in what is mounted here.
		if err := ownMounts(); err != nil {
			return err
		}
		if err := unix.Mount(filepath.Dir(dir), viewed, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", filepath.Dir(dir), viewed, err)
		}
		return do()
	})
}

// ownMounts gives this thread a mount namespace, which takes no part in what is mounted elsewhere.
func ownMounts() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare the mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("part from the mounts of the host: %w", err)
	}
	return nil
}

// narrow is where the profile of Debian 12's pasta lets it open a namespace, whichever user's number
// stands there. It may write its process ID below viewed.
const narrow = "/run/user/65533/netns"

// narrowName is the name that such a pasta has for the namespace of a runtime directory.
func narrowName(dir string) string { return filepath.Join(narrow, filepath.Base(dir)) }

// inNarrowView is inView, or inRootView, for such a pasta: it finds the namespace at its narrowName,
// and the directory below viewed.
func inNarrowView(own bool, dir string, do func() error) error {
	view := inOwnView
	if own {
		view = inRootView
	}
	return view(dir, func() error {
		// The directory may itself be below what is hidden now, but not as viewed.
		if err := unix.Mount("podunit-pasta", "/run/user", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=64k,nr_inodes=8,mode=755"); err != nil {
			return fmt.Errorf("mount a directory on /run/user: %w", err)
		}
		if err := os.MkdirAll(narrow, 0o755); err != nil {
			return err
		}
		name := narrowName(dir)
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			return err
		}
		if err := unix.Mount(filepath.Join(viewed, filepath.Base(dir), netnsFile), name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount the namespace on %s: %w", name, err)
		}
		return do()
	})
}

// pastaUser is the user ID that root's pasta runs with. Debian and systemd give it to no account.
// With the ID of nobody, other processes of that account could kill pasta.
const pastaUser = 65533

// inRootView is inView for root's pasta, which is not root and may reach no directory of root's: it
// sees a directory of its own with nothing but the namespace, and the file that it writes its
// process ID to.
func inRootView(dir string, do func() error) error {
	pid, err := os.OpenFile(filepath.Join(dir, pidFile), os.O_CREATE|os.O_RDWR|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = pid.Chown(pastaUser, pastaUser)
	if err := errors.Join(err, pid.Close()); err != nil {
		return err
	}
	return onLostThread(func() error {
		if err := ownMounts(); err != nil {
			return err
		}
		// The directory may itself be below what is hidden now.
		from, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer from.Close()
		if err := unix.Mount("podunit-pasta", viewed, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=64k,nr_inodes=8,mode=755"); err != nil {
			return fmt.Errorf("mount a directory on %s: %w", viewed, err)
		}
		if err := furnish(from, filepath.Base(dir)); err != nil {
			return err
		}
		return do()
	})
}

// furnish makes a directory of the name in what is mounted on viewed, with the namespace and the
// file for the process ID from another one. No name in viewed is looked up twice, so a test that
// looks for names which others could exchange between two look-ups finds none here.
func furnish(from *os.File, name string) error {
	view, err := os.OpenRoot(viewed)
	if err != nil {
		return err
	}
	defer view.Close()
	if err := view.Mkdir(name, 0o755); err != nil {
		return err
	}
	dir, err := view.OpenRoot(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, name := range []string{netnsFile, pidFile} {
		f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		err = unix.Mount(fmt.Sprintf("/proc/thread-self/fd/%d/%s", from.Fd(), name), fmt.Sprintf("/proc/thread-self/fd/%d", f.Fd()), "", unix.MS_BIND, "")
		if err != nil {
			err = fmt.Errorf("mount %s for pasta to see: %w", filepath.Join(from.Name(), name), err)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// seenByRoots is the name that root's pasta has for a runtime directory.
func seenByRoots(dir string) string { return filepath.Join(viewed, filepath.Base(dir)) }

// asPasta has a program run as pastaUser, with the capabilities that pasta needs to enter the
// namespace, to configure it, and to listen on low ports; it drops those that it needs no more.
func asPasta() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: pastaUser, Gid: pastaUser},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE},
	}
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
