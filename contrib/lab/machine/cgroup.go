// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hierarchies are the cgroup mounts in which a lab has a group: the unified one first, then
// systemd's own v1 one on hosts that have both ("hybrid"), where nspawn keeps the two in step.
func hierarchies() ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var unified, named string
	for line := range strings.Lines(string(data)) {
		left, right, ok := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 5 || len(r) < 3 {
			continue
		}
		switch {
		case r[0] == "cgroup2" && unified == "":
			unified = l[4]
		case r[0] == "cgroup" && slices.Contains(strings.Split(r[2], ","), "name=systemd"):
			named = l[4]
		}
	}
	if unified == "" {
		return nil, errors.New("no cgroup2 file system is mounted: mount one, e.g. mount -t cgroup2 cgroup2 /sys/fs/cgroup")
	}
	if named == "" {
		return []string{unified}, nil
	}
	return []string{unified, named}, nil
}

// group is the lab's cgroup below the mount point of each hierarchy. Where the host's manager is
// systemd, it is a scope that systemd was asked for; anywhere else the lab makes it.
func (m *Machine) group() string {
	if hostSystemd() {
		return filepath.Join("machine.slice", m.scope())
	}
	return "podunit-lab-" + m.Name
}

func (m *Machine) scope() string { return "podunit-lab-" + m.Name + ".scope" }

// hostSystemd is sd_booted(3).
func hostSystemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// makeGroups makes the lab's own cgroups, with all controllers the host has to give.
func (m *Machine) makeGroups() ([]string, error) {
	mounts, err := hierarchies()
	if err != nil {
		return nil, err
	}
	var groups []string
	for i, mount := range mounts {
		dir := filepath.Join(mount, m.group())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make the lab's cgroup: %w", err)
		}
		groups = append(groups, dir)
		if i > 0 {
			continue
		}
		controllers, err := os.ReadFile(filepath.Join(mount, "cgroup.controllers"))
		if err != nil {
			return nil, err
		}
		for _, c := range strings.Fields(string(controllers)) {
			// A group with processes of its own cannot pass controllers on; the lab then goes
			// without.
			_ = os.WriteFile(filepath.Join(mount, "cgroup.subtree_control"), []byte("+"+c), 0o644)
		}
	}
	return groups, nil
}

// unified is the directory of the lab's cgroup in the unified hierarchy.
func (m *Machine) unified() (string, error) {
	mounts, err := hierarchies()
	if err != nil {
		return "", err
	}
	return filepath.Join(mounts[0], m.group()), nil
}

// payload is the directory of the cgroup that the lab's systemd has for its root.
func (m *Machine) payload() (string, error) {
	if m.inside {
		return "/sys/fs/cgroup", nil
	}
	dir, err := m.unified()
	return filepath.Join(dir, "payload"), err
}

// killGroup ends every process of the lab at once and returns when they are gone.
func (m *Machine) killGroup() error {
	dir, err := m.unified()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(time.Minute)
	for {
		err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		events, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
		if err != nil || strings.Contains(string(events), "populated 0") {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("lab %s: processes in %s do not end", m.Name, dir)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// removeGroups removes the empty cgroups that a dead lab left.
func (m *Machine) removeGroups() error {
	mounts, err := hierarchies()
	if err != nil {
		return err
	}
	var all []error
	for _, mount := range mounts {
		var dirs []string
		err := filepath.WalkDir(filepath.Join(mount, m.group()), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil // what vanished meanwhile needs no removing
		})
		all = append(all, err)
		for _, dir := range slices.Backward(dirs) {
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				all = append(all, err)
			}
		}
	}
	return errors.Join(all...)
}

// children of a process, by the threads that made them: proc_pid_task_tid_children(5).
func children(pid int) []int {
	var pids []int
	files, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, f := range files {
		data, _ := os.ReadFile(f)
		for _, w := range strings.Fields(string(data)) {
			if n, err := strconv.Atoi(w); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}
