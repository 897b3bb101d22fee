// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
)

// stateName is what runc keeps of a container in the directory that is named after it.
const stateName = "state.json"

// fifoName is where a container's first process waits, in the same directory, until its command may
// begin.
const fifoName = "exec.fifo"

// runcNamespaces are runc's words for namespaces of the OCI specification.
var runcNamespaces = map[string]string{"network": "NEWNET", "ipc": "NEWIPC", "uts": "NEWUTS", "cgroup": "NEWCGROUP"}

// CanLeaveOut tells whether Without and LeaveOut can do it for this runtime and kind of namespace.
func (r Runtime) CanLeaveOut(kind string) bool {
	return filepath.Base(r.Command) == "runc" && runcNamespaces[kind] != ""
}

// Without is a runtime that knows the container as if it had no namespaces of these kinds: network,
// ipc, uts, cgroup. It has its state below dir, which is the caller's to remove.
//
// runc before 1.2 joins a container's user namespace before all others, and may then not join
// one that was made outside of it. A caller that is in these already does not need it to.
// Source: runc, join_namespaces in libcontainer/nsenter/nsexec.c and orderNamespacePaths.
func (r Runtime) Without(id, dir string, kinds []string) (Runtime, error) {
	path := filepath.Join(r.Root, id, stateName)
	b, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	b, err = withoutNamespaces(b, kinds)
	if err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	r.Root = dir
	if err := os.Mkdir(filepath.Join(dir, id), 0o700); err != nil {
		return r, err
	}
	return r, os.WriteFile(filepath.Join(dir, id, stateName), b, 0o600)
}

// LeaveOut is a configuration for a runtime that is executed in all namespaces of other people that
// the container is to be in, but for the user and the process namespace; paths are theirs. It is
// the configuration itself, and there are none, unless the container joins a user namespace: runc
// before 1.2 joins that before all others, as Without says.
func (r Runtime) LeaveOut(config *rspec.Spec) (left *rspec.Spec, paths []string) {
	joins := slices.ContainsFunc(config.Linux.Namespaces, func(ns rspec.LinuxNamespace) bool {
		return ns.Type == rspec.UserNamespace && ns.Path != ""
	})
	if !joins {
		return config, nil
	}
	out, linux := *config, *config.Linux
	out.Linux, linux.Namespaces = &linux, nil
	for _, ns := range config.Linux.Namespaces {
		if ns.Path != "" && r.CanLeaveOut(string(ns.Type)) {
			paths = append(paths, ns.Path)
		} else {
			linux.Namespaces = append(linux.Namespaces, ns)
		}
	}
	return &out, paths
}

// withoutNamespaces leaves namespaces out of a state; all else stays as it is.
func withoutNamespaces(state []byte, kinds []string) ([]byte, error) {
	var all, config map[string]json.RawMessage
	if err := json.Unmarshal(state, &all); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(all["config"], &config); err != nil {
		return nil, err
	}
	var namespaces []map[string]json.RawMessage
	if err := json.Unmarshal(config["namespaces"], &namespaces); err != nil {
		return nil, err
	}
	isLeftOut := func(ns map[string]json.RawMessage) bool {
		return slices.ContainsFunc(kinds, func(k string) bool { return bytes.Equal(ns["type"], []byte(`"`+runcNamespaces[k]+`"`)) })
	}
	kept, err := json.Marshal(slices.DeleteFunc(namespaces, isLeftOut))
	if err != nil {
		return nil, err
	}
	config["namespaces"] = kept
	if all["config"], err = json.Marshal(config); err != nil {
		return nil, err
	}
	return json.Marshal(all)
}
