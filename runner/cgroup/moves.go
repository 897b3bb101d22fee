// SPDX-License-Identifier: Apache-2.0

package cgroup

/*
#cgo CFLAGS: -O2 -Wall -Wextra -Wno-unused-parameter
void podunit_quicken_moves(void);
void podunit_await_quick_moves(void);
*/
import "C"

// QuickenMoves makes the moves of processes between cgroups quick for the next few milliseconds,
// in which the runtime moves a container; see moves.c. It returns at once. The constructor of
// runner/rootless has done the same at the beginning of a process that the manager executed.
func QuickenMoves() { C.podunit_quicken_moves() }

// awaitQuickMoves returns when no move to where we are already is under way.
func awaitQuickMoves() { C.podunit_await_quick_moves() }
