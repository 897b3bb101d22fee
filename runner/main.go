// SPDX-License-Identifier: Apache-2.0

// Command podunit runs containers and pods as ordinary systemd services. It
// lives only for a transition (a start, a stop, an exec, a question) and leaves
// the watching to systemd.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	journald "github.com/coreos/go-systemd/v22/journal"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/notify"
	_ "github.com/podunit/podunit/runner/resident" // before others allocate
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/reexec"
)

// version is stamped at build time: -ldflags "-X main.version=...".
var version = "0.0.0-dev"

// env is what a command may ask of the world, so that a test is a call.
type env struct {
	stdin          *os.File
	stdout, stderr io.Writer
	lookup         func(string) (string, bool)
	user           rootless.Identity
	modules        []string // --module: containers.conf(5) modules
	runtime        string   // --runtime: the OCI runtime, empty for runc
	notify         notify.Socket
	deafen         func() error // stop listening to signals; the error is of one that came before
}

// Exit statuses of podunit itself, as podman and docker have them; any other
// status is the container's own. Source: podman-run(1), EXIT STATUS.
const (
	exitRunner        = 125 // podunit itself was at fault
	exitNotExecutable = 126 // the container's command cannot be executed
	exitNotFound      = 127 // the container's command cannot be found
)

// exitStatus is an error that only carries a status: what there was to say has
// been said, by the container or on stderr.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// faultWithStatus is an error to be shown, with an exit status of its own.
type faultWithStatus struct {
	error
	status int
}

func (e faultWithStatus) Unwrap() error { return e.error }

func (e faultWithStatus) ExitStatus() int { return e.status }

func withStatus(err error, status int) error { return faultWithStatus{err, status} }

// gcAbove is the heap size in bytes from which garbage is collected.
const gcAbove = 128 << 20

func main() {
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
	// deafen gives the signals back to the kernel, for a program that takes our place.
	deafen := sync.OnceValue(func() error {
		signal.Stop(signals)
		close(signals)
		<-heard
		return context.Cause(ctx)
	})
	e := &env{deafen: deafen, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, lookup: os.LookupEnv, user: rootless.Enter()}
	e.notify = notify.FromEnv(os.LookupEnv) // a start takes it out of the environment
	unit.MovesBegun(rootless.AwaitMoves)
	status := run(ctx, e, os.Args[1:])
	e.user.Leave()
	if s, ok := got.Load().(syscall.Signal); ok && status == exitRunner {
		// Tidied up. Die of it all the same: to systemd, a start that was to be given up
		// has then not failed, and a shell ends its script at Ctrl-C.
		signal.Reset(s)
		_ = syscall.Kill(os.Getpid(), s)
		time.Sleep(time.Second) // it is on its way
	}
	os.Exit(status)
}

// run executes one command line and returns the exit status.
func run(ctx context.Context, e *env, args []string) int {
	err := e.beyond(args, nil)
	if err == nil {
		root := newRootCommand(e, args)
		root.SetArgs(args)
		err = e.beyond(args, root.ExecuteContext(ctx))
	}
	if err == nil {
		return 0
	}
	var status exitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	e.complain(err)
	// For who asks systemctl; the last word on a pull would stay there otherwise.
	e.status("error: " + strings.SplitN(err.Error(), "\n", 2)[0])
	var s interface{ ExitStatus() int }
	if errors.As(err, &s) {
		return s.ExitStatus()
	}
	return exitRunner
}

// say writes lines to stderr. In a service, if that is the journal, they go there with the unit's name and a mark of
// ours: we end in a moment, and of a process that is gone the journal does not find out what program it was, nor, if it
// was a user's, in which unit. (In a service of the system's with User= only stderr tells the unit.)
func (e *env) say(lines ...string) {
	var fields map[string]string
	if direct, _ := journald.StderrIsJournalStream(); direct {
		if own, err := unit.CurrentUnit(e.lookup); err == nil && own.Name != "" && (own.User || !e.user.Rootless()) {
			fields = own.JournalFields(e.user.Rootless())
			fields["MESSAGE_ID"] = journal.ComplaintID
		}
	}
	for _, line := range lines {
		if fields == nil || journald.Send(line, journald.PriErr, fields) != nil {
			fmt.Fprintln(e.stderr, line)
		}
	}
}

// complain says an error, and the way out of it.
func (e *env) complain(err error) {
	lines := strings.Split(fmt.Sprintf("podunit: error: %v", err), "\n")
	if way := cmp.Or(hint.Of(err), diskHint(err)); way != "" {
		lines = append(lines, "  hint: "+way)
	}
	e.say(lines...)
}

// diskHint is the way out of what any write may meet.
func diskHint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "the disk is full; podunit image prune -a removes images that no container uses"
	case errors.Is(err, syscall.EROFS):
		return "the file system is read-only; put the storage elsewhere with graphroot in ~/.config/containers/storage.conf"
	}
	return ""
}

// newRootCommand makes the command line, or as much of it as args needs.
func newRootCommand(e *env, args []string) *cobra.Command {
	root := &cobra.Command{
		Use:           "podunit [flags] COMMAND",
		Short:         "Run containers and pods as ordinary systemd services",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          wantVerb,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var level string
	// A verb that needs namespaces and did not get them says why, once, here.
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		l, err := logrus.ParseLevel(level)
		if err != nil {
			return fmt.Errorf("--log-level %q is none of trace, debug, info, warn, error, fatal, panic", level)
		}
		logrus.SetLevel(l)
		if err := e.user.Error(); err != nil {
			return hint.With(err, "%s", e.user.Hint())
		}
		return nil
	}
	// What matters comes back as an error; the rest is for who looks for a fault.
	root.PersistentFlags().StringVar(&level, "log-level", "fatal", "what the libraries say: trace, debug, info, warn, error, fatal or panic")
	root.PersistentFlags().StringArrayVar(&e.modules, "module", nil, "also read this containers.conf(5) `MODULE`")
	root.PersistentFlags().StringVar(&e.runtime, "runtime", "", "the OCI runtime: a `NAME` in PATH, or a path; runc if not given")
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetVersionTemplate("podunit version {{.Version}}\n")
	root.AddCommand(commands(e, args)...)
	if help := newHelpCommand(e); help != nil {
		root.SetHelpCommand(help)
	}
	root.SetFlagErrorFunc(flagError)
	return root
}

// constructor makes the command of a verb.
type constructor struct {
	verb string
	make func(*env) *cobra.Command
}

// commands makes the verbs that args may mean: the one that it begins with, or all. What
// a service executes is one, and making the other commands and their flags takes a
// millisecond.
func commands(e *env, args []string) []*cobra.Command {
	for len(args) > 0 && strings.HasPrefix(args[0], "--") && strings.Contains(args[0], "=") {
		args = args[1:] // --module=…
	}
	for _, v := range constructors() {
		if len(args) > 0 && args[0] == v.verb {
			return []*cobra.Command{v.make(e)}
		}
	}
	var all []*cobra.Command
	for _, v := range constructors() {
		all = append(all, v.make(e))
	}
	return all
}

// engines are what the verbs act with.
type engines struct{ *service.Engine }

// serviceConfig is what package service has to know of this process.
func (e *env) serviceConfig() (service.Config, error) {
	program, err := ownProgram()
	return service.Config{
		User: e.user, Lookup: e.lookup, Notify: e.notify, Modules: e.modules, Runtime: e.runtime,
		Program: program, Directory: e.host().Dir, Environ: os.Environ(), Stdin: e.stdin,
		OpenImages: func(s storage.Store, runDir string) service.Images { return image.New(s, runDir) },
		Warn:       e.warn,
		Log:        func(line string) { fmt.Fprintf(e.stderr, "podunit: %s\n", line) },
	}, err
}

// warn says what went wrong without being an error.
func (e *env) warn(message string) { fmt.Fprintf(e.stderr, "podunit: warning: %s\n", message) }

func (e *env) openWith(ctx context.Context, open func(context.Context, service.Config) (*service.Engine, error)) (*engines, error) {
	c, err := e.serviceConfig()
	if err != nil {
		return nil, err
	}
	x, err := open(ctx, c)
	return &engines{x}, err
}

// open opens the storage and what belongs to it.
func (e *env) open(ctx context.Context) (*engines, error) { return e.openWith(ctx, service.Open) }

// openToRun is open for verbs that start or remove something: they need the runtime.
func (e *env) openToRun(ctx context.Context) (*engines, error) {
	return e.openWith(ctx, service.OpenToRun)
}

// openToStart is openToRun for the start of a container.
func (e *env) openToStart(ctx context.Context) (*engines, error) {
	return e.openWith(ctx, service.OpenToStart)
}

// manager connects to the manager of this user's units.
func (e *env) manager(ctx context.Context) (*unit.Manager, error) {
	return service.Connect(ctx, e.user, e.lookup)
}

// host is what a command line may draw from its surroundings.
func (e *env) host() spec.Host {
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	return spec.Host{Environ: os.Environ(), Dir: dir}
}

// status sets the unit's status line, where there is a unit.
func (e *env) status(text string) {
	sock := e.notify
	if !sock.Present() {
		sock = notify.FromEnv(e.lookup)
	}
	_ = sock.Send(notify.Status(text)) // only a line less
}

// commandFault gives an error the exit status that it has if the container's command is
// what is wrong.
func commandFault(err error) error {
	switch {
	case errors.Is(err, runc.ErrNotFound):
		return withStatus(err, exitNotFound)
	case errors.Is(err, runc.ErrNotExecutable), errors.Is(err, runc.ErrNoDirectory):
		return withStatus(err, exitNotExecutable)
	}
	return err
}
