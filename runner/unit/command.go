// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/podunit/podunit/runner/safe"
)

// Command is what a service executes at its start.
type Command struct {
	Unit string
	User string     // User= of the service, empty for the manager's own
	Exec [][]string // ExecStart=, each word by word, specifiers and variables resolved
}

// Commands finds the services with a unit file that has one of the texts in it, and what each
// executes. Of a template these are the instances that the manager has loaded. A service that
// is masked or that the manager cannot load is left out.
func (m *Manager) Commands(ctx context.Context, texts ...string) ([]Command, error) {
	files, err := m.conn.ListUnitFilesByPatternsContext(ctx, []string{}, []string{"*.service"})
	if err != nil {
		return nil, fmt.Errorf("list the unit files: %w", err)
	}
	var names []string
	for _, f := range files {
		found, err := holds(f.Path, texts)
		if err != nil {
			return nil, err
		}
		name := filepath.Base(f.Path)
		switch {
		case !found, alias(f.Path):
		case strings.Contains(name, "@."):
			instances, err := m.Instances(ctx, name)
			if err != nil {
				return nil, err
			}
			names = append(names, instances...)
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	var (
		all   = make([]Command, len(names))
		errs  = make([]error, len(names))
		turns = make(chan struct{}, commandsAtOnce)
		asked sync.WaitGroup
	)
	for i, name := range names {
		turns <- struct{}{}
		asked.Go(func() {
			all[i], errs[i] = m.command(ctx, name)
			<-turns
		})
	}
	asked.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(c Command) bool { return len(c.Exec) == 0 }), nil
}

// commandsAtOnce is how many units are asked for side by side.
const commandsAtOnce = 8

// command asks what a service executes. It asks for single properties: to tell them all, the manager
// reads the files of the service's cgroup.
func (m *Manager) command(ctx context.Context, name string) (Command, error) {
	ask := func(property string) (any, error) {
		p, err := m.conn.GetUnitTypePropertyContext(ctx, name, "Service", property)
		if err != nil {
			return nil, fmt.Errorf("unit %s: %s: %w", name, property, err)
		}
		return p.Value.Value(), nil
	}
	c := Command{Unit: name}
	start, err := ask("ExecStart")
	if err != nil {
		return c, err
	}
	if c.Exec = commands(start); len(c.Exec) == 0 {
		return c, nil
	}
	user, err := ask("User")
	if err != nil {
		return c, err
	}
	c.User, _ = user.(string)
	if !slices.ContainsFunc(c.Exec, func(words []string) bool { return strings.Contains(strings.Join(words, ""), "$") }) {
		return c, nil
	}
	list, err := ask("Environment")
	if err != nil {
		return c, err
	}
	files, err := ask("EnvironmentFiles")
	if err != nil {
		return c, err
	}
	c.Exec = expanded(c.Exec, environment(list, files))
	return c, nil
}

// executed are the properties with the commands of a service, at its start and otherwise.
var executed = []string{"ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost"}

// instance is a name that no real instance has, to ask the manager about a template.
const instance = "podunit-asks-for-any"

// Executes tells as which user a service runs, and all that it executes, word by word: specifiers
// are resolved, variables are not. Of a template, %i stands where the instance would. The manager
// need not have loaded it, and tells this about every service to every user.
func (m *Manager) Executes(ctx context.Context, name string) (user string, lines [][]string, err error) {
	raw, err := m.conn.GetUnitTypePropertiesContext(ctx, strings.Replace(name, "@.", "@"+instance+".", 1), "Service")
	if err != nil {
		return "", nil, fmt.Errorf("unit %s: %w", name, err)
	}
	for _, property := range executed {
		lines = append(lines, commands(raw[property])...)
	}
	for _, words := range lines {
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], instance, "%i")
		}
	}
	return text(raw, "User"), lines, nil
}

// alias reports whether a unit file is a link to one of another name: another name of a unit that is
// listed itself. The link of an instance to its template is none.
func alias(path string) bool {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	name, target := filepath.Base(path), filepath.Base(real)
	before, after, template := strings.Cut(target, "@.")
	return name != target && (!template || !strings.HasPrefix(name, before+"@") || !strings.HasSuffix(name, "."+after))
}

// maxFile is the most bytes of a unit file or a file of EnvironmentFile= that is read: none has as
// many.
const maxFile = 4 << 20

// holds reports whether a file has one of the texts in it. A mask, which is a link to /dev/null
// or an empty file, has none, and a file that is gone by now has none either.
func holds(path string, texts []string) (bool, error) {
	data, err := safe.ReadLinked(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, safe.ErrNotRegular) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(texts, func(t string) bool { return bytes.Contains(data, []byte(t)) }), nil
}

// environment is what Environment= and the files of EnvironmentFile= set, files last, as the
// manager does it. Only plain lines NAME=VALUE of a file count; a file that cannot be read sets
// nothing.
func environment(set, from any) map[string]string {
	env := make(map[string]string)
	list, _ := set.([]string)
	files, _ := from.([][]any)
	for _, f := range files {
		if len(f) == 0 {
			continue
		}
		path, _ := f[0].(string)
		data, _ := safe.ReadLinked(path, maxFile)
		list = append(list, strings.Split(string(data), "\n")...)
	}
	for _, entry := range list {
		if name, value, ok := strings.Cut(strings.TrimSpace(entry), "="); ok && !strings.HasPrefix(name, "#") {
			env[name] = strings.Trim(value, "\"'")
		}
	}
	return env
}

// variable is $$, ${NAME}, or $NAME as a word of its own. Source: systemd.service(5), command lines.
var variable = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\$\$|\$\{(\w+)\}|^\$(\w+)$`) })

// expanded replaces the variables in the words of commands. One that nobody has set stays as it is:
// it may come from where only the start can look.
func expanded(lines [][]string, env map[string]string) [][]string {
	for _, words := range lines {
		for i, w := range words {
			if !strings.Contains(w, "$") {
				continue
			}
			words[i] = variable().ReplaceAllStringFunc(w, func(v string) string {
				if v == "$$" {
					return "$"
				}
				if value, ok := env[strings.Trim(v, "${}")]; ok {
					return value
				}
				return v
			})
		}
	}
	return lines
}

// commands reads a property of the signature a(sasbttttuii): path, words and what became of it.
func commands(raw any) [][]string {
	list, _ := raw.([][]any)
	var out [][]string
	for _, one := range list {
		if len(one) > 1 {
			if words, ok := one[1].([]string); ok && len(words) > 0 {
				out = append(out, words)
			}
		}
	}
	return out
}
