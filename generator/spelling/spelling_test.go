// SPDX-License-Identifier: Apache-2.0

package spelling

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"ContainerName", "Environment", "EnvironmentFile", "HostName", "Image", "PublishPort", "Pull"}
	for _, c := range []struct{ name, want string }{
		{"PublishPrt", "PublishPort"}, {"publishport", "PublishPort"}, {"Imgae", "Image"}, {"Environmnt", "Environment"},
		{"HostNam", "HostName"}, {"Frobnicate", ""}, {"X", ""},
	} {
		if got := Nearest(c.name, known); got != c.want {
			t.Errorf("Nearest(%q) = %q, want %q", c.name, got, c.want)
		}
	}
}
