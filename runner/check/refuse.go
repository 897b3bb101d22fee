// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strconv"
	"strings"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/unitfile"
)

// Refusal is what the runner says against one flag of a command.
type Refusal struct {
	Flag    string // with its dashes; empty when it is not about one
	Value   string // what was given, as far as it is known
	Message string
	Hint    string
	// Later tells that a later runner takes it: nothing is wrong with the file.
	Later bool
}

// Refuse gives the runner's own judgement of the flags that it gets when a unit starts; section tells the type of the
// unit. It is nil, or returns nothing, for what it does not judge.
type Refuse func(section string, flags []string) []Refusal

// refused reports what the runner would refuse when the unit starts, each at the key that the flag comes from.
func (c *checker) refused(u *quadlet.Unit, text []byte) {
	if c.Refuse == nil {
		return
	}
	flags := mainCommand(u, text)
	if text == nil {
		flags = plainFlags(u)
	}
	if flags == nil {
		return
	}
	list := c.Refuse(u.Type.Name, flags)
	for _, r := range list[:min(len(list), maxSaid)] {
		if open(r.Value) {
			continue
		}
		v, severity := blame(u, r), report.Error
		if r.Later {
			severity = report.Warning
		}
		if v.line == nil {
			if c.said[u]++; c.said[u] <= maxSaid {
				c.more = append(c.more, report.Diagnostic{
					Severity: severity, Code: "refused", Unit: u.Base, Pos: report.Position{File: u.Path, Line: 1, Col: 1}, Message: r.Message, Hint: r.Hint,
				})
			}
			continue
		}
		pos := v.line.ValuePos(v.off)
		said := false
		for _, d := range c.more {
			said = said || d.Severity == report.Error && d.Pos == pos
		}
		if !said {
			c.add(severity, u, v.line, v.off, v.wide, "refused", v.line.Key+"="+v.text+" is refused by the runner: "+r.Message, r.Hint)
		}
	}
}

// mainCommand is what follows the verb in the command that makes the container or the pod.
func mainCommand(u *quadlet.Unit, text []byte) []string {
	key, verb, first := "ExecStart", "run", "--name"
	switch u.Type.Name {
	case "Container":
	case "Pod":
		key, verb, first = "ExecStartPre", "create", "--infra-conmon-pidfile="
	default:
		return nil
	}
	f, _ := unitfile.Parse("", text)
	l := f.Group("Service").Last(key) // the user's own come before it
	if l == nil {
		return nil
	}
	words, err := unitfile.SplitArgs(l.Value)
	if err != nil {
		return nil
	}
	texts := unitfile.Texts(words)
	for i := 1; i < len(texts); i++ { // GlobalArgs= may hold anything
		if texts[i-1] == verb && strings.HasPrefix(texts[i], first) {
			return texts[i:]
		}
	}
	return nil
}

// plainFlags is what can be said of the command of a unit that has another error, and so no command: the keys that
// become a flag as they are.
func plainFlags(u *quadlet.Unit) []string {
	if u.Type.Name != "Container" && u.Type.Name != "Pod" {
		return nil
	}
	flags := []string{"--name", "x"}
	for i := range u.Type.Keys {
		k := &u.Type.Keys[i]
		if k.Flag == "" || k.Kind == keys.Bool || u.Last(k.Name) == nil {
			continue
		}
		for _, v := range each(u, k) {
			if v.text != "" || k.Kind == keys.StringEmpty {
				flags = append(flags, strings.TrimSuffix(k.Flag, "=")+"="+v.text)
			}
		}
	}
	if u.Type.Name == "Container" {
		flags = append(flags, "x")
	}
	return flags
}

// blame finds the value that a flag comes from; its line is nil when no key stands for the flag.
func blame(u *quadlet.Unit, r Refusal) value {
	var near value
	best := -1
	for i := range u.Type.Keys {
		k := &u.Type.Keys[i]
		flag := flagOf(k)
		if flag == "" || r.Flag != "" && flag != r.Flag || u.Last(k.Name) == nil {
			continue
		}
		if flag == "--security-opt" && !strings.HasPrefix(r.Value, securityOption(k.Name)) {
			continue
		}
		for _, v := range each(u, k) {
			if r.Flag == "" {
				if strings.Contains(r.Message, strconv.Quote(v.text)) {
					return v
				}
				continue
			}
			if v.text == r.Value {
				return v
			}
			// The beginning may have been rewritten: a path made absolute, a name put before it.
			if n := commonEnd(v.text, r.Value); n > best {
				near, best = v, n
			}
		}
	}
	if near.line != nil {
		return near
	}
	for _, w := range u.Args("PodmanArgs") {
		if name, _, _ := strings.Cut(w.Text, "="); name == r.Flag && r.Flag != "" {
			return value{w.Text, w.Line, w.Off, w.End - w.Off}
		}
	}
	return near
}

// commonEnd is how many bytes at their ends two texts have in common.
func commonEnd(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// securityOption is how the value of --security-opt begins that a key becomes.
func securityOption(key string) string {
	switch key {
	case "AppArmor", "Mask", "Unmask":
		return strings.ToLower(key) + "="
	case "NoNewPrivileges":
		return "no-new-privileges"
	case "SeccompProfile":
		return "seccomp="
	}
	return "label="
}

// flagOf is the flag of the runner that a key becomes, also where it takes more than a row of the table to make it.
func flagOf(k *keys.Key) string {
	if k.Flag != "" {
		return strings.TrimSuffix(k.Flag, "=")
	}
	switch k.Name {
	case "AddDevice":
		return "--device"
	case "AutoUpdate":
		return "--label"
	case "CgroupsMode":
		return "--cgroups"
	case "ContainerName", "PodName":
		return "--name"
	case "EnvironmentFile":
		return "--env-file"
	case "ExitPolicy":
		return "--exit-policy"
	case "ExposeHostPort":
		return "--expose"
	case "Mount", "Network", "Pod", "Rootfs", "Volume", "User":
		return "--" + strings.ToLower(k.Name)
	case "Group":
		return "--user"
	case "Notify":
		return "--sdnotify"
	case "RemapUsers":
		return "--userns"
	case "AppArmor", "Mask", "NoNewPrivileges", "SeccompProfile", "SecurityLabelDisable", "SecurityLabelFileType", "SecurityLabelLevel",
		"SecurityLabelNested", "SecurityLabelType", "Unmask":
		return "--security-opt"
	}
	return ""
}
