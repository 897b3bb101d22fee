// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/kube/dump"
	"github.com/podunit/podunit/runner/kube/manifest"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/spf13/cobra"
)

// NewGenerate makes podunit kube generate.
func NewGenerate(e *cli.Env) *cobra.Command {
	var o manifest.GenerateOptions
	var file string
	cmd := &cobra.Command{
		Use:               "generate [flags] NAME...",
		ValidArgsFunction: cli.CompleteAny(cli.CompleteContainers(e, cli.Whatever), cli.CompletePods(e, cli.Whatever)),
		Short:             "Write containers, pods and volumes as Kubernetes YAML",
		Long: `Write containers, pods and volumes as Kubernetes YAML, to the standard output or a file.

Pods that kube play has made give their own documents back.`,
		Example: "  podunit kube generate media > media.yaml",
		Args:    cli.WantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case !slices.Contains([]string{"pod", "deployment", "daemonset", "job"}, o.Type):
				return fmt.Errorf("--type %q is none of pod, deployment, daemonset, job", o.Type)
			case cmd.Flags().Changed("replicas") && o.Type != "deployment":
				return hint.With(errors.New("--replicas is for --type deployment"), "leave it out")
			case o.Replicas < 1:
				return errors.New("--replicas is at least 1")
			}
			if o.Type != "deployment" {
				o.Replicas = 0
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			o.Version = e.Program.Version
			o.Command = "podunit kube generate"
			for _, name := range args {
				o.Command += " " + name
			}
			text, err := dump.Generate(play.New(x), args, o)
			if err != nil {
				return err
			}
			if file == "" || file == "-" {
				_, err = e.Stdout.Write(text)
				return err
			}
			return writeNew(file, text)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "filename", "f", "", "write to this `FILE`, which must not exist")
	f.BoolVarP(&o.Service, "service", "s", false, "write a Service for the ports, too")
	f.StringVarP(&o.Type, "type", "t", "pod", "what to write: pod, deployment, daemonset or job")
	f.Int32VarP(&o.Replicas, "replicas", "r", 1, "how many of a deployment")
	cli.Refuse(f, "podman-only", "false", "podunit generate quadlet keeps what Kubernetes has no word for")
	cli.Complete(cmd, "type", "pod", "deployment", "daemonset", "job")
	return cmd
}

// writeNew writes a file that is not there yet, and that is there when all of it is written. It may
// hold secrets.
func writeNew(path string, text []byte) error {
	if f := cli.Unnamed(path); f != nil {
		err := f.Chmod(0o600)
		if err == nil {
			_, err = f.Write(text)
		}
		return cli.Named(f, path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return hint.With(err, "remove it, or give another name")
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
