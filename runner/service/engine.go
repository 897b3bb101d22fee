// SPDX-License-Identifier: Apache-2.0

// Package service is the life of containers and pods as units of systemd. Packages container and
// pod know processes, package unit knows the manager; this one joins them: it makes and explains
// services, starts a container as the main process of the service it is in, stops through the
// unit that watches, replaces, removes, restarts and tidies up.
//
// Whatever changes a container does so here, under the lock of its name: see WithLock. Names that
// people write, such as container:NAME for a network, are resolved here too. The package prints
// nothing: it returns values and errors, and hands warnings to Config.Warn.
package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/unit"
	"github.com/podunit/podunit/runner/volume"
	"go.podman.io/common/pkg/config"
	"go.podman.io/storage"
)

// Config is what the process tells the engine about itself.
type Config struct {
	User   rootless.Identity
	Lookup func(name string) (string, bool) // reads the environment
	Notify notify.Socket                    // the service manager's, as the process got it
	// Modules and Runtime are --module and --runtime. Services that the engine makes get the same.
	Modules []string
	Runtime string
	// Conf is containers.conf(5) with the modules; nil to have it read.
	Conf *config.Config
	// Program is the absolute path of the program that services execute, Directory where they do, and
	// Environ what this process has in its environment: they get a part of it.
	Program, Directory string
	Environ            []string
	// Stdin is what an attached container may read.
	Stdin *os.File
	// OpenImages gives access to the images of a storage.
	OpenImages func(s storage.Store, runDir string) Images
	// DrawPull has a pull for a run or a create by hand show on a terminal how it gets on; nil
	// shows nothing. The function that it returns takes the drawing away.
	DrawPull func(image.PullOptions) (image.PullOptions, func())
	// InjectDevices is container.Engine's; nil in the small program.
	InjectDevices func(config *rspec.Spec, dirs, names []string, user bool) error
	// RemoveImage removes an image, or the name it is called by, unless somebody uses it; nil in
	// the small program.
	RemoveImage func(ctx context.Context, s storage.Store, runDir, name string) error
	// Warn gets what went wrong without being an error, Log lines on a pull.
	Warn, Log func(message string)
	// Tell writes a message into the log of another unit, which the fields name; nil for none.
	Tell func(fields map[string]string, message string)
	// Event gets what happens to containers, pods, volumes and images; nil for nobody.
	Event func(journal.Event)
}

// rootPoint is where the installation has an empty directory, below its prefix. See
// container.Engine.RootPoint.
const rootPoint = "libexec/podunit/root"

// checker is the program that stays in a container for its checks, below the prefix too.
const checker = "libexec/podunit/podunit-checker"

// below is a path below the prefix of the installation.
func (c Config) below(path string) string { return filepath.Join(filepath.Dir(c.Program), "..", path) }

// Images finds images for containers.
type Images interface {
	// Pull finds the image of a name, pulled by policy if need be.
	Pull(ctx context.Context, name string, o image.PullOptions) (*image.Image, error)
}

// Engine acts on containers and pods as units.
type Engine struct {
	Config
	Containers *container.Engine
	Pods       *pod.Engine
	Images     Images
	// Own is the unit that this process is in.
	Own unit.Own
	// Connect connects to the manager of this user's units.
	Connect func(ctx context.Context) (Manager, error)
	// ConnectSystem connects to the system's manager, whose units with User= are this user's.
	ConnectSystem func(ctx context.Context) (Manager, error)
	// Complaint finds what podunit said in a unit since a time, and the way out. The journal may be
	// behind: Complaint looks again until wait has passed.
	Complaint func(ctx context.Context, unit string, since time.Time, wait time.Duration) (message, hint string)

	// divide divides the cgroup of a unit into one for helpers and one for a container.
	divide func(unitCgroup string) (cgroup.Payload, error)
	// unitOf finds the unit of a process, controllers what can be used in a cgroup.
	unitOf      func(pid int) (unit.Own, error)
	controllers func(cgroup string) ([]string, error)
	// lingers reports whether a user's units run while nobody is logged in.
	lingers func(user string) bool
	home    string // the user's, if not that of the account
	spoken  bool   // a start has taken Notify
}

// Programs names the Debian package of each program that podunit runs.
var Programs = map[string]string{"runc": "runc", "crun": "crun", "pasta": "passt", "newuidmap": "uidmap", "newgidmap": "uidmap", "catatonit": "catatonit"}

// Open opens the storage and what belongs to it. It must run in the namespaces of the user's
// containers.
func Open(ctx context.Context, c Config) (*Engine, error) {
	if !c.User.Entered {
		// The storage library would take this failure for a kernel without overlay, and remember
		// that for ever.
		return nil, errors.New("this process is not in the namespaces of the user's containers; that is a fault of podunit's")
	}
	conf := c.Conf
	if conf == nil {
		var err error
		if conf, err = ReadConf(c.Modules); err != nil {
			return nil, err
		}
	}
	s, err := store.Open(ctx, store.Config{RunDir: c.User.RunDir, Rootless: c.User.Rootless()})
	if err != nil {
		return nil, err
	}
	flags, err := runtimeFlags()
	if err != nil {
		return nil, err
	}
	own, err := unit.CurrentUnit(c.Lookup)
	if err != nil {
		return nil, err
	}
	run := filepath.Join(c.User.RunDir, "podunit")
	containers := &container.Engine{
		User:   c.User,
		RunDir: run,
		Store:  s,

		RootPoint: c.below(rootPoint),
		Checker:   c.below(checker),

		Config: conf,
		Runtime: runc.Runtime{
			Command: c.Runtime,
			Root:    filepath.Join(run, "runc"),
			Flags:   flags,
		},
		Volumes: volumes(c, s.GraphRoot()),
		Secrets: secretSource(c, s.GraphRoot()),
	}
	return newEngine(c, containers, own), nil
}

// runtimeFlags are those of --runtime-flag.
func runtimeFlags() ([]string, error) {
	chosen, err := store.Chosen()
	var flags []string
	for _, f := range chosen.RuntimeFlags {
		flags = append(flags, "--"+strings.TrimLeft(f, "-"))
	}
	return flags, err
}

// volumes are those of the storage.
func volumes(c Config, graphRoot string) *volume.Volumes {
	v := volume.New(graphRoot)
	v.Event = c.Event
	return v
}

// secretSource reads the secrets and credentials of this user's containers.
func secretSource(c Config, graphRoot string) secret.Source {
	s := secret.Source{Store: secret.New(graphRoot)}
	s.Credentials, _ = c.Lookup("CREDENTIALS_DIRECTORY")
	if c.User.Rootless() {
		s.Find = secret.NewCredstore(c.User.UID, c.Lookup).Find
	}
	return s
}

// ReadConf reads containers.conf(5) with modules. It sets variables that the file has for us, such as
// those of proxies.
func ReadConf(modules []string) (*config.Config, error) {
	conf, err := store.ReadConf(modules)
	if err != nil {
		return nil, hint.With(err, "see containers.conf(5)")
	}
	return conf, nil
}

// LogAsSaid reads the files again, for who starts something: the log driver k8s-file is also what the
// library gives a user who cannot read the journal's files, and is taken out where no file names it.
func LogAsSaid(conf *config.Config, modules []string) error {
	if conf.Containers.LogDriver != spec.LogFile {
		return nil
	}
	said, err := runc.Said(modules)
	if err == nil && said.Containers.LogDriver == "" {
		conf.Containers.LogDriver = ""
	}
	return err
}

// newEngine puts an engine together.
func newEngine(c Config, containers *container.Engine, own unit.Own) *Engine {
	e := &Engine{
		Config:     c,
		Containers: containers,
		Images:     c.OpenImages(containers.Store, c.User.RunDir),
		Own:        own,
		Connect:    func(ctx context.Context) (Manager, error) { return Connect(ctx, c.User, c.Lookup) },
		ConnectSystem: func(ctx context.Context) (Manager, error) {
			return unit.Connect(ctx, unit.Config{UID: c.User.UID, System: true})
		},
		Complaint: func(ctx context.Context, unit string, since time.Time, wait time.Duration) (string, string) {
			return journal.Complaint(ctx, c.User.UID, unit, since, wait)
		},
	}
	e.divide = func(unitCgroup string) (cgroup.Payload, error) { return cgroup.Split(unitCgroup, "payload") }
	e.lingers, e.unitOf, e.controllers = unit.Lingers, unit.Of, cgroup.Controllers
	containers.Warn, containers.InjectDevices = c.Warn, c.InjectDevices
	containers.Event, containers.HowEnded, containers.Copying = c.Event, e.howEnded, e.copying
	containers.FindImage = func(ctx context.Context, name string) (string, error) {
		img, err := e.Images.Pull(ctx, name, image.PullOptions{Policy: image.PullNever})
		if err != nil {
			return "", err
		}
		return img.ID, nil
	}
	e.Pods = &pod.Engine{Containers: containers, Network: e.podNetwork}
	if e.InService() {
		containers.Unit = own.Name
	}
	return e
}

// OpenToRun is Open for what starts or removes something: it needs the OCI runtime.
func OpenToRun(ctx context.Context, c Config) (*Engine, error) {
	e, err := Open(ctx, c)
	if err != nil {
		return nil, err
	}
	return e, e.needRuntime()
}

// OpenToProbe is for what looks at containers that run: it may ask how they and their pods are, run
// checks in them, and ask the manager. It opens no storage, for it is there again every few
// seconds.
func OpenToProbe(c Config) (*Engine, error) {
	own, err := unit.CurrentUnit(c.Lookup)
	if err != nil {
		return nil, err
	}
	containers := running(c)
	return &Engine{
		Config: c, Containers: containers, Own: own, Pods: &pod.Engine{Containers: containers},
		Connect: func(ctx context.Context) (Manager, error) { return Connect(ctx, c.User, c.Lookup) },
	}, nil
}

// running gives access to containers that run, without a storage.
func running(c Config) *container.Engine {
	run := filepath.Join(c.User.RunDir, "podunit")
	flags, _ := runtimeFlags() // what is wrong with them, the start has said
	return &container.Engine{
		User: c.User, RunDir: run, Checker: c.below(checker),
		Runtime: runc.Runtime{Command: c.Runtime, Root: filepath.Join(run, "runc"), Flags: flags},
	}
}

// OpenToStart is OpenToRun for the start of a container. A process that the manager executed
// starts one itself, and begins with what it can do before all is open.
func OpenToStart(ctx context.Context, c Config) (*Engine, error) {
	if !unit.Executed(c.Lookup) {
		return OpenToRun(ctx, c)
	}
	go container.Warm()
	e, err := OpenToRun(ctx, c)
	if err == nil {
		go e.Containers.Runtime.Prepare()
	}
	return e, err
}

// needRuntime finds the OCI runtime.
func (e *Engine) needRuntime() error {
	runtime := &e.Containers.Runtime
	r, err := runc.Find(runtime.Command, runtime.Root)
	if errors.Is(err, fs.ErrNotExist) {
		name := runtime.Command
		if name == "" {
			name = "runc"
		}
		if p, ok := Programs[filepath.Base(name)]; ok {
			return hint.With(err, "apt install %s", p)
		}
		return hint.With(err, "--runtime takes a name in PATH or a path")
	}
	if err != nil {
		return err
	}
	r.Flags = runtime.Flags
	*runtime = r
	return nil
}

// runtimeOf takes the runtime that a container was made with, unless --runtime names another.
func (e *Engine) runtimeOf(r container.Record) error {
	if e.Runtime != "" || r.Runtime == "" {
		return nil
	}
	return e.useRuntime(r.Runtime)
}

// findRuntime finds the OCI runtime of a container that runs: its own, unless --runtime names
// another.
func (e *Engine) findRuntime(r container.Record) error {
	if e.Runtime != "" {
		return e.needRuntime()
	}
	return e.useRuntime(r.Runtime)
}

// useRuntime finds the OCI runtime of that name or path; runc, if it is empty.
func (e *Engine) useRuntime(name string) error {
	e.Containers.Runtime.Command = name
	return e.needRuntime()
}

// newRuntime is the OCI runtime of a new container, as its record has it: that of --runtime, else
// of containers.conf, which must be there; empty for runc.
func (e *Engine) newRuntime() (string, error) {
	if e.Runtime != "" {
		return e.Runtime, nil
	}
	name, err := runc.Configured(e.Containers.Config, e.Modules)
	if err != nil || name == "" {
		return "", err
	}
	if err := e.useRuntime(name); err != nil {
		return "", fmt.Errorf("runtime of containers.conf: %w", err)
	}
	return name, nil
}

// InService reports whether a systemd service executed this process.
func (e *Engine) InService() bool { return e.Own.Exec && e.Own.Service() }

// StopTimeout is the configured time between the stop signal and SIGKILL.
func (e *Engine) StopTimeout() time.Duration {
	return time.Duration(e.Containers.Config.Engine.StopTimeout) * time.Second
}

// StopTimeoutOf is the time between the stop signal and SIGKILL for a container.
func (e *Engine) StopTimeoutOf(r container.Record) time.Duration {
	return r.StopTimeout(e.StopTimeout())
}

// takeNotify takes the manager's socket out of the environment, so that no child speaks for us. The
// first start of a process gets it: a service has one main process.
func (e *Engine) takeNotify() notify.Socket {
	os.Unsetenv(notify.Env)
	if e.spoken {
		return notify.Socket{}
	}
	e.spoken = true
	return e.Notify
}
