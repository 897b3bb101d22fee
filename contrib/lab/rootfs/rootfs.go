// SPDX-License-Identifier: Apache-2.0

// Package rootfs makes the Debian 13 root filesystem that every lab boots: systemd 257, the programs podunit stands on,
// Podman 5.4.2 as the peer, a registry, and the users of the tests. What is in it, recipe.sh says.
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
	"strings"

	"github.com/podunit/podunit/contrib/lab/cache"
	"github.com/podunit/podunit/contrib/lab/host"
)

//go:embed recipe.sh
var recipe string

// Suite is the Debian release of the lab, and of the packages that images are made from.
const Suite = "trixie"

// packages of the lab, beyond what is essential to Debian.
func packages() []string {
	return strings.Fields(`
		systemd systemd-sysv dbus dbus-user-session libpam-systemd
		uidmap passt runc crun conmon buildah netavark aardvark-dns catatonit nftables fuse-overlayfs podman
		iproute2 procps util-linux bsdutils curl ca-certificates less docker-registry skopeo strace jq netcat-openbsd
		bash-completion zsh fish make`)
}

// Key names the recipe: the same packages and the same script give the same key.
func Key() string {
	sum := sha256.Sum256([]byte(Suite + "\n" + strings.Join(packages(), " ") + "\n" + recipe))
	return "rootfs-" + hex.EncodeToString(sum[:6])
}

// Make returns the path of the root filesystem, made first if the cache has none for this recipe. It takes about half
// a minute; progress and mmdebstrap's own messages go to log. The directory is shared by all labs: never write to it.
func Make(ctx context.Context, c cache.Dir, log io.Writer) (string, error) {
	return c.Make(Key(), func(dir string) error {
		fmt.Fprintf(log, "making the Debian %s root filesystem (cached afterwards)\n", Suite)
		hook := dir + ".recipe"
		if err := os.WriteFile(hook, []byte(recipe), 0o755); err != nil {
			return err
		}
		defer os.Remove(hook)
		if err := Bootstrap(ctx, log, dir, "minbase", packages(), "--customize-hook="+hook); err != nil {
			return err
		}
		return os.Chmod(dir, 0o755)
	})
}

// Bootstrap runs mmdebstrap for the lab's suite: variant and packages as its manual has them, extra options last. The
// host's settings for reaching its package mirror (proxies, retries, dates that cannot be trusted) are passed on.
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
	args = append(args, suite, dir, "http://deb.debian.org/debian")
	if err := host.Command(ctx, log, "mmdebstrap", args...).Run(); err != nil {
		return fmt.Errorf("mmdebstrap %s: %w", filepath.Base(dir), err)
	}
	return nil
}
