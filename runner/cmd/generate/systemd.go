// SPDX-License-Identifier: Apache-2.0

package generate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/export"
	"github.com/spf13/cobra"
)

// policies are the values of Restart=. Source: systemd.service(5).
var policies = []string{"no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"}

// NewSystemd makes podunit generate systemd.
func NewSystemd(e *cli.Env) *cobra.Command {
	o := export.Systemd{Program: "/usr/local/bin/podunit", Version: e.Program.Version, User: e.User.UID != 0}
	var files, fresh, name, noHeader, install bool
	var format string
	cmd := &cobra.Command{
		Use:               "systemd [flags] NAME",
		ValidArgsFunction: cli.CompleteAny(cli.CompleteContainers(e, cli.Whatever), cli.CompletePods(e, cli.Whatever)),
		Short:             "Write plain services of a container or pod",
		Long: `Write plain services of a container or pod. They start and stop the one that there is; with --new they
make it anew at each start, and remove it at its end. Of a pod that comes from YAML the service plays it in
either case, and the YAML is written beside it.

Stop the container or pod before the services start it for the first time.

podunit generate quadlet writes what is easier to change.`,
		Example: "  podunit generate systemd --new --files --name media",
		Args:    cli.WantArgs(1, 1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case format != "" && format != "json":
			return fmt.Errorf("--format %q: json is the only one", format)
		case format != "" && install:
			return errors.New("--format is for what is printed or written, and not for --install")
		case o.RestartPolicy != "" && !slices.Contains(policies, o.RestartPolicy):
			return fmt.Errorf("--restart-policy %q is none of %s", o.RestartPolicy, strings.Join(policies, ", "))
		}
		o.Header, o.Existing = !noHeader, !fresh
		if own, err := os.Executable(); err == nil {
			if prefix, ok := strings.CutSuffix(own, "/libexec/podunit/podunit"); ok {
				own = prefix + "/bin/podunit"
			}
			o.Program = own
		}
		out, err := services(e, cmd, o, args)
		if err != nil {
			return err
		}
		switch {
		case install:
			return installServices(e, cmd, out)
		case format == "json":
			return list(e, out, files)
		case files:
			return write(e, e.Host().Dir, out, true)
		}
		print(e, out)
		return nil
	}
	f := cmd.Flags()
	f.BoolVar(&fresh, "new", false, "services that make the container and remove it")
	f.BoolVarP(&files, "files", "f", false, "write files into the working directory, and print their paths")
	f.BoolVarP(&name, "name", "n", false, "name services by names; they always are")
	f.BoolVar(&install, "install", false, "write files where systemd finds them, have it read them, and enable them")
	f.BoolVar(&noHeader, "no-header", false, "leave out the comments at the top")
	f.StringVar(&format, "format", "", "`FORM` of what is printed: json, an object of names and texts, or with --files of names and paths")
	f.StringVar(&o.RestartPolicy, "restart-policy", "", "`POLICY` of Restart=")
	f.IntVar(&o.RestartSec, "restart-sec", -1, "`SECONDS` before a restart")
	f.IntVar(&o.StartTimeout, "start-timeout", -1, "`SECONDS` that a start may take")
	f.IntVarP(&o.StopTimeout, "stop-timeout", "t", -1, "`SECONDS` between the stop signal and KILL")
	f.StringArrayVar(&o.After, "after", nil, "also After= this `UNIT`")
	f.StringArrayVar(&o.Wants, "wants", nil, "also Wants= this `UNIT`")
	f.StringArrayVar(&o.Requires, "requires", nil, "also Requires= this `UNIT`")
	f.StringArrayVarP(&o.Environment, "env", "e", nil, "also Environment= `NAME=VALUE`")
	f.StringVar(&o.ContainerPrefix, "container-prefix", "container", "`PREFIX` of the names of containers' services")
	f.StringVar(&o.PodPrefix, "pod-prefix", "pod", "`PREFIX` of the names of pods' services")
	f.StringVar(&o.Separator, "separator", "-", "`TEXT` between prefix and name")
	cli.Refuse(f, "template", "false", "podunit generate quadlet writes NAME.container; renamed NAME@.container it is a template, in which %i is the instance")
	return cmd
}

// list prints services as JSON: an object with the text of each by its name, or with the path, once
// they are written.
func list(e *cli.Env, services []export.File, files bool) error {
	dir := e.Host().Dir
	if files {
		quiet := *e
		quiet.Stdout = io.Discard
		if err := write(&quiet, dir, services, true); err != nil {
			return err
		}
	}
	of := map[string]string{}
	for _, f := range services {
		name := strings.TrimSuffix(f.Name, ".service")
		if of[name] = f.Text; files {
			of[name] = filepath.Join(dir, f.Name)
		}
	}
	out := json.NewEncoder(e.Stdout)
	out.SetIndent("", "    ")
	out.SetEscapeHTML(false)
	return out.Encode(of)
}

// services writes the services of one container or pod.
func services(e *cli.Env, cmd *cobra.Command, o export.Systemd, args []string) ([]export.File, error) {
	x, err := e.Open(cmd.Context())
	if err != nil {
		return nil, err
	}
	from, err := find(x, args)
	if err != nil {
		return nil, err
	}
	switch {
	case len(from.plays) > 0:
		return o.Play(from.plays[0]), nil
	case len(from.pods) > 0:
		if o.Existing {
			one, err := x.Pods.LookupExact(from.pods[0].Name)
			if err == nil {
				one, err = x.Pods.EnsurePIDFile(cmd.Context(), one, filepath.Join(x.Containers.RunDir, "pods", one.ID+".pid"))
			}
			if err != nil {
				return nil, err
			}
			from.pods[0].PIDFile = one.Spec.MainPIDFile
		}
		return o.Pod(from.pods[0])
	}
	f, err := o.Container(from.containers[0])
	return []export.File{f}, err
}

// installServices puts services where the manager finds them, and enables them.
func installServices(e *cli.Env, cmd *cobra.Command, files []export.File) error {
	dir := "/etc/systemd/system"
	if e.User.UID != 0 {
		config := e.Getenv("XDG_CONFIG_HOME")
		if config == "" {
			config = filepath.Join(e.Getenv("HOME"), ".config")
		}
		dir = filepath.Join(config, "systemd", "user")
	}
	if err := write(e, dir, files, false); err != nil {
		return err
	}
	wants := filepath.Join(dir, "default.target.wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name, ".service") {
			continue
		}
		if err := os.Symlink("../"+f.Name, filepath.Join(wants, f.Name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return reload(cmd.Context(), e)
}
