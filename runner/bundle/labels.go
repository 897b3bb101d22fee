// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/selinux/go-selinux/label"
	"github.com/podunit/podunit/runner/spec"
)

// Labels makes the SELinux labels of a container's process and files, both
// empty where there is no SELinux or it is switched off for the container. Each
// call takes categories that no other container of this process has.
func Labels(s *spec.Security, enabled bool) (process, mount string, err error) {
	if !enabled || s.Privileged || slices.Contains(s.SELinux, "disable") {
		return "", "", nil
	}
	options := slices.DeleteFunc(slices.Clone(s.SELinux), func(o string) bool { return o == "nested" })
	process, mount, err = label.InitLabels(options)
	if err != nil {
		return "", "", fmt.Errorf("--security-opt label: %w", err)
	}
	return process, mount, nil
}

// labels sets the labels of SELinux and the profile of AppArmor.
func (b *builder) labels() error {
	p := b.g.Config.Process
	if b.Host.SELinux {
		p.SelinuxLabel = b.ProcessLabel
	}
	profile := b.Spec.AppArmor
	switch {
	case profile == "unconfined", profile == "" && b.privileged():
		return nil
	case profile == "":
		if b.Host.AppArmor && !b.Rootless {
			p.ApparmorProfile = b.AppArmor
		}
		return nil
	case b.Rootless:
		return errors.New("--security-opt apparmor=" + profile + ": only root can confine a container with a profile; use AppArmorProfile= in a system unit")
	case !b.Host.AppArmor:
		return fmt.Errorf("--security-opt apparmor=%s: AppArmor is not enabled on this machine", profile)
	}
	p.ApparmorProfile = profile
	return nil
}
