// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

// Refuse registers a flag of podman's that a verb does not have, with what does the same.
func Refuse(cmd *cobra.Command, name, instead string) {
	f := cmd.Flags().VarPF(refused(instead), name, "", "refused: "+instead)
	f.NoOptDefVal, f.Hidden = "true", true
}

// refused is the value of such a flag: it takes none.
type refused string

func (refused) String() string { return "" }

// Type is what the flag takes, for help.
func (refused) Type() string { return "" }

// Set says what does the same.
func (r refused) Set(string) error { return errors.New("not here: " + string(r)) }
