// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// Write writes a report as bench.json, and a drawing GROUP.svg of each group, into a directory.
func (r Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	err = os.WriteFile(filepath.Join(dir, "bench.json"), append(b, '\n'), 0o644)
	for _, group := range r.groups() {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, group+".svg"), []byte(r.draw(group)), 0o644))
	}
	return err
}

// groups of a report, in order.
func (r Report) groups() (names []string) {
	for _, m := range r.Results {
		if len(names) == 0 || names[len(names)-1] != m.Group {
			names = append(names, m.Group)
		}
	}
	return names
}

// Page is the document of a run, in Markdown.
func (r Report) Page() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Measured beside Podman\n\nWritten by `make bench-page` from the committed base line, `contrib/lab/bench/testdata/bench.json`.\n\n")
	fmt.Fprintf(&b, "%s: %s and %s, %d rounds by turns in random order, in the lab (Debian 13) on %d × %s, %s, Linux %s; load %.1f when it began.\n",
		r.Time.Format("2006-01-02"), r.Version, r.Peer, r.Rounds, r.Host.CPUs, r.Host.Model, r.Host.Memory, r.Host.Kernel, r.Host.Load)
	fmt.Fprintf(&b, "Medians; less is better. A ratio is podunit's to the peer's, with its aim where there is one.\n")
	for _, group := range r.groups() {
		fmt.Fprintf(&b, "\n## %s\n\n| what | who | median | middle half | ratio | aim |\n|---|---|---|---|---|---|\n", group)
		for _, m := range r.Results {
			if m.Group != group {
				continue
			}
			for i, s := range m.Samples {
				what, ratio, aim := "", "", ""
				if i == 0 {
					what = m.Case + ", " + m.Unit
				}
				if s.Name == Ours && m.Most > 0 {
					aim = short(m.Most) + " " + m.Unit
					if median(s.Values) > m.Most {
						aim += ", missed"
					}
				}
				if s.Name != Ours {
					ratio = fmt.Sprintf("%.2f", m.ratio(s.Name))
					if target, ok := m.Targets[s.Name]; ok {
						aim = fmt.Sprintf("%.2f", target)
						if m.ratio(s.Name) > target {
							aim += ", missed"
						}
					}
				}
				fmt.Fprintf(&b, "| %s | %s | %s | %s to %s | %s | %s |\n", what, s.Name, short(median(s.Values)), short(quantile(s.Values, 0.25)), short(quantile(s.Values, 0.75)), ratio, aim)
			}
		}
	}
	return b.String()
}

// draw is a group as bars, each case on a scale of its own, with a line over the middle half of the
// samples.
func (r Report) draw(group string) string {
	const left, width, bar, gap = 210, 420, 14, 12
	var b strings.Builder
	y := 30
	for _, m := range r.Results {
		if m.Group != group {
			continue
		}
		most := 0.0
		for _, s := range m.Samples {
			most = max(most, quantile(s.Values, 0.75))
		}
		if most == 0 || math.IsNaN(most) {
			most = 1
		}
		x := func(v float64) float64 { return left + v/most*width }
		fmt.Fprintf(&b, `<text x="8" y="%d">%s</text>`+"\n", y+bar-3, html.EscapeString(m.Case))
		for _, s := range m.Samples {
			colour := "#9aa5b1"
			if s.Name == Ours {
				colour = "#2f6f4f"
			}
			v := median(s.Values)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", left, y, x(v)-left, bar, colour)
			fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#222"/>`+"\n", x(quantile(s.Values, 0.25)), x(quantile(s.Values, 0.75)), y+bar/2, y+bar/2)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s, %s %s</text>`+"\n", x(quantile(s.Values, 0.75))+6, y+bar-3, html.EscapeString(s.Name), short(v), html.EscapeString(m.Unit))
			y += bar + 2
		}
		y += gap
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n"+
		`<text x="8" y="18" font-weight="bold">%s: podunit beside Podman, medians, less is better</text>`+"\n%s</svg>\n", left+width+200, y, html.EscapeString(group), b.String())
}
