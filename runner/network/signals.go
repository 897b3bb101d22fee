// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"math"
	"runtime"

	"golang.org/x/sys/unix"
)

// withoutSignals starts a program with all signals blocked but SIGTERM, SIGCHLD and SIGKILL:
// systemctl kill sends a signal that is meant for the container to all processes of its unit.
// SIGQUIT would end pasta, which handles it, but pasta does not change which signals are blocked.
// With SIGTERM systemd ends what is left of a unit, and it would wait long for a program that
// blocks it. SIGCHLD tells pasta that a process it made to act inside the namespace has ended;
// without it those would stay as zombies.
func withoutSignals(start func() error) error {
	// The thread that forks hands its mask on.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var deaf, before unix.Sigset_t
	for i := range deaf.Val {
		deaf.Val[i] = math.MaxUint64
	}
	deaf.Val[0] &^= 1<<(unix.SIGTERM-1) | 1<<(unix.SIGCHLD-1)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &deaf, &before); err != nil {
		return fmt.Errorf("block signals: %w", err)
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }() // of our own, it cannot fail
	return start()
}
