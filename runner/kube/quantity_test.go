// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"strconv"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
)

// TestDivided: the quotient is that of Kubernetes' own arithmetic, for whatever it writes as a
// divisor.
func TestDivided(t *testing.T) {
	for _, text := range []string{
		"1", "2", "3", "1000", "1k", "5M", "2G", "1T", "1P", "1Ki", "1Mi", "1.5Gi", "3Ti", "1Pi", "1m", "3m", "250m", "0.5", "1.25", "100u", "1n", "1e3", "12E2", "1536Mi",
	} {
		by := resource.MustParse(text)
		written := by.String() // as a plan has it
		for _, amount := range []int64{0, 1, 4, 7, 1024, 16_777_216_000, 33_554_432_001} {
			d, n := by.MilliValue(), amount*1000
			if d%1000 == 0 {
				d, n = by.Value(), amount
			}
			want := strconv.FormatInt((n+d-1)/d, 10)
			if got, err := divided(amount, written); err != nil || got != want {
				t.Errorf("%d / %s (%s): %s, %v, want %s", amount, written, text, got, err, want)
			}
		}
	}
	for _, text := range []string{"", "0", "-1", "Ki", "m", "1/2", "0x10", "1_0", "1KiB", "one", "1 ", "inf"} {
		if got, err := divided(1, text); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}
