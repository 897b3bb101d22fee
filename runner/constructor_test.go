// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/generator/convert"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/unitfile"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd"
)

// wentOn is the variable and the exit status of a child in which the C constructor of
// runner/rootless/enter.c has let Go run.
const (
	wentOn       = "PODUNIT_TEST_WENT_ON"
	wentOnStatus = 77
)

func TestMain(m *testing.M) {
	if os.Getenv(wentOn) != "" {
		os.Exit(wentOnStatus)
	}
	os.Exit(m.Run())
}

// inC runs the constructor on a command line and tells whether that was all, as for a removal of
// what is not there.
func inC(t *testing.T, words []string, env ...string) (done bool) {
	t.Helper()
	c := exec.Command(os.Args[0], words...)
	c.Env = append(os.Environ(), append(env, wentOn+"=1")...)
	out, err := c.CombinedOutput()
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil:
		return true
	case errors.As(err, &exit) && exit.ExitCode() == wentOnStatus:
		return false
	}
	t.Fatalf("%s: %v\n%s", c, err, out)
	return false
}

// inGo parses a command line as podunit rm does and tells what it would remove: names, if one that
// does not exist is no error and no flag asks for more.
func inGo(words []string) ([]string, error) {
	root := (&cli.Env{Program: cli.Program{Verbs: cmd.Life()}}).Root(words[0])
	rm, args, err := root.Find(words)
	if err != nil {
		return nil, err
	}
	if err := rm.ParseFlags(args); err != nil {
		return nil, err
	}
	if ignore, err := rm.Flags().GetBool("ignore"); err != nil || !ignore {
		return nil, errors.New("one that does not exist is an error")
	}
	for _, flag := range []string{"all", "latest", "cidfile", "time"} {
		if rm.Flags().Lookup(flag).Changed {
			return nil, fmt.Errorf("--%s", flag)
		}
	}
	return rm.Flags().Args(), nil
}

// TestNothingToRemove: where the constructor ends ExecStopPost= because nothing is left to remove,
// podunit rm would have nothing to do for the same words.
func TestNothingToRemove(t *testing.T) {
	const name = "podunit-test-of-nothing"
	quick := 0
	for _, line := range []string{
		"rm -v -f -i " + name, "rm -i " + name, "rm -f -i " + name, "rm -v -i -f " + name, "rm " + name + " -i", "rm -v -f " + name, "rm -i", "rm -fi " + name,
		"rm -i -a", "rm -i -l", "rm -i -t 3 " + name, "rm --ignore " + name, "rm -i a b", "rm -i a/b", "rm -i -- " + name, "rm -i --cidfile x", "rm -i --cidfile=x " + name,
		"stop -i " + name, "--log-level debug rm -i " + name, "rm -x -i " + name, "rm -i --time=3 " + name, "rm",
	} {
		words := strings.Fields(line)
		if inC(t, words) {
			t.Errorf("%s: a person's question is not answered", line)
		}
		if !inC(t, words, "SERVICE_RESULT=success") {
			continue
		}
		quick++
		if got, err := inGo(words); err != nil || !slices.Equal(got, []string{name}) {
			t.Errorf("%s ends early, and would have been about %q: %v", line, got, err)
		}
	}
	if quick < 3 {
		t.Errorf("only %d end early", quick)
	}
	// What the generator writes must be among them; transient services execute the same words.
	in := quadlet.Input{Path: "/q/" + name + ".container", Dir: "/q"}
	in.File, _ = unitfile.Parse(in.Path, []byte("[Container]\nImage=localhost/a\nContainerName="+name+"\n"))
	out, _ := convert.Generate([]quadlet.Input{in}, convert.Options{})
	_, command, ok := strings.Cut(string(out.Units[0].Text), "\nExecStopPost=")
	command, _, _ = strings.Cut(command, "\n")
	_, words, found := strings.Cut(command, " ")
	if !ok || !found || !inC(t, strings.Fields(words), "SERVICE_RESULT=success") {
		t.Errorf("ExecStopPost=%s is not ended early", command)
	}
}
