// SPDX-License-Identifier: Apache-2.0

// Package convert turns Quadlet files into service units and the symlinks that [Install] asks for.
// It reads and writes nothing: files come in, units go out, and the same files give the same units
// byte for byte.
package convert

import (
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/podunit/podunit/generator/link"
	"github.com/podunit/podunit/generator/parallel"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/specifier"
	"github.com/podunit/podunit/generator/unitfile"
)

// Options are the facts about the run that shape the units. The zero value is a system run with the
// default runner.
type Options struct {
	// Runner is the path of the program in generated command lines; empty means /usr/bin/podunit.
	Runner string
	// Reporter is the program that failing units run; empty means Runner.
	Reporter string
	// User tells units for user managers from those for the system's.
	User bool
	// Lax makes faulty files behave as in Podman: they yield no unit, and two files that claim one
	// service name are not an error, the one that is converted later wins. Of good files, KillMode=
	// and SyslogIdentifier= of a container and ExecStop= of a pod are Podman's, too, since Podman's
	// tests ask for them.
	Lax bool
	// UID looks up the ID of an account, for system units with User=. Nil knows of none.
	UID func(name string) (uid int, ok bool)
	// Exists tells whether a path is there, for AddDevice=-PATH. Nil says that nothing is.
	Exists func(path string) bool
}

// Unit is a service unit to be written.
type Unit struct {
	Name   string // with .service
	Source string // path of the file it came from
	Text   []byte
	Failed bool   // it stands for a file with an error and fails to start
	Hidden uint32 // read permissions of group and others that the file must not have, as one of its sources has not
}

// Link is a symlink to be made; both paths are relative, Path to the directory of the units, Target
// to the link's.
type Link struct{ Path, Target string }

// Output is what a run writes.
type Output struct {
	Units []Unit
	Links []Link
	index map[string]int // of Units, by name
	asked []asked        // the links before clashes are settled
}

// Generate turns unit files, their drop-ins merged, into service units and symlinks. A file with an
// error yields a unit of the same name that fails to start and says why. Faults of all files come
// in one list, sorted.
func Generate(files []quadlet.Input, opt Options) (Output, report.List) {
	set, _, out := generate(files, opt, false)
	var all report.List
	for _, u := range set.Units {
		all = append(all, u.Report...)
	}
	all.Sort()
	return out, all
}

// Service is the conversion of one unit file.
type Service struct {
	Text     []byte    // of the unit, without a header; nil when the file has an error
	Commands []Command // of the unit; with an error, those that can be told in spite of it
}

// Convert does the work of Generate for a check: it returns the decoded units with their reports,
// and the service of each with its commands.
func Convert(files []quadlet.Input, opt Options) (*link.Set, []Service) {
	set, services, _ := generate(files, opt, true)
	return set, services
}

func generate(files []quadlet.Input, opt Options, commands bool) (*link.Set, []Service, Output) {
	set, made := services(files, opt, commands)
	var out Output
	groups := make(map[string][]*quadlet.Unit, len(set.Units))
	instances := map[string]bool{}
	for _, u := range set.Units {
		groups[u.Service] = append(groups[u.Service], u)
		if u.At && !u.Template() {
			instances[u.Prefix+u.Ext] = true
		}
	}
	for _, i := range processingOrder(set.Units) {
		u := set.Units[i]
		unit := Unit{Name: u.Service + ".service", Source: u.Path, Text: made[i].Text, Hidden: u.File.Hidden}
		if u.Failed() {
			owners := groups[u.Service]
			good := slices.ContainsFunc(owners, func(o *quadlet.Unit) bool { return !o.Failed() })
			if opt.Lax || good || owners[0] != u {
				continue
			}
			if unit = stub(owners, opt); unit.Name == "" {
				continue
			}
		}
		out.add(unit)
		out.asked = append(out.asked, installLinks(u, strings.TrimSuffix(unit.Name, ".service"), instances[u.Prefix+u.Ext])...)
	}
	out.settle()
	return set, made, out
}

// settle takes the links that are asked for, but for those that would overwrite a unit or another
// link, or that need a directory where a unit is to be.
func (o *Output) settle() {
	if len(o.asked) == 0 {
		return
	}
	const unit = "the unit of that name"
	taken := make(map[string]string, len(o.Units)+len(o.asked))
	for i := range o.Units {
		taken[o.Units[i].Name] = unit
	}
	// All directories come before all links: one file's Alias=default.target.wants must not cost
	// the others their links.
	const directory = "a directory of other links"
	for _, a := range o.asked {
		for dir := range parents(a.Path) {
			if taken[dir] == unit {
				break
			}
			taken[dir] = directory
		}
	}
links:
	for _, a := range o.asked {
		for dir := range parents(a.Path) {
			if taken[dir] == unit {
				a.warn(a.word.Text+" is left out, "+dir+" is "+unit+" and no directory", "choose another name")
				continue links
			}
		}
		by, ok := taken[a.Path]
		if !ok {
			taken[a.Path] = a.Target
			o.Links = append(o.Links, a.Link)
			continue
		}
		if by != a.Target {
			a.warn(a.word.Text+" is left out, it is taken by "+by, "choose another name")
		}
	}
}

// parents are the directories above a relative path, the topmost first.
func parents(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range len(path) {
			if path[i] == '/' && !yield(path[:i]) {
				return
			}
		}
	}
}

// add puts a unit into the output. With Lax a later unit replaces an earlier one of the same name.
func (o *Output) add(unit Unit) {
	if i, ok := o.index[unit.Name]; ok {
		o.Units[i] = unit
		return
	}
	if o.index == nil {
		o.index = map[string]int{}
	}
	o.index[unit.Name] = len(o.Units)
	o.Units = append(o.Units, unit)
}

// services decodes the units and converts each. It keeps the commands only when they are asked for.
func services(files []quadlet.Input, opt Options, commands bool) (*link.Set, []Service) {
	if opt.Runner == "" {
		opt.Runner = "/usr/bin/podunit"
	}
	units := make([]*quadlet.Unit, len(files))
	parallel.Each(len(files), func(i int) {
		units[i] = quadlet.New(files[i])
		if !opt.Lax {
			units[i].CheckSections()
		}
	})
	set := link.New(units)
	out := make([]Service, len(units))
	parallel.Each(len(units), func(i int) {
		c := converter{Unit: units[i], set: set, opt: &opt, keep: commands}
		out[i].Text = c.convert()
		out[i].Commands = c.commands
	})
	set.Propagate()
	if set.Claims(opt.Lax) {
		set.Propagate()
	}
	return set, out
}

// processingOrder sorts by type: types that others refer to come first. Within a type the order of
// loading stays.
func processingOrder(units []*quadlet.Unit) []int {
	rank := func(t string) int {
		switch t {
		case "Image", "Artifact":
			return 0
		case "Volume", "Network":
			return 1
		case "Build":
			return 2
		case "Container", "Kube":
			return 3
		}
		return 4
	}
	out := make([]int, 0, len(units))
	for r := range 5 {
		for i, u := range units {
			if rank(u.Type.Name) == r {
				out = append(out, i)
			}
		}
	}
	return out
}

// missing is the hint for a file that is not there.
func (c *converter) missing(base string) string {
	if c.Many() {
		return ""
	}
	return c.set.Missing(base)
}

// converter builds the service of one unit.
type converter struct {
	*quadlet.Unit
	set      *link.Set
	opt      *Options
	out      *unitfile.File
	unit     *unitfile.Group // [Unit] of out
	service  *unitfile.Group // [Service] of out
	keep     bool            // the commands too
	commands []Command
}

// convert returns the text of the service, without the header of the file. It is worthless if the
// unit has failed.
func (c *converter) convert() []byte {
	if c.Broken {
		// The parser did not understand a part of the file, and that part may hold what the rest
		// lacks.
		return nil
	}
	if !plainPath(c.Path) {
		c.Fault("path", "the path of the file is not plain text", "rename the file or its directory")
	}
	c.out = c.File.Copy()
	c.translateDependencies()
	c.unit = c.out.Make("Unit")
	if c.DefaultDependencies() {
		online := "network-online.target"
		if c.opt.User {
			online = "podman-user-wait-network-online.service"
		}
		c.unit.Prepend(unitfile.Line{Key: "Wants", Value: online}, unitfile.Line{Key: "After", Value: online})
	}
	c.unit.Append("SourcePath", specifier.Escape(c.Path))
	c.unit.Append("RequiresMountsFor", "%t/containers")
	c.out.Rename(c.Type.Name, "X-"+c.Type.Name)
	c.out.Rename("Quadlet", "X-Quadlet")
	c.service = c.out.Make("Service")
	c.warnUser()
	switch c.Type.Name {
	case "Container":
		c.container()
	case "Pod":
		c.pod()
	case "Kube":
		c.kube()
	case "Volume":
		c.volume()
	case "Network":
		c.network()
	case "Image":
		c.image()
	case "Build":
		c.build()
	case "Artifact":
		c.artifact()
	}
	c.runtimeDirectory()
	if c.Failed() {
		return nil
	}
	for _, g := range c.out.Groups {
		for i := range g.Lines {
			if l := &g.Lines[i]; len(l.Key)+len(l.Value)+1 > unitfile.MaxLine {
				c.Fault("line-too-long", l.Key+"= of the service is longer than the 1 MiB that systemd reads", "move values into files, as with EnvironmentFile=")
			}
		}
	}
	return c.out.Append(make([]byte, 0, c.out.Size()))
}

// abs resolves a path against the directory of the unit file. escape writes that directory as
// systemd wants it: specifier.Escape for a key that takes a path, specifier.EscapeExec for a word
// of a command, where systemd also expands variables.
func (c *converter) abs(path string, escape func(string) string) string {
	return specifier.Absolute(path, escape(c.Dir))
}

// dotted is abs for a path that begins with a dot; others are names or absolute.
func (c *converter) dotted(path string, escape func(string) string) string {
	if strings.HasPrefix(path, ".") {
		return filepath.Join(escape(c.Dir), path)
	}
	return path
}

// require makes the service need another one that is generated.
func (c *converter) require(u *quadlet.Unit) {
	c.unit.Append("Requires", u.Service+".service")
	c.unit.Append("After", u.Service+".service")
}

// mounted makes the service wait for the file system that holds an absolute path, named in l.
// systemd takes clean paths only.
func (c *converter) mounted(l *unitfile.Line, path string) {
	if filepath.IsAbs(path) {
		c.mountsFor(l, filepath.Clean(path))
	}
}

// mountsFor is mounted without cleaning the path.
func (c *converter) mountsFor(l *unitfile.Line, path string) {
	text, ok := unitfile.QuotePath(path)
	if c.opt.Lax {
		text, ok = unitfile.Quote(path), true // as Podman does, which systemd reads as another path
	}
	if !ok {
		c.Warn(l, 0, "mounts-for", "systemd cannot wait for the file system of a path with a line break in it", "rename the directory")
		return
	}
	c.unit.Append("RequiresMountsFor", text)
}

// Translated lists the [Unit] keys whose values may be names of Quadlet files.
func Translated() []string {
	return []string{
		"After", "Before", "BindsTo", "Conflicts", "OnFailure", "OnSuccess", "PartOf", "PropagatesReloadTo", "PropagatesStopTo",
		"ReloadPropagatedFrom", "Requires", "Requisite", "StopPropagatedFrom", "Upholds", "Wants",
	}
}

// translateDependencies replaces names of Quadlet files in [Unit] by those of their services.
func (c *converter) translateDependencies() {
	g := c.out.Group("Unit")
	if g == nil {
		return
	}
	for _, key := range Translated() {
		if g.Last(key) == nil {
			continue
		}
		words := c.UnitWords(key)
		found := false
		for _, w := range words {
			found = found || link.IsUnit(w.Text)
		}
		if !found {
			continue
		}
		texts := make([]string, 0, len(words))
		for _, w := range words {
			if !link.IsUnit(w.Text) {
				if !writable(w.Text) {
					c.WarnWord(w.Line, w.Word, "unit-name", key+"= names "+strconv.Quote(w.Text)+", which is no unit and is left out", "names of units are written without quotes, separated by blanks")
					continue
				}
				texts = append(texts, w.Text)
				continue
			}
			u := c.set.Find(w.Text)
			if u == nil {
				c.FaultWord(w.Line, w.Word, "missing-unit", "unable to translate dependency for "+w.Text, c.missing(w.Text))
				continue
			}
			c.set.MentionWord(c.Unit, u, w.Line, w.Word, !c.opt.Lax && needs(key))
			texts = append(texts, u.Service+".service")
		}
		g.Remove(key)
		// Unit names take no quotes: systemd reads a backslash as a part of the name, as in
		// dev-disk-by\x2dlabel-x.device.
		g.Append(key, strings.Join(texts, " "))
	}
}

// needs tells a dependency without which systemd does not start a unit.
func needs(key string) bool { return key == "Requires" || key == "Requisite" || key == "BindsTo" }

// writable tells a word that can stand in a list of unit names. Such a list has no quotes, and a
// backslash at its end would continue the line.
func writable(word string) bool {
	return word != "" && !strings.HasSuffix(word, `\`) && !strings.ContainsFunc(word, func(r rune) bool {
		return r == '"' || r == '\'' || unicode.IsSpace(r) || unicode.IsControl(r)
	})
}

// warnUser warns about User= and its kin in [Service]: Podman's generator cannot have them. podunit
// can, in the system manager.
func (c *converter) warnUser() {
	hint := "podunit runs the unit rootless as that user, other Quadlet generators do not"
	if c.opt.User {
		hint = "a user manager cannot change to another user"
	}
	for _, key := range []string{"User", "Group", "DynamicUser"} {
		if l, ok := c.ServiceKey(key); ok {
			c.WarnKey(l, "service-user", "using key "+key+" in the Service group is not supported", hint)
		}
	}
}

// runsAs is the unprivileged user of a system unit, "" for root and in user mode.
func (c *converter) runsAs() string {
	l, ok := c.ServiceKey("User")
	if c.opt.User || !ok || l.Value == "root" || l.Value == "0" {
		return ""
	}
	return l.Value
}

// runtimeDirectory has the system make /run/podunit-user/UID for the user of a system unit, who
// may never log in: there the runner keeps what is true of running containers. All units of
// the user have it together, so it outlives each; and it does not end with a login, as
// /run/user/UID does. An account that only the network knows gets none.
func (c *converter) runtimeDirectory() {
	name := c.runsAs()
	uid, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		if name == "" || c.opt.UID == nil {
			return
		}
		id, ok := c.opt.UID(name)
		if !ok {
			return
		}
		uid = uint64(id)
	}
	c.service.Append("RuntimeDirectory", "podunit-user/"+strconv.FormatUint(uid, 10))
	c.service.Default("RuntimeDirectoryMode", "0700")
	c.service.Set("RuntimeDirectoryPreserve", "yes")
}

// resource finishes the service of a unit whose command makes something and ends.
func (c *converter) resource(cmd *Command, remain bool) {
	c.line("ExecStart", "", cmd)
	c.service.Default("SyslogIdentifier", "%N")
	c.service.Default("Type", "oneshot")
	if remain {
		c.service.Default("RemainAfterExit", "yes")
	}
}

// stopLimit has the manager's patience with a stop follow the container's, unless the file settles
// it. It must exceed the runner's own, and is all that counts if the command that stops the
// container is killed.
func (c *converter) stopLimit() {
	const margin = 30 // seconds
	_, own := c.ServiceKey("TimeoutStopSec")
	_, both := c.ServiceKey("TimeoutSec")
	grace, ok := c.StrOK("StopTimeout")
	seconds, err := strconv.Atoi(grace)
	if !ok || own || both || err != nil {
		return
	}
	if seconds < 0 { // it waits for ever
		c.service.Set("TimeoutStopSec", "infinity")
		return
	}
	c.service.Set("TimeoutStopSec", strconv.Itoa(seconds+margin))
}

// killMode checks KillMode= of units that run containers, and sets it if nobody has.
func (c *converter) killMode(usual string) {
	l, ok := c.ServiceKey("KillMode")
	switch {
	case !ok:
		c.service.Append("KillMode", usual)
	case l.Value != "mixed" && l.Value != "control-group":
		c.FaultAt(l, "kill-mode", "invalid KillMode '"+l.Value+"'", "KillMode= is mixed or control-group here")
	}
}

// serviceType checks Type= of units that run containers. It tells whether the user wants a oneshot
// service.
func (c *converter) serviceType() (oneshot bool) {
	l, ok := c.ServiceKey("Type")
	switch {
	case !ok || l.Value == "notify":
	case l.Value == "oneshot":
		return true
	default:
		c.FaultAt(l, "service-type", "invalid service Type '"+l.Value+"'", "Type= is notify or oneshot here")
	}
	return false
}

// warnShortName warns about an image whose registry is left to guessing.
func (c *converter) warnShortName(key, ref string) {
	if ref == "" || link.IsUnit(ref) && (strings.HasSuffix(ref, ".image") || strings.HasSuffix(ref, ".build")) || qualified(ref) {
		return
	}
	c.Warn(c.Last(key), 0, "short-name", c.Base+" specifies the image "+strconv.Quote(ref)+
		" which not a fully qualified image name. This is not ideal for performance and security reasons."+
		" See the podman-pull manpage discussion of short-name-aliases.conf for details.",
		"write the registry too, as "+dockerHub(ref))
}

// qualified tells an image name that says where it is from: with a registry, or by its ID.
func qualified(ref string) bool {
	if strings.HasPrefix(ref, "sha256:") {
		return true
	}
	if len(ref) == 64 && strings.Trim(ref, "0123456789abcdefABCDEF") == "" {
		return true
	}
	first, _, slash := strings.Cut(ref, "/")
	return slash && (strings.ContainsAny(first, ".:") || first == "localhost")
}

// plainPath tells whether a path can stand in a unit file.
func plainPath(path string) bool {
	return utf8.ValidString(path) && !strings.ContainsFunc(path, unicode.IsControl)
}

// dockerHub is the full name of what a short name most often means.
func dockerHub(ref string) string {
	if strings.Contains(ref, "/") {
		return "docker.io/" + ref
	}
	return "docker.io/library/" + ref
}
