// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"
)

// Assignments reads the words of a flag, KEY=VALUE each; the last of a key wins. Unless valued is
// set, KEY alone stands for an empty value.
func Assignments(flag string, words []string, valued bool) (map[string]string, error) {
	out := map[string]string{}
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		switch {
		case valued && (k == "" || !ok):
			return nil, fmt.Errorf("%s %q: want KEY=VALUE", flag, w)
		case k == "":
			return nil, fmt.Errorf("%s %q: want KEY[=VALUE]", flag, w)
		}
		out[k] = v
	}
	return out, nil
}
