// SPDX-License-Identifier: Apache-2.0

// Package cmd lists the verbs of a container's life, which both programs have. Each start of a
// service loads and initializes everything that these packages import.
package cmd

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/container"
	"github.com/podunit/podunit/runner/cmd/healthcheck"
	"github.com/podunit/podunit/runner/cmd/kube/served"
	"github.com/podunit/podunit/runner/cmd/network"
	"github.com/podunit/podunit/runner/cmd/pod"
	"github.com/podunit/podunit/runner/cmd/volume"
	"github.com/spf13/cobra"
)

// Life are the verbs that services execute, and those with which people look at services.
func Life() []cli.Verb {
	return []cli.Verb{
		{Name: "boot", New: container.NewBoot},
		{Name: "cleanup", New: container.NewCleanup},
		{Name: "create", New: container.NewCreate},
		{Name: "exec", New: container.NewExec},
		{Name: "fault", New: container.NewFault, Plain: true},
		{Name: "healthcheck", New: healthcheck.New},
		{Name: "kill", New: container.NewKill},
		{Name: "kube", New: func(e *cli.Env) *cobra.Command { return served.New(e, nil) }, Part: true},
		{Name: "logs", New: container.NewLogs},
		{Name: "network", New: network.New},
		{Name: "pod", New: pod.New, Part: true},
		{Name: "ps", New: container.NewPs},
		{Name: "restart", New: container.NewRestart},
		{Name: "rm", New: container.NewRm},
		{Name: "run", New: container.NewRun},
		{Name: "start", New: container.NewStart},
		{Name: "stats", New: container.NewStats},
		{Name: "stop", New: container.NewStop},
		{Name: "version", New: cli.NewVersion, Plain: true},
		{Name: "volume", New: volume.New},
	}
}
