// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"strings"
	"testing"
)

// TestAppArmor: which profile a container has, by what is asked for, who asks, and the kernel.
func TestAppArmor(t *testing.T) {
	for name, c := range map[string]struct {
		asked    string
		rootless bool
		kernel   bool
		want     string
		err      string
	}{
		"the default":                       {kernel: true, want: "containers-default"},
		"a profile":                         {asked: "strict", kernel: true, want: "strict"},
		"none":                              {asked: "unconfined", kernel: true},
		"a profile, and a kernel without":   {asked: "strict", err: "AppArmor is not enabled on this machine"},
		"none, and a kernel without":        {asked: "unconfined"},
		"a user":                            {rootless: true},
		"a user's profile":                  {asked: "strict", rootless: true, err: "only root can confine a container with a profile"},
		"a user's, who wants to be without": {asked: "unconfined", rootless: true},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t)
			in.Spec.AppArmor, in.Rootless, in.Host.AppArmor, in.AppArmor = c.asked, c.rootless, c.kernel, "containers-default"
			config, _, err := Build(in)
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				}
			case err != nil:
				t.Error(err)
			case config.Process.ApparmorProfile != c.want:
				t.Errorf("the profile is %q, want %q", config.Process.ApparmorProfile, c.want)
			}
		})
	}
}
