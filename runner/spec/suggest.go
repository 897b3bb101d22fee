// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

// FlagError adds "did you mean" to pflag's error about a flag that fs does not
// have; other errors pass through.
func FlagError(fs *pflag.FlagSet, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return err
	}
	name, best, distance := unknown.GetSpecifiedName(), "", 3
	fs.VisitAll(func(f *pflag.Flag) {
		if d := edits(name, f.Name); !f.Hidden && d < distance && d < len(name) {
			best, distance = f.Name, d
		}
	})
	if best == "" {
		return fmt.Errorf("unknown flag --%s", name)
	}
	return fmt.Errorf("unknown flag --%s; did you mean --%s?", name, best)
}

// edits is the number of letters to insert, delete, replace or swap with their
// neighbour to turn one word into the other.
func edits(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
