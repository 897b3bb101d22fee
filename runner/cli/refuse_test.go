// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/hint"
	"github.com/spf13/cobra"
)

func TestRefuse(t *testing.T) {
	for words, want := range map[string]string{
		"": "", "--build": "--build: not here", "--build=x": "--build: not here", "--build=false": "",
		"--keys a": "--keys a: not here", "--keys=": "",
	} {
		cmd := &cobra.Command{Use: "prune", RunE: func(*cobra.Command, []string) error { return nil }, SilenceErrors: true, SilenceUsage: true}
		Refuse(cmd.Flags(), "build", "false", "buildah prune")
		Refuse(cmd.Flags(), "keys", "", "buildah prune")
		cmd.SetFlagErrorFunc(FlagError)
		cmd.SetArgs(strings.Fields(words))
		err := cmd.Execute()
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want || hint.Of(err) != "buildah prune") {
			t.Errorf("%q: %v", words, err)
		}
		if text := cmd.UsageString(); strings.Contains(text, "build") || strings.Contains(text, "keys") {
			t.Error("the help offers it")
		}
	}
}
