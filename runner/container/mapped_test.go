// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/spec"
)

// TestRootThatIsMapped: on the disk its files have other owners, so nothing is copied while it does
// not run.
func TestRootThatIsMapped(t *testing.T) {
	e := &Engine{RunDir: t.TempDir(), Store: nowhere{root: t.TempDir()}}
	r := Record{ID: NewID(), Name: "web", Spec: spec.Container{Rootfs: &spec.Rootfs{Path: t.TempDir(), IDMap: true}}}
	called := false
	err := e.WithRoot(context.Background(), r, func(string) error { called = true; return nil })
	if called || err == nil || !strings.Contains(err.Error(), "is mapped, and it does not run") {
		t.Errorf("%v, called: %t", err, called)
	}
}
