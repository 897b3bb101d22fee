// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/safe"
	"golang.org/x/sys/unix"
)

// zoneDir is where systems keep the time zone database. Source: localtime(5).
const zoneDir = "/usr/share/zoneinfo"

// SetTimezone makes /etc/localtime of the mounted root what the command line or containers.conf
// asks for: a link into the image's own database where that has the zone, else a copy of the
// machine's file, which belongs to uid and gid. To mount a file there would not do: in most images
// it is a link, and the mount would change the zone that the link leads to.
func (in *Input) SetTimezone(uid, gid int) error {
	zone := in.Spec.Timezone
	if zone == "" && in.Config != nil {
		zone = in.Config.TZ
	}
	if zone == "" || slices.ContainsFunc(in.Mounts, func(m Mount) bool { return m.Destination == "/etc/localtime" }) {
		return nil
	}
	file := filepath.Join(in.Host.ZoneInfo, zone)
	name := zone
	if zone == "local" {
		real, err := filepath.EvalSymlinks(in.Host.LocalTime)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a machine without one runs in UTC, as the container will
		}
		if err != nil {
			return fmt.Errorf("--tz local: %w", err)
		}
		file, name = real, strings.TrimPrefix(real, in.Host.ZoneInfo+"/")
	}
	if err := setLocaltime(in.Rootfs, name, file, uid, gid); err != nil {
		if errors.Is(err, unix.EROFS) { // a directory for an image, which nobody can change
			in.Files = append(in.Files, File{Source: file, Destination: "/etc/localtime", ReadOnly: true})
			return nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("--tz %s: this machine does not have that time zone; see timedatectl list-timezones, or install the package tzdata", zone)
		}
		return fmt.Errorf("--tz %s: %w", zone, err)
	}
	return nil
}

// maxZone is the most bytes of a file of a time zone; the largest have four thousand.
const maxZone = 1 << 20

// setLocaltime writes below a descriptor of the root, so that no link of the image leads out of it.
func setLocaltime(rootfs, zone, file string, uid, gid int) error {
	root, err := unix.Open(rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	inside := func(name string, flags uint64) (int, error) {
		return unix.Openat2(root, name, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	}
	link := ""
	if !filepath.IsAbs(zone) {
		var st unix.Stat_t
		if fd, err := inside(zoneDir[1:]+"/"+zone, unix.O_PATH); err == nil {
			if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
				link = ".." + zoneDir + "/" + zone
			}
			unix.Close(fd)
		}
	}
	var content []byte
	if link == "" {
		if content, err = safe.ReadLinked(file, maxZone); err != nil {
			return err
		}
	}
	etc, err := inside("etc", unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) {
		if err = unix.Mkdirat(root, "etc", 0o755); err == nil {
			etc, err = inside("etc", unix.O_RDONLY|unix.O_DIRECTORY)
		}
	}
	if err != nil {
		return fmt.Errorf("/etc of the image: %w", err)
	}
	defer unix.Close(etc)
	const localtime = "localtime"
	old := make([]byte, len(link)+1)
	if n, err := unix.Readlinkat(etc, localtime, old); err == nil && link != "" && string(old[:n]) == link {
		return nil
	}
	if err := unix.Unlinkat(etc, localtime, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("/etc/localtime of the image: %w", err)
	}
	if link != "" {
		return unix.Symlinkat(link, etc, localtime)
	}
	fd, err := unix.Openat(etc, localtime, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return fmt.Errorf("/etc/localtime: %w", err)
	}
	f := os.NewFile(uintptr(fd), localtime)
	_, err = f.Write(content)
	return errors.Join(err, f.Chmod(0o644), f.Chown(uid, gid), f.Close())
}
