// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"testing"

	"github.com/podunit/podunit/runner/spec"
)

func TestOptions(t *testing.T) {
	var o Options
	if err := o.Read(map[string]string{"o": "uid=7,nocopy", "gid": "8"}); err != nil || o.UID != 7 || o.GID != 8 {
		t.Errorf("%+v, %v", o, err)
	}
	var later *spec.NotBuilt
	for name, value := range map[string]string{"device": "tmpfs", "o": "bind"} {
		if err := o.Read(map[string]string{name: value}); !errors.As(err, &later) {
			t.Errorf("%s=%s, which is not built, is refused: %v", name, value, err)
		}
	}
	if err := o.Read(map[string]string{"uid": "joe"}); err == nil {
		t.Error("a uid that is no number is taken")
	}
	if err := CheckDriver("image"); !errors.As(err, &later) {
		t.Errorf("a driver that is not built: %v", err)
	}
}
