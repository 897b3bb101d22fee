// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing"

	"go.podman.io/common/pkg/config"
)

// TestConfiguredCompression: containers.conf says how layers are compressed where no flag does.
func TestConfiguredCompression(t *testing.T) {
	nine, three := 9, 3
	conf := &config.Config{}
	conf.Engine.CompressionFormat, conf.Engine.CompressionLevel = "zstd", &nine
	for _, c := range []struct {
		asked SendOptions
		want  string
		level int
	}{
		{SendOptions{}, "zstd", 9},
		{SendOptions{Compression: "gzip", CompressionLevel: &three}, "gzip", 3},
		{SendOptions{Uncompressed: true}, "", 9},
	} {
		got, err := c.asked.configured(conf).copying()
		if err != nil {
			t.Fatal(err)
		}
		name := ""
		if got.CompressionFormat != nil {
			name = got.CompressionFormat.Name()
		}
		if name != c.want || *got.CompressionLevel != c.level {
			t.Errorf("%+v: %s, %d", c.asked, name, *got.CompressionLevel)
		}
	}
	conf.Engine.CompressionFormat = "gzip"
	if o := (SendOptions{}).configured(conf); o.Compression != "" {
		t.Errorf("what there is anyway: %s", o.Compression)
	}
}
