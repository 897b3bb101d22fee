// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Command is what a service executes at its start.
type Command struct {
	Unit string
	User string     // User= of the service, empty for the manager's own
	Exec [][]string // ExecStart=, each word by word, specifiers resolved
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
		case !found:
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
	var out []Command
	for _, name := range slices.Compact(names) {
		raw, err := m.conn.GetUnitTypePropertiesContext(ctx, name, "Service")
		if err != nil {
			return nil, fmt.Errorf("unit %s: %w", name, err)
		}
		c := Command{Unit: name, User: text(raw, "User"), Exec: commands(raw["ExecStart"])}
		if len(c.Exec) > 0 {
			out = append(out, c)
		}
	}
	return out, nil
}

// holds reports whether a file has one of the texts in it. A mask, which is a link to /dev/null
// or an empty file, has none, and a file that is gone by now has none either.
func holds(path string, texts []string) (bool, error) {
	st, err := os.Stat(path)
	if err == nil && !st.Mode().IsRegular() {
		return false, nil
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(texts, func(t string) bool { return bytes.Contains(data, []byte(t)) }), nil
}

// commands reads a property of the signature a(sasbttttuii): path, words and what became of it.
func commands(raw any) [][]string {
	list, _ := raw.([][]any)
	var out [][]string
	for _, one := range list {
		if len(one) > 1 {
			if words, ok := one[1].([]string); ok {
				out = append(out, words)
			}
		}
	}
	return out
}
