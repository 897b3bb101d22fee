// SPDX-License-Identifier: Apache-2.0

package quadlet

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podunit/podunit/generator/check"
	"github.com/podunit/podunit/generator/check/kubeyaml"
	"github.com/podunit/podunit/generator/convert"
	"github.com/podunit/podunit/generator/manage"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/source"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// searchPath is where the unit files of this user are, or the system's.
func searchPath(e *cli.Env, system bool) source.Search {
	return source.Search{User: !system, UID: e.User.UID, Getenv: e.Getenv}
}

// checkOptions are those of a run of the generator on this machine.
func checkOptions(e *cli.Env, system bool) check.Options {
	return check.Options{Convert: convert.Options{User: !system}, Host: check.ThisHost(!system), Kube: kubeyaml.Check, Refuse: refuse}
}

// refuse says what is wrong with the flags of run or pod create, as those verbs would.
func refuse(section string, words []string) []check.Refusal {
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
		return []check.Refusal{{Flag: name, Message: spec.FlagError(set, err).Error()}}
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
	var out []check.Refusal
	for _, err := range list {
		r := check.Refusal{Message: err.Error()}
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

// terminal tells whether something is drawn for people, in colours.
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
		Short: "Find what is wrong with unit files",
		Long: `Report everything that is wrong with unit files: what the generator would say, values and flags
that the runner would refuse, files, ports and accounts that are missing on this machine, and units that get
in each other's way. PATH is a unit file, judged with those beside it in mind, or a directory that
holds some; without one the search path of this user is read.

Exit status: 0 when there are no errors, 1 when there are, or warnings with --strict.`,
		RunE: func(_ *cobra.Command, args []string) error {
			loaded := loadUnits(e, args, system)
			beside := besides(e, args, loaded, system)
			// Of two units that clash the later one is told.
			list := append(loaded.Report, about(loaded, beside, check.Check(append(beside, loaded.Units...), checkOptions(e, system)))...)
			list.Sort()
			list = list.Dedup()
			if err := draw(e, list, out); err != nil {
				return err
			}
			failed := list.Errors()
			if out == "text" {
				fmt.Fprintf(e.Stderr, "%s, %s in %s\n", count(failed, "error"), count(len(list)-failed, "warning"), count(len(loaded.Units), "unit file"))
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

// loadUnits reads the unit files of paths, or of the search path.
func loadUnits(e *cli.Env, paths []string, system bool) source.Loaded {
	if len(paths) == 0 {
		dirs, faults := searchPath(e, system).Dirs()
		loaded := source.Load(dirs, false)
		loaded.Report = append(faults, loaded.Report...)
		return loaded
	}
	var all source.Loaded
	seen := map[string]bool{}
	add := func(l source.Loaded) {
		all.Report = append(all.Report, l.Report...)
		for _, in := range l.Units {
			base := in.Base
			if base == "" {
				base = filepath.Base(in.Path)
			}
			if !seen[base] {
				seen[base] = true
				all.Units = append(all.Units, in)
			}
		}
	}
	for _, path := range paths {
		st, err := os.Stat(path)
		switch {
		case err != nil:
			var p *os.PathError
			text := err.Error()
			if errors.As(err, &p) {
				text = p.Err.Error()
			}
			all.Report = append(all.Report, report.Diagnostic{Code: "unreadable", Pos: report.Position{File: path}, Message: "cannot be read: " + text})
		case st.IsDir():
			add(loadDirectory(e, path))
		default:
			add(source.LoadFiles([]string{path}))
		}
	}
	return shortPaths(all, paths)
}

// besides reads the unit files that those of paths may refer to, when paths names single files: the rest of their
// directories, and of the search path if they are in it.
func besides(e *cli.Env, paths []string, named source.Loaded, system bool) []quadlet.Input {
	seen := map[string]bool{}
	for _, in := range named.Units {
		seen[in.Base] = true
	}
	var out []quadlet.Input
	add := func(units []quadlet.Input) {
		for _, in := range units {
			if !seen[in.Base] {
				seen[in.Base] = true
				out = append(out, in)
			}
		}
	}
	for _, path := range paths {
		if st, err := os.Stat(path); err != nil || st.IsDir() {
			continue
		}
		dir, err := filepath.Abs(filepath.Dir(path))
		if err != nil || seen[dir] {
			continue
		}
		seen[dir] = true
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		if dirs, _ := searchPath(e, system).Dirs(); slices.ContainsFunc(dirs, func(d source.Dir) bool { return d.Path == dir }) {
			add(source.Load(dirs, false).Units)
		}
		entries, _ := os.ReadDir(dir)
		var files []string
		for _, entry := range entries {
			if name := entry.Name(); manage.IsUnit(name) && !seen[name] || filepath.Ext(name) == ".quadlets" {
				files = append(files, filepath.Join(dir, name))
			}
		}
		add(source.LoadFiles(files).Units)
	}
	return out
}

// about leaves out what a report says of other units than those that were named.
func about(named source.Loaded, beside []quadlet.Input, list report.List) report.List {
	if len(beside) == 0 {
		return list
	}
	units, files := map[string]bool{}, map[string]bool{}
	for _, in := range named.Units {
		units[in.Base] = true
		in.File.EachSource(func(path string) string { files[path] = true; return path })
	}
	return slices.DeleteFunc(list, func(d report.Diagnostic) bool {
		// What several units share is told once, and perhaps under the name of another one.
		return d.Unit != "" && !units[d.Unit] && !(d.Also > 0 && files[d.Pos.File])
	})
}

func loadDirectory(e *cli.Env, path string) source.Loaded {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	dirs, faults := source.Search{Getenv: func(name string) string {
		if name == "QUADLET_UNIT_DIRS" {
			return strings.ReplaceAll(abs, ":", "?")
		}
		return ""
	}}.Dirs()
	loaded := source.Load(dirs, false)
	loaded.Report = append(faults, loaded.Report...)
	return loaded
}

// shortPaths writes places as the user wrote the path, when that was a relative one: it is what editors and code
// scanning expect.
func shortPaths(l source.Loaded, paths []string) source.Loaded {
	for _, p := range paths {
		if filepath.IsAbs(p) {
			return l
		}
	}
	wd, err := os.Getwd()
	if err != nil {
		return l
	}
	if real, err := filepath.EvalSymlinks(wd); err == nil {
		wd = real
	}
	for i := range l.Units {
		short(&l.Units[i], wd)
	}
	for i := range l.Report {
		l.Report[i].Pos.File = relative(l.Report[i].Pos.File, wd)
	}
	return l
}

func short(in *quadlet.Input, wd string) {
	if in.Base == "" {
		in.Base = filepath.Base(in.Path)
	}
	in.Path = relative(in.Path, wd)
	in.File.EachSource(func(path string) string { return relative(path, wd) })
	for i := range in.Faults {
		in.Faults[i].Pos.File = relative(in.Faults[i].Pos.File, wd)
	}
}

func relative(path, wd string) string {
	if rel, err := filepath.Rel(wd, path); err == nil && filepath.IsAbs(path) && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
