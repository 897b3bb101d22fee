// SPDX-License-Identifier: Apache-2.0

package spec

import "fmt"

// Judge says what is wrong with one value of a flag of run, or of pod create, just as the verb
// would: nil, a *Fault with the form it should have, or a *NotBuilt. dir is what relative paths
// start from. flag is the long name without dashes. Files that the value names are not read.
func Judge(pod bool, flag, value, dir string) error {
	where := onContainer
	if pod {
		where = onPod
	}
	table := rows()
	for i := range table {
		r := &table[i]
		if !r.named(flag) || r.on&where == 0 {
			continue
		}
		host := Host{Dir: dir, ReadFile: func(string) ([]byte, error) { return nil, nil }}
		var t *target
		if pod {
			p := PodDefaults()
			t = podTarget(&p, host)
		} else {
			c := Defaults()
			t = containerTarget(&c, host)
		}
		f := Flags{said: []said{{r, value}}}
		if faults := f.apply(t); len(faults) > 0 {
			return faults[0]
		}
		return nil
	}
	return fmt.Errorf("unknown flag --%s", flag)
}
