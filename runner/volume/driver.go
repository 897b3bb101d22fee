// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/runner/spec"
)

// CheckDriver is nil for the driver there is.
func CheckDriver(name string) error {
	if name == "local" {
		return nil
	}
	return &spec.NotBuilt{What: "volume driver " + name, Issue: spec.IssueVolumes}
}

// Read takes over what --opt says: NAME=VALUE for the driver local, where o=NAME[=VALUE],... stands for several. Those that
// mount something are not built yet. Source: podman-volume-create(1), --opt.
func (o *Options) Read(given map[string]string) error {
	o.Options = given
	words := make(map[string]string)
	for k, v := range given {
		if k != "o" {
			words[k] = v
			continue
		}
		for w := range strings.SplitSeq(v, ",") {
			if w != "" {
				k, v, _ := strings.Cut(w, "=")
				words[k] = v
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(words)) {
		var err error
		switch k {
		case "uid":
			o.UID, err = strconv.Atoi(words[k])
		case "gid":
			o.GID, err = strconv.Atoi(words[k])
		case "copy", "nocopy":
		default:
			return &spec.NotBuilt{What: "volume option " + k, Issue: spec.IssueVolumes}
		}
		if err != nil {
			return fmt.Errorf("volume option %s=%s: it takes the number of an ID", k, words[k])
		}
	}
	return nil
}
