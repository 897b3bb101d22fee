// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"slices"
	"testing"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestWithinOwn: limits above the hard one of this process are cut to it, and the others stay.
func TestWithinOwn(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	own := min(before.Max, 1<<20)
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Max: own}); err != nil {
		t.Fatal(err)
	}
	given := []rspec.POSIXRlimit{
		{Type: "RLIMIT_CORE", Soft: own + 1, Hard: own + 2},
		{Type: "RLIMIT_NICE", Soft: 0, Hard: 0},
		{Type: "RLIMIT_OF_LATER_KERNELS", Soft: 7, Hard: 8},
	}
	want := []rspec.POSIXRlimit{{Type: "RLIMIT_CORE", Soft: own, Hard: own}, given[1], given[2]}
	first := slices.Clone(given)
	if got := WithinOwn(given); !slices.Equal(got, want) || !slices.Equal(given, first) {
		t.Errorf("%v, want %v; what was given is %v", got, want, given)
	}
}
