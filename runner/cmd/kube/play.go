// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/kube/served"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/kube/manifest"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// playFlags are those of kube play. Those that a container has too are read by its own rules.
type playFlags struct {
	annotations, configMaps, ips, macs, networks, publish, logOpts                 []string
	authFile, creds, certDir, logDriver, userNS, seccompRoot, validate, exit       string
	contextDir, signaturePolicy                                                    string
	replace, start, wait, down, force, quiet, noHosts, noHostname, noTrunc, strict bool
	publishAll, noPodPrefix, service, tlsVerify, tlsGiven, build                   bool
}

// NewPlay makes podunit kube play.
func NewPlay(e *cli.Env) *cobra.Command {
	var f playFlags
	cmd := &cobra.Command{
		Use:   "play [flags] FILE...",
		Short: "Make units of Kubernetes YAML, and start them",
		Long: `Make units of Kubernetes YAML, and start them.

FILE is a file, an address that begins with http:// or https://, or - for the standard input. Each
container becomes a service, POD-CONTAINER.service, bound to that of its pod, POD-pod.service. With a
fault in one of the documents nothing is made, and all faults are listed.`,
		Example: "  podunit kube play web.yaml\n  podunit kube play --replace web.yaml\n  podunit kube down web.yaml",
		Args:    cli.WantArgs(1, -1),
	}
	f.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return f.run(cmd, e, args) }
	return cmd
}

func (f *playFlags) register(fs *pflag.FlagSet) {
	list := func(p *[]string, name, usage string) { fs.StringArrayVar(p, name, nil, usage) }
	list(&f.annotations, "annotation", "add the annotation `NAME=VALUE` to pods and claims")
	fs.StringVar(&f.authFile, "authfile", "", "`FILE` with logins for registries")
	fs.BoolVar(&f.build, "build", false, "build images from directories beside the YAML")
	fs.StringVar(&f.certDir, "cert-dir", "", "`DIR` with certificates for the registry")
	list(&f.configMaps, "configmap", "a `FILE` with ConfigMaps")
	fs.StringVar(&f.contextDir, "context-dir", "", "with --build: the `DIR` that has the directories")
	fs.StringVar(&f.creds, "creds", "", "`USER[:PASSWORD]` for the registry")
	fs.BoolVar(&f.down, "down", false, "take down, as kube down does")
	fs.BoolVar(&f.force, "force", false, "with --down: remove the volumes, too")
	list(&f.ips, "ip", "the `ADDRESS` of the first pod, the second one and so on")
	fs.StringVar(&f.logDriver, "log-driver", "", "where output goes: `DRIVER` is journald, k8s-file, passthrough or none")
	list(&f.logOpts, "log-opt", "`NAME=VALUE` for the log driver: tag=TEXT, label=NAME=VALUE, path=FILE, max-size=SIZE, max-file=N")
	list(&f.macs, "mac-address", "the `ADDRESS` of the first pod, the second one and so on")
	list(&f.networks, "network", "a `NETWORK` by name, with options after a colon, or none, host, pasta[:OPTIONS], ns:PATH")
	fs.BoolVar(&f.noHostname, "no-hostname", false, "leave /etc/hostname of the images alone")
	fs.BoolVar(&f.noHosts, "no-hosts", false, "leave /etc/hosts of the images alone")
	fs.BoolVar(&f.noPodPrefix, "no-pod-prefix", false, "name containers as the YAML does")
	fs.BoolVar(&f.noTrunc, "no-trunc", false, "accepted; nothing is cut off")
	list(&f.publish, "publish", "publish `PORTS` on the machine")
	fs.BoolVar(&f.publishAll, "publish-all", false, "publish every containerPort under its own number")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing of pulls")
	fs.BoolVar(&f.replace, "replace", false, "take the place of what was played before; what has not changed goes on")
	fs.StringVar(&f.seccompRoot, "seccomp-profile-root", manifest.DefaultSeccompRoot, "`DIR` of seccomp profiles of type Localhost")
	fs.BoolVar(&f.service, "service-container", false, "for .kube files: the unit lives as long as the pods")
	fs.StringVar(&f.exit, "service-exit-code-propagation", "none", "for .kube files: the unit fails with none, any or all of the pods")
	fs.StringVar(&f.signaturePolicy, "signature-policy", "", "accepted as podman does; policy.json(5) counts")
	fs.BoolVar(&f.start, "start", true, "start the pods")
	fs.BoolVar(&f.strict, "strict", false, "what has no effect is an error: --validate=strict")
	fs.BoolVar(&f.tlsVerify, "tls-verify", true, "want HTTPS and a valid certificate")
	fs.StringVar(&f.userNS, "userns", "", "the user namespace: `MODE` is host, auto or keep-id[:uid=U,gid=G]")
	fs.StringVar(&f.validate, "validate", "warn", "what becomes of things without effect: ignore, warn or strict")
	fs.BoolVarP(&f.wait, "wait", "w", false, "wait until the pods end, or Ctrl-C, and take them down with their volumes")
	for _, name := range []string{"uidmap", "gidmap", "subuidname", "subgidname"} {
		cli.Refuse(fs, name, "", "each pod has a user namespace of its own: --userns auto, keep-id or nomap, with their options")
	}
	for _, name := range []string{"down", "force", "service-container", "service-exit-code-propagation", "signature-policy", "no-trunc"} {
		_ = fs.MarkHidden(name) // it is there
	}
	fs.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "net" {
			name = "network"
		}
		return pflag.NormalizedName(name)
	})
}

func (f *playFlags) run(cmd *cobra.Command, e *cli.Env, args []string) error {
	if f.down {
		return served.Down(cmd.Context(), e, args, f.force, documents(e))
	}
	given := cmd.Flags().Changed
	f.tlsGiven = given("tls-verify")
	switch {
	case f.force:
		return hint.With(errors.New("--force is for --down"), "leave it out")
	case f.contextDir != "" && !f.build:
		return hint.With(errors.New("--context-dir is for --build"), "give --build, too")
	case f.service && !f.start:
		return hint.With(errors.New("--start=false does not go together with --service-container"), "leave one of them out")
	case f.service && f.wait:
		return hint.With(errors.New("--wait does not go together with --service-container"), "leave it out: the unit waits")
	case f.exit != "none" && f.exit != "any" && f.exit != "all":
		return fmt.Errorf("--service-exit-code-propagation %q is none of none, any, all", f.exit)
	}
	if f.authFile != "" {
		if _, err := os.Stat(f.authFile); err != nil {
			return fmt.Errorf("--authfile: %w", err)
		}
	}
	o, err := f.options(e)
	if err != nil {
		return err
	}
	x, err := e.OpenToRun(cmd.Context())
	if err != nil {
		return err
	}
	o.Stored = play.Stored(x)
	var plan *kube.Plan
	err = cli.Interruptible(cmd.Context(), func() (err error) {
		plan, err = f.read(cmd.Context(), e, args, o)
		return err
	})
	if err != nil {
		return err
	}
	how := play.Options{
		Replace: f.replace, Create: !f.start, Once: f.wait, Service: f.service, Exit: f.exit,
		Registry: f.registry(),
	}
	if how.Build.Dir = e.Host().Dir; f.contextDir != "" {
		if how.Build.Dir, err = filepath.Abs(f.contextDir); err != nil {
			return err
		}
	}
	if given("build") {
		how.Build.Asked = &f.build
	}
	p := play.New(x)
	if f.quiet {
		x.Log = func(string) {}
	}
	played, err := p.Play(cmd.Context(), plan, how)
	if err != nil {
		return err
	}
	if f.service {
		x.User.Leave()
		return nil
	}
	show(e.Stdout, played)
	if f.wait {
		return f.await(cmd.Context(), e, p, plan)
	}
	return nil
}

// options turns the flags into the options of the reader.
func (f *playFlags) options(e *cli.Env) (manifest.Options, error) {
	host := e.Host()
	o := manifest.Options{
		PublishAll: f.publishAll, IPs: f.ips, MACs: f.macs, NoHosts: f.noHosts, NoHostname: f.noHostname,
		NoPodPrefix: f.noPodPrefix, SeccompRoot: f.seccompRoot, Dir: host.Dir, Rootless: e.User.Rootless(),
		SystemdUnit: e.Getenv("PODMAN_SYSTEMD_UNIT"), NoZone: play.NoZone, Annotations: map[string]string{},
	}
	switch f.validate {
	case "warn":
	case "ignore":
		o.Validate = manifest.ValidateIgnore
	case "strict":
		o.Validate = manifest.ValidateStrict
	default:
		return o, fmt.Errorf("--validate %q is none of ignore, warn, strict", f.validate)
	}
	if f.strict {
		o.Validate = manifest.ValidateStrict
	}
	for _, kv := range f.annotations {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || name == "" {
			return o, hint.With(fmt.Errorf("--annotation %q has no value", kv), "write --annotation NAME=VALUE")
		}
		o.Annotations[name] = value
	}
	// The words of a container's command line mean the same here, and are read by the same rules.
	fs := pflag.NewFlagSet("play", pflag.ContinueOnError)
	flags := spec.ContainerFlags(fs)
	words := []string{"--detach"}
	for name, list := range map[string][]string{"network": f.networks, "publish": f.publish, "log-opt": f.logOpts} {
		for _, v := range list {
			words = append(words, "--"+name+"="+v)
		}
	}
	if f.logDriver != "" {
		words = append(words, "--log-driver="+f.logDriver)
	}
	if o.UserNSAuto = f.userNS == "auto" || f.userNS == "private"; !o.UserNSAuto && f.userNS != "" {
		words = append(words, "--userns="+f.userNS)
	}
	if err := fs.Parse(append(words, "image")); err != nil {
		return o, spec.FlagError(fs, err)
	}
	c, err := flags.Container(fs.Args(), host)
	if err != nil {
		return o, err
	}
	if err := c.UserNS.ForPod(); err != nil {
		return o, err
	}
	o.Networks, o.Publish, o.Log, o.UserNS = c.Networks, c.Publish, c.Log, c.UserNS
	return o, nil
}

// registry turns the flags into the way images are pulled.
func (f *playFlags) registry() play.Registry {
	r := play.Registry{AuthFile: f.authFile, CertDir: f.certDir, Creds: f.creds}
	if f.tlsGiven {
		r.TLSVerify = &f.tlsVerify
	}
	return r
}

// read makes the plan, and prints what is wrong with the documents.
func (f *playFlags) read(ctx context.Context, e *cli.Env, args []string, o manifest.Options) (*kube.Plan, error) {
	plan, list, err := f.plan(ctx, e, args, o)
	if err != nil {
		return nil, err
	}
	return plan, say(e, list)
}

// plan makes the plan.
func (f *playFlags) plan(ctx context.Context, e *cli.Env, args []string, o manifest.Options) (*kube.Plan, report.List, error) {
	files, err := sources(ctx, e, args)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range f.configMaps {
		more, err := sources(ctx, e, []string{name})
		if err != nil {
			return nil, nil, fmt.Errorf("--configmap: %w", err)
		}
		o.ConfigMaps = append(o.ConfigMaps, more...)
	}
	plan, list := manifest.Read(files, o)
	return plan, list, nil
}

// await waits until all pods have ended, or the time for it is over, and takes them down with their
// volumes.
func (f *playFlags) await(ctx context.Context, e *cli.Env, p *play.Player, plan *kube.Plan) error {
	fmt.Fprintln(e.Stderr, "podunit: waiting for the end of the pods; Ctrl-C takes them down")
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	waiting, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		stop()
	}()
	if err := p.Await(waiting, plan); err != nil && waiting.Err() == nil {
		return err
	}
	_, err := p.Down(context.WithoutCancel(ctx), plan, true)
	return err
}

// show lists what was made, as podman does.
func show(w io.Writer, played *play.Played) {
	section := func(title string, list []string) {
		if len(list) > 0 {
			fmt.Fprintln(w, title)
			for _, one := range list {
				fmt.Fprintln(w, one)
			}
		}
	}
	section("Volumes:", played.Volumes)
	section("Secrets:", played.Secrets)
	for _, p := range played.Pods {
		section("Pod:", []string{p.ID})
		if len(p.Containers) == 1 {
			section("Container:", p.Containers)
		} else {
			section("Containers:", p.Containers)
		}
		fmt.Fprintln(w)
	}
}
