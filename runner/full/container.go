// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/byhand"
	"github.com/podunit/podunit/runner/cmd/container"
	"github.com/podunit/podunit/runner/cmd/pod"
	"github.com/podunit/podunit/runner/cmd/system"
	"github.com/spf13/cobra"
)

// newContainer makes podunit container: all verbs with containers, for those who write the word.
func newContainer(e *cli.Env) *cobra.Command {
	cmd := cli.Group("container COMMAND", "Manage containers: each verb with containers is there without this word, too")
	for _, v := range []func(*cli.Env) *cobra.Command{
		container.NewAttach, container.NewCleanup, container.NewCreate, container.NewExec, container.NewKill, container.NewLogs, container.NewPs,
		container.NewRestart, container.NewRm, container.NewRun, container.NewStart, container.NewStats, container.NewStop,
		byhand.NewCommit, byhand.NewCp, byhand.NewDiff, byhand.NewExists, byhand.NewExport, byhand.NewPause, byhand.NewPort,
		byhand.NewPrune, byhand.NewRename, byhand.NewTop, byhand.NewUnpause, byhand.NewUpdate, byhand.NewWait,
	} {
		cmd.AddCommand(v(e))
	}
	inspect := system.NewInspect(e)
	inspect.Use, inspect.Short = "inspect [flags] CONTAINER...", "Show all there is to know about containers"
	kind := inspect.Flags().Lookup("type")
	kind.Hidden = true
	_ = kind.Value.Set("container") // any text is one for the flag
	cmd.AddCommand(inspect)
	return cmd
}

// newPod makes podunit pod with all its verbs.
func newPod(e *cli.Env) *cobra.Command {
	cmd := pod.New(e)
	cmd.AddCommand(byhand.NewPodKill(e), byhand.NewPodLogs(e), byhand.NewPodPause(e), byhand.NewPodPrune(e), byhand.NewPodRestart(e),
		byhand.NewPodStats(e), byhand.NewPodTop(e), byhand.NewPodUnpause(e))
	return cmd
}
