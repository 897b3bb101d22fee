// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/spec"
)

const (
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

	// initPath is where the small init of --init appears, as with podman.
	initPath = "/run/podman-init"
	// notifyPath is where sd_notify's socket appears, as with podman.
	notifyPath = "/run/notify/notify.sock"

	// manager is the value of the variable container, by which systemd and others know that they are
	// in one. Programs and the scripts of images compare it with podman's word.
	manager = "podman"
)

// ErrNoCommand says that nobody names a command for a root that no image belongs to.
var ErrNoCommand = errors.New("there is nothing to run: --rootfs")

// ErrNoWorkDir says that a working directory which the command line names is not there.
var ErrNoWorkDir = errors.New("working directory does not exist in the container")

// findWorkDir makes sure that a working directory of the command line exists: the image's own is
// made, one that somebody wrote may be a mistake, unless it is to be made. Below a mount, and below
// what the runtime mounts, nobody looks. Source: podman-run(1), --workdir.
func (b *builder) findWorkDir() error {
	dir := b.workDir()
	if b.Spec.WorkDir == "" || b.Spec.MakeWorkDir || b.mounted(dir) || b.Image != nil && dir == path.Clean("/"+b.Image.WorkingDir) {
		return nil
	}
	for _, own := range []string{"/dev/", "/proc/", "/run/", "/sys/", "/tmp/", "/var/tmp/"} {
		if strings.HasPrefix(dir+"/", own) {
			return nil
		}
	}
	at, err := securejoin.SecureJoin(b.Rootfs, dir)
	if err != nil {
		return err
	}
	if st, err := os.Stat(at); err != nil || !st.IsDir() {
		return fmt.Errorf("%w: --workdir %s", ErrNoWorkDir, clip(dir))
	}
	return nil
}

// Args is the command line of the first process: the entrypoint and the
// command, the image's where nothing else was said. A command or entrypoint of
// one's own leaves out the image's command, an entrypoint that was only cleared
// does not. Source: podman-run(1), --entrypoint.
func Args(c *spec.Container, image *v1.ImageConfig) ([]string, error) {
	entrypoint, command := c.Entrypoint, c.Command
	if image != nil {
		if entrypoint == nil {
			entrypoint = image.Entrypoint
		}
		if len(command) == 0 && len(c.Entrypoint) == 0 {
			command = image.Cmd
		}
	}
	args := slices.Concat(entrypoint, command)
	if len(args) == 0 {
		if c.Rootfs != nil {
			return nil, fmt.Errorf("%w brings no command, so give one after the directory", ErrNoCommand)
		}
		return nil, errors.New("there is nothing to run: the image has no command, so give one after the image")
	}
	if args[0] == "" {
		return nil, errors.New("there is nothing to run: the first word of the command is empty")
	}
	return args, nil
}

// IsSystemd reports whether the container is to be prepared for systemd as its
// first process, whose command line is args. Source: podman-run(1), --systemd.
func IsSystemd(mode string, args []string) bool {
	switch mode {
	case "always":
		return true
	case "false":
		return false
	}
	if len(args) == 0 {
		return false
	}
	switch args[0] {
	case "/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init":
		return true
	}
	return path.Base(args[0]) == "systemd"
}

func (b *builder) process() error {
	p := b.g.Config.Process
	args, err := Args(b.Spec, b.Image)
	if err != nil {
		return err
	}
	b.systemd = IsSystemd(b.Spec.Systemd, args)
	if b.init() {
		if b.Init == "" {
			return errors.New("--init: there is no init on this machine; install the package catatonit, or name one with --init-path")
		}
		args = append([]string{initPath, "--"}, args...)
	}
	p.Args = args
	p.Cwd = b.workDir()
	if err := b.findWorkDir(); err != nil {
		return err
	}
	p.Terminal = b.Spec.TTY
	p.NoNewPrivileges = b.Spec.NoNewPrivileges
	if err := b.oomScore(p); err != nil {
		return err
	}
	if b.Namespaces.UTS == Private {
		b.g.SetHostname(b.Hostname)
	}
	b.environment(p)
	return nil
}

// init reports whether a small init is to be the first process. systemd is an
// init of its own.
func (b *builder) init() bool { return b.Spec.Init && !b.systemd }

// environment merges, from weak to strong: our defaults and those of
// containers.conf, the image's, what we know of this container, what the
// command line says. It is sorted, so that a config.json can be compared.
func (b *builder) environment(p *rspec.Process) {
	env := map[string]string{"PATH": defaultPath, "container": manager}
	if b.Spec.TTY {
		env["TERM"] = "xterm"
	}
	for _, kv := range slices.Concat(b.Config.Env.Get(), b.Image.Env) {
		name, value := cut(kv)
		env[name] = value
	}
	if b.Spec.UnsetEnvAll {
		clear(env)
	}
	for _, name := range b.Spec.UnsetEnv {
		delete(env, name)
	}
	set := func(name, value string) {
		if _, ok := env[name]; !ok && !slices.Contains(b.Spec.UnsetEnv, name) {
			env[name] = value
		}
	}
	set("HOME", b.identity.Home)
	set("HOSTNAME", b.Hostname)
	if b.systemd {
		set("container_uuid", b.ID[:min(32, len(b.ID))])
	}
	maps.Copy(env, b.Spec.Env)
	maps.Copy(env, b.Variables)
	if b.NotifySocket != "" {
		env["NOTIFY_SOCKET"] = notifyPath
	}
	if b.Sockets > 0 {
		env["LISTEN_FDS"] = strconv.Itoa(b.Sockets)
		env["LISTEN_PID"] = "1"
		if b.init() {
			env["LISTEN_PID"] = "2" // the only child of the small init
		}
		if b.SocketNames != "" {
			env["LISTEN_FDNAMES"] = b.SocketNames
		}
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		p.Env = append(p.Env, name+"="+env[name])
	}
}

func (b *builder) oomScore(p *rspec.Process) error {
	want := b.Spec.OOMScoreAdj
	if want == nil {
		want = b.Config.OOMScoreAdj
	}
	if want == nil {
		return nil
	}
	score := *want
	if b.Rootless && score < b.Host.OOMScoreAdj {
		b.warn("--oom-score-adj %d: without rights the score cannot go below our own, %d is used; set OOMScoreAdjust= in the [Service] section of the unit",
			score, b.Host.OOMScoreAdj)
		score = b.Host.OOMScoreAdj
	}
	p.OOMScoreAdj = &score
	return nil
}
