// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"strings"
	"testing"

	"go.podman.io/storage"
)

// TestDropTimes: what differs in its time alone is whole; everything else is still said.
func TestDropTimes(t *testing.T) {
	modified := func(what string) error {
		return fmt.Errorf("layer x: %w", fmt.Errorf("%s, %w", what, storage.ErrLayerContentModified))
	}
	all := map[string][]error{
		"whole": {modified("/usr/bin(mtime:0x67748580￫0x6b0c2199)"), modified("/odd (mode:0644)(mtime:0x1￫0x2)")},
		"other": {modified("/usr/bin(mtime:0x67748580￫0x6b0c2199)"), modified("-/usr/sbin/nginx"), modified("/etc(mode:0755￫0777,mtime:0x1￫0x2)"), modified("/f(size:1￫2,mtime:0x1￫0x2)")},
		"lost":  {fmt.Errorf("layer y: %w", storage.ErrLayerMissing)},
	}
	dropTimes(all)
	if len(all) != 2 || len(all["other"]) != 3 || len(all["lost"]) != 1 {
		t.Errorf("left: %v", all)
	}
	for _, err := range all["other"] {
		if strings.Contains(err.Error(), "/usr/bin") {
			t.Errorf("left: %v", err)
		}
	}
}
