// SPDX-License-Identifier: Apache-2.0

package source

import "github.com/podunit/podunit/generator/quadlet"

// MergeDropIns adds to unit files that are not in the search path yet the drop-ins that they will
// have there.
func MergeDropIns(dirs []Dir, units []quadlet.Input) {
	drops := indexDropIns(dirs)
	for i := range units {
		drops.merge(&units[i], false)
	}
}
