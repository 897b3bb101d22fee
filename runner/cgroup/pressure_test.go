// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestPressure(t *testing.T) {
	root := t.TempDir()
	for kind, text := range map[string]string{
		"io":     "some avg10=12.34 avg60=5.00 avg300=1.00 total=99\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=1\n",
		"memory": "nonsense\n",
	} {
		if err := os.WriteFile(filepath.Join(root, kind+".pressure"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := tree(root).pressure("/", "io"); got != 12.34 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := tree(root).pressure("/", "memory"); err == nil {
		t.Errorf("nonsense is %v", got)
	}
	if _, err := tree(root).pressure("/", "cpu"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a kernel that does not tell: %v", err)
	}
}
