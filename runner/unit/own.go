// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
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
	// Sub is the path of this process's cgroup below Cgroup: empty, "runtime", ".control" …
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

// Executed tells whether the service manager itself executed this process. Source: systemd.exec(5),
// $SYSTEMD_EXEC_PID, systemd 248.
func Executed(lookup func(string) (string, bool)) bool {
	pid, _ := lookup("SYSTEMD_EXEC_PID")
	return pid == strconv.Itoa(os.Getpid())
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

var errNoCgroup2 = errors.New("this system has no cgroup v2 hierarchy")
