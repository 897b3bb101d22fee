// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSetTimezone(t *testing.T) {
	host := root(t, map[string]string{"zone/Asia/Tokyo": "TZif Tokyo", "zone/Etc/UTC": "TZif UTC", "etc/localtime": "->../zone/Asia/Tokyo"})
	if err := unix.Mkfifo(filepath.Join(host, "zone/Pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "etc")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	database := map[string]string{"usr/share/zoneinfo/Asia/Tokyo": "image Tokyo", "usr/share/zoneinfo/Etc/UTC": "image UTC", "etc/localtime": "->/usr/share/zoneinfo/Etc/UTC"}
	for name, tc := range map[string]struct {
		image map[string]string
		zone  string
		args  []string
		link  string // "" is a file
		want  string // contents, or what the error says
	}{
		"a link into the image's database":    {database, "Asia/Tokyo", nil, "../usr/share/zoneinfo/Asia/Tokyo", "image Tokyo"},
		"the machine's own zone":              {database, "local", nil, "../usr/share/zoneinfo/Asia/Tokyo", "image Tokyo"},
		"an image without a database":         {map[string]string{"etc/localtime": "->/usr/share/zoneinfo/Etc/UTC"}, "Asia/Tokyo", nil, "", "TZif Tokyo"},
		"an image without /etc":               {nil, "Asia/Tokyo", nil, "", "TZif Tokyo"},
		"a file that is there":                {map[string]string{"etc/localtime": "old and longer"}, "Etc/UTC", nil, "", "TZif UTC"},
		"no zone":                             {database, "Asia/Nowhere", nil, "", "this machine does not have that time zone"},
		"what nobody may ever write":          {nil, "Pipe", nil, "", "not a regular file but a pipe"},
		"what has no end":                     {nil, "../../../../../../../../../dev/zero", nil, "", "not a regular file but a device"},
		"/etc is a link out of the image":     {map[string]string{"etc": "->" + outside}, "Asia/Tokyo", nil, "", "/etc of the image"},
		"somebody mounts a file there":        {database, "Asia/Tokyo", []string{"-v", "/a:/etc/localtime"}, "/usr/share/zoneinfo/Etc/UTC", "image UTC"},
		"nothing asked for":                   {database, "", nil, "/usr/share/zoneinfo/Etc/UTC", "image UTC"},
		"a database that is a link to a file": {map[string]string{"usr/share/zoneinfo": "->/etc/passwd", "etc/passwd": ""}, "Asia/Tokyo", nil, "", "TZif Tokyo"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t, tc.args...)
			in.Rootfs = root(t, tc.image)
			in.Spec.Timezone = tc.zone
			in.Host.ZoneInfo, in.Host.LocalTime = filepath.Join(host, "zone"), filepath.Join(host, "etc/localtime")
			for range 2 { // a second start finds what the first has made
				if err := in.SetTimezone(os.Getuid(), os.Getgid()); err != nil {
					if !strings.Contains(err.Error(), tc.want) {
						t.Error(err)
					}
					return
				}
			}
			local := filepath.Join(in.Rootfs, "etc/localtime")
			if link, _ := os.Readlink(local); link != tc.link {
				t.Errorf("it leads to %q", link)
			}
			if strings.HasPrefix(tc.link, "/") {
				local = filepath.Join(in.Rootfs, tc.link)
			}
			if b, err := os.ReadFile(local); err != nil || string(b) != tc.want {
				t.Errorf("%q, %v", b, err)
			}
			if b, err := os.ReadFile(filepath.Join(in.Rootfs, "usr/share/zoneinfo/Etc/UTC")); err == nil && string(b) != "image UTC" {
				t.Errorf("the image's UTC is %q", b)
			}
		})
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("outside of the image: %v, %v", entries, err)
	}
}

// TestSetTimezoneOfAReadOnlyDirectory has a directory at the image's place that cannot be written to.
func TestSetTimezoneOfAReadOnlyDirectory(t *testing.T) {
	in := input(t)
	in.Rootfs = root(t, map[string]string{"etc/localtime": "old"})
	if err := unix.Mount(in.Rootfs, in.Rootfs, "", unix.MS_BIND, ""); err != nil {
		t.Skip("needs to mount")
	}
	defer func() { _ = unix.Unmount(in.Rootfs, unix.MNT_DETACH) }()
	if err := unix.Mount("", in.Rootfs, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	zones := root(t, map[string]string{"Etc/UTC": "TZif"})
	in.Spec.Timezone, in.Host.ZoneInfo = "Etc/UTC", zones
	if err := in.SetTimezone(0, 0); err != nil {
		t.Fatal(err)
	}
	c, _, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Mounts {
		if m.Destination == "/etc/localtime" && m.Source == filepath.Join(zones, "Etc/UTC") && strings.HasSuffix(strings.Join(m.Options, ","), ",ro") {
			return
		}
	}
	t.Errorf("%+v", c.Mounts)
}

// TestKernelPlaces has images in which a place of the kernel's file systems leads elsewhere.
func TestKernelPlaces(t *testing.T) {
	for name, image := range map[string]map[string]string{
		"/dev of the image is a link":       {"dev": "->/tmp"},
		"/proc of the image is a link":      {"proc": "->etc"},
		"/sys of the image is no directory": {"sys": "a file"},
	} {
		in := input(t)
		in.Rootfs = root(t, image)
		if _, _, err := Build(in); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	in := input(t)
	in.Rootfs = root(t, map[string]string{"dev/x": "", "proc/x": ""})
	if _, _, err := Build(in); err != nil {
		t.Error(err)
	}
}

// TestFilesOfAReadOnlyRoot has what we bind into a container be as writable as the rest of it.
func TestFilesOfAReadOnlyRoot(t *testing.T) {
	for flag, want := range map[string]bool{"--read-only": true, "--read-only=false": false} {
		in := input(t, flag)
		in.Files = []File{{Source: "/run/hosts", Destination: "/etc/hosts"}}
		c, _, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range c.Mounts {
			if m.Destination == "/etc/hosts" && strings.Contains(strings.Join(m.Options, ","), ",ro") != want {
				t.Errorf("%s: %v", flag, m.Options)
			}
		}
	}
}

func TestVirtualConsole(t *testing.T) {
	for p, want := range map[string]bool{"/dev/tty1": true, "/dev/tty63": true, "/dev/tty": false, "/dev/ttyS0": false, "/dev/ttyUSB1": false, "/dev/tty1a": false} {
		if virtualConsole(p) != want {
			t.Errorf("%s: %v", p, !want)
		}
	}
	if _, err := os.Stat("/dev/tty1"); err != nil {
		t.Skip("this machine has no consoles")
	}
	for name, tc := range map[string]struct {
		args     []string
		rootless bool
		want     bool
	}{
		"rootless":      {[]string{"--privileged"}, true, false},
		"for systemd":   {[]string{"--privileged", "--systemd=always"}, false, false},
		"root":          {[]string{"--privileged"}, false, true},
		"one asked for": {[]string{"--privileged", "--device", "/dev/tty1"}, true, true},
	} {
		in := input(t, tc.args...)
		in.Rootless = tc.rootless
		c, _, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, m := range c.Mounts {
			found = found || m.Destination == "/dev/tty1"
		}
		for _, d := range c.Linux.Devices {
			found = found || d.Path == "/dev/tty1"
		}
		if found != tc.want {
			t.Errorf("%s: shown %v", name, found)
		}
	}
}
