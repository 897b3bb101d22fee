// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"strings"

	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/pflag"
)

// Runner is the Refuse of this runner: it says what is wrong with the flags of run or pod create, as those verbs would.
func Runner(section string, words []string) []Refusal {
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	register := spec.ContainerFlags
	if section == "Pod" {
		register = spec.PodFlags
	}
	flags := register(set)
	if err := set.Parse(words); err != nil {
		name := ""
		for _, word := range strings.Fields(err.Error()) {
			if n, _, _ := strings.Cut(word, "="); name == "" && strings.HasPrefix(n, "-") {
				name = strings.TrimSuffix(n, ":")
			}
		}
		return []Refusal{{Flag: name, Message: spec.FlagError(set, err).Error()}}
	}
	// Files are looked for by the checks that know where they are.
	host := spec.Host{Dir: "/", ReadFile: func(string) ([]byte, error) { return nil, nil }}
	var err error
	if section == "Pod" {
		_, err = flags.Pod(set.Args(), host)
	} else {
		_, err = flags.Container(set.Args(), host)
	}
	var list spec.Faults
	if err != nil && !errors.As(err, &list) {
		list = spec.Faults{err}
	}
	var out []Refusal
	for _, err := range list {
		r := Refusal{Message: err.Error()}
		var f *spec.Fault
		var n *spec.NotBuilt
		switch {
		case errors.As(err, &f):
			r.Value, r.Message = f.Value, f.Err.Error()
			if f.Flag != "" {
				r.Flag = "--" + f.Flag
			}
			if f.Form != "" {
				r.Hint = "expected is " + f.Form
			}
		case errors.As(err, &n):
			r.Later = true
			if strings.HasPrefix(n.What, "--") {
				r.Flag, r.Value, _ = strings.Cut(n.What, " ")
			}
		}
		out = append(out, r)
	}
	return out
}
