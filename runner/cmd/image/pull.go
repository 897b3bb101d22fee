// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/bars"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.podman.io/common/pkg/config"
	"go.podman.io/common/pkg/password"
	"golang.org/x/term"
)

// NewPull makes podunit pull.
func NewPull(e *cli.Env) *cobra.Command {
	var flags pullFlags
	cmd := &cobra.Command{
		Use:   "pull [flags] IMAGE...",
		Short: "Pull images from a registry",
		Long: `Pull images and print their IDs.

An image is a name, in full or as registries.conf completes it, or has a transport:
docker://NAME, oci:DIR[:REFERENCE], oci-archive:FILE, docker-archive:FILE, dir:DIR.

A registry that sends less than 1 KiB a second for 60 seconds ends the pull; the environment variable
` + image.StallEnv + ` sets another time (90s, 5m, 0 for no limit). What was complete of a
pull that ended early is not downloaded again by the next one.`,
		Example: "  podunit pull docker.io/library/nginx:alpine\n" +
			"  podunit pull --tls-verify=false localhost:5000/app",
		Args:              cli.WantArgs(1, -1),
		ValidArgsFunction: cli.CompleteImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.options(e)
			if err != nil {
				return err
			}
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			for _, name := range args {
				if err := pull(cmd.Context(), e, im, name, o, flags.allTags, flags.quiet); err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags.register(cmd.Flags())
	cli.Complete(cmd, "policy", "always", "missing", "newer", "never")
	return cmd
}

// pullFlags are the flags of podunit pull.
type pullFlags struct {
	set                                       *pflag.FlagSet
	allTags, quiet, tlsVerify                 bool
	osName, arch, variant, platform           string
	authfile, creds, certDir, policy, backoff string
	keys                                      []string
	retries                                   uint
}

func (p *pullFlags) register(set *pflag.FlagSet) {
	p.set = set
	set.BoolVarP(&p.allTags, "all-tags", "a", false, "pull every tag of the repository")
	set.StringVar(&p.arch, "arch", "", "the image for `ARCH` instead of this machine's")
	set.StringVar(&p.authfile, "authfile", "", "`FILE` with credentials; $REGISTRY_AUTH_FILE is another way to say it")
	set.StringVar(&p.certDir, "cert-dir", "", "`DIR` with certificates for the registry")
	set.StringVar(&p.creds, "creds", "", "`USER[:PASSWORD]` for the registry")
	set.StringArrayVar(&p.keys, "decryption-key", nil, "private `KEY[:PASSPHRASE]` for encrypted layers")
	RefuseTrust(set)
	set.StringVar(&p.osName, "os", "", "the image for `OS` instead of this machine's")
	set.StringVar(&p.platform, "platform", "", "the image for `OS/ARCH[/VARIANT]`")
	set.StringVar(&p.policy, "policy", "always", "when to pull: always, missing, newer or never")
	set.BoolVarP(&p.quiet, "quiet", "q", false, "print nothing but IDs")
	set.UintVar(&p.retries, "retry", 3, "tries after the first one; without the flag, an unknown host or a refused connection is not tried again")
	set.StringVar(&p.backoff, "retry-delay", "", "`TIME` between tries (default 1s, 2s, 4s ...)")
	set.BoolVar(&p.tlsVerify, "tls-verify", true, "want HTTPS and a valid certificate")
	set.StringVar(&p.variant, "variant", "", "the image for `VARIANT` of the architecture")
}

// options makes of the flags what a pull takes. It asks for a password that is missing.
func (p *pullFlags) options(e *cli.Env) (image.PullOptions, error) {
	o := image.PullOptions{OS: p.osName, Arch: p.arch, Variant: p.variant, AuthFile: p.authfile, CertDir: p.certDir, DecryptionKeys: p.keys}
	given := p.set.Changed
	if p.platform != "" {
		if given("os") || given("arch") || given("variant") {
			return o, errors.New("--platform says all of --os, --arch and --variant: give one or the other")
		}
		var err error
		if o.OS, o.Arch, o.Variant, err = splitPlatform(p.platform); err != nil {
			return o, err
		}
	}
	var err error
	if o.Policy, err = config.ParsePullPolicy(p.policy); err != nil {
		return o, fmt.Errorf("--policy %s: it is always, missing, newer or never", p.policy)
	}
	if given("tls-verify") {
		o.TLSVerify = &p.tlsVerify
	}
	if given("retry") {
		n := int(min(p.retries, 1000))
		o.Retries = &n
	}
	if p.backoff != "" {
		if o.RetryDelay, err = time.ParseDuration(p.backoff); err != nil || o.RetryDelay < 0 {
			return o, fmt.Errorf("--retry-delay %s: want a duration like 500ms or 5s", p.backoff)
		}
	}
	o.User, o.Secret, err = Credentials(e, p.creds)
	return o, err
}

// pull pulls one image, or all tags of one, and prints the IDs.
func pull(ctx context.Context, e *cli.Env, im *registry.Images, name string, o image.PullOptions, allTags, quiet bool) error {
	o.Report = service.ReportPull(e.Notify)
	done := func() {}
	if !quiet {
		o.Log = func(line string) { fmt.Fprintf(e.Stderr, "podunit: %s\n", line) }
		if o.Report == nil {
			o, done = drawPull(e, o)
		}
	}
	var images []*image.Image
	var err error
	if allTags {
		images, err = im.Tags(ctx, name, o)
	} else {
		var one *image.Image
		if one, err = im.Pull(ctx, name, o); err == nil {
			images = append(images, one)
		}
	}
	done()
	for _, i := range images {
		if _, err := fmt.Fprintln(e.Stdout, i.ID); err != nil {
			return err
		}
	}
	return err
}

// drawPull draws progress on a terminal, and says once what it does where there is none. The
// function it returns takes the drawing away.
func drawPull(e *cli.Env, o image.PullOptions) (image.PullOptions, func()) {
	drawn, done, ok := bars.Draw(e.Stderr, o)
	if !ok {
		said := ""
		drawn.Report = func(p image.Progress) {
			if p.Name != said {
				said = p.Name
				fmt.Fprintf(e.Stderr, "Trying to pull %s...\n", p.Name)
			}
		}
	}
	return drawn, done
}

// Credentials splits USER[:PASSWORD] and asks for a password that is missing.
func Credentials(e *cli.Env, creds string) (user, secret string, err error) {
	if creds == "" {
		return "", "", nil
	}
	user, secret, given := strings.Cut(creds, ":")
	if user == "" {
		return "", "", errors.New("--creds: want USER[:PASSWORD]")
	}
	if given {
		return user, secret, nil
	}
	if e.Stdin == nil || !term.IsTerminal(int(e.Stdin.Fd())) {
		return "", "", hint.With(errors.New("--creds has no password, and there is no terminal to ask for it"), "--creds USER:PASSWORD, or --authfile")
	}
	text, err := secretOf(e, "Password")
	return user, string(text), err
}

// secretOf asks for a text on the terminal that is our input, without showing what is typed.
// Whoever ends that with Ctrl-C has his terminal as it was.
func secretOf(e *cli.Env, what string) ([]byte, error) {
	fmt.Fprint(e.Stderr, what+": ")
	text, err := password.Read(int(e.Stdin.Fd()))
	fmt.Fprintln(e.Stderr)
	return text, err
}

func splitPlatform(text string) (osName, arch, variant string, err error) {
	parts := strings.Split(text, "/")
	if len(parts) < 1 || len(parts) > 3 || parts[0] == "" {
		return "", "", "", fmt.Errorf("--platform %s: want OS/ARCH[/VARIANT], as in linux/arm64", text)
	}
	parts = append(parts, "", "")
	return parts[0], parts[1], parts[2], nil
}
