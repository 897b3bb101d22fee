// SPDX-License-Identifier: Apache-2.0

// Package generate holds the verbs of podunit generate, a file for each: from what runs to files.
package generate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/kube"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/export"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/kube/dump"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/unit"
	"github.com/spf13/cobra"
)

// New makes podunit generate.
func New(e *cli.Env) *cobra.Command {
	yaml := kube.NewGenerate(e)
	yaml.Use = "kube [flags] NAME..."
	return cli.Group("generate COMMAND", "Write what runs as files: unit files, services, Kubernetes YAML", yaml, NewQuadlet(e), NewSystemd(e))
}

// source are the containers and pods that the names on a command line mean.
type source struct {
	containers []export.Container
	pods       []export.Pod
	plays      []export.Play
}

// find finds what names mean.
func find(x *service.Engine, names []string) (source, error) {
	var out source
	p := play.New(x)
	for _, word := range names {
		name, err := x.NameOf(word)
		if err != nil {
			return out, err
		}
		r, err := x.Containers.Lookup(name)
		if err == nil {
			if p.Of(r) {
				return out, hint.With(fmt.Errorf("container %s comes from YAML", r.Name), "podunit generate quadlet %s writes its whole pod", r.Spec.Pod)
			}
			if r.PodID != "" {
				return out, hint.With(fmt.Errorf("container %s belongs to the pod %s", r.Name, r.Spec.Pod), "name the pod instead")
			}
			out.containers = append(out.containers, containerOf(x, r))
			continue
		}
		if !errors.Is(err, container.ErrNotFound) {
			return out, err
		}
		one, err := x.Pods.Lookup(name)
		if errors.Is(err, pod.ErrNotFound) {
			return out, fmt.Errorf("there is no container or pod %s", name)
		}
		if err != nil {
			return out, err
		}
		yaml, played, err := dump.YAML(p, one.Name)
		if err != nil {
			return out, err
		}
		if played {
			out.plays = append(out.plays, export.Play{Name: one.Name, YAML: yaml})
			continue
		}
		made := export.Pod{Name: one.Name, Args: one.Args}
		members, err := x.Pods.Members(one)
		if err != nil {
			return out, err
		}
		for _, m := range members {
			made.Containers = append(made.Containers, containerOf(x, m))
		}
		out.pods = append(out.pods, made)
	}
	return out, nil
}

func containerOf(x *service.Engine, r container.Record) export.Container {
	return export.Container{Name: r.Name, Args: r.Args, StopTimeout: uint(x.StopTimeoutOf(r).Seconds())}
}

// print writes files to the standard output, each with its name where there are several.
func print(e *cli.Env, files []export.File) {
	for i, f := range files {
		if i > 0 {
			fmt.Fprintln(e.Stdout)
		}
		if len(files) > 1 {
			fmt.Fprintf(e.Stdout, "# %s\n", f.Name)
		}
		fmt.Fprint(e.Stdout, f.Text)
	}
}

// write writes files into a directory and prints their paths.
func write(e *cli.Env, dir string, files []export.File, replace bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var errs []error
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		if _, err := os.Lstat(path); !replace && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, hint.With(fmt.Errorf("%s exists already", path), "remove it, or compare: podunit generate without --install prints"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		if err := safe.Write(path, []byte(f.Text), f.Mode); err != nil {
			return err
		}
		fmt.Fprintln(e.Stdout, path)
	}
	return nil
}

// reload makes systemd read its files, and says what remains to be done so that the units start at
// boot.
func reload(ctx context.Context, e *cli.Env) error {
	m, err := e.Manager(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.Reload(ctx); err != nil {
		return err
	}
	tellOfLinger(e)
	return nil
}

// tellOfLinger says what a user's services need to start at boot.
func tellOfLinger(e *cli.Env) {
	if name := e.LoginName(); e.User.UID != 0 && name != "" && !unit.Lingers(name) {
		fmt.Fprintln(e.Stderr, "podunit: user services start at boot only with: loginctl enable-linger")
	}
}
