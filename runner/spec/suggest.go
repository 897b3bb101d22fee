// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/generator/spelling"
	"github.com/spf13/pflag"
)

// FlagError adds "did you mean" to pflag's error about a flag that fs does not
// have; other errors pass through.
func FlagError(fs *pflag.FlagSet, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return err
	}
	var names []string
	fs.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if best := spelling.Nearest(unknown.GetSpecifiedName(), names); best != "" {
		return fmt.Errorf("unknown flag --%s; did you mean --%s?", unknown.GetSpecifiedName(), best)
	}
	return fmt.Errorf("unknown flag --%s", unknown.GetSpecifiedName())
}
