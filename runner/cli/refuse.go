// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"

	"github.com/spf13/pflag"
)

// Refuse registers a flag of podman's that is not here, with what does the same. fits is the value that asks for what
// is the case anyway, and is taken; a flag whose fitting value is false is a switch, others take a value.
func Refuse(set *pflag.FlagSet, name, fits, instead string) {
	f := set.VarPF(refused{fits, instead}, name, "", "refused: "+instead)
	f.Hidden = true
	if fits == "false" {
		f.NoOptDefVal = "true"
	}
}

// refused is the value of such a flag.
type refused struct{ fits, instead string }

func (refused) String() string { return "" }

// Type is what the flag takes, for help.
func (refused) Type() string { return "" }

// Set says what does the same.
func (r refused) Set(v string) error {
	if v == r.fits {
		return nil
	}
	return errors.New("not here: " + r.instead)
}
