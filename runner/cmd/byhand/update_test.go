// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"testing"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/pflag"
)

// TestUpdateTakesWhatIsGiven: a container keeps what the command line does not name, and has no
// limit on its processors in two words.
func TestUpdateTakesWhatIsGiven(t *testing.T) {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags := spec.ContainerFlags(set)
	if err := set.Parse([]string{"--memory=64m", "--cpus=2"}); err != nil {
		t.Fatal(err)
	}
	asked, err := flags.Container([]string{"image"}, (&cli.Env{Lookup: func(string) (string, bool) { return "", false }}).Host())
	if err != nil {
		t.Fatal(err)
	}
	quota, pids := int64(1000), int64(7)
	had := spec.Container{Restart: spec.Restart{Policy: "always"}}
	had.CPUQuota, had.PidsLimit = &quota, &pids
	take(set, &had, asked)
	if had.Memory == nil || *had.Memory != 64<<20 || had.CPUs == nil || had.CPUQuota != nil || had.PidsLimit == nil || had.Restart.Policy != "always" {
		t.Errorf("%+v", had.Limits)
	}
}
