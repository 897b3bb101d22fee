// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestRefuse(t *testing.T) {
	for _, words := range []string{"", "--build", "--build=x"} {
		cmd := &cobra.Command{Use: "prune", RunE: func(*cobra.Command, []string) error { return nil }, SilenceErrors: true, SilenceUsage: true}
		Refuse(cmd, "build", "buildah prune")
		cmd.SetArgs(strings.Fields(words))
		err := cmd.Execute()
		if words == "" && err != nil || words != "" && (err == nil || !strings.Contains(err.Error(), "--build") || !strings.Contains(err.Error(), "not here: buildah prune")) {
			t.Errorf("%q: %v", words, err)
		}
		if strings.Contains(cmd.UsageString(), "build") {
			t.Error("the help offers it")
		}
	}
}
