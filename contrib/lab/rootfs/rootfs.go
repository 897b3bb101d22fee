// SPDX-License-Identifier: Apache-2.0

// Package rootfs makes the Debian root filesystem that a lab boots: systemd, the programs podunit
// stands on, Podman as the peer, a registry, and the users of the tests. What is in it, recipe.sh
// says. A lab is Debian 13 (systemd 257, Podman 5.4.2) unless somebody asks for another release.
package rootfs

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podunit/podunit/contrib/lab/cache"
	"github.com/podunit/podunit/contrib/lab/host"
)

//go:embed recipe.sh
var recipe string

//go:embed bookworm.sh
var bookworm string

// recipes are the scripts that finish the root filesystem of a release.
func recipes(release string) []string {
	if release == "bookworm" {
		return []string{recipe, bookworm}
	}
	return []string{recipe}
}

// Suite is the Debian release of a lab for which nobody asks for another, and of the packages that
// images are made from.
const Suite = "trixie"

// Newest is Suite with the programs that containers stand on, netavark, aardvark-dns, passt and
// runc, of Debian's next release.
const Newest = "newest"

// next is that release. Its systemd demands of a kernel and of nspawn what not every host has.
const next = "forky"

// Releases are what a lab in a container can be: the Debian release before Suite, Suite, and Newest.
func Releases() []string { return []string{"bookworm", Suite, Newest} }

// packages of the lab, beyond what is essential to Debian.
func packages(release string) []string {
	all := strings.Fields(`
		systemd systemd-sysv dbus dbus-user-session libpam-systemd
		uidmap passt runc crun conmon buildah netavark aardvark-dns catatonit nftables fuse-overlayfs podman
		iproute2 procps util-linux bsdutils curl ca-certificates less docker-registry skopeo strace jq netcat-openbsd iperf3
		bash-completion zsh fish make`)
	switch release {
	case "bookworm":
		all = append(all, "iptables") // its netavark knows no other firewall
	case Newest:
		for i, name := range all {
			if slices.Contains([]string{"passt", "runc", "netavark", "aardvark-dns"}, name) {
				all[i] = name + "/" + next
			}
		}
	}
	return all
}

// Key names the recipe: the same packages and the same script give the same key.
func Key(release string) string {
	sum := sha256.Sum256([]byte(release + "\n" + strings.Join(packages(release), " ") + "\n" + strings.Join(recipes(release), "")))
	if release == Suite {
		return "rootfs-" + hex.EncodeToString(sum[:6])
	}
	return "rootfs-" + release + "-" + hex.EncodeToString(sum[:6])
}

// Make returns the path of a release's root filesystem, made first if the cache has none for this
// recipe. It takes about half a minute; progress and mmdebstrap's own messages go to log. The
// directory is shared by all labs: never write to it.
func Make(ctx context.Context, c cache.Dir, release string, log io.Writer) (string, error) {
	if !slices.Contains(Releases(), release) {
		return "", fmt.Errorf("no lab with Debian %q: it is one of %s", release, strings.Join(Releases(), ", "))
	}
	return c.Make(Key(release), func(dir string) error {
		fmt.Fprintf(log, "making the Debian %s root filesystem (cached afterwards)\n", release)
		var hooks []string
		for i, text := range recipes(release) {
			hook := fmt.Sprintf("%s.recipe%d", dir, i)
			if err := os.WriteFile(hook, []byte(text), 0o755); err != nil {
				return err
			}
			defer os.Remove(hook)
			hooks = append(hooks, "--customize-hook="+hook)
		}
		if err := bootstrap(ctx, log, release, dir, "minbase", packages(release), hooks...); err != nil {
			return err
		}
		return os.Chmod(dir, 0o755)
	})
}

// Bootstrap runs mmdebstrap for Suite: variant and packages as its manual has them, extra options
// last. The host's settings for reaching its package mirror (proxies, retries, dates that cannot be
// trusted) are passed on.
func Bootstrap(ctx context.Context, log io.Writer, dir, variant string, packages []string, extra ...string) error {
	return bootstrap(ctx, log, Suite, dir, variant, packages, extra...)
}

func bootstrap(ctx context.Context, log io.Writer, suite, dir, variant string, packages []string, extra ...string) error {
	args := []string{
		"--quiet", "--mode=root", "--format=directory", "--variant=" + variant,
		"--include=" + strings.Join(packages, ","),
		"--aptopt=APT::Install-Recommends \"false\"",
		"--aptopt=Acquire::Languages \"none\"",
		"--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-exclude=/usr/share/doc/*",
	}
	opts, err := host.AptOptions(ctx)
	if err != nil {
		return err
	}
	for _, o := range opts {
		args = append(args, "--aptopt="+o)
	}
	args = append(args, extra...)
	const mirror = "http://deb.debian.org/debian"
	if suite == Newest {
		// What is asked of the next release comes from there, all else from ours if it has it.
		args = append(args, "--aptopt=APT::Default-Release \""+Suite+"\"", Suite, dir, mirror, "deb "+mirror+" "+next+" main")
	} else {
		args = append(args, suite, dir, mirror)
	}
	if err := host.Command(ctx, log, "mmdebstrap", args...).Run(); err != nil {
		return fmt.Errorf("mmdebstrap %s: %w", filepath.Base(dir), err)
	}
	return nil
}
