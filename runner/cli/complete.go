// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/secret"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Which are the containers or pods that a verb can do something to.
type Which func(running bool) bool

// Whatever are all, RunningOnly those that run, EndedOnly the others.
var (
	Whatever    Which = func(bool) bool { return true }
	RunningOnly Which = func(running bool) bool { return running }
	EndedOnly   Which = func(running bool) bool { return !running }
)

// CompleteContainers offers the names of containers to the shell.
func CompleteContainers(e *Env, which Which) cobra.CompletionFunc {
	return CompleteNames(func(ctx context.Context) ([]string, error) {
		x, err := e.Open(ctx)
		if err != nil {
			return nil, err
		}
		all, err := x.Containers.List()
		all = slices.DeleteFunc(all, func(r container.Record) bool {
			s, err := x.Containers.Status(r.ID)
			return err != nil || !which(s.PID != 0)
		})
		return NamesOf(all, func(r container.Record) string { return r.Name }), err
	})
}

// CompletePods offers the names of pods to the shell.
func CompletePods(e *Env, which Which) cobra.CompletionFunc {
	return CompleteNames(func(ctx context.Context) ([]string, error) {
		x, err := e.Open(ctx)
		if err != nil {
			return nil, err
		}
		all, err := x.Pods.List()
		all = slices.DeleteFunc(all, func(r pod.Record) bool { return !which(x.Pods.Status(r).InfraPID != 0) })
		return NamesOf(all, func(r pod.Record) string { return r.Name }), err
	})
}

// CompleteNetworks offers the names of networks to the shell.
func CompleteNetworks(e *Env) cobra.CompletionFunc {
	return CompleteNames(func(ctx context.Context) ([]string, error) {
		x, err := e.Open(ctx)
		if err != nil {
			return nil, err
		}
		var names []string
		all, _, err := x.Networks().List()
		for _, n := range all {
			names = append(names, n.Name)
		}
		return names, err
	})
}

// CompleteSecrets offers the names of secrets to the shell.
func CompleteSecrets(e *Env) cobra.CompletionFunc {
	return CompleteNames(func(context.Context) ([]string, error) {
		s, err := e.Secrets()
		if err != nil {
			return nil, err
		}
		all, err := s.List()
		return NamesOf(all, func(one secret.Secret) string { return one.Name }), err
	})
}

// CompleteAny offers what any of the functions offers. One that cannot say offers nothing.
func CompleteAny(all ...cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		var words []string
		for _, one := range all {
			some, _ := one(cmd, args, word)
			words = append(words, some...)
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// CompletePaths offers the names of containers, each with the colon that a path in it follows, and
// files of the host where the word begins as one.
func CompletePaths(e *Env) cobra.CompletionFunc {
	names := CompleteContainers(e, Whatever)
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if strings.ContainsAny(word, "/.~:") {
			return nil, cobra.ShellCompDirectiveDefault
		}
		words, _ := names(cmd, args, word)
		for i := range words {
			words[i] += ":"
		}
		return words, cobra.ShellCompDirectiveNoSpace
	}
}

// CompleteFirst offers something for the first argument only: what follows is a command and its
// arguments, which may be names of files.
func CompleteFirst(first cobra.CompletionFunc) cobra.CompletionFunc {
	if first == nil {
		return nil
	}
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return first(cmd, args, word)
	}
}

// values are what the shell is offered for flags of any verb. Source: runner/spec/rows.go.
var values = map[string][]string{
	"cgroups":           {"split", "enabled", "no-conmon", "disabled"},
	"exit-policy":       {"continue", "stop"},
	"health-on-failure": {"none", "kill", "restart", "stop"},
	"image-volume":      {"anonymous", "ignore", "tmpfs"},
	"ipc":               {"private", "shareable", "host", "none", "container:"},
	"log-driver":        {"journald", "k8s-file", "json-file", "passthrough", "none"},
	"log-level":         {"trace", "debug", "info", "warn", "error", "fatal", "panic"},
	"network":           {"pasta", "none", "host", "container:", "ns:"},
	"pid":               {"private", "host", "container:"},
	"pull":              {"always", "missing", "newer", "never"},
	"restart":           {"no", "on-failure", "always", "unless-stopped"},
	"sdnotify":          {"conmon", "container", "healthy", "ignore"},
	"signal":            {"HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP", "WINCH"},
	"stop-signal":       {"HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "WINCH"},
	"systemd":           {"true", "false", "always"},
	"type":              {"all", "container", "image", "pod", "volume"},
	"userns":            {"host", "keep-id", "auto", "nomap"},
	"uts":               {"private", "host", "container:"},
}

// completeFlags has the shell offer values, or nothing, for the flags of a command and its verbs; it
// offers files only where one is meant.
func completeFlags(e *Env, cmd *cobra.Command) {
	for _, verb := range cmd.Commands() {
		completeFlags(e, verb)
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		complete := cobra.FixedCompletions(values[f.Name], cobra.ShellCompDirectiveNoFileComp)
		switch {
		case f.Name == "pod" && f.NoOptDefVal == "":
			complete = CompletePods(e, Whatever)
		case f.Name == "network":
			complete = CompleteAny(complete, CompleteNetworks(e))
		case f.Name == "secret":
			complete = CompleteSecrets(e)
		case values[f.Name] == nil && takesFile(f):
			return
		}
		// It fails where the verb itself has said what to offer.
		_ = cmd.RegisterFlagCompletionFunc(f.Name, complete)
	})
}

// takesFile tells whether the value of a flag is, or begins with, the name of a file of the host.
func takesFile(f *pflag.Flag) bool {
	word, _ := pflag.UnquoteUsage(f)
	return slices.ContainsFunc([]string{"FILE", "DIR", "PATH", "SOURCE", "SRC", "HOST-DEVICE", "MOUNT"}, func(kind string) bool {
		return strings.Contains(strings.ToUpper(word), kind)
	}) || slices.Contains([]string{"volume", "mount", "device", "runtime", "rootfs", "init-path", "module"}, f.Name)
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
