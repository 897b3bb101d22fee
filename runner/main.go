// SPDX-License-Identifier: Apache-2.0

// Command podunit runs containers and pods as ordinary systemd services. It
// lives only for a transition (a start, a stop, an exec, a question) and leaves
// the watching to systemd.
package main

import (
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
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/notify"
	_ "github.com/podunit/podunit/runner/resident" // before others allocate
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/unit"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"go.podman.io/common/pkg/config"
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
	modules        []string       // --module: containers.conf(5) modules
	conf           *config.Config // once it is read
	runtime        string         // --runtime: the OCI runtime, empty for runc
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

// hinted is an error with a way out, drawn on a line of its own.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

func (e hinted) Hint() string { return e.hint }

func withHint(err error, format string, a ...any) error {
	return hinted{error: err, hint: fmt.Sprintf(format, a...)}
}

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
	// Packages tell the way out with a method of this name.
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		lines = append(lines, "  hint: "+h.Hint())
	} else if hint := diskHint(err); hint != "" {
		lines = append(lines, "  hint: "+hint)
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
			return withHint(err, "%s", e.user.Hint())
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
