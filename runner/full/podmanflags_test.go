// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/cli"
)

// TestNoFlagOfPodmansIsUnknown: each flag of each verb of Podman's is known here: it does what it
// says, or is refused with what does the same.
func TestNoFlagOfPodmansIsUnknown(t *testing.T) {
	list, err := os.ReadFile("testdata/podman-flags.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(list)) {
		verb, flags, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if !ok {
			t.Fatalf("a line without a verb: %s", line)
		}
		seen++
		checkFlags(t, verb, strings.Fields(flags))
	}
	if seen < 100 {
		t.Errorf("only %d verbs", seen)
	}
}

func checkFlags(t *testing.T, verb string, flags []string) {
	t.Helper()
	e := &cli.Env{Program: program(), Stdout: io.Discard, Stderr: io.Discard, Lookup: func(string) (string, bool) { return "", false }}
	words := strings.Fields(verb)
	if verb == "podman" {
		words = nil
	}
	if cmd, rest, err := e.Root("").Find(words); err == nil && len(rest) == 0 {
		if cmd.DisableFlagParsing {
			return // buildah judges them
		}
		cmd.InitDefaultVersionFlag()
		for _, flag := range flags {
			short, name, ok := strings.Cut(flag, "/")
			if !ok {
				short, name = "", flag
			}
			known := cmd.Flag(name)
			switch {
			case known == nil:
				t.Errorf("podunit %s does not know --%s", verb, name)
			case verb == "podman" && strings.Contains("cr", short) && short != "": // those of verbs are others
				var said strings.Builder
				e := &cli.Env{Program: program(), Stdout: io.Discard, Stderr: &said, Lookup: e.Lookup}
				if status := cli.Run(t.Context(), e, []string{"-" + short, "x", "ps"}); status != cli.ExitRunner || !strings.Contains(said.String(), "not here\n  hint: ") {
					t.Errorf("podunit -%s: %d, %s", short, status, said.String())
				}
			case short != "" && known.Shorthand != short:
				t.Errorf("podunit %s --%s has the short name %q, want %q", verb, name, known.Shorthand, short)
			}
		}
		return
	}
	absent := cli.AbsentVerbs()
	for i := range words {
		if slices.Contains(absent, strings.Join(words[:i+1], " ")) || i > 0 && words[0] == "container" && slices.Contains(absent, words[1]) {
			return // what does the same is said
		}
	}
	t.Errorf("there is no podunit %s, and nothing is said instead", verb)
}
