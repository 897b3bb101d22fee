// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/step"
	"github.com/podunit/podunit/runner/unit"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newRunCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [flags] IMAGE [COMMAND [ARG...]]",
		Short: "Create a container and start it",
		Long: `Create a container and start it.

In a systemd service the container's first process becomes the service's main process
and podunit is gone. From a shell, -d makes a transient service of it, with --restart as
its Restart=; without -d the container is attached to the terminal.

Exit status: the container's; 125 if podunit is at fault, 126 if the command cannot be
executed, 127 if it cannot be found.`,
		Example:           "  podunit run --rm -it docker.io/library/busybox sh\n  podunit run -d --name web -p 8080:80 docker.io/library/nginx",
		ValidArgsFunction: completeImages(e),
	}
	flags := spec.ContainerFlags(cmd.Flags())
	cmd.SetFlagErrorFunc(flagError)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := flags.Container(args, e.host())
		if err != nil {
			return err
		}
		if err := e.chooseRuntime(); err != nil {
			return err
		}
		// From a shell there is no READY to wait for unless it was asked for.
		if flags.Defaulted("sdnotify") {
			if _, inUnit := e.lookup(notify.Env); !inUnit {
				c.SdNotify = "conmon"
			}
		}
		return e.run(cmd.Context(), c, os.Args)
	}
	return cmd
}

// flagError adds "did you mean" to pflag's complaint. Of a verb that does not exist, the
// flags are not what is wrong.
func flagError(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
		return wantVerb(cmd, words)
	}
	return spec.FlagError(cmd.Flags(), err)
}

func newCreateCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "create [flags] IMAGE [COMMAND [ARG...]]",
		Short:             "Create a container without starting it",
		ValidArgsFunction: completeImages(e),
	}
	flags := spec.ContainerFlags(cmd.Flags())
	cmd.SetFlagErrorFunc(flagError)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := flags.Container(args, e.host())
		if err != nil {
			return err
		}
		if err := e.chooseRuntime(); err != nil {
			return err
		}
		if flags.Defaulted("sdnotify") {
			c.SdNotify = "conmon"
		}
		if c.Detach {
			return errors.New("create does not start the container, so --detach says nothing; leave it out")
		}
		x, err := e.open(cmd.Context())
		if err != nil {
			return err
		}
		r, lock, err := e.prepare(cmd.Context(), x, c, os.Args)
		if err != nil {
			return err
		}
		defer lock.Release()
		if err := x.Create(cmd.Context(), &r); err != nil {
			return errors.Join(err, x.giveBack(lock, r.Name))
		}
		if err := writeIDFile(c.CIDFile, r.ID); err != nil {
			return err
		}
		fmt.Fprintln(e.stdout, r.ID)
		return nil
	}
	return cmd
}

func newStartCommand(e *env) *cobra.Command {
	var attach, interactive bool
	cmd := &cobra.Command{
		Use:               "start [flags] CONTAINER...",
		Short:             "Start containers that exist",
		Args:              wantArgs(1, -1),
		ValidArgsFunction: completeContainers(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if attach && len(args) > 1 {
				return errors.New("--attach takes one container")
			}
			x, err := e.openToStart(cmd.Context())
			if err != nil {
				return err
			}
			var errs []error
			for _, name := range args {
				err := e.startExisting(cmd.Context(), x, name, attach, interactive)
				var status exitStatus
				if errors.As(err, &status) {
					return err
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVarP(&attach, "attach", "a", false, "attach to its output and wait for its end")
	cmd.Flags().BoolVarP(&interactive, "interactive", "i", false, "with --attach: pass our stdin on")
	return cmd
}

// host is what a command line may draw from its surroundings.
func (e *env) host() spec.Host {
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	conf, _ := e.config() // what is wrong with it, open says
	return spec.Host{Environ: os.Environ(), Dir: dir, Config: conf}
}

// chooseRuntime takes the runtime of containers.conf for a new container, unless --runtime said
// another.
func (e *env) chooseRuntime() error {
	conf, err := e.config()
	if err != nil || e.runtime != "" {
		return err
	}
	e.runtime, err = runc.Configured(conf, e.modules)
	return err
}

// run is the verb: in a service it becomes the service's container, elsewhere it makes
// a service, or stays attached.
func (e *env) run(ctx context.Context, c *spec.Container, args []string) (err error) {
	warnings := c.Warnings
	warn := func() {
		for _, w := range warnings {
			fmt.Fprintf(e.stderr, "podunit: warning: %s\n", w)
		}
		warnings = nil
	}
	defer func() {
		if more := new(image.BeyondError); !errors.As(err, &more) { // who takes over says it all again
			warn()
		}
	}()
	if c.TTY && !c.Detach && !term.IsTerminal(int(os.Stdin.Fd())) {
		return errors.New("--tty needs a terminal, and our input is none; leave --tty out")
	}
	restarts := unit.RestartFor(c.Restart.Policy) != "no"
	if restarts && !c.Detach {
		return withHint(fmt.Errorf("--restart %s without --detach: nobody would be there to start it again", c.Restart.Policy), "add -d, and follow it with podunit logs -f")
	}
	x, err := e.openToStart(ctx)
	if err != nil {
		return err
	}
	if restarts && x.inService() {
		warnings = append(warnings, fmt.Sprintf("--restart %s has no effect in a service: write Restart= in its [Service] section", c.Restart.Policy))
	}
	byHand := c.Detach && !x.inService()
	if byHand && c.Name != "" {
		// Until the service runs, another one of that name would take the container that it
		// is to start for one that stands in the way.
		turn, busy := x.Lock(ctx, "hand@"+c.Name)
		if busy != nil {
			return busy
		}
		defer func() { err = errors.Join(err, turn.Drop()) }()
	}
	r, lock, err := e.prepare(ctx, x, c, args)
	if err != nil {
		return err
	}
	warn()
	defer func() {
		if err != nil {
			err = errors.Join(err, x.giveBack(lock, r.Name))
		}
		lock.Release()
	}()
	if byHand {
		if err := x.Create(ctx, &r); err != nil {
			return err
		}
		if err := writeIDFile(c.CIDFile, r.ID); err != nil {
			return err
		}
		lock.Release() // the service's own start takes it
		if err := e.startService(ctx, x, r); err != nil {
			return errors.Join(err, e.remove(context.WithoutCancel(ctx), x, r, true, true, 0))
		}
		fmt.Fprintln(e.stdout, r.ID)
		return nil
	}
	if err := writeIDFile(c.CIDFile, r.ID); err != nil {
		return err
	}
	return e.launch(ctx, x, &r, launch{new: true, attach: !c.Detach, stdin: c.Interactive, lock: lock})
}

// giveBack gives the lock of a name back, and drops it if there is no container that has it.
func (x *engines) giveBack(lock *container.Lock, name string) error {
	defer lock.Release()
	if _, err := x.Lookup(name); errors.Is(err, container.ErrNotFound) {
		return lock.Drop()
	}
	return nil
}

// inService reports whether this process is one that a systemd service executed.
func (x *engines) inService() bool { return x.own.Exec && x.own.Service() }

// prepare takes the lock of the name, removes what stands in the way and finds the image.
func (e *env) prepare(ctx context.Context, x *engines, c *spec.Container, args []string) (container.Record, *container.Lock, error) {
	var none container.Record
	img, err := e.resolve(ctx, x, c)
	if err != nil {
		return none, nil, err
	}
	if err := bundle.CheckImage(&img.Config, c); err != nil {
		return none, nil, fmt.Errorf("image %s: %w", img.Name, err)
	}
	step.Crash("resolved")
	r := x.Prepare(*c, img, args)
	r.Runtime = e.runtime
	if x.inService() {
		r.Unit = x.own.Name
	}
	// Before the lock, which that unit takes to tidy up.
	if err := e.stopHolder(ctx, x, r); err != nil {
		return none, nil, err
	}
	wait, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	lock, err := x.Lock(wait, r.Name)
	if err != nil {
		return none, nil, err
	}
	step.Crash("locked")
	if err := e.clear(ctx, x, r); err != nil {
		return none, nil, errors.Join(err, x.giveBack(lock, r.Name))
	}
	step.Crash("cleared")
	if err := x.SweepOrphans(ctx); err != nil {
		fmt.Fprintf(e.stderr, "podunit: warning: remains of earlier containers: %v\n", err)
	}
	if c.Pod != "" {
		p, err := e.joinable(ctx, x, c.Pod)
		if err != nil {
			return none, nil, errors.Join(err, x.giveBack(lock, r.Name))
		}
		r.PodID = p.ID
		// What the pod mounts goes into each of its containers.
		r.Spec.Mounts = append(r.Spec.Mounts, p.Spec.Mounts...)
		r.Spec.Inherit(&p.Spec)
		if r.Spec.UserNS.Mode == "" && len(r.Spec.UIDMap) == 0 && len(r.Spec.GIDMap) == 0 {
			r.Spec.IDMapping = p.Spec.IDMapping
		}
	}
	return r, lock, nil
}

// clear makes the name free: with --replace, and for what an earlier start of the same
// unit has left. A name that somebody else has is an error.
func (e *env) clear(ctx context.Context, x *engines, r container.Record) error {
	old, err := x.Lookup(r.Name)
	if errors.Is(err, container.ErrNotFound) {
		if c, serr := x.Store.Container(r.Name); serr == nil {
			return withHint(fmt.Errorf("the name %s is taken by container %s of another tool", r.Name, c.ID[:12]), "podman rm %s, or choose another name", r.Name)
		}
		if p, perr := x.pods.Lookup(r.Name); perr == nil && p.Name == r.Name {
			return withHint(fmt.Errorf("the name %s is taken by a pod", r.Name), "give the container another name")
		}
		return nil
	}
	if err != nil {
		return err
	}
	if old.Name != r.Name {
		return nil // found by the beginning of its ID
	}
	if !mayReplace(r, old) {
		return withHint(fmt.Errorf("container %s: %w", r.Name, container.ErrNameInUse), "podunit rm %s, or --replace", r.Name)
	}
	return x.Remove(ctx, old, true, true, old.StopTimeout(x.stopTimeout()))
}

// mayReplace reports whether a start may take the place of a container of its name: with
// --replace, and if the same unit has left it.
func mayReplace(r, old container.Record) bool {
	return r.Spec.Replace || old.Unit != "" && old.Unit == r.Unit
}

// stopHolder stops the unit of a container whose place is to be taken and that runs, or is
// about to, so that it does not start again behind our back.
func (e *env) stopHolder(ctx context.Context, x *engines, r container.Record) error {
	old, err := x.Lookup(r.Name)
	if err != nil || old.Name != r.Name || !mayReplace(r, old) {
		return nil //nolint:nilerr // clear looks again, and tells
	}
	s, err := x.Status(old.ID)
	if err != nil || s.Unit == "" || s.Unit == x.own.Name || s.PID == 0 && !e.comesBack(ctx, s.Unit, x.runs(old)) {
		return err
	}
	return e.stopUnit(ctx, s.Unit)
}

// joinable is a pod whose infra runs; one that does not is started.
func (e *env) joinable(ctx context.Context, x *engines, name string) (pod.Record, error) {
	p, err := x.pods.Lookup(name)
	if errors.Is(err, pod.ErrNotFound) {
		return p, withHint(err, "podunit pod create %s", name)
	}
	if err != nil || x.pods.Status(p).InfraPID != 0 {
		return p, err
	}
	if x.inService() {
		return p, withHint(fmt.Errorf("pod %s is not running", name), "order the service after the pod's, as Pod= in a .container file does")
	}
	return p, e.startPod(ctx, x, p)
}

// launch says how a container is started.
type launch struct {
	new, attach, stdin bool
	lock               *container.Lock // of its name
}

// launch starts a container in our own cgroup: as the main process of the service we
// are in, or attached.
func (e *env) launch(ctx context.Context, x *engines, r *container.Record, how launch) error {
	sock := notify.FromEnv(e.lookup)
	l := container.Launch{Record: r, New: how.new}
	if x.inService() {
		l.Unit = x.own.Name
		l.JournalFields = x.own.JournalFields(e.user.Rootless())
	}
	if !how.new {
		if err := x.Release(ctx, *r); err != nil {
			return err
		}
	}
	if err := e.cgroup(ctx, x, r, &l); err != nil {
		return err
	}
	if r.PodID != "" {
		p, err := x.pods.Lookup(r.PodID)
		if err != nil {
			return err
		}
		if l.Join, err = x.pods.Join(p); err != nil {
			return err
		}
	}
	l.Network = e.network(x, r, l.Join)
	if r.Spec.SdNotify == "container" && sock.Present() {
		l.NotifySocket = sock.Path()
	}
	os.Unsetenv(notify.Env) // no child may speak for us
	if how.attach {
		l.Foreground = &runc.Streams{Stdout: os.Stdout, Stderr: os.Stderr}
		if how.stdin || r.Spec.TTY {
			l.Foreground.Stdin = e.stdin
		}
	}
	begun, pass := func() error { return nil }, func() {}
	l.Ready = func(s container.Status, begin func() error) error {
		if err := begun(); err != nil {
			return err
		}
		defer pass()
		if how.attach {
			how.lock.Release() // or nobody could stop it
		}
		for _, path := range []string{r.Spec.PIDFile, r.Spec.MainPIDFile} {
			if path == "" {
				continue
			}
			if err := os.WriteFile(path, fmt.Appendln(nil, s.PID), 0o644); err != nil {
				return err
			}
		}
		if how.attach {
			return nil
		}
		if r.Spec.SdNotify != "conmon" && r.Spec.SdNotify != "container" {
			return begin()
		}
		say := []string{notify.MainPID(s.PID)}
		if r.Spec.SdNotify == "conmon" {
			// In one message, so that there is no state between. One that ends before it is
			// ready is a failure whatever its status.
			say = append(say, notify.Ready("")...)
		}
		// The manager must know the process before it can end.
		if err := errors.Join(sock.Send(say...), sock.Barrier(ctx)); err != nil {
			return err
		}
		return begin()
	}
	if how.attach {
		// Signals end the start; once there is a container, they are the container's.
		var giveUp context.CancelFunc
		starting := ctx
		ctx, giveUp = context.WithCancel(context.WithoutCancel(ctx))
		defer giveUp()
		before := context.AfterFunc(starting, giveUp)
		begun = func() error {
			if !before() {
				return context.Cause(starting) // what came while the runtime was at work ends the start, too
			}
			return nil
		}
		var stop func()
		pass, stop = e.proxySignals(x, *r)
		defer stop()
	}
	code, err := x.Start(ctx, l)
	e.user.Leave()
	if how.attach {
		how.lock.Release()
		err = errors.Join(err, e.afterForeground(x, *r))
	}
	if err != nil {
		return commandFault(err)
	}
	if how.attach && code != 0 {
		return exitStatus(code)
	}
	if !how.attach && how.new && r.Spec.Log.Driver != "passthrough" && !x.inService() {
		fmt.Fprintln(e.stdout, r.ID)
	}
	return nil
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

// afterForeground tidies up what a service would tidy up in ExecStopPost=.
func (e *env) afterForeground(x *engines, r container.Record) error {
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	lock, err := x.Lock(ctx, r.Name)
	if err != nil {
		return err
	}
	defer lock.Release()
	if _, err := x.Lookup(r.ID); errors.Is(err, container.ErrNotFound) {
		return lock.Drop()
	}
	if r.Spec.Remove {
		err = errors.Join(x.Remove(ctx, r, true, true, 0), lock.Drop())
	} else {
		err = x.Release(ctx, r)
	}
	if err != nil || r.PodID == "" {
		return err
	}
	return x.pods.Settle(ctx, r.PodID)
}

// cgroup gives the container a cgroup below the unit's own, if that is ours to divide.
func (e *env) cgroup(ctx context.Context, x *engines, r *container.Record, l *container.Launch) error {
	if r.Spec.Cgroups == "disabled" {
		return withHint(errors.New("--cgroups=disabled: runc always makes a cgroup"), "leave it out")
	}
	own := x.own
	if !x.inService() {
		// A shell's cgroup is not ours; a scope of our own is, if there is a manager.
		scope, err := e.ownScope(ctx, r)
		if err != nil {
			if r.Spec.Cgroups == "split" || ctx.Err() != nil {
				return err
			}
			fmt.Fprintf(e.stderr, "podunit: warning: no cgroup of its own: %v\n", err)
			return nil
		}
		own = scope
	}
	tree, err := unit.Cgroups()
	if err != nil {
		return err
	}
	split, err := tree.Split(own.Cgroup, "payload")
	if err != nil {
		return err
	}
	l.Cgroup, l.Controllers = split.Payload, split.Controllers
	return nil
}

// startExisting starts a container that was created before.
func (e *env) startExisting(ctx context.Context, x *engines, name string, attach, stdin bool) error {
	r, err := x.Lookup(name)
	if err != nil {
		return err
	}
	s, err := x.Status(r.ID)
	if err != nil {
		return err
	}
	if s.PID != 0 {
		if attach {
			return fmt.Errorf("container %s runs already; podunit logs -f %s follows its output", r.Name, r.Name)
		}
		fmt.Fprintln(e.stdout, name)
		return nil
	}
	if !attach && !x.inService() {
		if err := e.startService(ctx, x, r); err != nil {
			return err
		}
		fmt.Fprintln(e.stdout, name)
		return nil
	}
	if attach && r.Spec.TTY && !term.IsTerminal(int(os.Stdin.Fd())) {
		return fmt.Errorf("container %s has a terminal (--tty), and our input is none; leave --attach out", r.Name)
	}
	if err := x.runtimeOf(r, e.runtime); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	lock, err := x.Lock(wait, r.Name)
	if err != nil {
		return err
	}
	defer lock.Release()
	if r, err = x.Lookup(r.ID); errors.Is(err, container.ErrNotFound) {
		return errors.Join(err, lock.Drop()) // while we waited
	} else if err != nil {
		return err
	}
	if r.PodID != "" {
		if _, err := e.joinable(ctx, x, r.PodID); err != nil {
			return err
		}
	}
	return e.launch(ctx, x, &r, launch{attach: attach, stdin: stdin, lock: lock})
}

// writeIDFile writes the ID for --cidfile; the file must not exist.
func writeIDFile(path, id string) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(f, id)
	return errors.Join(err, f.Close())
}
