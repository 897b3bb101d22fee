// SPDX-License-Identifier: Apache-2.0

//go:build quick

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/spf13/cobra"
)

// There are two podunit. What services execute is this one: the verbs of a container's life
// and no more, because Go initializes all that is linked in before main runs, and half of it
// is for registries. Whatever else is asked of it, the whole program does, in its place: in
// the same process, the same namespaces, from the beginning. Nobody has to know.

// constructors lists the verbs that services and those who look at them use.
func constructors() []constructor {
	return []constructor{
		{"cleanup", newCleanupCommand},
		{"create", newCreateCommand},
		{"exec", newExecCommand},
		{"fault", newFaultCommand},
		{"kill", newKillCommand},
		{"logs", newLogsCommand},
		{"pod", newPodCommand},
		{"ps", newPsCommand},
		{"restart", newRestartCommand},
		{"rm", newRmCommand},
		{"run", newRunCommand},
		{"start", newStartCommand},
		{"stop", newStopCommand},
		{"version", newVersionCommand},
		{"volume", newVolumeCommand},
	}
}

// beyond hands a command line over to the whole program, if its verb is none of ours, or if
// err, to which it came, says so. Otherwise it returns err.
func (e *env) beyond(args []string, err error) error {
	var more *image.BeyondError
	ours := slices.ContainsFunc(constructors(), func(c constructor) bool { return c.verb == verbOf(args) })
	if err == nil && ours && !readsOnce(args) {
		return nil
	}
	if err != nil && !errors.As(err, &more) {
		return err
	}
	switch e.user.Problem {
	case rootless.OK, rootless.NoRunDir, rootless.NoSubID: // nothing has been entered, or all
	default:
		return hint.With(e.user.Error(), "%s", e.user.Hint())
	}
	whole, err := wholeProgram()
	if err != nil {
		return err
	}
	if err := e.deafen(); err != nil {
		return err
	}
	environ := append(os.Environ(), e.user.Handed()...)
	if e.notify.Present() { // a start may have taken it out
		environ = append(environ, notify.Env+"="+e.notify.Path())
	}
	err = syscall.Exec(whole, append([]string{"podunit"}, args...), environ)
	return hint.With(fmt.Errorf("%s: %w", whole, err), "podunit is installed in part; install it again")
}

// readsOnce reports whether one of the files to be read is a pipe, or the like, of which the
// whole program would find nothing any more.
func readsOnce(args []string) bool {
	for i, word := range args {
		flag, file, inline := strings.Cut(word, "=")
		if flag != "--env-file" && flag != "--label-file" {
			continue
		}
		if !inline && i+1 < len(args) {
			file = args[i+1]
		}
		if st, err := os.Stat(file); err == nil && !st.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// verbOf is the word that may be a verb.
func verbOf(args []string) string {
	for _, word := range args {
		if !strings.HasPrefix(word, "--") || !strings.Contains(word, "=") { // --module=…
			return word
		}
	}
	return ""
}

// wholeProgram is where the installation put it, seen from here.
func wholeProgram() (string, error) {
	exe, err := os.Executable()
	return filepath.Join(filepath.Dir(exe), "..", "libexec", "podunit", "podunit"), err
}

// ownProgram is the program that services execute.
func ownProgram() (string, error) { return os.Executable() }

// What follows is asked of the whole program.

func newHelpCommand(*env) *cobra.Command { return nil }

func completeImages(*env) cobra.CompletionFunc { return nil }
