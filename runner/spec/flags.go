// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"go.podman.io/common/pkg/config"
)

// kind tells how often a flag may stand and what its value is.
type kind int

const (
	value  kind = iota // one value, the last one wins
	yesno              // true or false, alone it is true
	values             // each occurrence is one value
	list               // each occurrence is a line of comma-separated values
)

// on tells which command lines have a flag.
type on int

const (
	onContainer on = 1 << iota
	onPod
	onBoth = onContainer | onPod
)

// A row is a flag: its name, its value, what it does.
type row struct {
	name, short string
	aliases     []string
	on          on
	kind        kind
	// word stands for the value in the usage text.
	word  string
	usage string
	// form and example tell what a value must look like.
	form, example string
	// def is shown as the default.
	def string
	// refused says why the flag is not there, and what to do instead.
	refused string
	// secret tells that no record may keep the value; see Redact.
	secret bool
	set    func(t *target, v string) error
}

// named reports whether a long name is the row's.
func (r *row) named(flag string) bool { return r.name == flag || slices.Contains(r.aliases, flag) }

// target is what the rows write to: parts of a Container or of a Pod.
type target struct {
	host      Host
	container *Container // nil for a pod
	pod       *Pod       // nil for a container
	security  *Security
	limits    *Limits
	net       *Networking
	ids       *IDMapping
	mounts    *[]Mount
	devices   *[]Device
	labels    map[string]string
	env       environment
	noHealth  bool // --no-healthcheck
	private   bool // --userns private
}

// Host is what a command line draws from its surroundings.
type Host struct {
	// Environ is the runner's environment, NAME=VALUE.
	Environ []string
	// ReadFile reads an environment or label file; nil means safe.ReadFile, with a limit.
	ReadFile func(string) ([]byte, error)
	// Dir is what relative paths start from.
	Dir string
	// Config is containers.conf(5), which says what holds without a flag; nil means the built-in
	// defaults.
	Config *config.Config
}

// Flags holds what a command line says until Container or Pod judges it as a whole.
type Flags struct {
	rows []row
	said []said
}

type said struct {
	row   *row
	value string
}

// flag is the pflag.Value of a row. It takes every value, so that one fault
// does not hide the next.
type flag struct {
	to  *Flags
	row *row
}

func (f *flag) String() string {
	if f.row == nil {
		return ""
	}
	return f.row.def
}

func (f *flag) Set(v string) error {
	f.to.said = append(f.to.said, said{f.row, v})
	return nil
}

func (f *flag) Type() string {
	if f.row.kind == yesno {
		return "bool"
	}
	return f.row.word
}

// ContainerFlags adds the flags of run to fs. Flags end at the image, so that
// those of the container's command are left alone.
func ContainerFlags(fs *pflag.FlagSet) *Flags { return register(fs, onContainer) }

// PodFlags adds the flags of pod create to fs.
func PodFlags(fs *pflag.FlagSet) *Flags { return register(fs, onPod) }

func register(fs *pflag.FlagSet, on on) *Flags {
	f := &Flags{rows: rows()}
	for i := range f.rows {
		r := &f.rows[i]
		if r.on&on == 0 {
			continue
		}
		for j, name := range append([]string{r.name}, r.aliases...) {
			short := r.short
			if j > 0 {
				short = ""
			}
			if r.name == "name" && on == onPod {
				short = "n"
			}
			pf := fs.VarPF(&flag{to: f, row: r}, name, short, r.usage)
			pf.Hidden = j > 0 || r.refused != ""
			if r.kind == yesno {
				pf.NoOptDefVal = "true"
			}
		}
	}
	// -h is the hostname, so help has only its long name.
	if fs.Lookup("help") == nil {
		fs.Bool("help", false, "Show this help")
	}
	if on == onContainer {
		fs.SetInterspersed(false)
	}
	return f
}

// Defaulted tells whether the command line does not have the flag.
func (f *Flags) Defaulted(name string) bool {
	return !slices.ContainsFunc(f.said, func(s said) bool { return s.row.name == name })
}

// apply runs every row that was said and collects the faults.
func (f *Flags) apply(t *target) Faults {
	var faults Faults
	for i, s := range f.said {
		r := s.row
		if r.kind == value || r.kind == yesno {
			// The last one wins, and only that one is judged.
			if slices.ContainsFunc(f.said[i+1:], func(later said) bool { return later.row == r }) {
				continue
			}
		}
		fault := func(v string, err error) {
			faults = append(faults, &Fault{Flag: r.name, Value: v, Err: err, Form: r.form, Example: r.example})
		}
		if r.refused != "" {
			faults = append(faults, fmt.Errorf("--%s: %s", r.name, r.refused))
			continue
		}
		vs := []string{s.value}
		switch r.kind {
		case list:
			words, err := parseList(s.value)
			if err != nil {
				fault(s.value, err)
				continue
			}
			vs = words
		case yesno:
			b, err := strconv.ParseBool(s.value)
			if err != nil {
				faults = append(faults, &Fault{Flag: r.name, Value: s.value, Err: fmt.Errorf("%q is neither true nor false", s.value)})
				continue
			}
			vs[0] = strconv.FormatBool(b)
		}
		for _, v := range vs {
			if err := r.set(t, v); err != nil {
				fault(v, err)
			}
		}
	}
	return faults
}

// Container judges a command line of run. args are the words after the flags: the
// image, or the directory with --rootfs, and the command. The error is Faults,
// everything that is wrong.
func (f *Flags) Container(args []string, host Host) (*Container, error) {
	c := Configured(host.Config)
	t := containerTarget(&c, host)
	faults := f.apply(t)
	if t.noHealth {
		if c.Health != nil && c.Health.Test != nil && !c.Health.None() || c.StartupHealth != nil {
			faults = append(faults, misuse("--no-healthcheck and --health-cmd or --health-startup-cmd exclude each other"))
		}
		c.Health = &HealthCheck{Test: []string{TestNone}}
	}
	if t.private && !c.Explicit() {
		faults = append(faults, fmt.Errorf("--userns %w", errPrivate))
	}
	if len(args) > 0 {
		c.Image, c.Command = args[0], args[1:]
		if c.Rootfs != nil {
			if err := c.Rootfs.parse(args[0], host.Dir); err != nil {
				faults = append(faults, err)
			}
			c.Image = ""
		}
	}
	env, err := t.env.merge(host)
	faults = append(faults, err...)
	c.Env = env
	systemdUnit(host, c.Labels)
	if c.NewPod != nil {
		faults = append(faults, all(c.newPod(host))...)
	}
	faults = append(faults, all(c.Complete(host.Config, host.Environ))...)
	return &c, faults.and(c.Check())
}

// newPod moves to the pod that is to be made for a container what belongs to the pod: its network,
// its ports, its user namespace.
func (c *Container) newPod(host Host) error {
	p := PodConfigured(host.Config)
	p.Name, p.Networking, p.IDMapping = c.NewPod.Name, c.Networking, c.IDMapping
	p.PublishAll, p.Expose, p.NoHostname, p.HostsFile = false, nil, false, ""
	c.Networking = Networking{PublishAll: c.PublishAll, Expose: c.Expose, NoHostname: c.NoHostname, HostsFile: c.HostsFile}
	c.IDMapping = IDMapping{}
	c.NewPod = &p
	if err := p.Complete(host.Config, host.Environ); err != nil {
		return err
	}
	return p.Check()
}

// containerTarget is what the rows write to for a container.
func containerTarget(c *Container, host Host) *target {
	env := environment{httpProxy: true}
	if host.Config != nil {
		env.httpProxy, env.fromHost = host.Config.Containers.HTTPProxy, host.Config.Containers.EnvHost
	}
	return &target{
		host: host, container: c, security: &c.Security, limits: &c.Limits, net: &c.Networking, ids: &c.IDMapping,
		mounts: &c.Mounts, devices: &c.Devices, labels: c.Labels, env: env,
	}
}

// podTarget is what the rows write to for a pod.
func podTarget(p *Pod, host Host) *target {
	return &target{
		host: host, pod: p, security: &p.Security, limits: &p.Limits, net: &p.Networking, ids: &p.IDMapping,
		mounts: &p.Mounts, devices: &p.Devices, labels: p.Labels,
	}
}

// Pod judges a command line of pod create. args are the words after the flags:
// nothing, or the pod's name. The error is Faults, everything that is wrong.
func (f *Flags) Pod(args []string, host Host) (*Pod, error) {
	p := PodConfigured(host.Config)
	t := podTarget(&p, host)
	faults := f.apply(t)
	if t.private && !p.Explicit() {
		faults = append(faults, fmt.Errorf("--userns %w", errPrivate))
	}
	if !p.Infra && f.Defaulted("share") {
		p.Share = nil // nobody holds the namespaces
	}
	switch {
	case len(args) > 1:
		faults = append(faults, misuse("pod create takes one name, there are %d words", len(args)))
	case len(args) == 1 && p.Name != "" && args[0] != p.Name:
		faults = append(faults, misuse("the pod has two names, --name %s and %s", p.Name, args[0]))
	case len(args) == 1:
		p.Name = args[0]
		if err := CheckName(p.Name); err != nil {
			faults = append(faults, fmt.Errorf("pod name %q: %w", p.Name, err))
		}
	}
	p.ShmSize, p.Limits.ShmSize = p.Limits.ShmSize, nil
	systemdUnit(host, p.Labels)
	faults = append(faults, all(p.Complete(host.Config, host.Environ))...)
	return &p, faults.and(p.Check())
}

// systemdUnit labels what is made for a unit with the unit's name, which is how
// auto-update and the logs find it. Source: podman-auto-update(1).
func systemdUnit(host Host, labels map[string]string) {
	for _, kv := range host.Environ {
		if name, v, _ := strings.Cut(kv, "="); name == "PODMAN_SYSTEMD_UNIT" {
			labels[name] = v
		}
	}
}

func (r *Rootfs) parse(s, dir string) error {
	p, opt, found := strings.Cut(s, ":")
	const form, example = "PATH[:O|:idmap[=MAPPINGS]]", "/srv/root:O"
	name, value, given := strings.Cut(opt, "=")
	switch {
	case p == "":
		return &Fault{Flag: "rootfs", Value: s, Err: errEmpty, Form: form, Example: example}
	case name == "idmap":
		m := Mount{}
		if err := m.mapped(value, given); err != nil {
			return &Fault{Flag: "rootfs", Value: s, Err: err, Form: form, Example: example}
		}
		r.IDMap, r.UIDMap, r.GIDMap = true, m.UIDMap, m.GIDMap
	case found && opt != "O":
		return &Fault{Flag: "rootfs", Value: s, Err: fmt.Errorf("%q is not an option", opt), Form: form, Example: example}
	}
	r.Path, r.Overlay = absolute(p, dir), opt == "O"
	return nil
}
