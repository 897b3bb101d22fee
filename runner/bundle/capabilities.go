// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"slices"
	"strings"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"go.podman.io/common/pkg/capabilities"
)

// requiredLabel is the label by which an image asks for fewer capabilities than
// the default set.
const requiredLabel = "io.containers.capabilities"

// capabilities sets what the process may do. Root inside has the whole set; any
// other user has only what was added by name, and keeps it over execve.
func (b *builder) capabilities() error {
	var set []string
	if b.privileged() {
		dropped, err := capabilities.NormalizeCapabilities(b.Spec.CapDrop)
		if err != nil {
			return fmt.Errorf("--cap-drop: %w", err)
		}
		for _, c := range b.Host.Capabilities {
			if !slices.Contains(dropped, c) && !slices.Contains(dropped, capabilities.All) {
				set = append(set, c)
			}
		}
	} else {
		base := slices.DeleteFunc(slices.Clone(b.Config.DefaultCapabilities.Get()), func(c string) bool {
			return !slices.Contains(b.Host.Capabilities, strings.ToUpper(c))
		})
		merged, err := b.merge(base)
		if err != nil {
			return err
		}
		if set, err = b.required(merged); err != nil {
			return err
		}
	}
	c := &rspec.LinuxCapabilities{Bounding: set}
	if b.identity.UID == 0 {
		c.Effective, c.Permitted = set, set
	} else {
		added, err := b.merge(nil)
		if err != nil {
			return err
		}
		c.Effective, c.Permitted, c.Inheritable, c.Ambient = added, added, added, added
	}
	b.g.Config.Process.Capabilities = c
	return nil
}

// merge applies --cap-add and --cap-drop to base.
func (b *builder) merge(base []string) ([]string, error) {
	adds, err := capabilities.NormalizeCapabilities(b.Spec.CapAdd)
	if err != nil {
		return nil, fmt.Errorf("--cap-add: %w; see capabilities(7) for the names", err)
	}
	drops, err := capabilities.NormalizeCapabilities(b.Spec.CapDrop)
	if err != nil {
		return nil, fmt.Errorf("--cap-drop: %w; see capabilities(7) for the names", err)
	}
	all := capabilities.All
	switch {
	case slices.Contains(adds, all) && slices.Contains(drops, all):
		return nil, fmt.Errorf("--cap-add all and --cap-drop all exclude each other")
	case slices.Contains(drops, all):
		base, drops = nil, nil
	case slices.Contains(adds, all):
		base, adds = b.Host.Capabilities, nil
	}
	var set []string
	for _, c := range slices.Concat(base, adds) {
		if slices.Contains(drops, c) {
			if slices.Contains(adds, c) {
				return nil, fmt.Errorf("%s is both added and dropped", c)
			}
			continue
		}
		if !slices.Contains(b.Host.Capabilities, c) {
			return nil, fmt.Errorf("--cap-add %s: this process does not have it itself", c)
		}
		if !slices.Contains(set, c) {
			set = append(set, c)
		}
	}
	slices.Sort(set)
	return set, nil
}

// required narrows the set to what the image's label lists, if it lists no more
// than the set has and the command line says nothing of its own.
func (b *builder) required(set []string) ([]string, error) {
	list := b.Image.Labels[requiredLabel]
	if l, ok := b.Spec.Labels[requiredLabel]; ok {
		list = l
	}
	if list == "" {
		return set, nil
	}
	wanted, err := capabilities.NormalizeCapabilities(strings.Split(list, ","))
	if err != nil {
		return nil, fmt.Errorf("label %s: %w", requiredLabel, err)
	}
	for _, c := range wanted {
		if !slices.Contains(set, c) {
			b.warn("the label %s asks for %s, which is not in the set; the default set is used", requiredLabel, c)
			return set, nil
		}
	}
	return wanted, nil
}

// AllCapabilities gives a process in a running container all that this process
// could have, as exec --privileged asks.
func AllCapabilities(p *rspec.Process) error {
	all, err := capabilities.BoundingSet()
	if err != nil {
		return err
	}
	p.Capabilities = &rspec.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
	return nil
}
