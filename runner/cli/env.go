// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	journald "github.com/coreos/go-systemd/v22/journal"
	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/terminal"
	"github.com/podunit/podunit/runner/unit"
	"github.com/spf13/pflag"
	"go.podman.io/common/pkg/config"
	"golang.org/x/term"
)

// Env is all that a verb may use of the process and the machine, so that a test can call a verb.
type Env struct {
	Program        Program
	Stdin          *os.File
	Stdout, Stderr io.Writer
	Lookup         func(string) (string, bool) // reads the environment
	User           rootless.Identity
	Modules        []string // --module: containers.conf(5) modules
	Runtime        string   // --runtime: the OCI runtime, empty for runc
	Notify         notify.Socket
	Called         string // the name by which the program was called, with or without a path

	conf   *config.Config // containers.conf(5), once it is read
	unsaid error          // of LogAsSaid: it is not known what the files say of the log driver
	flags  *pflag.FlagSet // those of all verbs
	choice store.Choice   // --root, --storage-opt, ...
	// transient and dockerConfig are --transient-store and --config.
	transient    bool
	dockerConfig string
	logLevel     string
	noOut        bool   // --noout
	out          string // --out
	// releaseSignals gives the signals back to the kernel, for a program that takes our place. The
	// error is of a signal that came before.
	releaseSignals func() error
}

// IsTerminal tells whether a file, which may be nil, is a terminal.
func IsTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

// Getenv reads the environment; a variable that is not there is empty.
func (e *Env) Getenv(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// LoginName is that of the user; empty where nobody knows it.
func (e *Env) LoginName() string { return bundle.FindAccount(e.User.UID, e.User.GID, e.Lookup).Name }

// Warn prints a warning.
func (e *Env) Warn(message string) { fmt.Fprintf(e.Stderr, "podunit: warning: %s\n", message) }

// Status sets the unit's status line, where there is a unit.
func (e *Env) Status(text string) {
	sock := e.Notify
	if !sock.Present() {
		sock = notify.FromEnv(e.Lookup)
	}
	_ = sock.Send(notify.Status(text)) // only a line less
}

// Host is what the meaning of a command line depends on besides its words.
func (e *Env) Host() spec.Host {
	conf, err := e.readConf() // what is wrong with it, Open says
	if err == nil {
		e.unsaid = service.LogAsSaid(conf, e.Modules) // open returns it
	}
	return spec.Host{Environ: os.Environ(), Dir: directory(), Config: conf}
}

// directory is the working directory.
func directory() string {
	dir, err := os.Getwd()
	if err != nil {
		return "/"
	}
	return dir
}

// readConf reads containers.conf(5), once.
func (e *Env) readConf() (*config.Config, error) {
	if e.conf == nil {
		conf, err := service.ReadConf(e.Modules)
		if err != nil {
			return nil, err
		}
		e.conf = conf
	}
	return e.conf, nil
}

// Manager connects to the manager of this user's units.
func (e *Env) Manager(ctx context.Context) (*unit.Manager, error) {
	return service.Connect(ctx, e.User, e.Lookup)
}

// Open opens the storage and what belongs to it.
func (e *Env) Open(ctx context.Context) (*service.Engine, error) { return e.open(ctx, service.Open) }

// OpenToRun is Open for verbs that start or remove something: they need the OCI runtime.
func (e *Env) OpenToRun(ctx context.Context) (*service.Engine, error) {
	return e.open(ctx, service.OpenToRun)
}

// OpenToStart is OpenToRun for the start of a container.
func (e *Env) OpenToStart(ctx context.Context) (*service.Engine, error) {
	return e.open(ctx, service.OpenToStart)
}

// Heal gives containers that have lost it the process that copies their lines; see
// service.Engine.Heal. What goes wrong is a warning.
func (e *Env) Heal(ctx context.Context, x *service.Engine) {
	if err := x.Heal(ctx); err != nil {
		e.Warn(err.Error())
	}
}

// HealAfter is Heal where a check of the container of that ID has not opened a storage.
func (e *Env) HealAfter(ctx context.Context, c service.Config, id string) {
	if !service.Unwatched(c, id) {
		return
	}
	x, err := e.Open(ctx)
	if err != nil {
		e.Warn(err.Error())
		return
	}
	e.Heal(ctx, x)
}

// Sweep removes what units that do not run any more have left; see service.Engine.Sweep. What goes
// wrong is a warning.
func (e *Env) Sweep(ctx context.Context, x *service.Engine) {
	if err := x.Sweep(ctx); err != nil {
		e.Warn(fmt.Sprintf("remains of other units: %v", err))
	}
}

func (e *Env) open(ctx context.Context, open func(context.Context, service.Config) (*service.Engine, error)) (*service.Engine, error) {
	c, err := e.Service()
	if err != nil {
		return nil, err
	}
	if c.Conf, err = e.readConf(); err == nil {
		err = e.unsaid
	}
	if err != nil {
		return nil, err
	}
	return open(ctx, c)
}

// Service is the service.Config of this process, without containers.conf(5).
func (e *Env) Service() (service.Config, error) {
	program, err := e.executed()
	if err != nil {
		return service.Config{}, err
	}
	var draw func(image.PullOptions) (image.PullOptions, func())
	if e.Program.DrawPull != nil {
		draw = func(o image.PullOptions) (image.PullOptions, func()) {
			o, done, _ := e.Program.DrawPull(e.Stderr, o)
			return o, done
		}
	}
	return service.Config{
		User: e.User, Lookup: e.Lookup, Notify: e.Notify, Modules: e.Modules, Runtime: e.Runtime,
		Program: program, Directory: directory(), Environ: os.Environ(), Stdin: e.Stdin,
		OpenImages: e.Program.OpenImages, DrawPull: draw, InjectDevices: e.Program.InjectDevices, RemoveImage: e.Program.RemoveImage,
		Warn: e.Warn, Event: e.Event,
		Tell: func(fields map[string]string, message string) {
			// The message is in our own log as well.
			_ = journald.Send(terminal.Text("podunit: "+message), journald.PriErr, fields)
		},
		Log: func(line string) { fmt.Fprintf(e.Stderr, "podunit: %s\n", line) },
	}, nil
}

// Event notes in the journal what has happened, for podunit events, unless containers.conf(5) wants
// none. Without a journal the event is lost, and podunit events could not show it.
func (e *Env) Event(event journal.Event) {
	if conf, err := e.readConf(); err == nil && !journal.Wanted(conf.Engine.EventsLogger) {
		return
	}
	_ = journal.Note(event)
}

// Happened is Event for something that happens now to an image, a network or a secret, as kind
// says.
func (e *Env) Happened(kind, status, id, name string) {
	event := journal.Event{Type: kind, Status: status, Time: time.Now(), ID: id, Name: name}
	if kind == "network" {
		event.Name, event.Network = "", name
	}
	e.Event(event)
}

// NoEvents returns an error if containers.conf(5) turns events off.
func (e *Env) NoEvents() error {
	conf, err := e.readConf()
	if err != nil || journal.Wanted(conf.Engine.EventsLogger) {
		return err
	}
	return hint.With(errors.New("events_logger = \"none\": nothing that happens is noted"), "take it out of containers.conf(5)")
}

// executed is the program that services execute.
func (e *Env) executed() (string, error) {
	own, err := os.Executable()
	if err != nil || e.Program.Small {
		return own, err
	}
	return smallOf(own), nil
}

// smallOf is the small program that is installed with the full one at a path; that path itself where
// there is none.
func smallOf(full string) string {
	if prefix, ok := strings.CutSuffix(full, "/"+fullProgram); ok {
		small := filepath.Join(prefix, smallProgram)
		if _, err := os.Stat(small); err == nil {
			return small
		}
	}
	return full
}

// Secrets opens the secrets beside the storage, which is not opened for that.
func (e *Env) Secrets() (secret.Store, error) {
	graph, err := e.GraphRoot()
	if err != nil {
		return secret.Store{}, err
	}
	return secret.New(graph), nil
}

// GraphRoot is the directory of the storage, which is not opened for that.
func (e *Env) GraphRoot() (string, error) {
	o, err := store.Locate(store.Config{RunDir: e.User.RunDir, Rootless: e.User.Rootless()})
	return o.GraphRoot, err
}

// RemoveContainer stops and removes a container, for verbs that remove what uses something else. t
// is the verb's flag for the time between the stop signal and SIGKILL; if it was not given, or is
// nil, the container's own time counts.
func (e *Env) RemoveContainer(ctx context.Context, id string, t *StopTimeout) error {
	x, err := e.OpenToRun(ctx)
	if err != nil {
		return err
	}
	r, err := x.Containers.Lookup(id)
	if err != nil {
		return err
	}
	wait := x.StopTimeoutOf(r)
	if t != nil {
		wait = t.Or(wait)
	}
	return x.Remove(ctx, r, service.Removal{Force: true, Volumes: true, Timeout: wait})
}
