// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"math"
	"runtime"

	"golang.org/x/sys/unix"
)

// withoutSignals starts a program that hears no signal but SIGKILL: systemctl kill sends
// to all processes of a unit what is meant for the container. pasta would end of SIGTERM and
// SIGQUIT, for which it sets handlers; it leaves alone which signals are blocked.
func withoutSignals(start func() error) error {
	// The thread that forks hands its mask on.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = math.MaxUint64
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before); err != nil {
		return fmt.Errorf("block signals: %w", err)
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }() // of our own, it cannot fail
	return start()
}
