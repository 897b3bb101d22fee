// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/spec"
)

const (
	passwdFile = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\nnohome:x:7:7:::\n"
	groupFile  = "root:x:0:\nvideo:x:44:app,other\napp:x:1001:\n"
)

// root makes a root file system of files and links (text beginning with ->).
func root(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, link := strings.CutPrefix(text, "->"); link {
			err = os.Symlink(to, p)
		} else {
			err = os.WriteFile(p, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestResolveUser(t *testing.T) {
	plain := map[string]string{"etc/passwd": passwdFile, "etc/group": groupFile}
	for name, tc := range map[string]struct {
		files map[string]string
		who   string
		image string
		add   []string
		keep  *User
		want  User
		err   string
	}{
		"nobody said anything":     {files: plain, want: User{Groups: []uint32{0}, Name: "root", Home: "/root", KnownGroup: true}},
		"an empty image":           {want: User{Groups: []uint32{0}, Home: "/"}},
		"a name":                   {files: plain, who: "app", want: User{1000, 1001, []uint32{1001, 44}, "app", "/home/app", true}},
		"the image's":              {files: plain, image: "app", want: User{1000, 1001, []uint32{1001, 44}, "app", "/home/app", true}},
		"the command line's":       {files: plain, who: "0", image: "app", want: User{0, 0, []uint32{0}, "root", "/root", true}},
		"a number that is known":   {files: plain, who: "1000", want: User{1000, 1001, []uint32{1001, 44}, "app", "/home/app", true}},
		"a number that is not":     {files: plain, who: "4242", want: User{4242, 0, []uint32{0}, "", "/", true}},
		"numbers, both unknown":    {files: plain, who: "42:43", want: User{42, 43, []uint32{43}, "", "/", false}},
		"a group by its name":      {files: plain, who: "app:video", want: User{1000, 44, []uint32{44}, "app", "/home/app", true}},
		"groups added":             {files: plain, who: "app", add: []string{"44", "99", "root"}, want: User{1000, 1001, []uint32{1001, 44, 0, 99}, "app", "/home/app", true}},
		"no home directory":        {files: plain, who: "nohome", want: User{7, 7, []uint32{7}, "nohome", "/", false}},
		"keep-id over the image":   {files: plain, image: "app", keep: &User{UID: 1234, GID: 1234}, want: User{1234, 1234, []uint32{1234}, "", "/", false}},
		"the command line over it": {files: plain, who: "root", keep: &User{UID: 1234, GID: 1234}, want: User{0, 0, []uint32{0}, "root", "/root", true}},
		"an unknown name":          {files: plain, who: "me", err: `--user "me": unable to find user me`},
		"of the image":             {files: plain, image: "me", err: `the image's USER "me"`},
		"an unknown group":         {files: plain, who: "app:me", err: `--user "app:me"`},
		"an unknown group added":   {files: plain, add: []string{"me"}, err: "--group-add"},
		"a number out of range":    {files: plain, who: "4294967296", err: "--user"},
		"a link as images have it": {files: map[string]string{"etc": "->/usr/etc", "usr/etc/passwd": passwdFile, "usr/etc/group": groupFile}, who: "app", want: User{1000, 1001, []uint32{1001, 44}, "app", "/home/app", true}},
		"a loop of links":          {files: map[string]string{"etc/passwd": "->passwd"}, err: "/etc/passwd of the image"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &spec.Container{User: tc.who, Groups: tc.add}
			got, err := ResolveUser(root(t, tc.files), c, &v1.ImageConfig{User: tc.image}, tc.keep)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got %+v, %v, want %q", got, err, tc.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tc.want)
			}
		})
	}
}

// TestHostileDatabase has files that are none: reading a pipe would never end.
func TestHostileDatabase(t *testing.T) {
	dir := root(t, map[string]string{"etc/group": groupFile})
	if err := syscall.Mkfifo(filepath.Join(dir, "etc/passwd"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ResolveUser(dir, &spec.Container{}, nil, nil); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a pipe: %v", err)
	}
	outside := filepath.Join(root(t, map[string]string{"passwd": "spy:x:9:9::/:/bin/sh\n"}), "passwd")
	dir = root(t, map[string]string{"etc/passwd": "->" + outside})
	if _, err := ResolveUser(dir, &spec.Container{User: "spy"}, nil, nil); err == nil || !strings.Contains(err.Error(), "unable to find user spy") {
		t.Errorf("a link out of the image: %v", err)
	}
	dir = root(t, nil)
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "etc/passwd"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "etc/passwd"), maxDatabase+1); err != nil {
		t.Fatal(err)
	}
	if _, err := ResolveUser(dir, &spec.Container{}, nil, nil); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a huge file: %v", err)
	}
}

func TestUserDatabase(t *testing.T) {
	dir := root(t, map[string]string{"etc/passwd": "root:x:0:0::/root:/bin/sh", "etc/group": groupFile})
	passwd, group, err := UserDatabase(dir, User{UID: 1234, GID: 55}, "alice", "/home/alice")
	if err != nil || string(passwd) != "root:x:0:0::/root:/bin/sh\nalice:*:1234:55:container user:/home/alice:/bin/sh\n" || string(group) != groupFile+"55:x:55:alice\n" {
		t.Errorf("got %q, %q, %v", passwd, group, err)
	}
	passwd, group, err = UserDatabase(dir, User{Name: "root", KnownGroup: true}, "", "")
	if err != nil || passwd != nil || group != nil {
		t.Errorf("a known user: got %q, %q, %v", passwd, group, err)
	}
}

func TestSetUser(t *testing.T) {
	dir := root(t, map[string]string{"etc/passwd": passwdFile, "etc/group": groupFile})
	env := []string{"PATH=/bin", "HOME=/root"}
	all := []string{"CAP_CHOWN", "CAP_KILL"}
	p := rspec.Process{Env: env, Capabilities: &rspec.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}}
	if err := SetUser(&p, dir, "app"); err != nil {
		t.Fatal(err)
	}
	if p.User.UID != 1000 || p.User.GID != 1001 || p.Env[1] != "HOME=/home/app" || env[1] != "HOME=/root" || len(p.Capabilities.Effective) != 0 || len(p.Capabilities.Bounding) != 2 {
		t.Errorf("%+v, capabilities %+v", p, p.Capabilities)
	}
	if err := SetUser(&p, dir, "0"); err != nil || p.User.UID != 0 || !reflect.DeepEqual(p.Capabilities.Effective, all) {
		t.Errorf("%+v, %v", p, err)
	}
}
