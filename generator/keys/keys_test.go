// SPDX-License-Identifier: Apache-2.0

package keys

import "testing"

func TestTables(t *testing.T) {
	// The totals are those of the reference, section 8.
	totals := map[string]int{
		"Container": 94, "Pod": 29, "Kube": 19, "Network": 18, "Volume": 16, "Image": 18, "Build": 28, "Artifact": 13, "Quadlet": 1,
	}
	for _, s := range Sections() {
		if len(s.Keys) != totals[s.Name] {
			t.Errorf("[%s] has %d keys, want %d", s.Name, len(s.Keys), totals[s.Name])
		}
		seen := map[string]bool{}
		for _, k := range s.Keys {
			if seen[k.Name] {
				t.Errorf("[%s] %s= stands twice", s.Name, k.Name)
			}
			seen[k.Name] = true
			if k.Doc == "" || k.Since == "" || k.Example == "" {
				t.Errorf("[%s] %s= lacks its text, its version or an example", s.Name, k.Name)
			}
			if k.Doc != "" && k.Doc[len(k.Doc)-1] != '.' {
				t.Errorf("[%s] %s=: %q does not end in a full stop", s.Name, k.Name, k.Doc)
			}
			if k.Value == "" && k.Kind != Bool && k.Kind != Switch {
				t.Errorf("[%s] %s= does not say how its value looks", s.Name, k.Name)
			}
		}
	}
}
