// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podunit/podunit/contrib/lab/cache"
	"github.com/podunit/podunit/contrib/lab/host"
)

//go:embed vm.sh
var vmRecipe string

// Suites are the Debian releases that a virtual machine can have.
func Suites() []string { return []string{"bookworm", Suite} }

// diskSize is of a virtual machine's disk. The file has holes: it takes what is in it, 1.5 GB.
const diskSize = "12G"

// vmPackages are those of a lab, and what a machine needs and nspawn's guest does not.
func vmPackages(suite string) []string {
	return append(packages(suite), "linux-image-cloud-amd64", "initramfs-tools", "zstd", "udev", "kmod", "e2fsprogs", "apparmor",
		"nfs-kernel-server", "nfs-common")
}

// vmRecipes are the scripts that finish the root filesystem of a machine.
func vmRecipes(suite string) []string { return append(recipes(suite), vmRecipe) }

// Disk is what boots as a virtual machine.
type Disk struct {
	Image          string // an ext4 file system with the root and, below /var/lib/docker-registry, the images
	Kernel, Initrd string
}

// DiskIn are the files of a disk in a directory that MakeDisk made.
func DiskIn(dir string) Disk {
	return Disk{filepath.Join(dir, "disk.ext4"), filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "initrd.img")}
}

// DiskKey names the recipe of a disk; images is the key of the images in it.
func DiskKey(suite, images string) string {
	sum := sha256.Sum256([]byte(images + strings.Join(vmPackages(suite), " ") + strings.Join(vmRecipes(suite), "") + diskSize))
	return "vm-" + suite + "-" + hex.EncodeToString(sum[:6])
}

// MakeDisk returns the directory of a disk with a Debian release and its kernel, made first if the
// cache has none for this recipe, which takes two or three minutes. images is a directory to lay
// over the root, as image.Make returns. The files are shared by all machines: copy the image, and
// never write to it.
func MakeDisk(ctx context.Context, c cache.Dir, suite, images string, log io.Writer) (string, error) {
	if !slices.Contains(Suites(), suite) {
		return "", fmt.Errorf("no virtual machine with Debian %q: it is one of %s", suite, strings.Join(Suites(), ", "))
	}
	return c.Make(DiskKey(suite, filepath.Base(images)), func(dir string) error {
		fmt.Fprintf(log, "making the disk of a virtual machine with Debian %s (cached afterwards)\n", suite)
		root := filepath.Join(dir, "root")
		args := []string{"--customize-hook=cp -a " + images + "/. \"$1\""}
		for i, text := range vmRecipes(suite) {
			hook := fmt.Sprintf("%s/recipe%d", dir, i)
			if err := os.WriteFile(hook, []byte(text), 0o755); err != nil {
				return err
			}
			defer os.Remove(hook)
			args = append(args, "--customize-hook="+hook)
		}
		err := bootstrap(ctx, log, suite, root, "minbase", vmPackages(suite), args...)
		if err == nil {
			err = fillDisk(ctx, dir, root, log)
		}
		return errors.Join(err, os.RemoveAll(root))
	})
}

// fillDisk makes the files of DiskIn from a root filesystem.
func fillDisk(ctx context.Context, dir, root string, log io.Writer) error {
	d := DiskIn(dir)
	if err := os.Chmod(root, 0o755); err != nil {
		return err
	}
	for link, to := range map[string]string{"vmlinuz": d.Kernel, "initrd.img": d.Initrd} {
		// The packages leave links to the newest kernel at the root.
		if err := host.Command(ctx, log, "cp", "-L", filepath.Join(root, link), to).Run(); err != nil {
			return fmt.Errorf("take the kernel out of %s: %w", root, err)
		}
	}
	if err := host.Command(ctx, log, "truncate", "--size", diskSize, d.Image).Run(); err != nil {
		return fmt.Errorf("make %s: %w", d.Image, err)
	}
	if err := host.Command(ctx, log, "mke2fs", "-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-d", root, d.Image).Run(); err != nil {
		return fmt.Errorf("make the file system of %s: %w", d.Image, err)
	}
	return nil
}
