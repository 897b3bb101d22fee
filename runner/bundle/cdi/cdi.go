// SPDX-License-Identifier: Apache-2.0

// Package cdi adds devices of the container device interface to a configuration of the runtime:
// what a vendor's specification names (device nodes, mounts, variables, hooks) for a device such as
// nvidia.com/gpu=all. Source: tags.cncf.io/container-device-interface, SPEC.md.
package cdi

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/hint"
	"tags.cncf.io/container-device-interface/pkg/cdi"
)

// Inject adds the devices of these names, as the specifications in dirs have them; a later
// directory is stronger. Without rights, user, no device can be made: each node is bound from the
// host then, as other devices are.
func Inject(config *rspec.Spec, dirs, names []string, user bool) error {
	cache, err := cdi.NewCache(cdi.WithSpecDirs(dirs...), cdi.WithAutoRefresh(false))
	if err != nil {
		return fmt.Errorf("specifications of devices: %w", err)
	}
	if config.Linux == nil {
		config.Linux = &rspec.Linux{}
	}
	before, rules := len(config.Linux.Devices), 0
	if r := config.Linux.Resources; r != nil {
		rules = len(r.Devices)
	}
	unknown, err := cache.InjectDevices(config, names...)
	if err != nil {
		return notFound(err, cache, dirs, unknown)
	}
	if !user {
		return nil
	}
	binds := mounts(cache, names)
	for _, d := range config.Linux.Devices[before:] {
		config.Mounts = append(config.Mounts, binds[d.Path])
	}
	config.Linux.Devices = config.Linux.Devices[:before]
	if r := config.Linux.Resources; r != nil {
		r.Devices = r.Devices[:min(rules, len(r.Devices))]
	}
	return nil
}

// mounts are the device nodes of known devices as mounts, by their path inside. Of two for one path
// the later is stronger, and what all devices of a specification have comes once. Source:
// cdi.Cache.InjectDevices.
func mounts(cache *cdi.Cache, names []string) map[string]rspec.Mount {
	all, seen := map[string]rspec.Mount{}, map[*cdi.Spec]bool{}
	for _, name := range names {
		d := cache.GetDevice(name)
		nodes := d.ContainerEdits.DeviceNodes
		if s := d.GetSpec(); !seen[s] {
			seen[s] = true
			nodes = slices.Concat(s.ContainerEdits.DeviceNodes, nodes)
		}
		for _, n := range nodes {
			all[n.Path] = bundle.DeviceMount(cmp.Or(n.HostPath, n.Path), n.Path, cmp.Or(n.Permissions, "rwm"))
		}
	}
	return all
}

// notFound is the error for devices that no specification has, with what is wrong with the
// specifications.
func notFound(err error, cache *cdi.Cache, dirs, unknown []string) error {
	var faults []error
	for path, all := range cache.GetErrors() {
		for _, e := range all {
			faults = append(faults, fmt.Errorf("%s: %w", path, e))
		}
	}
	if len(unknown) == 0 {
		return errors.Join(append([]error{err}, faults...)...)
	}
	known := cache.ListDevices()
	slices.Sort(known)
	err = fmt.Errorf("--device %s: no specification in %s has it", strings.Join(unknown, ", "), strings.Join(dirs, ", "))
	err = errors.Join(append([]error{err}, faults...)...)
	if len(known) > 0 {
		return hint.With(err, "there are %s", strings.Join(known, ", "))
	}
	return hint.With(err, "the driver's package brings a specification, or a program of it writes one: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml")
}
