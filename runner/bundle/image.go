// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"path"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/spec"
)

// What an image may ask for. It may be anybody's, and each of these is work before there is a
// container that could be stopped.
const (
	maxVolumes   = 1000
	maxPublished = 1000      // by --publish-all
	maxStrings   = 2 << 20   // bytes of all arguments and variables, with the usual limit of the stack
	maxString    = 128 << 10 // bytes of one of them
)

// CheckImage refuses an image that asks for more than a container can have, before anything is
// made for it. Source of the limits of strings: execve(2).
func CheckImage(image *v1.ImageConfig, c *spec.Container) error {
	if c.ImageVolumes != "ignore" {
		if n := len(image.Volumes); n > maxVolumes {
			return fmt.Errorf("the image declares %d volumes, and a container may have %d; leave them out with --image-volume ignore", n, maxVolumes)
		}
		for v := range image.Volumes {
			if path.Clean("/"+v) == "/" {
				return fmt.Errorf("the image declares %q as a volume, which would take the place of its own root directory; leave its volumes out with --image-volume ignore", clip(v))
			}
		}
	}
	if c.PublishAll {
		n := 0
		for p := range image.ExposedPorts {
			if r, err := spec.ParsePortRange(p); err == nil {
				n += int(r.Range)
			}
		}
		for _, r := range c.Expose {
			n += int(r.Range)
		}
		if n > maxPublished {
			return fmt.Errorf("--publish-all: the image exposes %d ports, and %d can be published so; name those that are wanted with --publish", n, maxPublished)
		}
	}
	return checkStrings(image, c)
}

// checkStrings judges what the kernel would refuse, and what would cost much time until then.
func checkStrings(image *v1.ImageConfig, c *spec.Container) error {
	total := 0
	count := func(what string, words ...string) error {
		for _, w := range words {
			if len(w) >= maxString {
				return fmt.Errorf("%s of the image has %d bytes, and the kernel takes %d", what, len(w), maxString-1)
			}
			total += len(w) + 1 + 8 // its end, and the pointer to it
		}
		if total > maxStrings {
			return fmt.Errorf("the arguments and variables of the image are more than the kernel takes for a process, %d bytes; leave variables out with --unsetenv-all", maxStrings)
		}
		return nil
	}
	if !c.UnsetEnvAll {
		if err := count("a variable", image.Env...); err != nil {
			return err
		}
	}
	if c.Entrypoint == nil {
		if err := count("an argument", image.Entrypoint...); err != nil {
			return err
		}
	}
	if len(c.Command) == 0 {
		return count("an argument", image.Cmd...)
	}
	return nil
}
