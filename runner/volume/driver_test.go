// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/spec"
)

func TestOptions(t *testing.T) {
	var o Options
	if err := o.Read(map[string]string{"o": "uid=7,nocopy", "gid": "8"}); err != nil || o.UID != 7 || o.GID != 8 {
		t.Errorf("%+v, %v", o, err)
	}
	var no *spec.Unsupported
	if err := o.Read(map[string]string{"size": "1g"}); !errors.As(err, &no) {
		t.Errorf("a quota is refused: %v", err)
	}
	for name, value := range map[string]string{"uid": "joe", "o": "gid=joe", "device": "", "devise": "/x"} {
		if err := o.Read(map[string]string{name: value}); err == nil {
			t.Errorf("%s=%s is taken", name, value)
		}
	}
	if err := CheckDriver("rclone"); !errors.As(err, &no) {
		t.Errorf("a driver of a plugin: %v", err)
	}
}

// TestOfMount: what makes a volume says what is wrong with its options, and where.
func TestOfMount(t *testing.T) {
	m := spec.Mount{Type: spec.MountVolume, Source: "a", Destination: "/d", Driver: map[string]string{"type": "tmpfs", "o": "size=1m,uid=5"}}
	if o, err := OfMount(m, true); err != nil || o.UID != 5 || !reflect.DeepEqual(o.Options, m.Driver) {
		t.Errorf("%+v, %v", o, err)
	}
	for name, value := range map[string]string{"devise": "/x", "type": "ext4", "o": "ro"} {
		m.Driver = map[string]string{name: value}
		if _, err := OfMount(m, true); err == nil || !strings.HasPrefix(err.Error(), "mount on /d: volume option ") {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

// TestReadOnly: the last word counts.
func TestReadOnly(t *testing.T) {
	for o, want := range map[string]bool{"": false, "ro": true, "ro,bind": true, "bind,ro": true, "ro,rw": false, "rw,noexec,ro": true, "error=ro": false} {
		w, _ := what(map[string]string{"type": "bind", "device": "/x", "o": o})
		if w.ReadOnly() != want {
			t.Errorf("o=%s: %v", o, !want)
		}
	}
}

func TestWhat(t *testing.T) {
	for name, c := range map[string]struct {
		options  map[string]string
		driver   string
		rootless bool
		want     What
		mounts   bool
		err      string
	}{
		"a directory":                {map[string]string{"o": "uid=1,nocopy"}, "local", true, What{Data: []string{"uid=1"}}, false, ""},
		"a tmpfs":                    {map[string]string{"type": "tmpfs", "o": "size=1m,uid=5"}, "local", true, What{Type: "tmpfs", Device: "tmpfs", Data: []string{"size=1m", "uid=5"}}, true, ""},
		"a bind":                     {map[string]string{"type": "bind", "device": "/a", "o": "copy"}, "local", true, What{Type: "bind", Device: "/a"}, true, ""},
		"a bind by its option":       {map[string]string{"type": "none", "device": "/a", "o": "bind"}, "local", true, What{Type: "none", Device: "/a", Data: []string{"bind"}}, true, ""},
		"a disk as a user":           {map[string]string{"type": "ext4", "device": "/dev/x"}, "local", true, What{Type: "ext4", Device: "/dev/x"}, true, "for root only"},
		"any device as a user":       {map[string]string{"device": "/dev/x"}, "local", true, What{Device: "/dev/x"}, true, "for root only"},
		"a disk as root":             {map[string]string{"type": "ext4", "device": "/dev/x"}, "local", false, What{Type: "ext4", Device: "/dev/x"}, true, ""},
		"a type alone":               {map[string]string{"type": "nfs"}, "local", false, What{Type: "nfs"}, true, "needs device="},
		"options for nothing":        {map[string]string{"o": "ro"}, "local", false, What{Data: []string{"ro"}}, false, "there is nothing to mount"},
		"a quota":                    {map[string]string{"o": "size=1g"}, "local", false, What{Data: []string{"size=1g"}}, false, "not supported: it needs root, and a file system that was mounted with project quotas"},
		"an image":                   {map[string]string{"image": "a"}, "image", true, What{Image: "a"}, true, ""},
		"an image of another driver": {map[string]string{"image": "a"}, "local", true, What{Image: "a"}, true, "--driver image"},
		"no image":                   {nil, "image", true, What{}, false, "needs --opt image="},
		"an image on a device":       {map[string]string{"image": "a", "device": "/x"}, "image", true, What{Image: "a", Device: "/x"}, true, "does not go together"},
	} {
		t.Run(name, func(t *testing.T) {
			v := Volume{Options: c.options}
			if w, mounts := v.What(); !reflect.DeepEqual(w, c.want) || mounts != c.mounts {
				t.Errorf("%+v, %v", w, mounts)
			}
			err := (&Options{Options: c.options}).Check(c.driver, c.rootless)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v, want %q", err, c.err)
			}
		})
	}
}
