// SPDX-License-Identifier: Apache-2.0

// Package kubelet makes a lab a node of Kubernetes that has no cluster: a real kubelet runs the
// pods of /etc/kubernetes/manifests, with containerd, runc and the network plugins of Debian. Its
// test plays a document with podunit and gives it to the kubelet as it is. Run it with: make
// test-kubernetes, which builds the kubelet.
package kubelet

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/podunit/podunit/contrib/lab/cache"
	"github.com/podunit/podunit/contrib/lab/host"
	"github.com/podunit/podunit/contrib/lab/rootfs"
)

// files is what lies over a lab's root, as it lies there.
//
//go:embed files
var files embed.FS

// packages are what the kubelet stands on; portmap executes iptables.
const packages = "containerd containernetworking-plugins iptables"

// programs are the files of packages that a lab has not got, as patterns.
const programs = `usr/bin/containerd usr/bin/containerd-shim-runc-v2 usr/bin/ctr usr/lib/systemd/system/containerd.service
	usr/lib/cni usr/sbin/xtables-nft-multi usr/lib/*/xtables usr/lib/*/libxtables.so.* usr/lib/*/libnetfilter_conntrack.so.*
	usr/lib/*/libnfnetlink.so.* usr/lib/*/libip4tc.so.* usr/lib/*/libip6tc.so.*`

// Make returns a directory with what comes from Debian, made first if the cache has none.
func Make(ctx context.Context, c cache.Dir, log io.Writer) (string, error) {
	sum := sha256.Sum256([]byte(rootfs.Suite + packages + programs))
	key := "kubelet-" + hex.EncodeToString(sum[:6])
	made, err := c.Make(key, func(dir string) error {
		work, err := os.MkdirTemp(string(c), "work-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(work)
		if err := rootfs.Bootstrap(ctx, log, work, "extract", strings.Fields(packages)); err != nil {
			return err
		}
		args := []string{"--archive", "--parents"}
		for _, pattern := range strings.Fields(programs) {
			found, err := filepath.Glob(filepath.Join(work, pattern))
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return fmt.Errorf("the packages %s have nothing like %s", packages, pattern)
			}
			for _, path := range found {
				args = append(args, "./"+strings.TrimPrefix(path, work+"/"))
			}
		}
		cmd := host.Command(ctx, log, "cp", append(args, dir)...)
		cmd.Dir = work
		if err := cmd.Run(); err != nil {
			return err
		}
		for _, name := range []string{"iptables", "ip6tables"} {
			if err := os.Symlink("xtables-nft-multi", filepath.Join(dir, "usr/sbin", name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return made, c.Prune(key, nil) // a lab has copies
}

// WriteFiles writes the settings of containerd, its network and the kubelet below dir.
func WriteFiles(dir string) error {
	below, err := fs.Sub(files, "files")
	if err != nil {
		return err
	}
	return os.CopyFS(dir, below)
}
