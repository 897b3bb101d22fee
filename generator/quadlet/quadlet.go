// SPDX-License-Identifier: Apache-2.0

// Package quadlet models one unit file of Quadlet's: which type it has, which service and which
// resource it stands for, and the values of its keys, decoded as the key table says. What other
// files say about it is for package link.
package quadlet

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/specifier"
	"github.com/podunit/podunit/generator/spelling"
	"github.com/podunit/podunit/generator/unitfile"
)

// Input is a unit file as it was found: its drop-ins merged, and what was wrong with any of them.
type Input struct {
	Path   string // of the main file, as people know it: a link keeps its own name
	Base   string // file name; empty means that of Path. A section of a .quadlets file has its own.
	Dir    string // that relative paths start from
	File   *unitfile.File
	Faults report.List // of reading; with an error among them the unit is not converted
}

// Unit is one unit file, decoded.
type Unit struct {
	specifier.Name
	Base     string // file name, as "web.container"
	Path     string
	Dir      string
	Type     *keys.Section
	File     *unitfile.File
	Group    *unitfile.Group // the type's own section; empty when the file has none
	Service  string          // name of the service, without .service
	Resource string          // name of the container, pod, volume ... once it runs; may hold specifiers
	Named    *unitfile.Line  // the assignment that Resource comes from; nil when the name of the file gives it
	Report   report.List
	Broken   bool // the file or a drop-in could not be read or parsed; what the unit lacks may stand there

	errors, warnings int // found so far, Report holds only some

	has map[string]struct{} // assigned keys of Group; only for long sections
}

// New decodes the names in a unit file and checks that its keys exist. Everything else is read on
// demand.
func New(in Input) *Unit {
	base := in.Base
	if base == "" {
		base = filepath.Base(in.Path)
	}
	u := &Unit{Name: specifier.Parse(base), Base: base, Path: in.Path, Dir: in.Dir, File: in.File}
	u.Type = keys.ByExt(u.Ext)
	for _, d := range in.Faults {
		if d.Doing == "" {
			d.Doing = "loading"
		}
		if u.room(d.Severity) {
			u.add(d)
		}
		u.Broken = u.Broken || d.Severity == report.Error
	}
	if u.Group = in.File.Group(u.Type.Name); u.Group == nil {
		u.Group = &unitfile.Group{Name: u.Type.Name}
	}
	if len(u.Group.Lines) > 64 {
		u.has = make(map[string]struct{}, 64)
		for i := range u.Group.Lines {
			u.has[u.Group.Lines[i].Key] = struct{}{}
		}
	}
	u.checkKeys()
	u.Service = u.serviceName()
	u.Resource = u.resourceName()
	return u
}

// maxReports is how many errors, and how many warnings, are kept of one unit. A file of a hundred
// thousand faulty lines needs no more to be mended.
const maxReports = 100

// room counts a diagnostic to come, and tells whether it will be kept. Finding its place in a file
// of a hundred thousand lines costs too much to do it in vain.
func (u *Unit) room(s report.Severity) bool {
	n := &u.errors
	if s == report.Warning {
		n = &u.warnings
	}
	*n++
	return *n <= maxReports
}

func (u *Unit) add(d report.Diagnostic) {
	d.Unit = u.Base
	u.Report = append(u.Report, d)
}

// Many tells whether so much is wrong already that hints are not worth their time.
func (u *Unit) Many() bool { return u.errors > maxReports/5 }

// Failed tells whether the unit has an error.
func (u *Unit) Failed() bool { return u.Report.Errors() > 0 }

// Fault adds an error about the whole unit; it points at the type's section, or at the file.
func (u *Unit) Fault(code, message, hint string) {
	if !u.room(report.Error) {
		return
	}
	pos, excerpt, width := u.Group.Pos(), u.Group.Excerpt(), len(u.Type.Name)+2
	if pos.File == "" {
		pos, excerpt, width = report.Position{File: u.Path, Line: 1, Col: 1}, "", 0
		if s := u.File.Source; s != nil {
			pos.Line += s.Skip // a section of a .quadlets file begins further down
		}
	}
	u.add(report.Diagnostic{
		Code: code, Doing: "converting", Pos: pos, Width: width, Excerpt: excerpt, Message: message, Hint: hint,
	})
}

// FaultAt adds an error about the value of a line; it falls back to the whole unit when line is nil.
func (u *Unit) FaultAt(l *unitfile.Line, code, message, hint string) {
	if l == nil {
		u.Fault(code, message, hint)
		return
	}
	u.faultSpan(l, 0, len(l.Value), code, message, hint)
}

// FaultWord adds an error about one word of a line's value.
func (u *Unit) FaultWord(l *unitfile.Line, w unitfile.Word, code, message, hint string) {
	u.faultSpan(l, w.Off, w.End-w.Off, code, message, hint)
}

func (u *Unit) faultSpan(l *unitfile.Line, off, width int, code, message, hint string) {
	if !u.room(report.Error) {
		return
	}
	pos := l.ValuePos(off)
	if l.Value == "" {
		pos, width = l.Pos(), len(l.Key)
	}
	u.add(report.Diagnostic{
		Code: code, Doing: "converting", Pos: pos, Width: width, Excerpt: l.Excerpt(pos), Message: message, Hint: hint,
	})
}

// FaultKey adds an error about the key of a line.
func (u *Unit) FaultKey(l *unitfile.Line, code, message, hint string) {
	if !u.room(report.Error) {
		return
	}
	pos := l.Pos()
	u.add(report.Diagnostic{
		Code: code, Doing: "converting", Pos: pos, Width: len(l.Key), Excerpt: l.Excerpt(pos), Message: message, Hint: hint,
	})
}

// Warn adds a warning about the value of a line, from byte off on.
func (u *Unit) Warn(l *unitfile.Line, off int, code, message, hint string) {
	u.warnSpan(l, off, max(len(l.Value)-off, 1), code, message, hint)
}

// WarnWord adds a warning about one word of a line's value.
func (u *Unit) WarnWord(l *unitfile.Line, w unitfile.Word, code, message, hint string) {
	u.warnSpan(l, w.Off, w.End-w.Off, code, message, hint)
}

func (u *Unit) warnSpan(l *unitfile.Line, off, width int, code, message, hint string) {
	if !u.room(report.Warning) {
		return
	}
	pos := l.ValuePos(off)
	if l.Value == "" {
		pos, width = l.Pos(), len(l.Key)
	}
	u.add(report.Diagnostic{
		Severity: report.Warning, Code: code, Pos: pos, Width: width, Excerpt: l.Excerpt(pos), Message: message, Hint: hint,
	})
}

// WarnKey adds a warning about the key of a line.
func (u *Unit) WarnKey(l *unitfile.Line, code, message, hint string) {
	if !u.room(report.Warning) {
		return
	}
	pos := l.Pos()
	u.add(report.Diagnostic{
		Severity: report.Warning, Code: code, Pos: pos, Width: len(l.Key), Excerpt: l.Excerpt(pos), Message: message, Hint: hint,
	})
}

// maxUnknown bounds what is said about unknown keys of one unit.
const maxUnknown = 50

// checkKeys complains about keys that the type does not have, each where it stands.
func (u *Unit) checkKeys() {
	n := 0
	check := func(g *unitfile.Group, s *keys.Section) {
		if g == nil {
			return
		}
		for i := range g.Lines {
			l := &g.Lines[i]
			if l.IsComment() || s.Key(l.Key) != nil {
				continue
			}
			if n++; n > maxUnknown {
				return
			}
			u.FaultKey(l, "unknown-key", "unsupported key '"+l.Key+"' in group '"+s.Name+"'", unknownKeyHint(l.Key, s))
		}
	}
	check(u.Group, u.Type)
	check(u.File.Group("Quadlet"), keys.Lookup("Quadlet"))
}

// CheckSections complains about sections that nobody reads. Podman passes over them without a word,
// and so does systemd over those called X-.
func (u *Unit) CheckSections() {
	own := u.File.Group(u.Type.Name) != nil
	for _, g := range u.File.Groups {
		switch g.Name {
		case u.Type.Name, "Unit", "Service", "Install", "Quadlet":
			continue
		}
		if strings.HasPrefix(g.Name, "X-") {
			continue
		}
		d := report.Diagnostic{
			Severity: report.Warning, Code: "unknown-section", Pos: g.Pos(), Width: len(g.Name) + 2, Excerpt: g.Excerpt(),
			Message: "section [" + g.Name + "] is ignored in a " + u.Ext + " file",
		}
		var near string
		d.Hint, near = u.sectionHint(g.Name)
		if near == u.Type.Name && !own {
			// All that the unit is about would be ignored.
			own, u.Broken = true, true
			d.Severity, d.Doing = report.Error, "converting"
			d.Message = "there is no section [" + near + "], but one called [" + g.Name + "]"
		}
		if u.room(d.Severity) {
			u.add(d)
		}
	}
}

// sectionHint says what to do about a section that is not read, and the name that was probably meant.
func (u *Unit) sectionHint(name string) (hint, near string) {
	if s := keys.Lookup(name); s != nil {
		if hint = "[" + name + "] belongs into a " + s.Ext + " file"; filepath.Ext(u.Path) == ".quadlets" {
			hint += "; a line of three dashes parts it from the one above"
		}
		return hint, ""
	}
	if near = spelling.Nearest(name, []string{u.Type.Name, "Unit", "Service", "Install", "Quadlet"}); near != "" {
		return "did you mean [" + near + "]?", near
	}
	return "sections are [" + u.Type.Name + "], [Unit], [Service], [Install] and [Quadlet]; one for other programs is named [X-" + name + "]", ""
}

// unknownKeyHint names the key that was probably meant: of this section, misspelt; of another type;
// of systemd.
func unknownKeyHint(name string, s *keys.Section) string {
	if k := s.Newer(name); k != nil {
		return name + "= is of Podman " + k.Since + ", here PodmanArgs=" + k.Flag + "=" + k.Value + " does it"
	}
	if hint := instead(name, s); hint != "" {
		return hint
	}
	near, section := spelling.Nearest(name, s.Names()), systemdSection(name)
	if near != "" && section == "" {
		return "did you mean " + near + "=?"
	}
	var others []string
	for _, o := range keys.Sections() {
		if o != s && o.Key(name) != nil {
			others = append(others, "["+o.Name+"]")
		}
	}
	switch {
	case section != "" && len(others) > 0: // as Type=
		return name + "= of systemd's belongs into [" + section + "]; " + strings.Join(others, ", ") + " has another one"
	case section != "" && near != "" && len(name) > 4: // as MemoryMax=
		return name + "= is systemd's, it belongs into [" + section + "]; or did you mean " + near + "=?"
	case section != "":
		return name + "= is systemd's, it belongs into [" + section + "]"
	case len(others) > 0:
		return name + "= is a key of " + strings.Join(others, ", ") + ", not of [" + s.Name + "]"
	}
	if flag, ok := FlagHint(name, s); ok {
		return flag
	}
	for _, o := range keys.Sections() {
		if o == s {
			continue
		}
		if near := spelling.Nearest(name, o.Names()); near != "" && len(name) > 4 {
			return near + "= of [" + o.Name + "] is the nearest, [" + s.Name + "] has nothing like it"
		}
	}
	return "podunit help keys lists the keys of [" + s.Name + "]; a newer Podman may have more"
}

// podLimits are flags of pod create by the keys that people expect for them.
var podLimits = map[string]string{
	"memory": "--memory=SIZE", "memoryswap": "--memory-swap=SIZE", "cpus": "--cpus=N", "cpushares": "--cpu-shares=N",
}

// instead tells what does the work of a key that people expect, from compose files, docker run or
// systemd, and that does not exist.
func instead(name string, s *keys.Section) string {
	var key string // of this section
	word := strings.ToLower(strings.ReplaceAll(name, "_", ""))
	if flag, ok := podLimits[word]; ok && s.Name == "Pod" {
		return "PodmanArgs=" + flag + " does it, for all containers of the pod together"
	}
	switch word {
	case "name":
		key = s.Name + "Name"
		if s.Name == "Image" || s.Name == "Build" {
			key = "ImageTag"
		}
	case "envfile", "environmentfiles", "envfiles":
		key = "EnvironmentFile"
	case "env", "envs", "environments", "environmentvariable":
		key = "Environment"
	case "port", "ports":
		key = "PublishPort"
	case "volumes", "bind", "binds":
		key = "Volume"
	case "networks", "networkmode":
		key = "Network"
	case "command", "cmd", "args":
		key = "Exec"
	case "init":
		key = "RunInit"
	case "devices":
		key = "AddDevice"
	case "extrahosts":
		key = "AddHost"
	case "capadd", "capabilities":
		key = "AddCapability"
	case "capdrop":
		key = "DropCapability"
	case "healthcheck":
		key = "HealthCmd"
	case "privileged", "tty", "interactive":
		if s.Name == "Container" {
			return "PodmanArgs=--" + strings.ToLower(name) + " does it; AddCapability=, AddDevice= and SecurityLabelDisable= give single rights"
		}
	case "external":
		return "leave the file out: a volume or network that exists is used by its name, as Volume=NAME:/data or Network=NAME"
	case "cpushares", "cpuweights":
		return "CPUWeight= in [Service] does it (100 is the default), or PodmanArgs=--cpu-shares=N (1024 is the default)"
	case "cpus", "cpu", "cpulimit":
		return "CPUQuota=150% in [Service] is one and a half cores, or PodmanArgs=--cpus=1.5"
	case "memoryswap", "memswaplimit":
		return "MemorySwapMax= in [Service] does it, or PodmanArgs=--memory-swap=SIZE together with Memory="
	case "memorylimit", "memlimit":
		key = "Memory"
	case "dependson":
		return "Requires= and After= in [Unit] do it; they take the names of unit files, as db.container"
	case "restartpolicy":
		return "Restart= in [Service] does it"
	case "gpus", "gpu":
		return "AddDevice=nvidia.com/gpu=all does it"
	case "detach", "rm", "remove", "replace":
		if s.Name == "Container" {
			return "leave it out: every service does so"
		}
	}
	if key == "" || s.Key(key) == nil {
		return ""
	}
	return "the key is " + key + "="
}

// FlagHint answers people who write a runner's flag where a key belongs.
func FlagHint(name string, s *keys.Section) (string, bool) {
	flag := "--" + strings.TrimLeft(strings.ToLower(name), "-")
	for i := range s.Keys {
		if f := strings.TrimSuffix(s.Keys[i].Flag, "="); f != "" && (f == flag || strings.ReplaceAll(f, "-", "") == "--"+strings.TrimLeft(flag, "-")) {
			return "the key for " + f + " is " + s.Keys[i].Name + "=", true
		}
	}
	if strings.HasPrefix(name, "-") {
		return "flags of the runner go into PodmanArgs=", true
	}
	return "", false
}

// systemdSection tells in which section systemd has a key that people put into a Quadlet section by
// mistake.
func systemdSection(key string) string {
	switch key {
	case "Type", "Restart", "RestartSec", "RestartSteps", "RestartMaxDelaySec", "TimeoutSec", "TimeoutStartSec", "TimeoutStopSec", "TimeoutAbortSec", "RuntimeMaxSec",
		"ExecStart", "ExecStartPre", "ExecStartPost", "ExecCondition", "ExecStop", "ExecStopPost", "ExecReload", "RemainAfterExit", "SuccessExitStatus",
		"RestartPreventExitStatus", "RestartForceExitStatus", "KillMode", "KillSignal", "SendSIGKILL", "Delegate", "Slice", "NotifyAccess", "WatchdogSec",
		"WorkingDirectory", "RuntimeDirectory", "StateDirectory", "CacheDirectory", "LogsDirectory", "UMask", "Nice", "OOMScoreAdjust", "OOMPolicy",
		"CPUQuota", "CPUWeight", "AllowedCPUs", "MemoryMax", "MemoryHigh", "MemoryMin", "MemoryLow", "MemorySwapMax", "TasksMax", "IOWeight",
		"IOReadBandwidthMax", "IOWriteBandwidthMax", "IPAddressAllow", "IPAddressDeny", "StandardInput", "StandardOutput", "StandardError", "SyslogIdentifier",
		"LogExtraFields", "LogRateLimitIntervalSec", "LogRateLimitBurst", "LimitNOFILE", "LimitNPROC", "LimitMEMLOCK", "LimitCORE", "PassEnvironment",
		"LoadCredential", "LoadCredentialEncrypted", "SetCredential", "ImportCredential", "PrivateTmp", "ProtectSystem", "ProtectHome", "DynamicUser":
		return "Service"
	case "Description", "Documentation", "After", "Before", "Requires", "Wants", "BindsTo", "PartOf", "Conflicts", "OnFailure",
		"OnSuccess", "Requisite", "Upholds", "StartLimitBurst", "StartLimitInterval", "StartLimitIntervalSec", "StartLimitAction", "RequiresMountsFor",
		"ConditionPathExists", "AssertPathExists", "StopWhenUnneeded", "RefuseManualStart", "JoinsNamespaceOf":
		return "Unit"
	case "WantedBy", "RequiredBy", "UpheldBy", "Alias", "DefaultInstance", "Also":
		return "Install"
	}
	return ""
}

func (u *Unit) serviceName() string {
	def := u.Stem + u.Type.Suffix
	if u.Template() && u.Type.Suffix != "" {
		def = u.Prefix + u.Type.Suffix + "@"
	}
	l := u.Last("ServiceName")
	if l == nil {
		if p := specifier.Problem(def + ".service"); p != "" {
			u.Fault("unit-name", "the name of the service, "+strconv.Quote(def+".service")+", "+p, "rename the file, or set ServiceName=")
		}
		return def
	}
	name := unquote(l.Value)
	if p := specifier.Problem(name + ".service"); p != "" {
		hint := ""
		if strings.ContainsRune(name, '%') {
			hint = "specifiers are not expanded in names of units"
		}
		u.FaultAt(l, "unit-name", "ServiceName= "+p, hint)
		return def
	}
	if stem, ok := strings.CutSuffix(name, ".service"); ok {
		u.Warn(l, 0, "service-suffix", "ServiceName="+name+" names the service "+name+".service", "write ServiceName="+stem)
	}
	return name
}

// resourceName is what the unit's container, pod, volume, network, image or artifact is called.
func (u *Unit) resourceName() string {
	pick := func(key, def string) string {
		if v := u.Str(key); v != "" {
			u.Named = u.Last(key)
			return v
		}
		return def
	}
	switch u.Type.Name {
	case "Container":
		if u.At {
			return pick("ContainerName", "systemd-%p_%i")
		}
		return pick("ContainerName", "systemd-%N")
	case "Pod":
		return pick("PodName", "systemd-"+u.Stem)
	case "Volume":
		return pick("VolumeName", u.instanced())
	case "Network":
		return pick("NetworkName", u.instanced())
	case "Image":
		return pick("ImageTag", pick("Image", ""))
	case "Build":
		if tags := u.List("ImageTag"); len(tags) > 0 {
			u.Named = tags[0].Line
			return tags[0].Text
		}
	case "Artifact":
		return pick("Artifact", "")
	}
	return ""
}

// instanced is the default name of a volume or network. An instance with a file of its own is
// called like the one that the template would make. It cannot say %i: its service is
// x@y-volume.service, whose instance is y-volume.
func (u *Unit) instanced() string {
	switch {
	case u.Template():
		return "systemd-" + u.Prefix + "-%i"
	case u.At:
		return "systemd-" + u.Prefix + "-" + u.Instance
	}
	return "systemd-" + u.Stem
}

// PodFile is the value of Pod=. The name of the unit's own service may stand in it, so that a file
// and its pod can be copied together: Pod=%N.pod.
func (u *Unit) PodFile() string { return strings.ReplaceAll(u.Str("Pod"), "%N", u.Service) }

// Last is the last assignment to a key of the type's section, nil if there is none.
func (u *Unit) Last(key string) *unitfile.Line {
	if u.has != nil {
		if _, ok := u.has[key]; !ok {
			return nil
		}
	}
	return u.Group.Last(key)
}

// Lines are the assignments to a key that count: those after the last empty one.
func (u *Unit) Lines(key string) []*unitfile.Line {
	if u.has != nil {
		if _, ok := u.has[key]; !ok {
			return nil
		}
	}
	return counting(u.Group, key)
}

// counting lists the assignments to key that stand after the last empty one.
func counting(g *unitfile.Group, key string) []*unitfile.Line {
	all := g.All(key)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Value == "" {
			return all[i+1:]
		}
	}
	return all
}

// unquote strips one pair of double quotes around the whole value.
func unquote(v string) string {
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		return v[1 : len(v)-1]
	}
	return v
}

// StrOK is the last value of a String or StringEmpty key; ok tells whether the key is there at all.
func (u *Unit) StrOK(key string) (value string, ok bool) {
	l := u.Last(key)
	if l == nil {
		return "", false
	}
	return unquote(l.Value), true
}

// Str is the last value of a String key, "" when it is unset.
func (u *Unit) Str(key string) string {
	v, _ := u.StrOK(key)
	return v
}

// BoolOK is the last value of a Bool or Switch key; ok tells whether the key is there at all.
func (u *Unit) BoolOK(key string) (value, ok bool) {
	v, ok := u.StrOK(key)
	return ok && Truth(v), ok
}

// Truth is true for 1, yes, true and on, in any case. Everything else is false.
func Truth(v string) bool {
	switch strings.ToLower(v) {
	case "1", "yes", "true", "on":
		return true
	}
	return false
}

// Switch is the last value of a Switch key.
func (u *Unit) Switch(key string) bool {
	v, _ := u.BoolOK(key)
	return v
}

// WordOf is a word together with the line it stands on.
type WordOf struct {
	unitfile.Word
	Line *unitfile.Line
}

// Whole is the value of a line as one word; text is the value as it is read, without quotes.
func Whole(l *unitfile.Line, text string) WordOf {
	return WordOf{unitfile.Word{Text: text, End: len(l.Value)}, l}
}

// Saying is another text that comes from the same place as w.
func (w WordOf) Saying(text string) WordOf {
	w.Text = text
	return w
}

// List is all values of a List key.
func (u *Unit) List(key string) []WordOf {
	lines := u.Lines(key)
	out := make([]WordOf, len(lines))
	for i, l := range lines {
		out[i] = Whole(l, l.Value)
	}
	return out
}

// Words is all words of a Words key. An occurrence whose quotes are unbalanced is left out with a
// warning.
func (u *Unit) Words(key string) []WordOf { return u.words(u.Lines(key), unitfile.SplitWords) }

// Args is all words of an Args key. An occurrence with an unknown escape is left out with a warning.
func (u *Unit) Args(key string) []WordOf { return u.words(u.Lines(key), unitfile.SplitArgs) }

func (u *Unit) words(lines []*unitfile.Line, split func(string) ([]unitfile.Word, error)) []WordOf {
	var out []WordOf
	for _, l := range lines {
		words, err := split(l.Value)
		if err != nil {
			u.badWords(l, err)
			continue
		}
		for _, w := range words {
			out = append(out, WordOf{w, l})
		}
	}
	return out
}

func (u *Unit) badWords(l *unitfile.Line, err error) {
	if u.warnings >= maxReports {
		return
	}
	off, hint := 0, "close the quote"
	var e *unitfile.SplitError
	if errors.As(err, &e) {
		off = e.Off
	}
	if errors.Is(err, unitfile.ErrEscape) {
		hint = `write \\ for a backslash that is meant`
	}
	// The same line is split once to check and once to convert; it is complained about once.
	pos := l.ValuePos(off)
	for i := range u.Report {
		if u.Report[i].Code == "bad-words" && u.Report[i].Pos == pos {
			return
		}
	}
	u.Warn(l, off, "bad-words", l.Key+"= is ignored: "+err.Error(), hint)
}

// Command is the words of a Command key; ok is false when it is absent, or ignored for an unknown
// escape.
func (u *Unit) Command(key string) (words []WordOf, ok bool) {
	l := u.Last(key)
	if l == nil {
		return nil, false
	}
	split, err := unitfile.SplitArgs(l.Value)
	if err != nil {
		u.badWords(l, err)
		return nil, false
	}
	words = make([]WordOf, len(split))
	for i, w := range split {
		words[i] = WordOf{w, l}
	}
	return words, true
}

// Env is the words of an Env key, NAME=VALUE or NAME, one a name and sorted by it.
func (u *Unit) Env(key string) []WordOf {
	words := u.Args(key)
	if len(words) == 0 {
		return nil
	}
	name := func(w WordOf) string {
		before, _, _ := strings.Cut(w.Text, "=")
		return before
	}
	byName := make(map[string]int, len(words))
	out := words[:0]
	for _, w := range words {
		if i, ok := byName[name(w)]; ok {
			out[i] = w
			continue
		}
		byName[name(w)] = len(out)
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b WordOf) int { return strings.Compare(name(a), name(b)) })
	return out
}

// Number is the last value of a Number key. What is no number from 0 to 4294967295 counts as 0, as
// it always did, but not without a warning.
func (u *Unit) Number(key string) (value uint32, ok bool) {
	l := u.Last(key)
	if l == nil {
		return 0, false
	}
	text := strings.TrimPrefix(unquote(l.Value), "+")
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil || strings.ContainsRune(text, '_') || strings.HasPrefix(text, "0b") || strings.HasPrefix(text, "0o") {
		hint := "write a whole number from 0 to 4294967295, without a unit"
		if key == "User" || key == "Group" {
			hint = "names are not looked up here; write the numeric id"
		}
		u.Warn(l, 0, "not-a-number", key+"="+l.Value+" is not a number, 0 is used", hint)
		return 0, true
	}
	return uint32(n), true
}

// ServiceKey is the last assignment to a key in [Service]; ok tells whether it is there.
func (u *Unit) ServiceKey(key string) (*unitfile.Line, bool) {
	l := u.File.Group("Service").Last(key)
	return l, l != nil
}

// Install is the words of a key in [Install].
func (u *Unit) Install(key string) []WordOf {
	return u.words(counting(u.File.Group("Install"), key), unitfile.SplitWords)
}

// UnitWords is the words of a key in [Unit].
func (u *Unit) UnitWords(key string) []WordOf {
	return u.words(counting(u.File.Group("Unit"), key), unitfile.SplitWords)
}

// DefaultDependencies is what [Quadlet] says about ordering after the network, true by default.
func (u *Unit) DefaultDependencies() bool {
	l := u.File.Group("Quadlet").Last("DefaultDependencies")
	return l == nil || Truth(unquote(l.Value))
}
