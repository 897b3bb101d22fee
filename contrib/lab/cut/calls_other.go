// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package cut

import "golang.org/x/sys/unix"

// legacy are calls that other architectures have.
var legacy map[uint32]call

// opens says at which index an open has its flags.
var opens = map[uint32]int{unix.SYS_OPENAT: 2}
