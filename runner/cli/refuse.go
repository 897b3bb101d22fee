// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/hint"
	"github.com/spf13/pflag"
)

// Refuse registers a flag of podman's that is not here, with what does the same. fits is the value
// that asks for what is the case anyway, and is taken; a flag whose fitting value is false is a
// switch, others take a value.
func Refuse(set *pflag.FlagSet, name, fits, instead string) {
	RefuseShort(set, name, "", fits, instead)
}

// RefuseShort is Refuse of a flag that has a short name, too.
func RefuseShort(set *pflag.FlagSet, name, short, fits, instead string) {
	f := set.VarPF(refused{fits, instead}, name, short, "refused: "+instead)
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

// Takes is the one value that is not refused, empty for none.
func (r refused) Takes() string { return r.fits }

// Set says what does the same.
func (r refused) Set(v string) error {
	if v == r.fits {
		return nil
	}
	return errors.New("not here: " + r.instead)
}

// refusal is the error of a flag that is refused, with what does the same as its hint; nil if err
// is another one of flags.
func refusal(err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return nil
	}
	flag := bad.GetFlag()
	r, ok := flag.Value.(refused)
	if !ok {
		return nil
	}
	said := flag.Name
	if flag.NoOptDefVal == "" {
		said += " " + bad.GetValue()
	}
	return hint.With(fmt.Errorf("--%s: not here", said), "%s", r.instead)
}
