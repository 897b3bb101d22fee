// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/podunit/podunit/generator/spelling"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
)

// absent are the verbs of podman and docker that podunit does not have, each with what does the
// same here.
var absent = map[string]string{
	"builder prune": "buildah prune removes what builds keep",

	"compose": "a service is a .container file and what belongs together a .pod file: see podunit help keys",
	"farm":    "podunit works on this machine only: podunit build --platform builds for others",
	"init":    "podunit start CONTAINER",

	"container checkpoint": "a service that keeps its state in a volume goes on after podunit stop and podunit start",
	"container clone":      "podunit inspect -f '{{join .Config.CreateCommand \" \"}}' CONTAINER is the command that made it",
	"container restore":    "a service that keeps its state in a volume goes on after podunit stop and podunit start",
	"container runlabel":   "podunit image inspect -f '{{.Labels}}' IMAGE shows the command; run it by hand",

	"pod clone": "podunit generate quadlet --help: what runs, as unit files to copy",

	"generate spec": "podunit inspect CONTAINER",

	"kube apply": "podunit kube generate NAME | kubectl apply -f -",

	"system connection": "podunit works on this machine only: ssh HOST podunit ...",
	"system renumber":   "there are no lock numbers",
	"system service":    "there is no socket: each podunit does its work and ends",
	"machine":           "podunit runs where systemd is: in a virtual machine with Linux",

	"image mount":   "podunit create IMAGE, and podunit cp or podunit export of that container",
	"image scp":     "podunit save IMAGE | ssh HOST podunit load",
	"image sign":    "podunit push --sign-by KEY",
	"image trust":   "see containers-policy.json(5): /etc/containers/policy.json",
	"image unmount": "nothing is mounted: see podunit image mount",
	"image umount":  "nothing is mounted: see podunit image mount",
	"mount":         "podunit cp CONTAINER:PATH ., or podunit export CONTAINER: each podunit has its mounts for itself",
	"umount":        "nothing is mounted: see podunit mount",
	"unmount":       "nothing is mounted: see podunit mount",
}

// AbsentVerbs lists the verbs that are not there.
func AbsentVerbs() []string { return slices.Sorted(maps.Keys(absent)) }

// WantVerb is the Args of a command that has verbs and no arguments of its own.
func WantVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	_, group, _ := strings.Cut(cmd.CommandPath(), " ")
	verb := strings.TrimSpace(group + " " + args[0])
	known, ok := absent[verb]
	if !ok && group == "container" {
		known, ok = absent[args[0]]
	}
	err := fmt.Errorf("there is no podunit %s", verb)
	switch best := spelling.Nearest(args[0], verbsOf(cmd)); {
	case ok:
		return hint.With(err, "%s", known)
	case best != "":
		return hint.With(err, "did you mean podunit %s?", strings.TrimSpace(group+" "+best))
	}
	return hint.With(err, "%s --help lists the verbs", cmd.CommandPath())
}

// Group makes a command that does nothing but hold verbs. Called without one it lists them, and
// fails.
func Group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: WantVerb, RunE: noVerb}
	cmd.AddCommand(verbs...)
	return cmd
}

func noVerb(cmd *cobra.Command, _ []string) error {
	return errors.Join(cmd.Help(), fmt.Errorf("missing command %q", cmd.CommandPath()+" COMMAND"))
}

// verbsOf are the names of the verbs of a command, and other names of the same.
func verbsOf(cmd *cobra.Command) []string {
	names := map[string]bool{}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names[c.Name()] = true
			for _, alias := range c.Aliases {
				names[alias] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// WantArgs is the Args of a command that takes at least so many arguments, and at most so
// many; a negative number is no limit. Cobra's own take what is too much for a verb.
func WantArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch n := len(args); {
		case most == 0 && n > 0:
			return hint.With(fmt.Errorf("%s takes no arguments: %q", cmd.CommandPath(), args[0]), "%s", cmd.UseLine())
		case n < least && n == 0:
			return hint.With(fmt.Errorf("%s needs an argument", cmd.CommandPath()), "%s", cmd.UseLine())
		case n < least:
			return hint.With(fmt.Errorf("%s needs %d arguments, there is %d", cmd.CommandPath(), least, n), "%s", cmd.UseLine())
		case most >= 0 && n > most:
			return hint.With(fmt.Errorf("%s takes no more than %d: %q", cmd.CommandPath(), most, args[most]), "%s", cmd.UseLine())
		}
		return nil
	}
}

// FlagError adds "did you mean" to pflag's complaint. Of a verb that does not exist, the
// flags are not what is wrong.
func FlagError(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
		return WantVerb(cmd, words)
	}
	if said := refusal(err); said != nil {
		return said
	}
	return spec.FlagError(cmd.Flags(), err)
}
