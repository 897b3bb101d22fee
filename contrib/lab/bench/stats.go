// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// median of values; NaN for none.
func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile of values by linear interpolation; NaN for none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	at := q * float64(len(s)-1)
	i := int(at)
	if i+1 == len(s) {
		return s[i]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}

// of returns the numbers of a contender, nil for one that took no part.
func (m Measured) of(name string) []float64 {
	for _, s := range m.Samples {
		if s.Name == name {
			return s.Values
		}
	}
	return nil
}

// peers are the other contenders, in order.
func (m Measured) peers() (names []string) {
	for _, s := range m.Samples {
		if s.Name != Ours {
			names = append(names, s.Name)
		}
	}
	return names
}

// ratio of the medians to a peer.
func (m Measured) ratio(peer string) float64 { return median(m.of(Ours)) / median(m.of(peer)) }

// line tells a case: medians with the middle half in brackets, ratios, and the targets.
func (m Measured) line() string {
	parts := []string{fmt.Sprintf("%-34s", m.Case)}
	for _, s := range m.Samples {
		parts = append(parts, fmt.Sprintf("%s %s [%s-%s]", s.Name, short(median(s.Values)), short(quantile(s.Values, 0.25)), short(quantile(s.Values, 0.75))))
	}
	line := strings.Join(parts, "  ") + " " + m.Unit
	if m.Most > 0 {
		line += fmt.Sprintf(" (aim %s%s)", short(m.Most), map[bool]string{true: ", missed"}[median(m.of(Ours)) > m.Most])
	}
	for _, peer := range m.peers() {
		line += fmt.Sprintf("; to %s %.2f", peer, m.ratio(peer))
		if target, ok := m.Targets[peer]; ok {
			line += fmt.Sprintf(" (aim %.2f%s)", target, map[bool]string{true: ", missed"}[m.ratio(peer) > target])
		}
	}
	return line
}

// short is a number with three digits that count.
func short(v float64) string {
	switch {
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// logRatios draws the logarithm of the ratio to a peer again and again from the samples (a
// bootstrap), which shows how far the ratio is by chance alone.
func (m Measured) logRatios(peer string, draws int, from *rand.Rand) []float64 {
	again := func(values []float64) float64 {
		drawn := make([]float64, len(values))
		for i := range drawn {
			drawn[i] = values[from.IntN(len(values))]
		}
		return median(drawn)
	}
	ours, theirs := m.of(Ours), m.of(peer)
	ratios := make([]float64, draws)
	for i := range ratios {
		ratios[i] = math.Log(again(ours) / again(theirs))
	}
	return ratios
}

// deviation is the standard deviation.
func deviation(values []float64) float64 {
	var sum, squares float64
	for _, v := range values {
		sum += v
		squares += v * v
	}
	n := float64(len(values))
	return math.Sqrt(max(0, squares/n-sum/n*sum/n))
}
