// SPDX-License-Identifier: Apache-2.0

package container

import rspec "github.com/opencontainers/runtime-spec/specs-go"

// onLinux is what an rspec.Spec says about a container on Linux, to be written as JSON. Package json
// looks at each type that could be in what it writes; in rspec.Spec, a third are those of other
// systems.
type onLinux struct {
	Version     string            `json:"ociVersion"`
	Process     *rspec.Process    `json:"process,omitempty"`
	Root        *rspec.Root       `json:"root,omitempty"`
	Hostname    string            `json:"hostname,omitempty"`
	Domainname  string            `json:"domainname,omitempty"`
	Mounts      []rspec.Mount     `json:"mounts,omitempty"`
	Hooks       *rspec.Hooks      `json:"hooks,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Linux       *rspec.Linux      `json:"linux,omitempty"`
}

// forLinux leaves out of a configuration what is for other systems.
func forLinux(s *rspec.Spec) onLinux {
	return onLinux{
		Version: s.Version, Process: s.Process, Root: s.Root, Hostname: s.Hostname, Domainname: s.Domainname,
		Mounts: s.Mounts, Hooks: s.Hooks, Annotations: s.Annotations, Linux: s.Linux,
	}
}
