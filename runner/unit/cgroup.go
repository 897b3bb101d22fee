// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Own is the unit this process runs in.
type Own struct {
	// Name is that of the unit, "web.service"; empty outside of any.
	Name string
	// User tells that the unit is a user manager's.
	User bool
	// Cgroup is the unit's, relative to the mount of the hierarchy, as runc
	// takes it: "/user.slice/…/web.service".
	Cgroup string
	// Sub is our place below Cgroup: empty, "runtime", ".control" …
	Sub string
	// Exec tells that the manager itself executed this process, so that it is
	// the main process, or a control process, of the unit; a shell's child in
	// the same unit is not.
	Exec bool
	// InvocationID is the unit's, if Exec.
	InvocationID string
}

// Service tells whether the unit is a service, the only kind of unit that has
// a main process for MAINPID= to name.
func (o Own) Service() bool { return strings.HasSuffix(o.Name, ".service") }

// JournalFields are those with which an entry is found by the unit's name even if its sender had ended before the
// journal looked at it: the name of the program, and what systemd itself says about a unit, which counts if the user
// manager's user sends it, or root. For other units there is none of these. Source: systemd, add_matches_for_unit in
// logs-show.c.
func (o Own) JournalFields(rootless bool) map[string]string {
	if o.Name == "" {
		return nil
	}
	fields := map[string]string{"SYSLOG_IDENTIFIER": strings.TrimSuffix(o.Name, ".service")}
	switch {
	case o.User:
		fields["USER_UNIT"] = o.Name
	case !rootless:
		fields["OBJECT_SYSTEMD_UNIT"] = o.Name
	}
	return fields
}

// CurrentUnit finds the unit of this process from the kernel's and the
// manager's marks, without asking over D-Bus.
func CurrentUnit(lookup func(string) (string, bool)) (Own, error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return Own{}, fmt.Errorf("find my unit: %w", err)
	}
	own, err := parseOwn(string(data))
	if err != nil {
		return Own{}, err
	}
	// INVOCATION_ID alone proves nothing: every terminal of a graphical session
	// inherits one.
	if Executed(lookup) {
		own.Exec = true
		own.InvocationID, _ = lookup("INVOCATION_ID")
	}
	return own, nil
}

// Of finds the unit of another process; only the names and cgroups are known.
func Of(pid int) (Own, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return Own{}, err
	}
	return parseOwn(string(data))
}

// parseOwn reads /proc/PID/cgroup. Slices come first, then the unit; below a
// user@UID.service there are a user manager's slices and unit again.
// Source: https://systemd.io/CGROUP_DELEGATION.
func parseOwn(text string) (Own, error) {
	cgroup := ""
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			cgroup = rest
		}
	}
	if cgroup == "" {
		return Own{}, errNoCgroup2
	}
	parts := strings.Split(strings.Trim(path.Clean(cgroup), "/"), "/")
	var own Own
	next := func() (string, int) {
		for i, p := range parts {
			name := unescapeCgroup(p)
			if !strings.HasSuffix(name, ".slice") {
				if strings.HasSuffix(name, ".service") || strings.HasSuffix(name, ".scope") {
					return name, i
				}
				break // not a unit: a cgroup that somebody else has made
			}
		}
		return "", -1
	}
	seen := 0
	for {
		name, i := next()
		if i < 0 {
			break
		}
		own.Name = name
		seen += i + 1
		parts = parts[i+1:]
		if own.User || !isUserManager(name) {
			break
		}
		own.User = true
	}
	if own.User && isUserManager(own.Name) {
		// The user manager itself, or something it keeps outside of any unit.
		own.User = false
	}
	all := strings.Split(strings.Trim(path.Clean(cgroup), "/"), "/")
	own.Cgroup = "/" + strings.Join(all[:seen], "/")
	own.Sub = strings.Join(all[seen:], "/")
	return own, nil
}

func isUserManager(name string) bool {
	return strings.HasPrefix(name, "user@") && strings.HasSuffix(name, ".service")
}

// unescapeCgroup undoes the underscore that systemd puts before a unit name that
// looks like a file of the kernel's. Source: cg_escape in systemd's cgroup-util.
func unescapeCgroup(s string) string { return strings.TrimPrefix(s, "_") }

const cgroupRoot = "/sys/fs/cgroup"

var errNoCgroup2 = errors.New("this system has no cgroup v2 hierarchy")

// A Tree is a mounted cgroup v2 hierarchy.
type Tree struct {
	root string
}

// Cgroups finds the hierarchy; a NoCgroup2Error says that the system was booted
// with the old ones.
func Cgroups() (Tree, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(cgroupRoot, &st); err != nil {
		return Tree{}, fmt.Errorf("%s: %w", cgroupRoot, err)
	}
	if st.Type != unix.CGROUP2_SUPER_MAGIC {
		return Tree{}, NoCgroup2Error{Path: cgroupRoot}
	}
	return Tree{root: cgroupRoot}, nil
}

// NoCgroup2Error says that Path is no cgroup v2 hierarchy.
type NoCgroup2Error struct{ Path string }

func (e NoCgroup2Error) Error() string { return e.Path + " is not a cgroup v2 hierarchy" }

// Hint is the way out.
func (e NoCgroup2Error) Hint() string {
	return "boot with systemd.unified_cgroup_hierarchy=1, the default since Debian 11"
}

// NotDelegatedError says that the unit may not divide its cgroup. The kernel
// tells: a user manager leaves no mark on what it delegates, systemd 257.
type NotDelegatedError struct {
	Cgroup string
	Err    error
}

func (e NotDelegatedError) Error() string {
	return fmt.Sprintf("divide cgroup %s: %v", e.Cgroup, e.Err)
}
func (e NotDelegatedError) Unwrap() error { return e.Err }

// Hint is the way out.
func (e NotDelegatedError) Hint() string {
	return "the unit needs Delegate=yes in its [Service] section"
}

// BusyError says that a cgroup still has processes.
type BusyError struct {
	Cgroup string
	PIDs   []int
}

func (e BusyError) Error() string {
	return fmt.Sprintf("cgroup %s still has processes: %v", e.Cgroup, e.PIDs)
}

// Names of the sub-cgroups of a divided unit.
const (
	runtimeCgroup = "runtime"  // the runner and the helpers it leaves
	controlCgroup = ".control" // where systemd runs ExecReload= and ExecStop= of a delegated unit
)

// A Split is a unit's cgroup divided into one for helpers and one for a container.
type Split struct {
	// Payload is for the container, relative to the mount, as runc takes it.
	// The directory is left for runc to make.
	Payload string
	// Controllers are those the container's cgroup can have.
	Controllers []string
}

// Split divides the cgroup of a delegated unit: every process in it, this one
// included, moves to a sub-cgroup "runtime", the controllers are passed on and
// "payload" is left to the container. Without controllers nothing is moved. A cgroup that passes controllers on can
// hold no process itself. Source: cgroups(7), no internal processes.
//
// What an earlier run left is removed, unless it has processes: a BusyError if
// that is the payload's. Doing it again is harmless.
func (t Tree) Split(unitCgroup, payload string) (Split, error) {
	dir := filepath.Join(t.root, unitCgroup)
	run := filepath.Join(dir, runtimeCgroup)
	if err := os.Mkdir(run, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
			return Split{}, NotDelegatedError{Cgroup: unitCgroup, Err: err}
		}
		return Split{}, fmt.Errorf("divide cgroup %s: %w", unitCgroup, err)
	}
	if err := t.tidy(unitCgroup, payload); err != nil {
		return Split{}, err
	}
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return Split{}, fmt.Errorf("divide cgroup %s: %w", unitCgroup, err)
	}
	split := Split{Payload: path.Join(unitCgroup, payload)}
	if len(strings.Fields(string(available))) == 0 {
		// Nothing to pass on: processes may stay. A move costs milliseconds, as the
		// kernel waits for all processors.
		return split, nil
	}
	expected.Wait() // it moves us to where we are now
	if err := moveAll(dir, run); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return Split{}, NotDelegatedError{Cgroup: unitCgroup, Err: err}
		}
		return Split{}, fmt.Errorf("divide cgroup %s: %w", unitCgroup, err)
	}
	split.Controllers, err = passOn(dir, strings.Fields(string(available)))
	if err != nil {
		return Split{}, fmt.Errorf("pass controllers of cgroup %s on: %w", unitCgroup, err)
	}
	return split, nil
}

// tidy removes the empty sub-cgroups of an earlier run.
func (t Tree) tidy(unitCgroup, payload string) error {
	dir := filepath.Join(t.root, unitCgroup)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == runtimeCgroup || e.Name() == controlCgroup {
			continue
		}
		sub := filepath.Join(dir, e.Name())
		if removeTree(sub) == nil || e.Name() != payload {
			continue
		}
		pids, err := livePIDs(sub)
		if err != nil {
			return err
		}
		return BusyError{Cgroup: path.Join(unitCgroup, payload), PIDs: pids}
	}
	return nil
}

// Remove removes a cgroup and those below it; that it is gone is no error.
func (t Tree) Remove(cgroup string) error {
	err := removeTree(filepath.Join(t.root, cgroup))
	if errors.Is(err, unix.EBUSY) {
		pids, perr := livePIDs(filepath.Join(t.root, cgroup))
		if perr == nil && len(pids) > 0 {
			return BusyError{Cgroup: cgroup, PIDs: pids}
		}
	}
	return err
}

// removeTree removes the directories of cgroups, deepest first. The files in
// them are the kernel's and cannot be removed.
func removeTree(dir string) error {
	err := unix.Rmdir(dir)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	entries, rerr := os.ReadDir(dir)
	if rerr != nil {
		return rerr
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}

// livePIDs lists the processes of a cgroup and of those below it.
func livePIDs(dir string) ([]int, error) {
	var all []int
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.IsDir() {
			return err
		}
		pids, err := readPIDs(p)
		all = append(all, pids...)
		return err
	})
	return all, err
}

func readPIDs(dir string) ([]int, error) {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil, nil // removed meanwhile
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, f := range strings.Fields(string(data)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// moveAll moves every process from one cgroup to another, also those that fork
// meanwhile.
func moveAll(from, to string) error {
	// A process that forks faster than it is moved would keep us here for ever.
	const rounds = 100
	procs := filepath.Join(to, "cgroup.procs")
	for range rounds {
		pids, err := readPIDs(from)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if pid == 0 {
				return fmt.Errorf("%s has a process outside of this PID namespace", from)
			}
			err := os.WriteFile(procs, []byte(strconv.Itoa(pid)), 0)
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return fmt.Errorf("%s does not run empty", from)
}

// passOn gives the cgroups below dir every controller that dir has, and returns
// those it could give. One that the kernel refuses (cpu, while there are real-time
// processes) does not hold the others back.
func passOn(dir string, available []string) ([]string, error) {
	control := filepath.Join(dir, "cgroup.subtree_control")
	if err := os.WriteFile(control, []byte("+"+strings.Join(available, " +")), 0); err == nil {
		return available, nil
	}
	var got []string
	for _, c := range available {
		if os.WriteFile(control, []byte("+"+c), 0) == nil {
			got = append(got, c)
		}
	}
	return got, nil
}
