// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// elsewhere are podman's flags before the verb that have no meaning here, and what does the same.
// The value of some is what is the case anyway.
var elsewhere = map[string]struct{ fits, instead string }{
	"connection":         {"", "podunit works on this machine only: ssh HOST podunit ..."},
	"cdi-spec-dir":       {"", "cdi_spec_dirs in containers.conf(5)"},
	"config":             {"", "--authfile of the verb, or REGISTRY_AUTH_FILE=FILE in front of the command"},
	"hooks-dir":          {"", "an OCI runtime of your own runs hooks: --runtime"},
	"identity":           {"", "podunit works on this machine only: ssh -i FILE HOST podunit ..."},
	"imagestore":         {"", "imagestore in storage.conf: units that start containers must find the same storage"},
	"network-cmd-path":   {"", "pasta and netavark are looked for where containers.conf(5) says, helper_binaries_dir"},
	"network-config-dir": {"", "network_config_dir in containers.conf(5)"},
	"pull-option":        {"", "pull_options of [storage.options] in storage.conf"},
	"remote":             {"false", "podunit works on this machine only: ssh HOST podunit ..."},
	"root":               {"", "graphroot in storage.conf, or CONTAINERS_STORAGE_CONF=FILE in front of the command: units that start containers must find the same storage"},
	"runroot":            {"", "runroot in storage.conf, or CONTAINERS_STORAGE_CONF=FILE in front of the command"},
	"runtime-flag":       {"", "--runtime PATH of a script that adds it"},
	"ssh":                {"", "podunit works on this machine only: ssh HOST podunit ..."},
	"storage-driver":     {"overlay", "driver in storage.conf"},
	"storage-opt":        {"", "[storage.options] in storage.conf, such as additionalimagestores = [\"/srv/images\"]"},
	"transient-store":    {"false", "transient_store in storage.conf"},
	"url":                {"", "podunit works on this machine only: ssh HOST podunit ..."},
	"volumepath":         {"", "volumes lie in the storage: graphroot in storage.conf"},
}

// shorts are short names of theirs. They are not those of verbs, which have others of the same letter.
var shorts = map[string]string{"connection": "c", "remote": "r"}

// void are podman's flags before the verb about parts of it that podunit does not have, each with what there is. Nothing depends
// on them, so they are taken with a word.
var void = map[string]struct{ fits, instead string }{
	"cgroup-manager": {"systemd", "each container is in the cgroup of its unit, which systemd manages"},
	"conmon":         {"", "there is no conmon: systemd watches containers"},
	"events-backend": {"journald", "events are in the journal"},
	"syslog":         {"false", "what podunit says goes to stderr, and in a unit to the journal"},
	"trace":          {"false", "--log-level trace"},
	"tmpdir":         {"", "XDG_RUNTIME_DIR is where runtime state goes"},
}

// others registers podman's flags that have no meaning here, so that each is refused with what does the
// same, or taken with a word.
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
	if e.Stdout != os.Stdout { // a test's
		e.Stdout = f
		return nil
	}
	defer f.Close()
	return unix.Dup2(int(f.Fd()), int(os.Stdout.Fd()))
}
