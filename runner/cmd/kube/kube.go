// SPDX-License-Identifier: Apache-2.0

// Package kube holds the verbs of podunit kube, a file for each, and play kube and generate kube,
// which are the same in podman's older words.
package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/kube/served"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/kube/yaml"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/terminal"
	"github.com/spf13/cobra"
)

// New makes podunit kube.
func New(e *cli.Env) *cobra.Command {
	cmd := served.New(e, documents(e))
	cmd.AddCommand(NewPlay(e), NewGenerate(e), newCron(e))
	return cmd
}

// NewPlayGroup makes podunit play, whose only verb is kube.
func NewPlayGroup(e *cli.Env) *cobra.Command {
	play := NewPlay(e)
	play.Use = strings.Replace(play.Use, "play", "kube", 1)
	return cli.Group("play COMMAND", "Play Kubernetes YAML: podunit kube play", play)
}

// maxBytes is the most that is read: one byte more than is allowed, so that the reader says so.
const maxBytes = yaml.MaxBytes + 1

// sources reads files, addresses of the web, and - for the standard input.
func sources(ctx context.Context, e *cli.Env, names []string) ([]yaml.Source, error) {
	var out []yaml.Source
	var errs []error
	stdin := false
	for _, name := range names {
		s := yaml.Source{Name: name}
		var err error
		switch {
		case name == "-" && stdin:
			err = errors.New("the standard input can be read once")
		case name == "-":
			stdin, s.Name = true, "standard input"
			s.Data, err = io.ReadAll(io.LimitReader(e.Stdin, maxBytes))
		case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
			s.Name = terminal.Address(name)
			s.Data, _, err = cli.Download(ctx, name, maxBytes)
		default:
			s.Data, err = safe.ReadGiven(name, yaml.MaxBytes)
			if errors.Is(err, safe.ErrTooLarge) {
				s.TooLarge, err = true, nil // the reader of YAML says so, with the way out
			}
			if st, serr := os.Stat(name); errors.Is(err, safe.ErrNotRegular) && serr == nil && st.Mode()&fs.ModeNamedPipe != 0 {
				err = hint.With(err, "give - in its place, and the pipe as standard input: < %s", name)
			}
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, s)
	}
	return out, errors.Join(errs...)
}

// say prints a report on documents, and returns an error if the report has errors.
func say(e *cli.Env, list report.List) error {
	for _, d := range list {
		lines := []string{"podunit: " + d.Severity.String() + ": " + d.Pos.String() + ": " + d.Message}
		if d.Pos.File == "" {
			lines[0] = "podunit: " + d.Severity.String() + ": " + d.Message
		}
		if d.Excerpt != "" {
			lines = append(lines, "  "+strings.TrimRight(d.Excerpt, " \t\r"))
		}
		if d.Hint != "" {
			lines = append(lines, "  hint: "+d.Hint)
		}
		e.Say(lines...)
	}
	switch n := list.Errors(); n {
	case 0:
		return nil
	case 1:
		return hint.With(errors.New("the YAML has a fault; nothing was made"), "podunit check FILE looks again")
	default:
		return hint.With(fmt.Errorf("the YAML has %d faults; nothing was made", n), "podunit check FILE looks again")
	}
}
