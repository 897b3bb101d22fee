// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
)

// Read reads a report that a run wrote.
func Read(name string) (r Report, err error) {
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// A group is slower when its mean ratio has grown by more than slower, and by more than noise
// standard deviations of what chance does to that mean.
const (
	slower = 0.045
	noise  = 2
)

// Verdict on a group.
type Verdict struct {
	Group  string
	Cases  int
	Change float64 // of the geometric mean of the ratios to all peers: 0.1 is a tenth slower
	Chance float64 // standard deviation of Change by chance alone
	Slower bool
}

// Compare holds a run against another, the base line, group by group, in what both measured with
// more than one round. Only ratios to a peer of the same run count, so neither the machine nor what
// else it did matters much.
func Compare(base, now Report) (verdicts []Verdict, err error) {
	type key struct{ group, name string }
	before := map[key]Measured{}
	for _, m := range base.Results {
		before[key{m.Group, m.Case}] = m
	}
	type sums struct {
		change, variance float64
		ratios, cases    int
	}
	total := map[string]*sums{}
	var order []string
	from := rand.New(rand.NewPCG(1, 2))
	for _, m := range now.Results {
		old, ok := before[key{m.Group, m.Case}]
		if !ok || len(m.of(Ours)) < 2 || len(old.of(Ours)) < 2 {
			continue
		}
		s := total[m.Group]
		if s == nil {
			s = &sums{}
			total[m.Group] = s
			order = append(order, m.Group)
		}
		s.cases++
		// Peers share our samples, so their changes are not independent: one mean and one deviation
		// a case.
		var change, deviate float64
		n := 0
		for _, peer := range m.peers() {
			if len(m.of(peer)) < 2 || len(old.of(peer)) < 2 {
				continue
			}
			change += math.Log(m.ratio(peer) / old.ratio(peer))
			deviate += math.Hypot(deviation(m.logRatios(peer, 200, from)), deviation(old.logRatios(peer, 200, from)))
			n++
		}
		if n == 0 {
			continue
		}
		s.ratios++
		s.change += change / float64(n)
		s.variance += (deviate / float64(n)) * (deviate / float64(n))
	}
	for _, group := range order {
		s := total[group]
		if s.ratios == 0 {
			continue
		}
		mean := s.change / float64(s.ratios)
		v := Verdict{Group: group, Cases: s.cases, Change: math.Exp(mean) - 1, Chance: math.Sqrt(s.variance) / float64(s.ratios)}
		v.Slower = mean > math.Log(1+slower) && mean > noise*v.Chance
		verdicts = append(verdicts, v)
	}
	if len(verdicts) == 0 {
		return nil, fmt.Errorf("the two runs have no case in common with more than one round each")
	}
	return verdicts, nil
}

// Tell prints verdicts and reports whether a group is slower.
func Tell(w io.Writer, verdicts []Verdict) (worse bool) {
	for _, v := range verdicts {
		word := "as before"
		if v.Slower {
			word, worse = "SLOWER", true
		}
		fmt.Fprintf(w, "%-12s %2d cases  %+6.1f %%  (by chance %.1f %%)  %s\n", v.Group, v.Cases, 100*v.Change, 100*v.Chance, word)
	}
	return worse
}
