// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"testing"

	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/volume"
)

func TestVolumeOptions(t *testing.T) {
	o := volume.Options{Options: map[string]string{"o": "uid=7,nocopy", "gid": "8"}}
	if err := ownerOptions(&o); err != nil || o.UID != 7 || o.GID != 8 {
		t.Errorf("%+v, %v", o, err)
	}
	var later *spec.NotBuilt
	if err := ownerOptions(&volume.Options{Options: map[string]string{"device": "tmpfs"}}); !errors.As(err, &later) {
		t.Errorf("what is not built is refused: %v", err)
	}
	if err := ownerOptions(&volume.Options{Options: map[string]string{"uid": "joe"}}); err == nil {
		t.Error("a uid that is no number is taken")
	}
}
