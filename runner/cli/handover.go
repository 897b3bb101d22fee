// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
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
)

// There are two programs. What services execute is the small one: the verbs of a container's life
// and no more, because Go initializes all that is linked in before main runs, and half of it is for
// registries. Whatever else is asked of it, the full program does, in its place: in the same
// process, the same namespaces, from the beginning. Nobody has to know.

// Where the installation puts the two, below its prefix.
const (
	smallProgram = "bin/podunit"
	fullProgram  = "libexec/podunit/podunit"
)

// handOver gives a command line to the full program, if its verb is none of ours, or if err, to
// which it came here, says that only that one can do it. Otherwise it returns err.
func (e *Env) handOver(verb string, args []string, err error) error {
	if !e.Program.Small {
		return err
	}
	ours := slices.ContainsFunc(e.Program.Verbs, func(v Verb) bool { return v.Name == verb && (!v.Part || e.hasBelow(v, args)) })
	if err == nil && ours && !readsOnce(args) {
		return nil
	}
	if more := (*image.BeyondError)(nil); err != nil && !errors.As(err, &more) {
		return err
	}
	switch e.User.Problem {
	case rootless.OK, rootless.NoRunDir, rootless.NoSubID: // nothing has been entered, or all
	default:
		return hint.With(e.User.Error(), "%s", e.User.Hint())
	}
	own, err := os.Executable()
	if err != nil {
		return err
	}
	full := filepath.Join(filepath.Dir(own), "..", fullProgram)
	if err := e.releaseSignals(); err != nil {
		return err
	}
	environ := append(os.Environ(), e.User.Handed()...)
	if e.Notify.Present() { // a start may have taken it out
		environ = append(environ, notify.Env+"="+e.Notify.Path())
	}
	err = syscall.Exec(full, append([]string{cmp.Or(filepath.Base(e.Called), "podunit")}, args...), environ)
	return hint.With(fmt.Errorf("%s: %w", full, err), "podunit is installed in part; install it again")
}

// hasBelow reports whether we have the verb below v that a command line asks for.
func (e *Env) hasBelow(v Verb, args []string) bool {
	at := slices.Index(args, v.Name)
	if at < 0 || at+1 == len(args) {
		return false
	}
	found, _, err := v.New(e).Find(args[at+1:])
	return err == nil && found.HasParent()
}

// readsOnce reports whether one of the files to be read is a pipe, or the like, of which the
// full program would find nothing any more.
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
