// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/pod"
	"github.com/spf13/cobra"
)

// CompleteContainers offers the names of containers to the shell.
func CompleteContainers(e *Env) cobra.CompletionFunc {
	return CompleteNames(func(ctx context.Context) ([]string, error) {
		x, err := e.Open(ctx)
		if err != nil {
			return nil, err
		}
		all, err := x.Containers.List()
		return NamesOf(all, func(r container.Record) string { return r.Name }), err
	})
}

// CompletePods offers the names of pods to the shell.
func CompletePods(e *Env) cobra.CompletionFunc {
	return CompleteNames(func(ctx context.Context) ([]string, error) {
		x, err := e.Open(ctx)
		if err != nil {
			return nil, err
		}
		all, err := x.Pods.List()
		return NamesOf(all, func(r pod.Record) string { return r.Name }), err
	})
}

// CompleteImages offers the names of images in the storage to the shell.
func CompleteImages(e *Env) cobra.CompletionFunc {
	if e.Program.ImageNames == nil {
		return nil
	}
	return CompleteNames(func(ctx context.Context) ([]string, error) { return e.Program.ImageNames(ctx, e) })
}

// CompleteNames offers what list finds.
func CompleteNames(list func(context.Context) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		names, err := list(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// NamesOf lists names.
func NamesOf[T any](all []T, name func(T) string) []string {
	var names []string
	for _, one := range all {
		names = append(names, name(one))
	}
	return names
}

// CompleteFormat offers the fields of T to --format.
func CompleteFormat[T any](cmd *cobra.Command) {
	values := []string{"json"}
	for _, name := range format.Fields[T]() {
		values = append(values, "{{."+name+"}}")
	}
	Complete(cmd, "format", values...)
}

// Complete offers fixed values for a flag.
func Complete(cmd *cobra.Command, flag string, values ...string) {
	// It fails for a flag that isn't there: that is for a test of the commands to see.
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}
