// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/podunit/podunit/generator/spelling"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
)

// absent are verbs of podman and docker that are not ours, and what does the same. In the
// place of an answer may be an issue: then the verb is to come.
var absent = map[string]struct{ instead, issue string }{
	"artifact":  {issue: spec.IssueBuild},
	"attach":    {instead: "podunit logs -f CONTAINER follows its output, podunit exec -it CONTAINER sh opens a shell in it"},
	"build":     {issue: spec.IssueBuild},
	"buildx":    {issue: spec.IssueBuild},
	"builder":   {issue: spec.IssueBuild},
	"commit":    {instead: "an image is built from a Containerfile; buildah shares the image storage"},
	"compose":   {instead: "a service is a .container file and what belongs together a .pod file: see podunit help keys"},
	"container": {instead: "leave the word out: podunit ps, podunit inspect CONTAINER, podunit rm CONTAINER"},
	"cp":        {instead: "podunit exec CONTAINER cat FILE >COPY, or podunit exec -i CONTAINER sh -c 'cat >COPY' <FILE; a directory that is shared is a --volume"},
	"events":    {instead: "journalctl --user -f"},
	"export":    {instead: "podunit exec CONTAINER tar -c -C / DIRECTORY >FILE"},
	"generate":  {instead: "write a .container file: see podunit help keys, and podunit check"},
	"history":   {instead: "podunit image inspect IMAGE"},
	"init":      {instead: "podunit start CONTAINER"},
	"kube":      {issue: "Kubernetes YAML"},
	"load":      {instead: "skopeo copy docker-archive:FILE containers-storage:IMAGE"},
	"login":     {instead: "skopeo login REGISTRY; podunit reads the same auth.json"},
	"logout":    {instead: "skopeo logout REGISTRY"},
	"network":   {issue: spec.IssueNetworks},
	"pause":     {instead: "systemctl --user freeze UNIT"},
	"play":      {issue: "Kubernetes YAML"},
	"port":      {instead: "podunit ps, or podunit inspect -f '{{json .NetworkSettings.Ports}}' CONTAINER"},
	"push":      {instead: "skopeo copy containers-storage:IMAGE docker://IMAGE"},
	"rename":    {instead: "a name is given once: --name, or ContainerName= in a .container file"},
	"save":      {instead: "skopeo copy containers-storage:IMAGE docker-archive:FILE"},
	"search":    {instead: "skopeo list-tags docker://REPOSITORY lists what there is of one repository"},
	"stats":     {instead: "systemd-cgtop, or systemctl --user status UNIT"},
	"system":    {instead: "podunit info, podunit image prune, podunit volume prune"},
	"top":       {instead: "podunit exec CONTAINER ps, or systemctl --user status UNIT"},
	"unpause":   {instead: "systemctl --user thaw UNIT"},
	"update":    {instead: "systemctl --user set-property UNIT MemoryMax=1G, or [Service] in its file"},
	"wait":      {instead: "podunit logs -f CONTAINER ends with it, podunit inspect -f '{{.State.ExitCode}}' CONTAINER tells how; so does run without --detach"},

	"image build":   {issue: spec.IssueBuild},
	"image history": {instead: "podunit image inspect IMAGE"},
	"image load":    {instead: "skopeo copy docker-archive:FILE containers-storage:IMAGE"},
	"image push":    {instead: "skopeo copy containers-storage:IMAGE docker://IMAGE"},
	"image save":    {instead: "skopeo copy containers-storage:IMAGE docker-archive:FILE"},
	"image search":  {instead: "skopeo list-tags docker://REPOSITORY lists what there is of one repository"},
	"image tree":    {instead: "podunit image inspect IMAGE"},

	"pod kill":    {instead: "podunit kill CONTAINER for each: podunit ps --pod lists them"},
	"pod logs":    {instead: "podunit logs -n CONTAINER... of its containers: podunit ps --pod lists them"},
	"pod prune":   {instead: "podunit pod rm POD"},
	"pod restart": {instead: "systemctl --user restart UNIT: podunit pod inspect -f '{{.Unit}}' POD names it"},
	"pod stats":   {instead: "systemd-cgtop, or systemctl --user status UNIT"},
	"pod top":     {instead: "podunit exec CONTAINER ps, or systemctl --user status UNIT"},
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
	if ok && known.issue != "" {
		return &spec.NotBuilt{What: "podunit " + verb, Issue: known.issue}
	}
	err := fmt.Errorf("there is no podunit %s", verb)
	switch best := spelling.Nearest(args[0], verbsOf(cmd)); {
	case ok:
		return hint.With(err, "%s", known.instead)
	case best != "":
		return hint.With(err, "did you mean podunit %s?", strings.TrimSpace(group+" "+best))
	}
	return hint.With(err, "%s --help lists the verbs", cmd.CommandPath())
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
	return spec.FlagError(cmd.Flags(), err)
}
