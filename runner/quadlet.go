// SPDX-License-Identifier: Apache-2.0

//go:build !quick

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/podunit/podunit/generator/manage"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/unitfile"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/unit"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// fetchPatience is how long the download of a unit file may take.
const fetchPatience = time.Minute

func newQuadletCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quadlet",
		Short: "Install, list, show, edit and remove unit files",
		Args:  wantVerb,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newQuadletInstallCommand(e), newQuadletListCommand(e), newQuadletPrintCommand(e), newQuadletRmCommand(e), newQuadletEditCommand(e))
	return cmd
}

// quadlets is where this user's unit files are; root's are the system's.
func (e *env) quadlets() (manage.Store, error) {
	said := map[string]bool{} // the records are read more than once
	s := manage.Store{Search: e.search(e.user.UID == 0), Warn: func(message string) {
		if !said[message] {
			said[message] = true
			fmt.Fprintf(e.stderr, "podunit: warning: %s\n", message)
		}
	}}
	var err error
	s.Dir, err = s.Search.InstallDir()
	return s, err
}

// all says every error, and returns the last one to be said in the usual way.
func (e *env) all(errs []error) error {
	for i, err := range errs {
		if i == len(errs)-1 {
			return err
		}
		e.complain(err)
	}
	return nil
}

// daemonReload has systemd run its generators.
func (e *env) daemonReload(ctx context.Context) error {
	m, err := e.manager(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.Reload(ctx)
}

func newQuadletInstallCommand(e *env) *cobra.Command {
	var reload, replace, dryRun, force bool
	cmd := &cobra.Command{
		Use:   "install [flags] PATH|URL [FILE|URL...]",
		Short: "Install unit files and what belongs to them",
		Long: `Install a unit file, a .quadlets file with several units, or a directory: an application of unit
files and other files. Further files are installed beside it and removed with it.

What podunit check finds wrong is not installed, unless --force is given. --dry-run fails where the installation would.`,
		Args: wantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := e.quadlets()
			if err != nil {
				return err
			}
			plan := s.Plan(args, func(url string) (string, []byte, error) { return fetch(cmd.Context(), url) })
			errs := plan.Faults
			list := s.Check(plan, e.checkOptions(e.user.UID == 0))
			if err := e.drawTo(e.stderr, list); err != nil {
				return err
			}
			if list.Errors() > 0 && !force {
				return e.all(append(errs, hint.With(fmt.Errorf("nothing is installed: %s", count(list.Errors(), "error")), "mend them, or install with --force")))
			}
			if dryRun {
				d, more := s.Diff(plan, replace)
				if err := e.drawDiff(d); err != nil {
					return err
				}
				return e.all(append(errs, toReplace(more)...))
			}
			paths, more := s.Install(plan, replace)
			for _, p := range paths {
				fmt.Fprintln(e.stdout, p)
			}
			errs = append(errs, toReplace(more)...)
			if reload {
				if err := e.daemonReload(cmd.Context()); err != nil {
					errs = append(errs, err)
				}
			}
			return e.all(errs)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&reload, "reload-systemd", true, "have systemd read the files afterwards")
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

// fetch downloads a unit file. Its name is the server's word for it, else the last part of the URL's path.
func fetch(ctx context.Context, url string) (name string, data []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", nil, errors.New("the server says " + resp.Status)
	}
	data, err = io.ReadAll(io.LimitReader(resp.Body, unitfile.MaxSize+1))
	if err != nil {
		return "", nil, err
	}
	if len(data) > unitfile.MaxSize {
		return "", nil, fmt.Errorf("larger than %d MiB", unitfile.MaxSize>>20)
	}
	name = path.Base(req.URL.Path)
	if _, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition")); err == nil && params["filename"] != "" {
		name = path.Base(params["filename"])
	}
	return name, data, nil
}

func (e *env) drawTo(w io.Writer, list report.List) error {
	var p report.Palette
	if e.terminal(w) {
		p = report.Colours()
	}
	return list.Terminal(w, p)
}

// drawDiff writes a unified diff, in colours for people.
func (e *env) drawDiff(d []byte) error {
	if !e.terminal(e.stdout) {
		_, err := e.stdout.Write(d)
		return err
	}
	var b bytes.Buffer
	for line := range bytes.Lines(d) {
		colour := ""
		switch {
		case bytes.HasPrefix(line, []byte("+++")), bytes.HasPrefix(line, []byte("---")):
			colour = "\x1b[1m"
		case line[0] == '+':
			colour = "\x1b[32m"
		case line[0] == '-':
			colour = "\x1b[31m"
		case line[0] == '@':
			colour = "\x1b[36m"
		}
		b.WriteString(colour)
		b.Write(bytes.TrimSuffix(line, []byte("\n")))
		if colour != "" {
			b.WriteString("\x1b[0m")
		}
		b.WriteByte('\n')
	}
	_, err := e.stdout.Write(b.Bytes())
	return err
}

func newQuadletListCommand(e *env) *cobra.Command {
	var (
		filters   []string
		out       string
		noHeading bool
	)
	cmd := &cobra.Command{
		Use:     "list [flags]",
		Aliases: []string{"ls"},
		Short:   "List unit files and the state of their services",
		Long: `List the unit files of the search path.

Filters: name, status, pod=REGEXP; those of one name are alternatives, different ones must all match.
Fields: ` + strings.Join(format.Fields[manage.Row](), ", ") + ".",
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := manage.ParseFilters(filters)
			if err != nil {
				return err
			}
			s, err := e.quadlets()
			if err != nil {
				return err
			}
			entries, err := s.List()
			if err != nil {
				return err
			}
			m, err := e.manager(cmd.Context())
			if err != nil {
				return err
			}
			defer m.Close()
			sv := services(cmd.Context(), m)
			rows := make([]manage.Row, 0, len(entries))
			for _, x := range entries {
				row := manage.Row{Name: x.Name, UnitName: x.Service, Path: x.Path, App: x.App, Pod: x.Pod, Status: sv.Status(x)}
				if filter.Match(row) {
					rows = append(rows, row)
				}
			}
			if format.IsJSON(out) {
				return format.JSON(e.stdout, rows)
			}
			return format.Rows(e.stdout, format.Table{
				Format: out, NoHeading: noHeading, Default: "{{.Name}}\t{{.UnitName}}\t{{.Path}}\t{{.Status}}\t{{.App}}\t{{.Pod}}",
				Headings: map[string]string{"Path": "PATH ON DISK", "App": "APPLICATION"},
			}, rows)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&filters, "filter", "f", nil, "only files that match `KEY=REGEXP`")
	f.StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.BoolVarP(&noHeading, "noheading", "n", false, "no line of headings")
	return cmd
}

// services asks the manager for the services of unit files.
func services(ctx context.Context, m *unit.Manager) manage.Services {
	return manage.Services{
		State: func(service string) (manage.State, error) {
			p, err := m.Properties(ctx, service)
			return manage.State{Loaded: p.Exists(), Active: p.ActiveState, Sub: p.SubState}, err
		},
		Instances: func(template string) ([]string, error) { return m.Instances(ctx, template) },
		Stop:      func(service string) error { return m.Stop(ctx, service) },
	}
}

// completeQuadlets offers the names of unit files.
func completeQuadlets(e *env) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		s, err := e.quadlets()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		s.Warn = nil // the shell's line is no place for it
		entries, err := s.List()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []string
		for _, x := range entries {
			out = append(out, x.Name)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func newQuadletPrintCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:               "print NAME",
		Aliases:           []string{"cat"},
		Short:             "Show a unit file",
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeQuadlets(e),
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := e.quadlets()
			if err != nil {
				return err
			}
			data, _, err := s.Read(args[0])
			if err != nil {
				return err
			}
			_, err = e.stdout.Write(data)
			return err
		},
	}
}

func newQuadletRmCommand(e *env) *cobra.Command {
	var (
		opt    manage.RemoveOptions
		reload bool
	)
	cmd := &cobra.Command{
		Use:   "rm [flags] NAME...",
		Short: "Remove unit files",
		Long: `Remove unit files, with the application that they belong to: the files that were installed with them.
NAME may also be that of an application, .NAME.app.`,
		ValidArgsFunction: completeQuadlets(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && !opt.All {
				return errors.New("name the unit files to remove, or give --all")
			}
			s, err := e.quadlets()
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			m, err := e.manager(ctx)
			if err != nil {
				return err
			}
			defer m.Close()
			removed, errs := s.Remove(args, opt, services(ctx, m))
			for _, name := range removed {
				fmt.Fprintln(e.stdout, name)
			}
			for i, err := range errs {
				if errors.Is(err, manage.ErrActive) {
					errs[i] = hint.With(err, "--force stops it first")
				}
			}
			if reload {
				if err := m.Reload(ctx); err != nil {
					errs = append(errs, err)
				}
			}
			return e.all(errs)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&opt.All, "all", "a", false, "remove every unit file in the search path")
	f.BoolVarP(&opt.Force, "force", "f", false, "stop services that are active")
	f.BoolVarP(&opt.Ignore, "ignore", "i", false, "a file that does not exist is no error")
	f.BoolVar(&reload, "reload-systemd", true, "have systemd read the files afterwards")
	return cmd
}

func newQuadletEditCommand(e *env) *cobra.Command {
	var reload, force bool
	cmd := &cobra.Command{
		Use:   "edit [flags] NAME",
		Short: "Edit a unit file, check it, and have systemd read it",
		Long: `Open a unit file in the editor ($VISUAL, $EDITOR). What podunit check finds wrong with it can be mended before it
is installed. A file below this user's own directory is changed where it is, with what a link there leads to. One from
a directory of the system or the distribution is copied to this user's own, where it hides the other one; a file that
does not exist is made.`,
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeQuadlets(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.editQuadlet(cmd.Context(), args[0], reload, force)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&reload, "reload-systemd", true, "have systemd read the file afterwards")
	f.BoolVarP(&force, "force", "f", false, "install it with errors too")
	return cmd
}

func (e *env) editQuadlet(ctx context.Context, name string, reload, force bool) error {
	if strings.ContainsRune(name, '/') || !manage.IsUnit(name) {
		return hint.With(fmt.Errorf("%s: %w", name, manage.ErrType), "give the name of a unit file, as web.container")
	}
	s, err := e.quadlets()
	if err != nil {
		return err
	}
	old, entry, err := s.Read(name)
	if err != nil && !errors.Is(err, manage.ErrNotFound) {
		return err
	}
	entry.Name = name
	place, err := s.Place(entry)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "podunit-edit-")
	if err != nil {
		return err
	}
	draft := filepath.Join(dir, name)
	if err := os.WriteFile(draft, old, 0o600); err != nil {
		return err
	}
	for {
		if err := e.editor(ctx, draft); err != nil {
			return hint.With(err, "the draft is %s", draft)
		}
		data, err := os.ReadFile(draft)
		if err != nil {
			return err
		}
		if bytes.Equal(data, old) {
			fmt.Fprintln(e.stderr, name+" is unchanged")
			return os.RemoveAll(dir)
		}
		plan := manage.Plan{Files: []manage.File{{Name: name, From: draft, Data: data, Dir: place.Dir}}}
		list := s.Check(plan, e.checkOptions(e.user.UID == 0))
		if err := e.drawTo(e.stderr, list); err != nil {
			return err
		}
		if list.Errors() > 0 && !force {
			switch e.ask("Edit again (e), install with errors (i), or give up (q)? ") {
			case "e", "":
				continue
			case "i":
			default:
				return hint.With(fmt.Errorf("%s is not installed: %s", name, count(list.Errors(), "error")), "the draft is %s", draft)
			}
		}
		if err := s.Put(place, data); err != nil {
			return hint.With(err, "the draft is %s", draft)
		}
		fmt.Fprintln(e.stdout, place.Path)
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if reload {
			return e.daemonReload(ctx)
		}
		return nil
	}
}

// editor opens a file and waits until the editor ends.
func (e *env) editor(ctx context.Context, file string) error {
	program := e.getenv("VISUAL")
	if program == "" {
		program = e.getenv("EDITOR")
	}
	if program == "" {
		for _, p := range []string{"editor", "nano", "vim", "vi"} {
			if found, err := exec.LookPath(p); err == nil {
				program = found
				break
			}
		}
	}
	words := strings.Fields(program)
	if len(words) == 0 {
		return hint.With(errors.New("no editor is installed"), "set EDITOR")
	}
	cmd := exec.CommandContext(ctx, words[0], append(words[1:], file)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.stdin, e.stdout, e.stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("editor %s: %w", words[0], err)
	}
	return nil
}

// ask puts a question to the terminal; without one the answer is q.
func (e *env) ask(question string) string {
	if e.stdin == nil || !term.IsTerminal(int(e.stdin.Fd())) {
		return "q"
	}
	fmt.Fprint(e.stderr, question)
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := e.stdin.Read(b)
		if err != nil || n == 0 && len(line) == 0 {
			return "q"
		}
		if b[0] == '\n' {
			return strings.TrimSpace(string(line))
		}
		line = append(line, b[0])
	}
}
