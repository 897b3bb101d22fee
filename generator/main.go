// SPDX-License-Identifier: Apache-2.0

// Command podunit-generator is a systemd generator: it turns Quadlet files into service units at
// every daemon-reload. See systemd.generator(7) for how it is called, and podunit.unit(5) for the
// files that it reads.
package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/podunit/podunit/generator/convert"
	"github.com/podunit/podunit/generator/output"
	"github.com/podunit/podunit/generator/peer"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/settings"
	"github.com/podunit/podunit/generator/source"
)

// Set by the build with -ldflags "-X main.bindir=... -X main.version=...".
var (
	bindir  = "/usr/bin"
	version = "0.1.0-dev"
)

const usage = `Usage: podunit-generator [OPTION...] NORMAL-DIR [EARLY-DIR LATE-DIR]

Turns Quadlet files into systemd services, written to NORMAL-DIR. systemd runs it at boot and at daemon-reload.
It works for user managers when it is called by a name that contains "user".

  -dryrun        print the units instead of writing them
  -user          work for the user manager; -user=false: for the system's
  -no-kmsg-log   log to standard error instead of the kernel log
  -v             tell what is read and written
  -version       print the version
  -h, -help      print this text

Environment:
  QUADLET_UNIT_DIRS   directories to read instead of the usual ones, separated by colons
  PODUNIT             path of the runner in the units; without it PODMAN, unless that names podman itself
  PODUNIT_GENERATOR   force: write units also where Podman's own generator is installed

Exit status: 0 without errors, 1 with an error in some file or directory, 2 for wrong usage.
`

// env is what a run has from outside.
type env struct {
	args   []string // with the name of the program
	getenv func(string) string
	stdout io.Writer
	stderr io.Writer
	kmsg   string // path of the kernel log
	root   string // put before the paths that are looked at; tests set it
}

func main() {
	// A run lives for milliseconds: collecting garbage pays only when there is very much of it.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(44 << 20)
	os.Exit(run(env{args: os.Args, getenv: os.Getenv, stdout: os.Stdout, stderr: os.Stderr, kmsg: "/dev/kmsg"}))
}

// options are the command line.
type options struct {
	dryrun, user, noKmsg, verbose, version bool
	dirs                                   []string
}

func parseArgs(e env) (options, error) {
	o := options{user: strings.Contains(filepath.Base(e.args[0]), "user")}
	fs := flag.NewFlagSet(e.args[0], flag.ContinueOnError)
	fs.SetOutput(e.stderr)
	fs.Usage = func() { _, _ = io.WriteString(e.stderr, usage) } // nobody to tell when that fails
	fs.BoolVar(&o.dryrun, "dryrun", false, "")
	fs.BoolVar(&o.user, "user", o.user, "")
	fs.BoolVar(&o.noKmsg, "no-kmsg-log", false, "")
	fs.BoolVar(&o.verbose, "v", false, "")
	fs.BoolVar(&o.version, "version", false, "")
	err := fs.Parse(e.args[1:])
	o.dirs = fs.Args()
	if o.dryrun {
		o.noKmsg, o.verbose = true, true
	}
	return o, err
}

// run does everything and returns the exit status.
func run(e env) int {
	o, err := parseArgs(e)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case o.version:
		if _, err := io.WriteString(e.stdout, version+"\n"); err != nil {
			return 1
		}
		return 0
	}
	log := newLogger(e, o)
	defer log.close()
	if !o.dryrun && len(o.dirs) < 1 {
		log.print(report.Error, "Missing output directory argument (hint: -dryrun prints the units instead)")
		return 1
	}
	// systemd passes three directories. One directory and a search path of its own is a call by
	// hand or by a test.
	byHand := len(o.dirs) == 1 && e.getenv("QUADLET_UNIT_DIRS") != ""
	if !o.dryrun && !byHand && yields(e, o, log) {
		return 0
	}
	if o.dryrun {
		return generate(e, o, log, byHand)
	}
	code := 1
	output.WithLock(o.dirs[0], func(err error) {
		log.print(report.Warning, "Warning: output directory is not locked, another run may be writing to it: "+err.Error())
	}, func() { code = generate(e, o, log, byHand) })
	return code
}

// generate reads the sources, and writes or prints the units. It returns the exit status.
func generate(e env, o options, log *logger, byHand bool) int {
	dirs, faults := search(e, o).Dirs()
	// Podman's own test suite calls a generator by hand with PODMAN set, and wants no unit for a
	// file with an error.
	lax := byHand && !o.dryrun && e.getenv("PODMAN") != ""
	load := source.Load
	if lax {
		load = source.LoadLax
	}
	loaded := load(dirs, o.verbose)
	for _, line := range loaded.Debug {
		log.debug(line)
	}
	faults = append(faults, loaded.Report...)
	if len(loaded.Units) == 0 {
		names := make([]string, len(dirs))
		for i, d := range dirs {
			names[i] = d.Path
		}
		log.debug("No files parsed from [" + strings.Join(names, " ") + "]")
	}
	opt := convert.Options{User: o.user, Lax: lax, UID: accountID, Exists: exists, Reporter: bindir + "/podunit"}
	opt.Runner = opt.Reporter
	if r := e.getenv("PODUNIT"); r != "" {
		opt.Runner, opt.Reporter = r, r
	} else if r := e.getenv("PODMAN"); r != "" && filepath.Base(r) != "podman" {
		opt.Runner = r
	}
	out, found := convert.Generate(loaded.Units, opt)
	faults = append(faults, found...)
	faults.Sort()
	failed := faults.Errors() > 0
	for _, d := range faults.Dedup() {
		log.print(d.Severity, d.Line())
	}
	switch {
	case o.dryrun:
		failed = printUnits(e.stdout, out) != nil || failed
	case len(out.Units) > 0:
		failed = !write(e, o, log, out) || failed
	}
	if failed {
		log.print(report.Error, "processing encountered some errors")
		return 1
	}
	return 0
}

// accountID is the ID of an account in /etc/passwd.
func accountID(name string) (int, bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, false
	}
	id, err := strconv.Atoi(u.Uid)
	return id, err == nil
}

func search(e env, o options) source.Search {
	s := source.Search{User: o.user, UID: -1, Getenv: e.getenv, Root: e.root}
	if o.user && e.getenv("QUADLET_UNIT_DIRS") == "" {
		s.UID = os.Getuid()
		if u, err := user.Current(); err == nil {
			if id, err := strconv.Atoi(u.Uid); err == nil {
				s.UID = id
			}
		}
	}
	return s
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// yields tells whether to leave the field to Podman's own generator, and says so.
func yields(e env, o options, log *logger) bool {
	wish := e.getenv("PODUNIT_GENERATOR")
	switch wish {
	case settings.Force:
		return false
	case "", settings.Yield:
	default:
		log.print(report.Warning, "Warning: PODUNIT_GENERATOR="+wish+" is ignored, it is neither yield nor force")
	}
	path := peer.Generator(e.root, o.user)
	if path == "" {
		return false
	}
	where := settings.Where{Root: e.root}
	if o.user {
		if where.Config = e.getenv("XDG_CONFIG_HOME"); where.Config == "" && e.getenv("HOME") != "" {
			where.Config = filepath.Join(e.getenv("HOME"), ".config")
		}
	}
	set, errs := where.Read()
	for _, err := range errs {
		log.print(report.Warning, "Warning: "+err.Error())
	}
	if set.Generator == settings.Force && wish != settings.Yield {
		return false
	}
	if dirs, _ := search(e, o).Dirs(); len(source.Load(dirs, false).Units) == 0 {
		return true // nobody's files are in question, there is nothing to say
	}
	mask := "/etc/systemd/system-generators/podman-system-generator"
	if o.user {
		mask = "/etc/systemd/user-generators/podman-user-generator"
	}
	log.print(report.Warning, "podunit leaves Quadlet files to Podman's generator "+path+
		"; to switch, set Generator=force under [Generator] in /etc/podunit/podunit.conf (or PODUNIT_GENERATOR=force), or mask it: ln -s /dev/null "+mask)
	return true
}

func printUnits(w io.Writer, out convert.Output) error {
	for _, u := range out.Units {
		if _, err := io.WriteString(w, "---"+u.Name+"---\n"+string(u.Text)+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func write(e env, o options, log *logger, out convert.Output) bool {
	dir := o.dirs[0]
	for _, u := range out.Units {
		if !o.verbose {
			break
		}
		log.debug("Writing \"" + dir + "/" + u.Name + "\"")
	}
	for _, l := range out.Links {
		if !o.verbose {
			break
		}
		log.debug("Creating symlink " + dir + "/" + l.Path + " -> " + l.Target)
	}
	res, err := output.Write(dir, output.Header(e.args[0]), out)
	if err != nil {
		log.print(report.Error, "output directory: "+err.Error())
		return false
	}
	for _, err := range res.Units {
		log.print(report.Error, err.Error())
	}
	for _, err := range res.Links {
		log.print(report.Warning, "Warning: "+err.Error())
	}
	return len(res.Units) == 0
}
