// SPDX-License-Identifier: Apache-2.0

// Package rootless tells who runs podunit and puts the process into that user's
// namespaces. The work is done in C, before the Go runtime has a second thread
// (see enter.c); by the time main runs, a user's process is root inside the user's
// one user namespace, and every process is in a mount namespace of its own.
package rootless

/*
#cgo CFLAGS: -O2 -Wall -Wextra -Wno-unused-parameter
#include "enter.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/podunit/podunit/runner/process"
)

// Problem says why the namespaces could not be entered.
type Problem int

// The problems, as enter.h has them.
const (
	OK             Problem = C.PODUNIT_OK
	NoRunDir       Problem = C.PODUNIT_NO_RUN_DIR
	NoSubID        Problem = C.PODUNIT_NO_SUBID
	NoNewIDMap     Problem = C.PODUNIT_NO_NEWIDMAP
	IDMapRefused   Problem = C.PODUNIT_IDMAP_REFUSED
	UserNSRefused  Problem = C.PODUNIT_USERNS_REFUSED
	MountNSRefused Problem = C.PODUNIT_MOUNTNS_REFUSED
	Filtered       Problem = C.PODUNIT_FILTERED
)

// Identity is the user for whom podunit runs, as the host sees it.
type Identity struct {
	UID, GID int    // effective ids on the host, before any namespace
	RunDir   string // where runtime state goes, see find_run_dir in enter.c; /run for root
	Entered  bool   // inside the namespaces; false for verbs that need none
	Problem  Problem
	Detail   string // what the kernel or the tool said, for Problem
	userns   uint64
	outerMap string // /proc/self/uid_map before a user namespace was made
}

// FullHint is the way out of a runtime directory that is full.
func (i Identity) FullHint() string {
	return fmt.Sprintf("%s, which is in memory, is full: du -xa %s | sort -n | tail shows of what", i.RunDir, i.RunDir)
}

// Rootless reports whether the user is not root.
func (i Identity) Rootless() bool { return i.UID != 0 }

// handed is the variable with which one program hands its namespaces over to the next.
const handed = C.PODUNIT_HANDED

// Handed is what to add to the environment of a program that this process is to become, and
// which is to stay in the namespaces we are in.
func (i Identity) Handed() []string {
	if !i.Entered || !i.Rootless() || i.Problem != OK {
		return nil // root's are made anew
	}
	return []string{fmt.Sprintf("%s=%d %d %d %s", handed, i.UID, i.GID, i.userns, i.RunDir)}
}

// Enter reports what the constructor did and tells the ecosystem's libraries, which
// look at the environment, that root in here is not root out there.
// Source: go.podman.io/storage/pkg/unshare, IsRootless.
func Enter() Identity {
	C.podunit_finish()
	os.Unsetenv(handed)
	c := &C.podunit_identity
	id := Identity{
		UID:     int(c.uid),
		GID:     int(c.gid),
		RunDir:  C.GoString(&c.run_dir[0]),
		Entered: c.entered != 0,
		Problem: Problem(c.problem),
		Detail:  C.GoString(&c.detail[0]),
		userns:  uint64(c.userns),

		outerMap: C.GoString(&c.outer_map[0]),
	}
	if id.Entered && id.Rootless() && !ownDir(os.Getenv("XDG_RUNTIME_DIR")) {
		// Lost on the way, or no directory of ours: the libraries would make one in
		// /tmp, or give up. One of a login stays: what a login to a registry left is there.
		os.Setenv("XDG_RUNTIME_DIR", id.RunDir)
	}
	if id.Entered && id.Rootless() {
		os.Setenv("_CONTAINERS_USERNS_CONFIGURED", "done")
		os.Setenv("_CONTAINERS_ROOTLESS_UID", strconv.Itoa(id.UID))
		os.Setenv("_CONTAINERS_ROOTLESS_GID", strconv.Itoa(id.GID))
	}
	return id
}

// ownDir reports whether path is a directory of ours in which nobody else can write, as
// is_own_dir in enter.c judges it.
func ownDir(path string) bool {
	var st syscall.Stat_t
	return filepath.IsAbs(path) && syscall.Lstat(path, &st) == nil &&
		st.Mode&syscall.S_IFMT == syscall.S_IFDIR && int(st.Uid) == os.Geteuid() && st.Mode&0o022 == 0
}

// UnitsDir has a directory for the runtime state of each user for whom system units with
// User= have run. The system's manager makes them: RuntimeDirectory= in systemd.exec(5).
const UnitsDir = C.PODUNIT_UNITS_DIR

// Error describes the problem in one line, or is nil when there is none.
func (i Identity) Error() error {
	switch i.Problem {
	case OK:
		return nil
	case NoRunDir:
		return fmt.Errorf("no directory for runtime state: %s", i.Detail)
	case NoSubID:
		return fmt.Errorf("no subordinate ids: %s", i.Detail)
	case NoNewIDMap:
		return fmt.Errorf("cannot map subordinate ids: %s", i.Detail)
	case IDMapRefused:
		return fmt.Errorf("subordinate ids were refused: %s", strings.TrimSpace(i.Detail))
	case UserNSRefused:
		return fmt.Errorf("the kernel refuses a user namespace: %s", i.Detail)
	case MountNSRefused:
		return fmt.Errorf("the kernel refuses a mount namespace: %s", i.Detail)
	case Filtered:
		return fmt.Errorf("a filter of system calls kills who makes %s, and no container starts without it", i.Detail)
	}
	return fmt.Errorf("unknown problem %d: %s", i.Problem, i.Detail)
}

// Hint is the way out of Problem.
func (i Identity) Hint() string { return i.hint(i.confined()) }

// hint is Hint where the keys of systemd that confine this process are known.
func (i Identity) hint(keys string) string {
	switch i.Problem {
	case Filtered:
		return "the [Service] section has SystemCallFilter=: remove it, since with it newuidmap gets no rights either; podunit check names the line"
	case NoRunDir, IDMapRefused, UserNSRefused, MountNSRefused:
		if keys != "" && i.Rootless() {
			return "the [Service] section has " + keys + ": no container can start with it, remove it; podunit check names the line"
		}
	}
	switch i.Problem {
	case NoRunDir:
		if strings.HasSuffix(i.Detail, ": No space left on device") || strings.HasSuffix(i.Detail, ": Disk quota exceeded") {
			return i.FullHint()
		}
		return fmt.Sprintf("a login makes it; for one who does not log in, as root: loginctl enable-linger %s, or in a system unit RuntimeDirectory=%s/%d and RuntimeDirectoryPreserve=yes, which a Quadlet file with User= gets",
			i.name(), filepath.Base(UnitsDir), i.UID)
	case NoSubID:
		first := freeID("/etc/subuid", "/etc/subgid")
		ids := fmt.Sprintf("%d-%d", first, first+rangeSize-1)
		return fmt.Sprintf("as root: usermod --add-subuids %s --add-subgids %s %s", ids, ids, i.name())
	case IDMapRefused:
		if strings.Contains(i.Detail, "not permitted") {
			return "newuidmap and newgidmap must be setuid root: apt install --reinstall uidmap"
		}
		return fmt.Sprintf("see the lines of %s in /etc/subuid and /etc/subgid: ranges must not overlap", i.name())
	case NoNewIDMap:
		return "install newuidmap and newgidmap: apt install uidmap"
	case UserNSRefused:
		return "see sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns"
	case MountNSRefused:
		return "root needs CAP_SYS_ADMIN to run containers"
	}
	return ""
}

// rangeSize is how many IDs an image may use. Source: login.defs(5), SUB_UID_COUNT.
const rangeSize = 65536

// freeID is the first ID that is in nobody's range, 100000 or more as login.defs(5) has
// it, SUB_UID_MIN.
func freeID(files ...string) uint64 {
	free := uint64(100000)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it will be made
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Split(strings.TrimSpace(line), ":")
			if len(f) != 3 {
				continue
			}
			first, err1 := strconv.ParseUint(f[1], 10, 32)
			count, err2 := strconv.ParseUint(f[2], 10, 32)
			if err1 == nil && err2 == nil {
				free = max(free, first+count)
			}
		}
	}
	return free
}

func (i Identity) name() string {
	if u := os.Getenv("USER"); u != "" {
		return u
	}
	return strconv.Itoa(i.UID)
}

// Keep lists pid, a process that lives in the user namespace, so that later runners
// join it. The entry goes by itself: a runner that finds it dead removes it, and one that
// finds it half-written would, so it is written under the lock of the list.
func (i Identity) Keep(pid int) error {
	if !i.Entered || !i.Rootless() {
		return nil
	}
	lock, err := os.OpenFile(filepath.Join(filepath.Dir(i.entry(pid)), "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return os.WriteFile(i.entry(pid), fmt.Appendf(nil, "%d\n", i.userns), 0o600)
}

// Leave takes this process off the list of those who hold the user namespace, and with
// it those who were killed before they could.
func (i Identity) Leave() {
	if !i.Entered || !i.Rootless() {
		return
	}
	_ = os.Remove(i.entry(os.Getpid())) // a stale entry is harmless
	dir := filepath.Dir(i.entry(0))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	var dead []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && process.HasEnded(pid) { // the lock is always there
			dead = append(dead, pid)
		}
	}
	if len(dead) == 0 {
		return
	}
	lock, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return
	}
	defer lock.Close()
	// Who registers holds it; it may be one of a dead one's PID.
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX) != nil {
		return
	}
	for _, pid := range dead {
		if process.HasEnded(pid) {
			_ = os.Remove(i.entry(pid))
		}
	}
}

func (i Identity) entry(pid int) string {
	return filepath.Join(i.RunDir, "podunit", "userns", strconv.Itoa(pid))
}
