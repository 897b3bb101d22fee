// SPDX-License-Identifier: Apache-2.0

// Package cli is what the verbs of podunit share: what they may ask of the world, how errors are
// said and what exit status they get, the global flags, which containers a command line means, what
// the shell completes, and what is said of verbs that are not there.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	journald "github.com/coreos/go-systemd/v22/journal"
	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/terminal"
	"github.com/podunit/podunit/runner/unit"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/reexec"
)

// Program is one of the programs that podunit consists of: its packages decide what it can do.
type Program struct {
	Version string
	Verbs   []Verb
	// Help makes the verb help; nil means cobra's.
	Help func(*Env) *cobra.Command
	// OpenImages gives access to the images of a storage.
	OpenImages func(s storage.Store, runDir string) service.Images
	// DrawPull has a pull show how it gets on where the writer is a terminal; nil shows nothing.
	DrawPull func(w io.Writer, o image.PullOptions) (_ image.PullOptions, done func(), terminal bool)
	// InjectDevices adds devices of the container device interface; nil in the small program.
	InjectDevices func(config *rspec.Spec, dirs, names []string, user bool) error
	// RemoveImage removes an image that nobody uses; nil in the small program.
	RemoveImage func(ctx context.Context, s storage.Store, runDir, name string) error
	// ImageNames lists the images in the storage for the shell; nil if the program cannot.
	ImageNames func(ctx context.Context, e *Env) ([]string, error)
	// Small tells that this is the program which services execute. The full one takes over what this
	// one cannot do.
	Small bool
}

// Verb is a verb and what makes its command.
type Verb struct {
	Name string
	New  func(*Env) *cobra.Command
	// Plain verbs read only arguments or files of the user's own: they run outside of the namespaces
	// of the user's containers. The constructor in runner/rootless/enter.c has the same list.
	Plain bool
	// Part is a verb of which the small program has only a part of the verbs below it.
	Part bool
}

// gcAbove is the heap size in bytes from which garbage is collected.
const gcAbove = 128 << 20

// Main is the main function of a program.
func Main(p Program) {
	// The storage unpacks layers in a process of its own, which is this program again.
	if reexec.Init() {
		return
	}
	// A runner lives for a fraction of a second: collecting garbage would be work for
	// nothing. The limit is for pulls, which do live.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(gcAbove)
	// SIGTERM is what systemd sends when a start is to be given up.
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	var got atomic.Value
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		if s, ok := <-signals; ok {
			got.Store(s)
			cancel(fmt.Errorf("given up (%s)", s))
		}
	}()
	e := &Env{Program: p, Stdin: os.Stdin, Stdout: output(ctx, os.Stdout), Stderr: os.Stderr, Lookup: os.LookupEnv, User: rootless.Enter(), Called: os.Args[0]}
	e.releaseSignals = sync.OnceValue(func() error {
		signal.Stop(signals)
		close(signals)
		<-heard
		return context.Cause(ctx)
	})
	e.Notify = notify.FromEnv(os.LookupEnv) // a start takes it out of the environment
	status := Run(ctx, e, os.Args[1:])
	e.User.Leave()
	if s, ok := got.Load().(syscall.Signal); ok && status == ExitRunner {
		// Tidied up. Die of it all the same: to systemd, a start that was to be given up
		// has then not failed, and a shell ends its script at Ctrl-C.
		signal.Reset(s)
		_ = syscall.Kill(os.Getpid(), s)
		time.Sleep(time.Second) // it is on its way
	}
	os.Exit(status)
}

// Run executes one command line and returns the exit status.
func Run(ctx context.Context, e *Env, args []string) int {
	verb, rest, err := e.globalFlags(args)
	if err == nil {
		err = e.handOver(verb, args, nil)
	}
	if err == nil {
		root := e.Root(verb)
		root.SetArgs(rest)
		err = e.handOver(verb, args, root.ExecuteContext(ctx))
	}
	if err == nil {
		return 0
	}
	var status ExitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	e.Complain(err)
	// For whoever asks systemctl; the last word on a pull would stay there otherwise.
	e.Status("error: " + strings.SplitN(err.Error(), "\n", 2)[0])
	var s interface{ ExitStatus() int }
	if errors.As(err, &s) {
		return s.ExitStatus()
	}
	return ExitRunner
}

// globals makes the flags that stand before the verb.
func (e *Env) globals() *pflag.FlagSet {
	if e.flags == nil {
		e.flags = pflag.NewFlagSet("podunit", pflag.ContinueOnError)
		// What matters comes back as an error; the rest is for those who look for a fault.
		e.flags.StringVar(&e.logLevel, "log-level", "fatal", "what the libraries say: trace, debug, info, warn, error, fatal or panic")
		e.flags.StringArrayVar(&e.Modules, "module", nil, "also read this containers.conf(5) `MODULE`")
		e.flags.StringVar(&e.Runtime, "runtime", "", "the OCI runtime: a `NAME` in PATH, or a path; runc if not given")
		e.flags.BoolVar(&e.noOut, "noout", false, "write nothing to stdout")
		e.flags.StringVar(&e.out, "out", "", "write to `FILE` what goes to stdout")
		e.choices(e.flags)
		e.others(e.flags)
	}
	return e.flags
}

// GlobalFlags are the flags that may stand before the verb.
func (e *Env) GlobalFlags() *pflag.FlagSet { return e.globals() }

// globalFlags reads the flags before the verb and returns the verb, and the words from it on. Where
// there is none, or a flag that is not for all verbs, it returns all words, and leaves it to cobra
// what to say of them. A flag that is refused is an error.
func (e *Env) globalFlags(args []string) (verb string, rest []string, err error) {
	set := e.globals()
	set.SetInterspersed(false)
	set.Usage = func() {}
	err = set.Parse(args)
	set.SetInterspersed(true)
	if words := set.Args(); err == nil && len(words) > 0 {
		return words[0], words, nil
	}
	e.flags = nil
	e.Modules, e.Runtime, e.choice = nil, "", store.Choice{}
	return "", args, refusal(err)
}

// Begin does what the global flags ask for: what the libraries say, and where stdout goes. An
// unknown level is an error with podman's exit status, 1.
func (e *Env) Begin() error {
	l, err := logrus.ParseLevel(e.logLevel)
	if err != nil {
		return WithStatus(fmt.Errorf("log level %q is not supported, choose from: trace, debug, info, warn, warning, error, fatal, panic", e.logLevel), 1)
	}
	logrus.SetLevel(l)
	e.warnVoid()
	return errors.Join(e.choose(), e.redirect())
}

// Root makes the command line of a verb, or of all verbs if the word is none.
func (e *Env) Root(verb string) *cobra.Command {
	root := &cobra.Command{
		Use:           "podunit [flags] COMMAND",
		Short:         "Run containers and pods as ordinary systemd services",
		Version:       e.Program.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          WantVerb,
		RunE:          noVerb,
	}
	// A verb that needs namespaces and did not get them says why, once, here.
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if err := e.Begin(); err != nil {
			return err
		}
		if err := e.User.Error(); err != nil {
			return hint.With(err, "%s", e.User.Hint())
		}
		return nil
	}
	e.globals().VisitAll(func(f *pflag.Flag) {
		if shorts[f.Name] != "" {
			long := *f
			long.Shorthand, f = "", &long
		}
		root.PersistentFlags().AddFlag(f)
	})
	root.SetOut(e.Stdout)
	root.SetErr(e.Stderr)
	root.SetVersionTemplate("podunit version {{.Version}}\n")
	if e.asPodman() {
		root.SetVersionTemplate("podman version " + PodmanVersion + "\n")
	}
	root.AddCommand(e.commands(verb)...)
	if e.Program.Help != nil {
		root.SetHelpCommand(e.Program.Help(e))
	}
	root.SetFlagErrorFunc(FlagError)
	if verb == cobra.ShellCompRequestCmd || verb == cobra.ShellCompNoDescRequestCmd {
		completeFlags(e, root)
	}
	return root
}

// commands makes the command of a verb, or of all. What a service executes is one, and making the
// other commands and their flags takes a millisecond.
func (e *Env) commands(verb string) []*cobra.Command {
	var all []*cobra.Command
	for _, v := range e.Program.Verbs {
		if v.Name == verb {
			return []*cobra.Command{v.New(e)}
		}
	}
	for _, v := range e.Program.Verbs {
		all = append(all, v.New(e))
	}
	return all
}

// Say writes lines to stderr. In a service, if that is the journal, they go there with the unit's
// name and a mark of ours: this process ends in a moment, and of a process that is gone the journal
// does not find out what program it was, nor, if it was a user's, in which unit. (In a service of
// the system's with User= only stderr tells the unit.)
func (e *Env) Say(lines ...string) {
	var fields map[string]string
	if direct, _ := journald.StderrIsJournalStream(); direct {
		if own, err := unit.CurrentUnit(e.Lookup); err == nil && own.Name != "" && (own.User || !e.User.Rootless()) {
			fields = own.JournalFields(e.User.Rootless())
			fields["MESSAGE_ID"] = journal.ComplaintID
		}
	}
	for _, line := range lines {
		line = terminal.Text(line) // strangers may have written a part of it
		if fields == nil || journald.Send(line, journald.PriErr, fields) != nil {
			fmt.Fprintln(e.Stderr, line)
		}
	}
}

// Complain says an error, and the way out of it.
func (e *Env) Complain(err error) {
	said := "podunit: error"
	if e.asPodman() {
		said = "Error"
	}
	lines := strings.Split(fmt.Sprintf("%s: %v", said, err), "\n")
	if way := cmp.Or(hint.Of(err), e.diskHint(err)); way != "" {
		lines = append(lines, "  hint: "+way)
	}
	e.Say(lines...)
}

// diskHint is the way out of what any write may meet.
func (e *Env) diskHint(err error) string {
	var path *os.PathError
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	switch {
	case full && errors.As(err, &path) && e.User.RunDir != "" && strings.HasPrefix(path.Path, e.User.RunDir+"/"):
		return e.User.FullHint()
	case full:
		return "the disk is full; podunit image prune -a removes images that no container uses"
	case errors.Is(err, syscall.EROFS):
		return "the file system is read-only; put the storage elsewhere with graphroot in ~/.config/containers/storage.conf"
	}
	return ""
}

// Exit statuses of podunit itself, as podman and docker have them; any other
// status is the container's own. Source: podman-run(1), EXIT STATUS.
const (
	ExitRunner        = 125 // podunit itself was at fault
	ExitNotExecutable = 126 // the container's command cannot be executed
	ExitNotFound      = 127 // the container's command cannot be found
)

// ExitStatus is an error that only carries a status: what there was to say has
// been said, by the container or on stderr.
type ExitStatus int

func (e ExitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// faultWithStatus is an error to be shown, with an exit status of its own.
type faultWithStatus struct {
	error
	status int
}

func (e faultWithStatus) Unwrap() error { return e.error }

func (e faultWithStatus) ExitStatus() int { return e.status }

// WithStatus gives an error an exit status of its own.
func WithStatus(err error, status int) error { return faultWithStatus{err, status} }

// Exit statuses of verbs that remove something. Source: podman-rm(1), EXIT STATUS.
const (
	exitMissing = 1 // nothing but that what was to be removed isn't there
	exitInUse   = 2 // it runs, or others need it
)

// Removed gives the errors of a removal their exit status; missing and inUse tell of each which it
// is.
func Removed(err error, missing, inUse func(error) bool) error {
	all := leaves(err)
	switch {
	case len(all) == 0:
		return nil
	case slices.ContainsFunc(all, inUse):
		return WithStatus(err, exitInUse)
	case !slices.ContainsFunc(all, func(one error) bool { return !missing(one) }):
		return WithStatus(err, exitMissing)
	}
	return err
}

// leaves are the errors that have been joined to one.
func leaves(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if err == nil {
			return nil
		}
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, leaves(one)...)
	}
	return all
}

// Ended is what a verb returns when a container, or a command in one, has ended with a code: the
// code is the exit status. An error gets the exit status that it has if the command is at fault.
func Ended(code int, err error) error {
	switch {
	case errors.Is(err, runc.ErrNotFound), errors.Is(err, bundle.ErrNoCommand):
		return WithStatus(err, ExitNotFound)
	case errors.Is(err, runc.ErrNotExecutable), errors.Is(err, runc.ErrNoDirectory), errors.Is(err, network.ErrPortInUse),
		errors.Is(err, bundle.ErrNoWorkDir), errors.Is(err, bundle.ErrNoUser), errors.Is(err, bundle.ErrNoGroup):
		return WithStatus(err, ExitNotExecutable)
	case err == nil && code != 0:
		return ExitStatus(code)
	}
	return err
}
