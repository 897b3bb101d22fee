// SPDX-License-Identifier: Apache-2.0

package quadlet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"path"
	"strings"

	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/unitfile"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/manage"
	harmless "github.com/podunit/podunit/runner/terminal"
	"github.com/spf13/cobra"
)

// NewInstall makes podunit quadlet install.
func NewInstall(e *cli.Env) *cobra.Command {
	var reload, replace, dryRun, force bool
	cmd := &cobra.Command{
		Use:   "install [flags] PATH|URL [FILE|URL...]",
		Short: "Install unit files and what belongs to them",
		Long: `Install a unit file, a .quadlets file with several units, or a directory: an application of unit
files and other files. Further files are installed beside it and removed with it.

What podunit check finds wrong is not installed, unless --force is given. --dry-run fails where the installation would.`,
		Args: cli.WantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := openStore(e)
			if err != nil {
				return err
			}
			plan := s.Plan(args, func(url string) (string, []byte, error) { return fetch(cmd.Context(), url) })
			errs := plan.Faults
			list := s.Check(plan, checkOptions(e, e.User.UID == 0))
			if err := drawTo(e, e.Stderr, list); err != nil {
				return err
			}
			if list.Errors() > 0 && !force {
				return sayAllButLast(e, append(errs, hint.With(fmt.Errorf("nothing is installed: %s", count(list.Errors(), "error")), "mend them, or install with --force")))
			}
			if dryRun {
				d, more := s.Diff(plan, replace)
				if err := drawDiff(e, d); err != nil {
					return err
				}
				return sayAllButLast(e, append(errs, toReplace(more)...))
			}
			changes := s.Changes(plan)
			paths, more := s.Install(cmd.Context(), plan, replace)
			for _, p := range paths {
				fmt.Fprintln(e.Stdout, p)
			}
			errs = append(errs, toReplace(more)...)
			if reload {
				if err := reloadFor(cmd.Context(), e, s, changes); err != nil {
					errs = append(errs, err)
				}
			}
			return sayAllButLast(e, errs)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&reload, "reload-systemd", true, "have systemd read the files afterwards, and say which services go on as before until they are restarted")
	f.BoolVarP(&replace, "replace", "r", false, "overwrite files that exist")
	f.BoolVar(&dryRun, "dry-run", false, "show what would change, as a diff, and change nothing")
	f.BoolVarP(&force, "force", "f", false, "install files with errors too")
	return cmd
}

// toReplace tells how to overwrite a file that exists.
func toReplace(errs []error) []error {
	for i, err := range errs {
		if errors.Is(err, manage.ErrExists) {
			errs[i] = hint.With(err, "--replace overwrites it")
		}
	}
	return errs
}

// fetch downloads a unit file. Its name is the server's word for it, else the last part of the
// URL's path.
func fetch(ctx context.Context, address string) (name string, data []byte, err error) {
	data, header, err := cli.Download(ctx, address, unitfile.MaxSize+1)
	if err != nil {
		return "", nil, err
	}
	if len(data) > unitfile.MaxSize {
		return "", nil, fmt.Errorf("larger than %d MiB", unitfile.MaxSize>>20)
	}
	if u, err := url.Parse(address); err == nil {
		name = path.Base(u.Path)
	}
	if _, params, err := mime.ParseMediaType(header.Get("Content-Disposition")); err == nil && params["filename"] != "" {
		name = path.Base(params["filename"])
	}
	return name, data, nil
}

func drawTo(e *cli.Env, w io.Writer, list report.List) error {
	var p report.Palette
	if terminal(e, w) {
		p = report.Colours()
	}
	return list.Terminal(w, p)
}

// drawDiff writes a unified diff, in colours for people. What was downloaded does nothing else to a
// terminal, such as hiding lines of itself.
func drawDiff(e *cli.Env, d []byte) error {
	if !terminal(e, e.Stdout) {
		_, err := harmless.Filter(e.Stdout).Write(d)
		return err
	}
	_, err := e.Stdout.Write(coloured(d))
	return err
}

// coloured is a diff with the sequences that colour it, and with no others.
func coloured(d []byte) []byte {
	var b bytes.Buffer
	for line := range strings.Lines(string(d)) {
		colour := ""
		switch {
		case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"):
			colour = "\x1b[1m"
		case line[0] == '+':
			colour = "\x1b[32m"
		case line[0] == '-':
			colour = "\x1b[31m"
		case line[0] == '@':
			colour = "\x1b[36m"
		}
		b.WriteString(colour)
		b.WriteString(harmless.Text(strings.TrimSuffix(line, "\n")))
		if colour != "" {
			b.WriteString("\x1b[0m")
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}
