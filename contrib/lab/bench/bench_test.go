// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// run is a report as a machine with noise gives it: podunit takes factor times what it took.
func run(seed uint64, factor float64) Report {
	from := rand.New(rand.NewPCG(seed, 9))
	var r Report
	for c := range 7 {
		m := Measured{Group: "start", Case: string(rune('a' + c)), Unit: "ms", Targets: map[string]float64{withRunc: 0.4}}
		for _, who := range []struct {
			name string
			ms   float64
		}{{Ours, 100 * factor}, {withRunc, 250}, {withCrun, 180}} {
			s := Samples{Name: who.name}
			for range 40 {
				// A tenth of noise, and a straggler now and then.
				v := who.ms * (1 + 0.1*from.NormFloat64())
				if from.IntN(10) == 0 {
					v *= 2
				}
				s.Values = append(s.Values, v)
			}
			m.Samples = append(m.Samples, s)
		}
		r.Results = append(r.Results, m)
	}
	return r
}

// The harness finds a tenth that podunit lost, and finds nothing where nothing changed.
func TestCompareFindsATenth(t *testing.T) {
	for seed := range uint64(5) {
		base := run(2*seed+1, 1)
		for _, c := range []struct {
			factor float64
			slower bool
		}{{1, false}, {1.1, true}, {0.9, false}} {
			verdicts, err := Compare(base, run(2*seed+2, c.factor))
			if err != nil {
				t.Fatal(err)
			}
			if len(verdicts) != 1 || verdicts[0].Slower != c.slower || verdicts[0].Cases != 7 {
				t.Errorf("seed %d, %.1f times as slow: %+v", seed, c.factor, verdicts)
			}
		}
	}
}

func TestCompareNeedsSomethingInCommon(t *testing.T) {
	other := run(1, 1)
	for i := range other.Results {
		other.Results[i].Group = "stop"
	}
	if _, err := Compare(run(1, 1), other); err == nil {
		t.Error("two runs without a common case were compared")
	}
}

func TestQuantiles(t *testing.T) {
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{[]float64{3}, 0.5, 3}, {[]float64{4, 1}, 0.5, 2.5}, {[]float64{5, 1, 3}, 0.5, 3}, {[]float64{1, 2, 3, 4, 5}, 0.25, 2}, {[]float64{1, 2, 3, 4, 5}, 1, 5},
	} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile %v of %v: %v, want %v", c.q, c.values, got, c.want)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("nothing has a median")
	}
}

// What is written is read again, each drawing is XML, and a missed aim is marked.
func TestReport(t *testing.T) {
	r, dir := run(1, 1.5), t.TempDir()
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	again, err := Read(filepath.Join(dir, "bench.json"))
	if err != nil || !reflect.DeepEqual(r, again) {
		t.Errorf("%v: what was read differs", err)
	}
	d := xml.NewDecoder(strings.NewReader(r.draw("start")))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if page := r.Page(); strings.Count(page, "0.40, missed") != 7 {
		t.Errorf("seven aims were missed:\n%s", page)
	}
}

// An aim that is a number of its own is told, and marked where it is missed.
func TestMost(t *testing.T) {
	for _, c := range []struct {
		value        float64
		line, column string
	}{{19, "MB (aim 20.0)", "| 20.0 MB |"}, {21, "MB (aim 20.0, missed)", "| 20.0 MB, missed |"}} {
		m := Measured{Group: "network", Case: "memory", Unit: "MB", Most: 20, Samples: []Samples{{Ours, []float64{c.value}}, {withRunc, []float64{30}}}}
		if line := m.line(); !strings.Contains(line, c.line) {
			t.Errorf("%q is not in the line %q", c.line, line)
		}
		if page := (Report{Results: []Measured{m}}).Page(); strings.Count(page, c.column) != 1 {
			t.Errorf("%q is not in the page once:\n%s", c.column, page)
		}
	}
}

// Each group can be named, each case has us and somebody else in it, and an aim is about one of them.
func TestGroups(t *testing.T) {
	for _, g := range Groups() {
		if got, err := Named([]string{g.Name}); err != nil || len(got) != 1 || len(g.Cases) == 0 {
			t.Errorf("group %s: %v, %d cases", g.Name, err, len(g.Cases))
		}
		for _, c := range g.Cases {
			var names []string
			for _, who := range c.Contenders {
				names = append(names, who.Name)
			}
			if len(names) < 2 || names[0] != Ours {
				t.Errorf("%s, %s: contenders %v", g.Name, c.Name, names)
			}
			for peer := range c.Targets {
				if !slices.Contains(names, peer) {
					t.Errorf("%s, %s: an aim about %s, who takes no part", g.Name, c.Name, peer)
				}
			}
		}
	}
	if _, err := Named([]string{"speed"}); err == nil || !strings.Contains(err.Error(), "generator") {
		t.Errorf("no list of groups: %v", err)
	}
}
