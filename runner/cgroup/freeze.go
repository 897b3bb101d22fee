// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// freezeWait is how long the kernel may take to stop the processes of a cgroup: one that is in the
// middle of slow input or output stops after it.
const freezeWait = 10 * time.Second

// ErrNoCgroup says that a container has no cgroup of its own.
var ErrNoCgroup = errors.New("it has no cgroup of its own")

// Freeze pauses the processes of a cgroup and of those below it, and returns when all of them stand
// still. If that takes longer than 10 s, or ctx ends, they go on, and it is an error.
// Source: cgroup-v2.rst, cgroup.freeze.
func Freeze(ctx context.Context, cgroup string) error { return machine.freeze(ctx, cgroup) }

func (t tree) freeze(ctx context.Context, cgroup string) error {
	if cgroup == "" {
		return ErrNoCgroup
	}
	dir := t.path(cgroup)
	if err := os.WriteFile(filepath.Join(dir, "cgroup.freeze"), []byte("1"), 0); err != nil {
		return err
	}
	for deadline := time.Now().Add(freezeWait); ; time.Sleep(2 * time.Millisecond) {
		events, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
		if err != nil {
			return err
		}
		if strings.Contains("\n"+string(events), "\nfrozen 1\n") {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("cgroup %s: its processes do not stand still", cgroup), t.thaw(cgroup))
		}
	}
}
