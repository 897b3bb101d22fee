// SPDX-License-Identifier: Apache-2.0

package spec

import "slices"

// Assignments merges --env-file and --env of exec into NAME=VALUE words, sorted by
// name; a later assignment of a name wins.
func (h Host) Assignments(files, words []string) ([]string, error) {
	to := map[string]string{}
	var faults Faults
	for _, f := range files {
		if err := readAssignments(f, h, to); err != nil {
			faults = append(faults, err)
		}
	}
	for _, w := range words {
		if err := assign(w, h, to); err != nil {
			faults = append(faults, err)
		}
	}
	var out []string
	for name, value := range to {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out, faults.err()
}
