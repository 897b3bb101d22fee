// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

func TestVerbsOfOthers(t *testing.T) {
	for line, want := range map[string]string{
		"attach web":                "there is no podunit attach\n  hint: podunit logs -f CONTAINER",
		"pod restart web":           "there is no podunit pod restart\n  hint: systemctl --user restart UNIT",
		"network ls":                `podunit network is not built yet: it comes with the issue "networks"`,
		"image build .":             `podunit image build is not built yet: it comes with the issue "build and artifacts"`,
		"build -t x .":              `podunit build is not built yet`,
		"pod logs -f web":           "there is no podunit pod logs",
		"stopp web":                 "there is no podunit stopp\n  hint: did you mean podunit stop?",
		"image pul x":               "there is no podunit image pul\n  hint: did you mean podunit image pull?",
		"frobnicate":                "there is no podunit frobnicate\n  hint: podunit --help lists the verbs",
		"ps web":                    "podunit ps takes no arguments: \"web\"\n  hint: podunit ps [flags]",
		"start":                     "podunit start needs an argument\n  hint: podunit start [flags] CONTAINER...",
		"tag x":                     "podunit tag needs 2 arguments, there is 1",
		"images x y":                "podunit images takes no more than 1: \"y\"",
		"stop --tme 3 web":          "unknown flag --tme; did you mean --time?",
		"--runtime=crun frobnicate": "there is no podunit frobnicate",
	} {
		var stderr bytes.Buffer
		e := &env{stdout: &stderr, stderr: &stderr, lookup: func(string) (string, bool) { return "", false }}
		if code := run(context.Background(), e, strings.Fields(line)); code != exitRunner || !strings.HasPrefix(stderr.String(), "podunit: error: "+want) {
			t.Errorf("%s: exit status %d\n%s\nwant %s", line, code, &stderr, want)
		}
	}
}

// A verb that is there must not be said to be absent.
func TestAbsentVerbsAreAbsent(t *testing.T) {
	root := newRootCommand(&env{}, nil)
	for verb, a := range absent {
		words := strings.Fields(verb)
		cmd, rest, _ := root.Find(words)
		if cmd != root && len(rest) == 0 {
			t.Errorf("there is a verb %s", verb)
		}
		if (a.instead == "") == (a.issue == "") {
			t.Errorf("%s: one of instead and issue", verb)
		}
	}
}
