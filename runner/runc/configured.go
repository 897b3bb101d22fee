// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"fmt"

	"github.com/podunit/podunit/runner/safe"
	"go.podman.io/common/pkg/config"
	"go.podman.io/storage/pkg/configfile"
	"go.podman.io/storage/pkg/unshare"
)

// Configured is the runtime that containers.conf(5) asks for, by its path or else its name; it
// is empty where nobody asked. conf alone does not tell: its default is whatever is installed,
// crun first, where ours is runc. modules are those conf was read with.
func Configured(conf *config.Config, modules []string) (string, error) {
	if name := conf.Engine.OCIRuntime; name == "" || name == "runc" {
		return "", nil
	}
	said, err := Said(modules)
	if err != nil {
		return "", err
	}
	name := said.Engine.OCIRuntime
	for _, path := range conf.Engine.OCIRuntimes[name] {
		if isExecutable(path) {
			return path, nil
		}
	}
	return name, nil
}

// Said is what the files of containers.conf(5) say, without what holds where they say nothing. A
// file that would keep the reader waiting is an error, see safe.Settings.
func Said(modules []string) (*config.Config, error) {
	var said config.Config
	file := configfile.File{Name: "containers", Extension: "conf", EnvironmentName: "CONTAINERS_CONF", UserId: unshare.GetRootlessUID(), Modules: modules}
	if err := safe.Settings(file); err != nil {
		return nil, err
	}
	if err := configfile.ParseTOML(&said, &file); err != nil {
		return nil, fmt.Errorf("containers.conf: %w", err)
	}
	return &said, nil
}
