// SPDX-License-Identifier: Apache-2.0

package store

import (
	"github.com/podunit/podunit/runner/safe"
	"go.podman.io/common/pkg/config"
	"go.podman.io/storage/pkg/configfile"
	"go.podman.io/storage/pkg/unshare"
)

// ReadConf reads containers.conf(5) with modules. What it says is what DefaultConf gives from then
// on. A file that would keep the reader waiting is an error, see safe.Settings.
func ReadConf(modules []string) (*config.Config, error) {
	if err := judgeConf(modules); err != nil {
		return nil, err
	}
	conf, err := config.New(&config.Options{SetDefault: true, Modules: modules})
	if err != nil {
		return nil, err
	}
	chosen, err := Chosen()
	if err != nil {
		return nil, err
	}
	chosen.conf(conf)
	return conf, nil
}

// DefaultConf is what containers.conf(5) says to this process, as ReadConf has read it, or without
// modules.
func DefaultConf() (*config.Config, error) {
	if err := judgeConf(nil); err != nil {
		return nil, err
	}
	return config.Default()
}

func judgeConf(modules []string) error {
	conf := configFile("containers", "CONTAINERS_CONF")
	conf.Modules = modules
	if err := safe.Settings(conf); err != nil {
		return err
	}
	return safe.Settings(storageConf()) // the reader of the other reads it, too, for what is left unsaid
}

// JudgeRegistries tells whether registries.conf(5) can be read to its end by whoever just opens it,
// see safe.Settings.
func JudgeRegistries() error {
	return safe.Settings(configFile("registries", "CONTAINERS_REGISTRIES_CONF"))
}

// storageConf is where the library finds containers-storage.conf(5).
func storageConf() configfile.File { return configFile("storage", "CONTAINERS_STORAGE_CONF") }

func configFile(name, variable string) configfile.File {
	return configfile.File{Name: name, Extension: "conf", EnvironmentName: variable, UserId: unshare.GetRootlessUID()}
}
