// SPDX-License-Identifier: Apache-2.0

// Package cdi adds devices of the container device interface to a configuration of the runtime:
// what a vendor's specification names (device nodes, mounts, variables, hooks) for a device such as
// nvidia.com/gpu=all. Source: tags.cncf.io/container-device-interface, SPEC.md.
package cdi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/hint"
	"tags.cncf.io/container-device-interface/pkg/cdi"
)

// Inject adds the devices of these names, as the specifications in dirs have them; a later directory is stronger. Without
// rights, user, no device can be made: each node is bound from the host then, as other devices are.
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
	for _, d := range config.Linux.Devices[before:] {
		config.Mounts = append(config.Mounts, rspec.Mount{Destination: d.Path, Type: "bind", Source: d.Path, Options: []string{"bind", "rprivate", "nosuid", "noexec", "rw"}})
	}
	config.Linux.Devices = config.Linux.Devices[:before]
	if r := config.Linux.Resources; r != nil {
		r.Devices = r.Devices[:min(rules, len(r.Devices))]
	}
	return nil
}

// notFound is the error for devices that no specification has, with what is wrong with the specifications.
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
