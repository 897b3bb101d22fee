// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestAttach: the streams that a container in the foreground has may be named, others are refused.
func TestAttach(t *testing.T) {
	for line, want := range map[string]string{
		"-a stdout -a stderr":             "",
		"-a STDOUT -a stderr -a stdin -i": "",
		"-a stdout":                       "name both",
		"-a stdout -a stderr -a stdin":    "needs --interactive",
		"-a stdout -a stderr -i":          "name it with --attach",
		"-a stdout -a stderr -d":          "exclude each other",
		"-a bogus":                        "\"bogus\" is not a stream",
	} {
		set := pflag.NewFlagSet("run", pflag.ContinueOnError)
		flags := ContainerFlags(set)
		err := set.Parse(strings.Fields(line))
		if err == nil {
			_, err = flags.Container([]string{"image"}, Host{})
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}
