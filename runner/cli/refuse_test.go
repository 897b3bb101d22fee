// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/hint"
	"github.com/spf13/cobra"
)

func TestRefuse(t *testing.T) {
	for _, words := range []string{"", "--build", "--build=x"} {
		cmd := &cobra.Command{Use: "prune", RunE: func(*cobra.Command, []string) error { return nil }, SilenceErrors: true, SilenceUsage: true}
		Refuse(cmd, "build", "buildah prune")
		cmd.SetFlagErrorFunc(FlagError)
		cmd.SetArgs(strings.Fields(words))
		err := cmd.Execute()
		if words == "" && err != nil || words != "" && (err == nil || err.Error() != "--build: not here" || hint.Of(err) != "buildah prune") {
			t.Errorf("%q: %v", words, err)
		}
		if strings.Contains(cmd.UsageString(), "build") {
			t.Error("the help offers it")
		}
	}
}
