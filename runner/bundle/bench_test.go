// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/json"
	"io"
	"testing"
)

// BenchmarkBuild is what each start pays; well below 3 ms is the aim.
func BenchmarkBuild(b *testing.B) {
	c := container(b, "--name", "box", "-v", "/tmp:/data", "-e", "A=b", "x", "sleep", "inf")
	root := busybox(b)
	for b.Loop() {
		host, err := Probe(false, false)
		if err != nil {
			b.Fatal(err)
		}
		config, _, err := Build(Input{ID: "0123456789ab", Spec: c, Rootfs: root, Host: host, Mounts: resolved(c)})
		if err != nil {
			b.Fatal(err)
		}
		if err := json.NewEncoder(io.Discard).Encode(config); err != nil {
			b.Fatal(err)
		}
	}
}
