// SPDX-License-Identifier: Apache-2.0

//go:build !quick

package main

import (
	"os"
	"path/filepath"
	"strings"
)

// constructors lists the verbs; each has a file of its own.
func constructors() []constructor {
	return []constructor{
		{"check", newCheckCommand},
		{"cleanup", newCleanupCommand},
		{"create", newCreateCommand},
		{"exec", newExecCommand},
		{"fault", newFaultCommand},
		{"image", newImageCommand},
		{"images", newImagesCommand},
		{"info", newInfoCommand},
		{"inspect", newInspectCommand},
		{"kill", newKillCommand},
		{"logs", newLogsCommand},
		{"pod", newPodCommand},
		{"ps", newPsCommand},
		{"pull", newPullCommand},
		{"quadlet", newQuadletCommand},
		{"restart", newRestartCommand},
		{"rm", newRmCommand},
		{"rmi", newRmiCommand},
		{"run", newRunCommand},
		{"start", newStartCommand},
		{"stop", newStopCommand},
		{"tag", newTagCommand},
		{"unshare", newUnshareCommand},
		{"untag", newUntagCommand},
		{"version", newVersionCommand},
		{"volume", newVolumeCommand},
	}
}

// beyond does nothing here: to the whole program nothing is.
func (e *env) beyond(_ []string, err error) error { return err }

// ownProgram is the program that services execute: the quick one, where it is installed.
func ownProgram() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	if dir, ok := strings.CutSuffix(filepath.Dir(exe), "/libexec/podunit"); ok {
		quick := filepath.Join(dir, "bin", "podunit")
		if _, err := os.Stat(quick); err == nil {
			return quick, nil
		}
	}
	return exe, nil
}
