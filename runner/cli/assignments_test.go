// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"maps"
	"testing"
)

func TestAssignments(t *testing.T) {
	for name, c := range map[string]struct {
		words  []string
		valued bool
		want   map[string]string
		fault  string
	}{
		"none":                               {want: map[string]string{}},
		"the last wins":                      {words: []string{"a=1", "b=2=3", "a="}, valued: true, want: map[string]string{"a": "", "b": "2=3"}},
		"a key alone":                        {words: []string{"a"}, want: map[string]string{"a": ""}},
		"a key alone where a value must be":  {words: []string{"a"}, valued: true, fault: `--opt "a": want KEY=VALUE`},
		"a value alone":                      {words: []string{"=1"}, fault: `--opt "=1": want KEY[=VALUE]`},
		"a value alone where there are both": {words: []string{"=1"}, valued: true, fault: `--opt "=1": want KEY=VALUE`},
	} {
		got, err := Assignments("--opt", c.words, c.valued)
		if fault := c.fault; fault != "" && (err == nil || err.Error() != fault) || fault == "" && (err != nil || !maps.Equal(got, c.want)) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
