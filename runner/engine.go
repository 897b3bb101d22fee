// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/unit"
	"github.com/podunit/podunit/runner/volume"
	"go.podman.io/common/pkg/config"
)

// engines are what the verbs act with.
type engines struct {
	*container.Engine
	pods *pod.Engine
	own  unit.Own
}

// packages names the Debian package of each program that podunit runs.
var packages = map[string]string{"runc": "runc", "crun": "crun", "pasta": "passt", "newuidmap": "uidmap", "newgidmap": "uidmap", "catatonit": "catatonit"}

// open opens the storage and what belongs to it.
func (e *env) open(ctx context.Context) (*engines, error) {
	if !e.user.Entered {
		// The storage would take it for a kernel without overlay, and note that for ever.
		return nil, errors.New("this process is not in the namespaces of the user's containers; that is a fault of podunit's")
	}
	conf, err := e.config()
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, store.Config{RunDir: e.user.RunDir, Rootless: e.user.Rootless()})
	if err != nil {
		return nil, err
	}
	own, err := unit.CurrentUnit(e.lookup)
	if err != nil {
		return nil, err
	}
	run := filepath.Join(e.user.RunDir, "podunit")
	c := &container.Engine{
		User:   e.user,
		RunDir: run,
		Store:  s,
		Config: conf,
		Runtime: runc.Runtime{
			Command: e.runtime,
			Root:    filepath.Join(run, "runc"),
		},
		Volumes: volume.New(s.GraphRoot()),
	}
	c.Image = e.findImage(c)
	x := &engines{Engine: c, own: own}
	x.pods = &pod.Engine{Containers: c}
	x.pods.Network = e.podNetwork(x)
	return x, nil
}

// config reads containers.conf, once. It sets variables that the file has for us, such as those
// of proxies.
func (e *env) config() (*config.Config, error) {
	if e.conf == nil {
		conf, err := config.New(&config.Options{SetDefault: true, Modules: e.modules})
		if err != nil {
			return nil, withHint(err, "see containers.conf(5)")
		}
		e.conf = conf
	}
	return e.conf, nil
}

// openToRun is open for verbs that start or remove something: they need the runtime.
func (e *env) openToRun(ctx context.Context) (*engines, error) {
	x, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	return x, x.needRuntime()
}

// openToStart is openToRun for the start of a container. A process that the manager executed
// starts one itself, and begins with what it can do before all is open.
func (e *env) openToStart(ctx context.Context) (*engines, error) {
	if !unit.Executed(e.lookup) {
		return e.openToRun(ctx)
	}
	go container.Warm()
	x, err := e.openToRun(ctx)
	if err == nil {
		go x.Runtime.Sealed()
	}
	return x, err
}

// needRuntime finds the OCI runtime, for verbs that start something.
func (x *engines) needRuntime() error {
	r, err := runc.Find(x.Runtime.Command, x.Runtime.Root)
	if errors.Is(err, fs.ErrNotExist) {
		name := x.Runtime.Command
		if name == "" {
			name = "runc"
		}
		if p, ok := packages[filepath.Base(name)]; ok {
			return withHint(err, "apt install %s", p)
		}
		return withHint(err, "--runtime takes a name in PATH or a path")
	}
	if err != nil {
		return err
	}
	r.Sealed = sync.OnceValue(func() string { return rootless.Sealed(r.Command, x.User.Rootless()) })
	x.Runtime = r
	return nil
}

// runtimeOf takes the runtime that a container was made with, unless another was asked for.
func (x *engines) runtimeOf(r container.Record, asked string) error {
	if asked != "" || r.Runtime == "" {
		return nil
	}
	x.Runtime = runc.Runtime{Command: r.Runtime, Root: x.Runtime.Root}
	return x.needRuntime()
}

// stopTimeout is the configured time between the stop signal and SIGKILL.
func (x *engines) stopTimeout() time.Duration {
	return time.Duration(x.Config.Engine.StopTimeout) * time.Second
}
