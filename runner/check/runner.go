// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/podunit/podunit/generator/spelling"
	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/volume"
	"github.com/spf13/pflag"
	"go.podman.io/common/pkg/capabilities"
	"golang.org/x/sys/unix"
)

// Verbs finds the verb that a command begins with. It returns all flags that the verb takes, the
// global ones included, and how many words name it. The error says that the runner does not have
// the verb. Of no words it returns the global flags.
type Verbs func(words []string) (flags *pflag.FlagSet, named int, err error)

// refusal is what the runner says against a command.
type refusal struct {
	words   []int // the words it is about, the likeliest first; they count from 0
	message string
	hint    string
	here    bool // it depends on the machine
	value   string
}

// about makes o what the refusal is about.
func (r *refusal) about(o occurrence) {
	r.words = []int{o.at}
	if f, ok := o.flag.Value.(interface{ Takes() string }); !ok || f.Takes() != "" { // else it is refused with any value
		r.value = o.value
	}
	if near := nearest(o); near != "" {
		r.hint = "did you mean " + near + "?"
	}
}

// nearest is the name that was probably meant, for flags whose values have names.
func nearest(o occurrence) string {
	switch o.flag.Name {
	case "stop-signal", "signal":
		var known []string
		for n := syscall.Signal(1); n < 32; n++ {
			known = append(known, unix.SignalName(n))
		}
		return spelling.Nearest("SIG"+strings.TrimPrefix(strings.ToUpper(o.value), "SIG"), known)
	case "cap-add", "cap-drop":
		for one := range strings.SplitSeq(strings.ToUpper(o.value), ",") {
			one = "CAP_" + strings.TrimPrefix(one, "CAP_")
			if known := capabilities.AllCapabilities(); one != "CAP_ALL" && !slices.Contains(known, one) {
				return spelling.Nearest(one, known)
			}
		}
	}
	return ""
}

// judge knows what the runner would refuse.
type judge struct {
	verbs    Verbs // nil: no verb but run and pod create is judged
	files    spec.Host
	limits   map[string]bundle.Rlimit // of what runs the units; nil when they are unknown
	rootless bool
}

// command judges the words of a command, without the program. The first of the verb is words[verb];
// global flags stand before it.
func (j judge) command(words []string, verb int) []refusal {
	set, named, err := j.find(words[verb:])
	if err != nil {
		return append(j.withoutVerb(words), refusal{message: err.Error()})
	}
	if set == nil {
		return j.withoutVerb(words)
	}
	name := strings.Join(words[verb:verb+named], " ")
	global, apart := j.globals(words[:verb])
	// Flags may stand on both sides of the verb.
	index := make([]int, 0, len(words))
	for i := range words {
		if i < verb && !apart || i >= verb+named {
			index = append(index, i)
		}
	}
	rest := make([]string, len(index))
	for i, at := range index {
		rest[i] = words[at]
	}
	before := slices.IndexFunc(index, func(at int) bool { return at >= verb }) // how many words of rest stand before the verb
	if before < 0 {
		before = len(rest)
	}
	if _, operands, bad := occurrences(set, rest[:before], false); len(bad) == 0 && len(operands) > 0 {
		return []refusal{{words: []int{before - len(operands)}, message: strconv.Quote(operands[0]) + " stands where only global flags can"}}
	}
	var out []refusal
	switch name {
	case "run":
		out = j.made(rest, set, j.container)
	case "pod create":
		out = j.made(rest, set, j.pod)
	default:
		out = j.plain(name, rest, set)
	}
	for _, r := range out {
		for i, at := range r.words {
			r.words[i] = index[at]
		}
	}
	return slices.Concat(global, out)
}

// globals judges what stands before the verb as global flags, of which a verb may have others of
// the same name, and reports whether it is nothing else.
func (j judge) globals(words []string) (out []refusal, apart bool) {
	if j.verbs == nil || len(words) == 0 {
		return nil, false
	}
	set, _, err := j.verbs(nil)
	if err != nil {
		return nil, false
	}
	list, operands, bad := occurrences(set, words, false)
	if len(bad) > 0 || len(operands) > 0 {
		return nil, false
	}
	for _, o := range list {
		if err := o.flag.Value.Set(o.value); err != nil && !open(o.value) {
			r := said(err)
			r.about(o)
			out = append(out, r)
		}
	}
	return out, true
}

// find is Verbs, and does without it for the two verbs that make containers and pods.
func (j judge) find(words []string) (*pflag.FlagSet, int, error) {
	if j.verbs != nil {
		return j.verbs(words)
	}
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	switch {
	case len(words) > 0 && words[0] == "run":
		spec.ContainerFlags(set)
		return set, 1, nil
	case len(words) > 1 && words[0] == "pod" && words[1] == "create":
		spec.PodFlags(set)
		return set, 2, nil
	}
	return nil, 0, nil // nothing is known about any other
}

// occurrence is a flag in a command.
type occurrence struct {
	flag  *pflag.Flag
	value string
	at    int // the word with the flag
}

// occurrences takes the flags of a command apart, as pflag does. With mixed, flags may follow
// operands. After a flag that nobody knows it gives up: the next word may be its value or not.
func occurrences(set *pflag.FlagSet, words []string, mixed bool) (list []occurrence, operands []string, bad []refusal) {
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "--":
			return list, append(operands, words[i+1:]...), nil
		case len(w) < 2 || w[0] != '-':
			if !mixed {
				return list, words[i:], nil
			}
			operands = append(operands, w)
			continue
		}
		at := i
		for name, rest := flagName(w); name != ""; {
			f := set.Lookup(name)
			short := !strings.HasPrefix(w, "--")
			if short {
				f = set.ShorthandLookup(name)
			}
			if f == nil {
				return list, nil, []refusal{{words: []int{at}, message: spec.FlagError(set, set.Parse([]string{w})).Error()}}
			}
			value, given := strings.CutPrefix(rest, "=")
			next := ""
			switch {
			case given:
			case f.NoOptDefVal != "":
				value = f.NoOptDefVal
				if short && rest != "" {
					next, rest = rest[:1], rest[1:]
				}
			case rest != "":
				value = rest
			case i+1 == len(words):
				return list, nil, []refusal{{words: []int{at}, message: "flag needs an argument: " + w}}
			default:
				i++
				value = words[i]
			}
			list = append(list, occurrence{f, value, at})
			name = next
		}
	}
	return list, operands, nil
}

// flagName is the name of the first flag in a word, and what follows it.
func flagName(word string) (name, rest string) {
	if long, ok := strings.CutPrefix(word, "--"); ok {
		if i := strings.IndexByte(long, '='); i >= 0 {
			return long[:i], long[i:]
		}
		return long, ""
	}
	return word[1:2], word[2:]
}

// container judges flags of run as that verb would, and then what it would find out at the start.
func (j judge) container(list []occurrence, operands []string) spec.Faults {
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	flags := spec.ContainerFlags(set)
	c, err := flags.Container(operands, j.given(set, list))
	faults := all(err)
	if c == nil {
		return faults
	}
	if c.MaxRun > 0 { // see service.Prepare
		faults = append(faults, errors.New("--timeout: a unit says itself how long it may run: RuntimeMaxSec= in its [Service] section"))
	}
	faults = append(faults, atStart(c)...)
	for _, err := range bundle.Refused(c, j.rootless, nil) {
		faults = append(faults, err)
	}
	for _, m := range c.Mounts {
		if _, err := volume.OfMount(m, j.rootless); err != nil {
			faults = append(faults, err)
		}
	}
	if j.limits != nil {
		for _, err := range bundle.Refused(c, j.rootless, j.limits) {
			if !slices.ContainsFunc(faults, func(f error) bool { return f.Error() == err.Error() }) {
				faults = append(faults, onMachine{err})
			}
		}
	}
	return faults
}

// pod judges flags of pod create.
func (j judge) pod(list []occurrence, operands []string) spec.Faults {
	set := pflag.NewFlagSet("create", pflag.ContinueOnError)
	flags := spec.PodFlags(set)
	_, err := flags.Pod(operands, j.given(set, list))
	return all(err)
}

// atStart is what a start would find out of a container that contradicts itself nowhere.
func atStart(c *spec.Container) (faults spec.Faults) {
	if c.Cgroups == "disabled" { // see service.Launch
		faults = append(faults, errors.New("--cgroups=disabled: the OCI runtime always makes a cgroup; leave it out"))
	}
	if c.Pod != "" && c.Hostname != "" && c.UTSNS.Mode == "" { // a pod may share less than it does by itself
		faults = append(faults, onMachine{errors.New("--hostname: the pod has one host name for all in it, unless it shares fewer namespaces: HostName= of the .pod file, or PodmanArgs=--uts=private here")})
	}
	none := len(c.Networks) == 1 && c.Networks[0].Mode == "none"
	if none && slices.ContainsFunc(c.AddHosts, func(h spec.HostEntry) bool { return h.Gateway }) {
		faults = append(faults, errors.New("--add-host with host-gateway: without a network there is no way to the host"))
	}
	return faults
}

// onMachine is an error that another machine may not have.
type onMachine struct{ error }

func (o onMachine) Unwrap() error { return o.error }

// given sets flags, and returns what they draw from their surroundings.
func (j judge) given(set *pflag.FlagSet, list []occurrence) spec.Host {
	for _, o := range list {
		if f := set.Lookup(o.flag.Name); f != nil {
			_ = f.Value.Set(o.value) // spec's flags take every value and judge them together
		}
	}
	return j.files
}

func all(err error) spec.Faults {
	var list spec.Faults
	if err != nil && !errors.As(err, &list) {
		list = spec.Faults{err}
	}
	return list
}

// made judges a command that makes a container or a pod. It finds the flag that a fault is about by
// judging each flag alone: the one that has the same fault is it.
func (j judge) made(words []string, set *pflag.FlagSet, verb func([]occurrence, []string) spec.Faults) []refusal {
	list, operands, bad := occurrences(set, words, set.Lookup("infra") != nil)
	if len(bad) > 0 {
		return bad
	}
	own := pflag.NewFlagSet("own", pflag.ContinueOnError)
	if set.Lookup("infra") != nil {
		spec.PodFlags(own)
	} else {
		spec.ContainerFlags(own)
	}
	var out []refusal
	for _, o := range list {
		if own.Lookup(o.flag.Name) != nil {
			continue
		}
		if err := o.flag.Value.Set(o.value); err != nil { // one for all verbs
			r := said(err)
			r.about(o)
			out = append(out, r)
		}
	}
	faults := verb(list, operands)
	if len(faults) == 0 {
		return slices.DeleteFunc(out, func(r refusal) bool { return open(r.value) })
	}
	alone := make([]spec.Faults, len(list))
	for i, o := range list {
		var operand []string
		if len(operands) > 0 {
			operand = []string{"x"}
			if o.flag.Name == "rootfs" {
				operand = operands[:1] // it is what the flag is about
			}
		}
		alone[i] = verb([]occurrence{o}, operand)
	}
	for _, err := range faults {
		r := said(err)
		// Of a flag that counts once the last one is judged, so the last one is looked at first.
		for i := len(list) - 1; i >= 0 && len(r.words) == 0; i-- {
			if k := slices.IndexFunc(alone[i], func(f error) bool { return f.Error() == err.Error() }); k >= 0 {
				r.about(list[i])
				alone[i] = slices.Delete(alone[i], k, k+1)
			}
		}
		if len(r.words) == 0 {
			r.words = mentioned(r.message, list)
		}
		out = append(out, r)
	}
	out = slices.DeleteFunc(out, func(r refusal) bool { return open(r.value) })
	return out
}

// mentioned lists the flags that a message names, in the order of the message.
func mentioned(message string, list []occurrence) []int {
	var out []int
	for _, name := range regexp.MustCompile(`--[a-z][a-z-]*`).FindAllString(message, -1) {
		for _, o := range list {
			if "--"+o.flag.Name == name {
				out = append(out, o.at)
			}
		}
	}
	return out
}

// said is a fault as it is told of a key.
func said(err error) refusal {
	r := refusal{message: err.Error()}
	var no *spec.Unsupported
	if errors.As(err, &no) {
		r.hint = no.Way
	}
	var here onMachine
	r.here = errors.As(err, &here)
	var f *spec.Fault
	if errors.As(err, &f) {
		r.message = f.Err.Error()
		if f.Form != "" {
			r.hint = "expected is " + f.Form
			if f.Example != "" {
				r.hint += ", as " + f.Example
			}
		}
	}
	return r
}

// runsOwn is the flag of run that has the grammar of a flag of other verbs, empty if there is none.
func runsOwn(flag string) string {
	switch flag {
	case "annotation", "dns", "dns-option", "dns-search", "env", "gidmap", "label", "publish", "retry", "retry-delay", "uidmap", "userns", "volume":
		return flag
	case "signal":
		return "stop-signal"
	}
	return ""
}

// plain judges any other command: its flags by their types, and those that run has too by the
// grammar of run.
func (j judge) plain(verb string, words []string, set *pflag.FlagSet) []refusal {
	list, _, bad := occurrences(set, words, verb != "exec")
	out := bad
	for _, o := range list {
		var err error
		switch {
		case verb == "volume create" && o.flag.Name == "driver":
			err = volume.CheckDriver(o.value)
		case verb == "volume create" && o.flag.Name == "opt":
			var v volume.Options
			name, value, _ := strings.Cut(o.value, "=")
			err = v.Read(map[string]string{name: value})
		default:
			if err = j.alike(o.flag.Name, o.value); err == nil {
				err = o.flag.Value.Set(o.value)
			}
		}
		if err != nil {
			r := said(err)
			r.about(o)
			out = append(out, r)
		}
	}
	if verb == "volume create" && len(out) == 0 {
		out = j.volume(list)
	}
	return slices.DeleteFunc(out, func(r refusal) bool { return open(r.value) })
}

// volume judges the options of a volume together.
func (j judge) volume(list []occurrence) []refusal {
	driver, given := volume.DriverLocal, map[string]string{}
	var options []occurrence
	for _, o := range list {
		switch o.flag.Name {
		case "driver":
			driver = o.value
		case "opt":
			name, value, _ := strings.Cut(o.value, "=")
			given[name] = value
			options = append(options, o)
		}
	}
	var v volume.Options
	if err := errors.Join(v.Read(given), v.Check(driver, j.rootless)); err != nil {
		r := said(err)
		if len(options) > 0 {
			r.about(options[0])
		}
		return []refusal{r}
	}
	return nil
}

// alike judges a flag that run has too.
func (j judge) alike(flag, value string) error {
	own := runsOwn(flag)
	if own == "" {
		return nil
	}
	faults := j.container([]occurrence{{flag: &pflag.Flag{Name: own}, value: value}}, []string{"x"})
	if len(faults) == 0 {
		return nil
	}
	return faults[0]
}

// withoutVerb judges what can be told of a command whose verb the runner does not have: the flags
// that run has too.
func (j judge) withoutVerb(words []string) []refusal {
	var out []refusal
	for i, w := range words {
		name, value, given := strings.Cut(strings.TrimPrefix(w, "--"), "=")
		if w == "-v" && i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
			name = "volume"
		} else if !strings.HasPrefix(w, "--") {
			continue
		}
		if !given {
			if i+1 == len(words) {
				continue
			}
			value = words[i+1]
		}
		if err := j.alike(name, value); err != nil && !open(value) {
			r := said(err)
			r.words = []int{i}
			out = append(out, r)
		}
	}
	return out
}
