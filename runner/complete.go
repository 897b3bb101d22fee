// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/podunit/podunit/runner/format"
	"github.com/spf13/cobra"
)

// completeContainers offers the names of containers to the shell.
func completeContainers(e *env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		x, err := e.open(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		all, err := x.List()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for _, r := range all {
			names = append(names, r.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completePods offers the names of pods to the shell.
func completePods(e *env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		x, err := e.open(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		all, err := x.pods.List()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for _, r := range all {
			names = append(names, r.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFormat offers the fields of T to --format.
func completeFormat[T any](cmd *cobra.Command) {
	values := []string{"json"}
	for _, name := range format.Fields[T]() {
		values = append(values, "{{."+name+"}}")
	}
	complete(cmd, "format", values...)
}

// complete offers fixed values for a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	// It fails for a flag that isn't there: that is for a test of the commands to see.
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}
