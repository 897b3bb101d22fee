// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/store"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// elsewhere are podman's flags before the verb that are refused, and what does the same.
// The value of some is what is the case anyway.
var elsewhere = map[string]struct{ fits, instead string }{
	"hooks-dir":  {"", "no hooks run: what they do stands in ExecStartPre= of the unit"},
	"volumepath": {"", "volumes lie in the storage, --root"},
	"connection": {"", "podunit works on this machine only: ssh HOST podunit ..."},
	"identity":   {"", "podunit works on this machine only: ssh -i FILE HOST podunit ..."},
	"remote":     {"false", "podunit works on this machine only: ssh HOST podunit ..."},
	"ssh":        {"", "podunit works on this machine only: ssh HOST podunit ..."},
	"url":        {"", "podunit works on this machine only: ssh HOST podunit ..."},
}

// shorts are short names of theirs. They are not those of verbs, which have others of the same
// letter.
var shorts = map[string]string{"connection": "c", "remote": "r"}

// void are podman's flags before the verb about parts of it that podunit does not have, each with
// what there is. Nothing depends on them, so they are taken with a word.
var void = map[string]struct{ fits, instead string }{
	"cgroup-manager":   {"systemd", "each container is in the cgroup of its unit, which systemd manages"},
	"conmon":           {"", "there is no conmon: systemd watches containers"},
	"network-cmd-path": {"", "it is slirp4netns that it names; pasta is looked for where containers.conf(5) says, helper_binaries_dir"},
	"events-backend":   {"journald", "events are in the journal"},
	"syslog":           {"false", "what podunit says goes to stderr, and in a unit to the journal"},
	"trace":            {"false", "--log-level trace"},
	"tmpdir":           {"", "XDG_RUNTIME_DIR is where runtime state goes"},
}

// places are the settings that a directory takes the place of.
var places = map[string]string{
	"root": "graphroot in storage.conf(5)", "runroot": "runroot in storage.conf(5)", "imagestore": "imagestore in storage.conf(5)",
	"network-config-dir": "network_config_dir in containers.conf(5)",
}

// choices registers podman's flags before the verb that say where the storage is, and what else
// files of configuration say.
func (e *Env) choices(set *pflag.FlagSet) {
	c := &e.choice
	for name, to := range map[string]*string{"root": &c.Root, "runroot": &c.RunRoot, "imagestore": &c.ImageStore, "network-config-dir": &c.NetworkDir} {
		set.Func(name, "`DIR` in place of "+places[name], func(v string) error {
			if !filepath.IsAbs(v) {
				return errors.New("it is not an absolute path")
			}
			*to = v
			return nil
		})
	}
	set.StringVar(&c.Driver, "storage-driver", "", "`NAME` of the storage's driver, in place of storage.conf(5)")
	set.StringArrayVar(&c.Options, "storage-opt", nil, "`OPTION` of the storage's driver, such as additionalimagestore=DIR; \"\" discards those of storage.conf(5)")
	set.Func("pull-option", "`NAME=VALUE` in place of pull_options in storage.conf(5)", func(v string) error {
		if name, _, given := strings.Cut(v, "="); !given || name == "" {
			return errors.New("it is not NAME=VALUE")
		}
		c.PullOptions = append(c.PullOptions, v)
		return nil
	})
	set.BoolVar(&e.transient, "transient-store", false, "keep no container over a boot")
	set.StringArrayVar(&c.CDIDirs, "cdi-spec-dir", nil, "`DIR` of CDI specifications, in place of containers.conf(5)")
	set.StringArrayVar(&c.RuntimeFlags, "runtime-flag", nil, "`FLAG` of the OCI runtime, without its dashes")
	set.StringVar(&e.dockerConfig, "config", "", "`DIR` with a config.json of logins, or that file")
}

// choose has this process, and what it starts, do as the flags before the verb say.
func (e *Env) choose() error {
	if e.dockerConfig != "" {
		path := e.dockerConfig
		if filepath.Ext(path) != ".json" {
			path = filepath.Join(path, "config.json")
		}
		if err := os.Setenv("REGISTRY_AUTH_FILE", path); err != nil {
			return err
		}
	}
	if e.globals().Changed("transient-store") {
		e.choice.Transient = &e.transient
	}
	if reflect.ValueOf(e.choice).IsZero() { // nothing was given
		return nil
	}
	before, err := store.Chosen()
	if err != nil {
		return err
	}
	return before.With(e.choice).Carry()
}

// others registers podman's flags that have no meaning here, so that each is refused with what does
// the same, or taken with a word.
func (e *Env) others(set *pflag.FlagSet) {
	for _, name := range slices.Sorted(maps.Keys(void)) {
		set.String(name, "", "no effect: "+void[name].instead)
		f := set.Lookup(name)
		f.Hidden = true
		if void[name].fits == "false" {
			f.NoOptDefVal = "true"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(elsewhere)) {
		RefuseShort(set, name, shorts[name], elsewhere[name].fits, elsewhere[name].instead)
	}
}

// warnVoid warns of each flag of podman's that was given and has no effect.
func (e *Env) warnVoid() {
	e.globals().VisitAll(func(f *pflag.Flag) {
		if v, ok := void[f.Name]; ok && f.Changed && (v.fits == "" || f.Value.String() != v.fits) {
			e.Warn(fmt.Sprintf("--%s %s has no effect: %s", f.Name, f.Value, v.instead))
		}
	})
}

// redirect has stdout lead to where --noout and --out say, for us and for what we execute.
func (e *Env) redirect() error {
	path := e.out
	if e.noOut {
		path = os.DevNull
	}
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	if p, ok := e.Stdout.(*pipe); e.Stdout != os.Stdout && (!ok || p.to != os.Stdout) { // a test's
		e.Stdout = f
		return nil
	}
	defer f.Close()
	return unix.Dup2(int(f.Fd()), int(os.Stdout.Fd()))
}
