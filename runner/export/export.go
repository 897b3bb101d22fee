// SPDX-License-Identifier: Apache-2.0

// Package export writes what runs as files: Quadlet's, or plain services. What was made by a command
// line becomes the unit of that command line; what kube play made becomes the unit that plays its
// YAML. The package reads no disk and asks no manager.
package export

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/pflag"
)

// File is a file to write.
type File struct {
	Name string // without a directory
	Text string
	Mode fs.FileMode
}

// Container is a container as a shell made it.
type Container struct {
	Name string
	// Args is the command line that made it, with the program's name.
	Args []string
	// StopTimeout is the time between the stop signal and KILL, in seconds.
	StopTimeout uint
}

// Pod is a pod as a shell made it.
type Pod struct {
	Name       string
	Args       []string // the command line of pod create, with the program's name
	PIDFile    string   // where the number of its first process is while it runs
	Containers []Container
}

// Play is what kube play has made.
type Play struct {
	Name string // of its pod
	YAML []byte
}

// said is one flag of a command line, by its long name.
type said struct {
	name, value string
	yesno       bool
}

// paths are flags whose value may be a path that begins where the command was given.
var paths = []string{"volume", "env-file", "label-file", "rootfs"}

// line is a command line, read.
type line struct {
	flags []said
	rest  []string // the image and its command; the name of a pod
}

// read reads the flags of a command line that somebody gave.
func read(args []string, verb string, register func(*pflag.FlagSet)) (line, error) {
	var l line
	i := slices.Index(args, verb)
	if i < 0 && verb == "run" {
		i = slices.Index(args, "create")
	}
	if i < 0 {
		return l, errors.New("no create command found")
	}
	set := pflag.NewFlagSet(verb, pflag.ContinueOnError)
	register(set)
	set.SetInterspersed(verb != "run")
	err := set.ParseAll(args[i+1:], func(f *pflag.Flag, value string) error {
		if value == spec.Redacted {
			return fmt.Errorf("--%s was a secret, and is not kept", f.Name)
		}
		if strings.HasPrefix(value, ".") && slices.Contains(paths, f.Name) {
			return fmt.Errorf("--%s=%s is relative to the directory of that command, which is not kept", f.Name, value)
		}
		l.flags = append(l.flags, said{f.Name, value, f.Value.Type() == "bool"})
		return nil
	})
	l.rest = set.Args()
	return l, err
}

func readContainer(c Container) (line, error) {
	l, err := read(c.Args, "run", func(fs *pflag.FlagSet) { spec.ContainerFlags(fs) })
	if err == nil && len(l.rest) == 0 {
		err = errors.New("no create command found")
	}
	if err != nil {
		return l, fmt.Errorf("container %s: %w", c.Name, err)
	}
	return l, nil
}

func readPod(p Pod) (line, error) {
	l, err := read(p.Args, "create", func(fs *pflag.FlagSet) { spec.PodFlags(fs) })
	if err != nil {
		return l, fmt.Errorf("pod %s: %w", p.Name, err)
	}
	return l, nil
}

// without leaves flags out.
func (l line) without(names ...string) line {
	l.flags = slices.DeleteFunc(slices.Clone(l.flags), func(s said) bool { return slices.Contains(names, s.name) })
	return l
}

// last is the value of a flag, and whether it was given.
func (l line) last(name string) (string, bool) {
	for _, s := range slices.Backward(l.flags) {
		if s.name == name {
			return s.value, true
		}
	}
	return "", false
}

// word is a flag as one word.
func (s said) word() string {
	if s.yesno && s.value == "true" {
		return "--" + s.name
	}
	return "--" + s.name + "=" + s.value
}

// restart is systemd's word for a restart policy, and the number of tries, empty for no limit.
func restart(policy string) (word, tries string) {
	name, tries, _ := strings.Cut(policy, ":")
	switch name {
	case "", "no", "never":
		return "no", ""
	case "unless-stopped":
		return "always", tries
	}
	return name, tries
}

// base is the file of a name, which may not have a directory.
func base(name string) string { return path.Base(name) }
