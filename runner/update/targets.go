// SPDX-License-Identifier: Apache-2.0

package update

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"github.com/spf13/pflag"
)

// Declared is a container that something else than the command line of a service declares, such as
// the YAML that was played. It need not be there now.
type Declared struct {
	Unit string
	Spec spec.Container
	// Ends is of a container that runs to its end: its next run takes the new image.
	Ends bool
}

// Targets joins what unit files and plays say with the containers that exist. Of a service with
// User= in the system's manager the containers are that user's, and so is their update. unitOf
// names the unit that starts a container, if there is one, and says whether the container matters:
// one that neither runs nor belongs to a unit is nobody's to renew.
func Targets(commands []unit.Command, declared []Declared, containers []container.Record, unitOf func(container.Record) (name string, matters bool)) []Target {
	var all []Target
	pulls := make(map[string]Access)
	for _, c := range commands {
		if c.User != "" && c.User != "root" && c.User != "0" {
			continue
		}
		for _, words := range c.Exec {
			if t, ok := fromCommand(c.Unit, words); ok {
				all = append(all, t)
			} else if reference, access, ok := fromPull(words); ok {
				pulls[reference] = access
			}
		}
	}
	for _, d := range declared {
		t := Target{Unit: d.Unit, Container: d.Spec.Name, Image: d.Spec.Image, Access: accessOf(d.Spec.Pull), Ends: d.Ends}
		t, wanted := t.labelled(d.Spec.Labels)
		if short := (shortNameError{}); d.Ends && errors.As(t.Problem, &short) {
			continue // what all containers of the pod were asked for is not meant for a helper
		}
		if wanted {
			all = append(all, t)
		}
	}
	for _, r := range containers {
		service, matters := unitOf(r)
		if !matters {
			continue
		}
		t, wanted := fromRecord(r, service)
		if !wanted {
			continue
		}
		i := slices.IndexFunc(all, func(x Target) bool {
			return x.Unit == t.Unit && (x.Container == t.Container || x.Container == "" && t.Unit == r.Unit)
		})
		if i < 0 {
			all = append(all, t)
			continue
		}
		all[i].ID, all[i].Runs, all[i].Container = t.ID, t.Runs, t.Container // what the file says of the rest is newer
		if strings.Contains(all[i].Image, "$") {
			all[i].Image, all[i].Problem = t.Image, t.Problem // its start knew the variable
		}
	}
	for i, t := range all {
		if access, ok := pulls[t.Image]; ok && t.Access == (Access{}) {
			all[i].Access = access
		}
	}
	return all
}

// fromPull reads how a .image unit, or a service written by hand, pulls an image.
func fromPull(words []string) (reference string, a Access, ok bool) {
	if len(words) == 0 || !ours(words[0]) {
		return "", a, false
	}
	args, ok := afterVerb(words[1:], "pull")
	if !ok {
		if args, ok = afterVerb(words[1:], "image"); ok {
			args, ok = afterVerb(args, "pull")
		}
	}
	if !ok {
		return "", a, false
	}
	fs := pflag.NewFlagSet("pull", pflag.ContinueOnError)
	fs.ParseErrorsAllowlist.UnknownFlags = true
	fs.Usage = func() {}
	verify := fs.Bool("tls-verify", true, "")
	fs.StringVar(&a.AuthFile, "authfile", "", "")
	fs.StringVar(&a.CertDir, "cert-dir", "", "")
	fs.StringVar(&a.Creds, "creds", "", "")
	if err := fs.Parse(args); err != nil || fs.NArg() == 0 {
		return "", a, false
	}
	if fs.Changed("tls-verify") {
		a.TLSVerify = strconv.FormatBool(*verify)
	}
	return fs.Arg(fs.NArg() - 1), a, true
}

// accessOf is how a container's own start would ask the registry.
func accessOf(p spec.Pull) Access {
	a := Access{AuthFile: p.AuthFile, CertDir: p.CertDir, Creds: p.Creds}
	if p.TLSVerify != nil {
		a.TLSVerify = strconv.FormatBool(*p.TLSVerify)
	}
	return a
}

// ours reports whether a command is podunit under one of its names.
func ours(program string) bool {
	return slices.Contains([]string{"podunit", "podman", "docker"}, filepath.Base(program))
}

// fromCommand reads a target out of the command line of a service: podunit run, or podman run
// where people wrote that.
func fromCommand(service string, words []string) (Target, bool) {
	t := Target{Unit: service}
	if len(words) == 0 || !ours(words[0]) {
		return t, false
	}
	args, ok := afterVerb(words[1:], "run")
	if !ok {
		return t, false
	}
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	fs.SetInterspersed(false)
	fs.Usage = func() {}
	flags := spec.ContainerFlags(fs)
	if err := fs.Parse(args); err != nil {
		return t, false // its start says what is wrong
	}
	c, err := flags.Container(fs.Args(), spec.Host{ReadFile: readIfThere, Dir: "/"})
	if err != nil {
		return t, false
	}
	t.Container, t.Image, t.Access = c.Name, c.Image, accessOf(c.Pull)
	return t.labelled(c.Labels)
}

// afterVerb gives what follows the verb, past global flags.
func afterVerb(words []string, verb string) ([]string, bool) {
	for i := 0; i < len(words); i++ {
		switch word := words[i]; {
		case word == verb:
			return words[i+1:], true
		case !strings.HasPrefix(word, "-"):
			return nil, false
		case slices.Contains([]string{"--log-level", "--module", "--runtime"}, word):
			i++
		}
	}
	return nil, false
}

// maxFile is the most bytes of a file with labels or variables. Source: spec, which reads them in a
// start.
const maxFile = 2 << 20

// readIfThere reads a file with labels, as a start does: not by a link. One with variables does not
// matter here, and its absence is the start's affair.
func readIfThere(path string) ([]byte, error) {
	data, err := safe.ReadFile(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, safe.ErrNotRegular) {
		return nil, nil
	}
	return data, err
}

func fromRecord(r container.Record, service string) (Target, bool) {
	t := Target{Unit: service, Container: r.Name, ID: r.ID, Image: r.Spec.Image, Runs: r.ImageID, Access: accessOf(r.Spec.Pull)}
	return t.labelled(r.Labels())
}

// labelled completes a target from the labels of its container; false if they ask for nothing.
func (t Target) labelled(labels map[string]string) (Target, bool) {
	t.Policy, t.Problem = ParsePolicy(labels[Label])
	if t.Policy == Disabled {
		return t, false
	}
	t.AuthFile = cmp.Or(labels[LabelAuthFile], t.AuthFile)
	if t.Problem == nil {
		t.Problem = t.check()
	}
	return t, true
}

// check finds what makes a target impossible. Source: podman-auto-update(1).
func (t Target) check() error {
	if t.Unit == "" {
		return errNoUnit
	}
	if t.Policy == Local {
		return nil
	}
	name, transport := strings.CutPrefix(t.Image, "docker://")
	if before, _, ok := strings.Cut(name, ":"); !transport && ok && slices.Contains([]string{"oci", "oci-archive", "docker-archive", "docker-daemon", "dir", "containers-storage"}, before) {
		return transportError{before}
	}
	host, _, ok := strings.Cut(name, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return shortNameError{t.Image}
	}
	return nil
}

// errNoUnit is of a container that no unit starts.
var errNoUnit = unitlessError{}

type unitlessError struct{}

func (unitlessError) Error() string { return "no unit starts the container" }

// Hint is the way out.
func (unitlessError) Hint() string {
	return "start it with run -d, or from a .container file, so that systemd has a unit to restart"
}

type transportError struct{ transport string }

func (e transportError) Error() string {
	return "auto updates require the docker image transport but image is of transport \"" + e.transport + "\""
}

// Hint is the way out.
func (e transportError) Hint() string { return "AutoUpdate=local takes what is in the storage" }

type shortNameError struct{ name string }

func (e shortNameError) Error() string {
	return "short name: auto updates require fully-qualified image reference: \"" + e.name + "\""
}

// Hint is the way out.
func (e shortNameError) Hint() string {
	return "write the registry too, as in docker.io/library/" + strings.TrimPrefix(e.name, "library/")
}
