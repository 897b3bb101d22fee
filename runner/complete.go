// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/pod"
	"github.com/spf13/cobra"
)

// completeContainers offers the names of containers to the shell.
func completeContainers(e *env) cobra.CompletionFunc {
	return completeNames(func(ctx context.Context) ([]string, error) {
		x, err := e.open(ctx)
		if err != nil {
			return nil, err
		}
		all, err := x.Containers.List()
		return namesOf(all, func(r container.Record) string { return r.Name }), err
	})
}

// completePods offers the names of pods to the shell.
func completePods(e *env) cobra.CompletionFunc {
	return completeNames(func(ctx context.Context) ([]string, error) {
		x, err := e.open(ctx)
		if err != nil {
			return nil, err
		}
		all, err := x.Pods.List()
		return namesOf(all, func(r pod.Record) string { return r.Name }), err
	})
}

// completeNames offers what list finds.
func completeNames(list func(context.Context) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		names, err := list(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func namesOf[T any](all []T, name func(T) string) []string {
	var names []string
	for _, one := range all {
		names = append(names, name(one))
	}
	return names
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
