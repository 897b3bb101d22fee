// SPDX-License-Identifier: Apache-2.0

package quadlet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/podunit/podunit/generator/convert"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/source"
	"github.com/podunit/podunit/runner/check"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/kube/manifest"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/podunit/podunit/runner/secret"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// searchPath are the directories of this user's unit files, or of the system's.
func searchPath(e *cli.Env, system bool) source.Search {
	return source.Search{User: !system, UID: e.User.UID, Getenv: e.Getenv}
}

// checkOptions are the options of a run of the generator on this machine.
func checkOptions(e *cli.Env, system bool) check.Options {
	host := check.ThisHost(!system)
	if system == (e.User.UID == 0) { // else they are somebody else's
		host.Secret = func(name string) bool { return hasSecret(e, name) }
	}
	return check.Options{Convert: convert.Options{User: !system}, Host: host, Kube: manifest.Check(play.NoZone), Verbs: VerbFlags(e)}
}

// hasSecret tells whether there is a secret, or that it cannot be known. It makes no directory for
// secrets.
func hasSecret(e *cli.Env, name string) bool {
	s, err := e.Secrets()
	if err != nil {
		return true
	}
	if _, err := os.Stat(s.Dir()); err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	_, err = s.Lookup(name)
	return !errors.Is(err, secret.ErrNotFound)
}

// VerbFlags finds the flags of the verbs of a program for a check.
func VerbFlags(e *cli.Env) check.Verbs {
	return func(words []string) (*pflag.FlagSet, int, error) {
		// Parsing changes what the flags are bound to, so the commands get an environment of their
		// own.
		own := &cli.Env{Program: e.Program, Stdout: io.Discard, Stderr: io.Discard, Lookup: e.Lookup, User: e.User}
		if len(words) == 0 {
			return own.GlobalFlags(), 0, nil
		}
		root := own.Root(words[0])
		cmd, rest, err := root.Find(words)
		if err == nil && (cmd == root || cmd.HasSubCommands()) {
			err = cli.WantVerb(cmd, rest)
		}
		if err != nil {
			return nil, 0, err
		}
		cmd.InheritedFlags() // they become a part of Flags
		return cmd.Flags(), len(words) - len(rest), nil
	}
}

// terminal tells whether a writer is a terminal, so that colours may be used.
func terminal(e *cli.Env, w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && e.Getenv("NO_COLOR") == "" && e.Getenv("TERM") != "dumb"
}

// NewCheck makes podunit check.
func NewCheck(e *cli.Env) *cobra.Command {
	var (
		out            string
		strict, system bool
	)
	cmd := &cobra.Command{
		Use:   "check [flags] [PATH...]",
		Short: "Find what is wrong with unit files and Kubernetes YAML",
		Long: `Report everything that is wrong with unit files: what the generator would say, values and flags
that the runner would refuse, files, secrets, ports and accounts that are missing on this machine, and units that get
in each other's way. PATH is a unit file, judged with those beside it in mind, a file with Kubernetes
YAML, or a directory that holds unit files; without one the search path of this user is read.

Exit status: 0 when there are no errors, 1 when there are, or warnings with --strict.`,
		RunE: func(_ *cobra.Command, args []string) error {
			list, files := check.Paths(args, searchPath(e, system), checkOptions(e, system))
			if err := draw(e, list, out); err != nil {
				return err
			}
			failed := list.Errors()
			if out == "text" {
				noun := "unit file"
				if slices.ContainsFunc(args, check.IsKubernetes) {
					noun = "file"
				}
				fmt.Fprintf(e.Stderr, "%s, %s in %s\n", count(failed, "error"), count(len(list)-failed, "warning"), count(files, noun))
			}
			if failed > 0 || strict && len(list) > 0 {
				return cli.ExitStatus(1)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "format", "text", "text, json, or sarif (2.1.0) for code scanning")
	f.BoolVar(&strict, "strict", false, "fail for warnings too")
	f.BoolVar(&system, "system", e.User.UID == 0, "as units of the system's manager, not of a user's")
	cli.Complete(cmd, "format", "text", "json", "sarif")
	return cmd
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// draw writes a report to the standard output.
func draw(e *cli.Env, list report.List, format string) error {
	switch format {
	case "text":
		var p report.Palette
		if terminal(e, e.Stdout) {
			p = report.Colours()
		}
		return list.Terminal(e.Stdout, p)
	case "json":
		return list.JSON(e.Stdout)
	case "sarif":
		return list.SARIF(e.Stdout, e.Program.Version)
	}
	return fmt.Errorf("--format %q is none of text, json, sarif", format)
}
