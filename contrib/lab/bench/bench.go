// SPDX-License-Identifier: Apache-2.0

// Package bench measures podunit beside Podman in a lab. A Group is a list of cases, a Case what
// two or more contenders do for the same end. They take turns in random order, so what else the
// machine does hits all of them, and only ratios of one run are compared with those of another.
package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/contrib/lab/machine"
)

// Ours is the contender that targets are about.
const Ours = "podunit"

// Group is what is set up once and measured together. Root and Setup are bash scripts: Root runs as
// root, then Setup as alice.
type Group struct {
	Name, Title string
	Root, Setup string
	Cases       []Case
}

// Case is one measurement.
type Case struct {
	Name string
	// Unit is ms, or what the Run scripts print a number of. Less is better.
	Unit string
	// Share is the part of a full run's rounds that this case takes, 1 if zero; at least one round
	// is made.
	Share      float64
	Contenders []Contender
	// Targets are the ratios to reach, by the peer's name.
	Targets map[string]float64
	// Most is the number to reach whatever the peers need, none if zero.
	Most float64
}

// Contender is one of those who take turns. The fields are bash scripts that run as User. Only Run is
// timed; in a case whose unit is not ms, it prints the number.
type Contender struct {
	Name, User          string // no User is alice
	Prepare, Run, After string
}

// Samples are the numbers of one contender, in the order they were taken.
type Samples struct {
	Name   string    `json:"name"`
	Values []float64 `json:"values"`
}

// Measured is what a case gave.
type Measured struct {
	Group   string             `json:"group"`
	Case    string             `json:"case"`
	Unit    string             `json:"unit"`
	Samples []Samples          `json:"samples"`
	Targets map[string]float64 `json:"targets,omitempty"`
	Most    float64            `json:"most,omitempty"`
}

// Host is the machine that a run was made on.
type Host struct {
	Model  string  `json:"model"` // of the processor
	CPUs   int     `json:"cpus"`
	Kernel string  `json:"kernel"`
	Memory string  `json:"memory"`
	Load   float64 `json:"load"` // of the last minute, when the run began
}

// Report is a whole run.
type Report struct {
	Time    time.Time  `json:"time"`
	Version string     `json:"version"` // of podunit
	Peer    string     `json:"peer"`
	Host    Host       `json:"host"`
	Rounds  int        `json:"rounds"`
	Seed    uint64     `json:"seed"`
	Results []Measured `json:"results"`
}

// Options of a run.
type Options struct {
	Rounds int
	Seed   uint64 // of the order of turns
	// Plant is a part of each start that podunit is made slower by: 0.1 is a tenth. The harness
	// proves itself with it.
	Plant float64
	Log   io.Writer // gets a line a case
}

// Run measures the groups one after the other in a lab that is booted and has podunit installed.
func Run(ctx context.Context, m *machine.Machine, groups []Group, o Options) (Report, error) {
	host, err := thisHost()
	if err != nil {
		return Report{}, err
	}
	r := Report{Time: time.Now().UTC().Truncate(time.Second), Host: host, Rounds: o.Rounds, Seed: o.Seed}
	for program, version := range map[string]*string{"podunit": &r.Version, "podman": &r.Peer} {
		if *version, err = do(ctx, m, "alice", program+" --version"); err != nil {
			return r, err
		}
	}
	turns := rand.New(rand.NewPCG(o.Seed, 0))
	for _, g := range groups {
		fmt.Fprintf(o.Log, "%s: %s\n", g.Name, g.Title)
		for _, s := range []struct{ user, script string }{{"root", g.Root}, {"alice", g.Setup}} {
			if s.script == "" {
				continue
			}
			if _, err := do(ctx, m, s.user, s.script); err != nil {
				return r, fmt.Errorf("group %s: %w", g.Name, err)
			}
		}
		for _, c := range g.Cases {
			got, err := c.measure(ctx, m, turns, o)
			if err != nil {
				return r, fmt.Errorf("group %s, %s: %w", g.Name, c.Name, err)
			}
			got.Group = g.Name
			r.Results = append(r.Results, got)
			fmt.Fprintln(o.Log, "  "+got.line())
		}
	}
	return r, nil
}

// measure has the contenders take turns. The first turn of each warms what is cached and does not
// count.
func (c Case) measure(ctx context.Context, m *machine.Machine, turns *rand.Rand, o Options) (Measured, error) {
	got := Measured{Case: c.Name, Unit: c.Unit, Targets: c.Targets, Most: c.Most}
	for _, who := range c.Contenders {
		got.Samples = append(got.Samples, Samples{Name: who.Name})
	}
	rounds := o.Rounds
	if c.Share > 0 {
		rounds = max(1, int(c.Share*float64(o.Rounds)))
	}
	warm := 1
	if rounds == 1 {
		warm = 0
	}
	order := make([]int, len(c.Contenders))
	for i := range order {
		order[i] = i
	}
	for round := range rounds + warm {
		turns.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			who := c.Contenders[i]
			v, err := who.turn(ctx, m, c.Unit, o.Plant)
			if err != nil {
				return got, fmt.Errorf("%s: %w", who.Name, err)
			}
			if round >= warm {
				got.Samples[i].Values = append(got.Samples[i].Values, v)
			}
		}
	}
	return got, nil
}

// turn takes one number. What a planted delay is a part of is the time that passed until then.
func (who Contender) turn(ctx context.Context, m *machine.Machine, unit string, plant float64) (float64, error) {
	delay := ""
	if plant > 0 && who.Name == Ours {
		delay = fmt.Sprintf("d=$(( (${EPOCHREALTIME/./} - a) * %d / 1000 )); read -rt $(printf '0.%%06d' $d) <> <(:) || :\n", int(plant*1000))
	}
	script := "set -e\nprepare() { :\n" + who.Prepare + "\n}\nrun() { :\n" + who.Run + "\n}\nafter() { :\n" + who.After + "\n}\n" +
		"prepare >/dev/null\n"
	if unit == "ms" {
		script += "a=${EPOCHREALTIME/./}\nrun >/dev/null\n" + delay + "b=${EPOCHREALTIME/./}\nafter >/dev/null\necho $((b - a))\n"
	} else {
		script += "n=$(run)\nafter >/dev/null\necho \"$n\"\n"
	}
	out, err := do(ctx, m, who.User, script)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(out, 64)
	if err != nil {
		return 0, fmt.Errorf("it printed %q: %w", out, err)
	}
	if unit == "ms" {
		v /= 1000
	}
	return v, nil
}

// do runs a script that must succeed and returns its output without the last newline.
func do(ctx context.Context, m *machine.Machine, user, script string) (string, error) {
	res, err := m.Run(ctx, machine.Command{User: user, Args: []string{script}, Timeout: 20 * time.Minute})
	if err != nil {
		return "", err
	}
	if res.Code != 0 {
		return "", fmt.Errorf("a script of %s ended with %d: %s\n%s", user, res.Code, strings.TrimSpace(res.Stderr), script)
	}
	return strings.TrimSpace(res.Stdout), nil
}

// thisHost reads what the kernel says of the machine.
func thisHost() (h Host, err error) {
	h.CPUs = runtime.NumCPU()
	var text [4]string
	for i, name := range []string{"/proc/cpuinfo", "/proc/sys/kernel/osrelease", "/proc/meminfo", "/proc/loadavg"} {
		b, err := os.ReadFile(name)
		if err != nil {
			return h, err
		}
		text[i] = string(b)
	}
	field := func(text, key string) string {
		for line := range strings.Lines(text) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
				return strings.TrimSpace(v)
			}
		}
		return ""
	}
	h.Model, h.Kernel, h.Memory = field(text[0], "model name"), strings.TrimSpace(text[1]), field(text[2], "MemTotal")
	_, err = fmt.Sscan(text[3], &h.Load)
	return h, err
}

// Named picks groups by name; all of them for none.
func Named(names []string) ([]Group, error) {
	all := Groups()
	if len(names) == 0 {
		return all, nil
	}
	var picked []Group
	for _, name := range names {
		i := slices.IndexFunc(all, func(g Group) bool { return g.Name == name })
		if i < 0 {
			var known []string
			for _, g := range all {
				known = append(known, g.Name)
			}
			return nil, fmt.Errorf("there is no group %q; there are %s", name, strings.Join(known, ", "))
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}
