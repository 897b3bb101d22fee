// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.podman.io/common/pkg/config"
	"go.podman.io/storage"
)

// ChoiceVariable is the environment variable that carries a Choice to what a command line starts:
// the full program, and the units that go on with it.
const ChoiceVariable = "_PODUNIT_CHOICE"

// Choice is what a command line says in place of storage.conf(5) and containers.conf(5); what is
// empty is as they say. Source: podman(1), its global options.
type Choice struct {
	Root        string   `json:",omitempty"` // graphroot
	RunRoot     string   `json:",omitempty"` // runroot
	ImageStore  string   `json:",omitempty"`
	Driver      string   `json:",omitempty"`
	Options     []string `json:",omitempty"` // of the driver, after those of the file; an empty one discards what stands before it
	PullOptions []string `json:",omitempty"` // NAME=VALUE
	Transient   *bool    `json:",omitempty"`

	NetworkDir   string   `json:",omitempty"` // network_config_dir
	CDIDirs      []string `json:",omitempty"` // cdi_spec_dirs
	RuntimeFlags []string `json:",omitempty"` // of the OCI runtime, each without its two dashes
}

// Chosen is what the environment carries.
func Chosen() (c Choice, err error) {
	text := os.Getenv(ChoiceVariable)
	if text == "" {
		return c, nil
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return c, fmt.Errorf("the variable %s: %w", ChoiceVariable, err)
	}
	return c, nil
}

// Carry has the environment carry what is chosen.
func (c Choice) Carry() error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.Setenv(ChoiceVariable, string(text))
}

// With is what a command line says that another one has started: what it leaves out is as the other
// says.
func (c Choice) With(more Choice) Choice {
	list := func(more, c []string) []string {
		if len(more) > 0 {
			return more
		}
		return c
	}
	if more.Root != "" && more.RunRoot == "" {
		c.RunRoot = "" // it belongs to the other root
	}
	return Choice{
		Root: cmp.Or(more.Root, c.Root), RunRoot: cmp.Or(more.RunRoot, c.RunRoot), ImageStore: cmp.Or(more.ImageStore, c.ImageStore),
		Driver: cmp.Or(more.Driver, c.Driver), Options: list(more.Options, c.Options), PullOptions: list(more.PullOptions, c.PullOptions),
		Transient: cmp.Or(more.Transient, c.Transient), NetworkDir: cmp.Or(more.NetworkDir, c.NetworkDir),
		CDIDirs: list(more.CDIDirs, c.CDIDirs), RuntimeFlags: list(more.RuntimeFlags, c.RuntimeFlags),
	}
}

// storage changes where the storage is and what it does. Another root without a run root has one of
// its own: two storages in one would take each other's mounts for their own.
func (c Choice) storage(o *storage.StoreOptions) {
	if c.Root != "" && unlinked(c.Root) != unlinked(o.GraphRoot) && c.RunRoot == "" {
		sum := sha256.Sum256([]byte(unlinked(c.Root)))
		o.RunRoot = filepath.Join(o.RunRoot, "root-"+hex.EncodeToString(sum[:8]))
	}
	o.GraphRoot = cmp.Or(c.Root, o.GraphRoot)
	o.RunRoot = cmp.Or(c.RunRoot, o.RunRoot)
	o.ImageStore = cmp.Or(c.ImageStore, o.ImageStore)
	o.GraphDriverName = cmp.Or(c.Driver, o.GraphDriverName)
	o.GraphDriverOptions = slices.Clone(o.GraphDriverOptions)
	for _, word := range c.Options {
		if word == "" {
			o.GraphDriverOptions = nil
			continue
		}
		o.GraphDriverOptions = append(o.GraphDriverOptions, word)
	}
	for i, word := range c.PullOptions {
		if i == 0 {
			o.PullOptions = map[string]string{}
		}
		name, value, _ := strings.Cut(word, "=")
		o.PullOptions[name] = value
	}
	if c.Transient != nil {
		o.TransientStore = *c.Transient
	}
}

// unlinked is a path without links, as far as it exists.
func unlinked(path string) string {
	path = filepath.Clean(path)
	if got, err := filepath.EvalSymlinks(path); err == nil {
		return got
	}
	if dir := filepath.Dir(path); dir != path {
		return filepath.Join(unlinked(dir), filepath.Base(path))
	}
	return path
}

// conf changes what containers.conf(5) says.
func (c Choice) conf(conf *config.Config) {
	conf.Network.NetworkConfigDir = cmp.Or(c.NetworkDir, conf.Network.NetworkConfigDir)
	if len(c.CDIDirs) > 0 {
		conf.Engine.CdiSpecDirs.Set(slices.Clone(c.CDIDirs))
	}
}
