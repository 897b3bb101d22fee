// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/runner/spec"
)

// The drivers there are: local is a directory or what mount(8) mounts, image the files of an image.
const (
	DriverLocal = "local"
	DriverImage = "image"
)

// CheckDriver is nil for the drivers there are.
func CheckDriver(name string) error {
	if name == DriverLocal || name == DriverImage {
		return nil
	}
	return &spec.Unsupported{What: "volume driver " + name, Why: "it would need a plugin, and the drivers are local and image"}
}

// Read takes over what --opt says: NAME=VALUE for the driver local, where o=NAME[=VALUE],... stands
// for several. Source: podman-volume-create(1), --opt.
func (o *Options) Read(given map[string]string) error {
	o.Options = given
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(given)) {
		switch v := given[k]; k {
		case "type", "device", "image":
			if v == "" {
				errs = append(errs, fmt.Errorf("volume option %s: the value is empty", k))
			}
		case "o":
			for w := range strings.SplitSeq(v, ",") {
				name, id, _ := strings.Cut(w, "=")
				errs = append(errs, o.own(name, id))
			}
		case "uid", "gid":
			errs = append(errs, o.own(k, v))
		case "copy", "nocopy", "noquota":
		case "size", "inodes":
			errs = append(errs, quota(k))
		default:
			errs = append(errs, fmt.Errorf("volume option %s: type, device, o, image, uid, gid, copy, nocopy and noquota are", k))
		}
	}
	return errors.Join(errs...)
}

// quota is the error of a volume with a limit: a directory has none of its own but by project
// quotas, which are for root and for file systems that were mounted with them.
func quota(word string) error {
	return &spec.Unsupported{
		What: "a quota on a volume (" + word + ")", Why: "it needs root, and a file system that was mounted with project quotas",
		Way: "a file system of its own has a size: --opt type=tmpfs --opt device=tmpfs --opt o=size=1g, which is memory, or as root a disk with type= and device=",
	}
}

// OfMount are the options of the volume that a mount makes where there is none of its name.
func OfMount(m spec.Mount, rootless bool) (o Options, err error) {
	if err = o.Read(m.Driver); err == nil {
		err = o.Check(DriverLocal, rootless)
	}
	if err != nil {
		err = fmt.Errorf("mount on %s: %w", m.Destination, err)
	}
	return o, err
}

// own takes the owner of a volume. What other words of o= mean the file system knows.
func (o *Options) own(name, value string) (err error) {
	switch name {
	case "uid":
		o.UID, err = strconv.Atoi(value)
	case "gid":
		o.GID, err = strconv.Atoi(value)
	}
	if err != nil {
		return fmt.Errorf("volume option %s=%s: it takes the number of an ID", name, value)
	}
	return nil
}

// Check finds what contradicts itself in all that was said, for a driver.
func (o *Options) Check(driver string, rootless bool) error {
	w, mounts := what(o.Options)
	switch {
	case driver == DriverImage && w.Image == "":
		return errors.New("the driver image needs --opt image=NAME")
	case driver != DriverImage && w.Image != "":
		return errors.New("volume option image: it is for the driver image: --driver image")
	case mounts:
		return w.check(rootless)
	}
	for _, word := range w.Data {
		switch name, _, _ := strings.Cut(word, "="); name {
		case "uid", "gid", "noquota":
		case "size", "inodes":
			return quota(word)
		default:
			return fmt.Errorf("volume option o=%s: there is nothing to mount; it needs device=, and maybe type=", word)
		}
	}
	return nil
}
