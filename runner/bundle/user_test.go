// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
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

// TestOnlyGroups: what the image says of a user's groups is left out, its main group is not.
func TestOnlyGroups(t *testing.T) {
	dir := root(t, map[string]string{"etc/passwd": passwdFile, "etc/group": groupFile})
	got, err := ResolveUser(dir, &spec.Container{User: "app", Groups: []string{"99"}, OnlyGroups: true}, nil, nil)
	if want := []uint32{1001, 99}; err != nil || !slices.Equal(got.Groups, want) {
		t.Errorf("%v, %v; want %v", got.Groups, err, want)
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
	for name, tc := range map[string]struct {
		u             User
		name, group   string
		users, groups string // nil is -
	}{
		"a user outside":       {User{UID: 1234, GID: 55, Home: "/home/alice"}, "alice", "staff", "root:x:0:0::/root:/bin/sh\nalice:*:1234:55:container user:/home/alice:/bin/sh\n", groupFile + "staff:x:55:alice\n"},
		"a number":             {User{UID: 1234, GID: 55, Home: "/srv"}, "", "", "root:x:0:0::/root:/bin/sh\n1234:*:1234:55:container user:/srv:/bin/sh\n", groupFile + "55:x:55:1234\n"},
		"names that are taken": {User{UID: 1234, GID: 55, Home: "/"}, "root", "video", "root:x:0:0::/root:/bin/sh\n1234:*:1234:55:container user:/:/bin/sh\n", groupFile + "55:x:55:1234\n"},
		"a known user":         {User{Name: "root", KnownGroup: true}, "", "", "-", "-"},
		"one of a known group": {User{UID: 7, Home: "/", KnownGroup: true}, "bob", "", "root:x:0:0::/root:/bin/sh\nbob:*:7:0:container user:/:/bin/sh\n", "-"},
		"one of another group": {User{Name: "root", GID: 9}, "", "", "-", groupFile + "9:x:9:root\n"},
	} {
		passwd, group, err := userDatabase(dir, tc.u, tc.name, tc.group)
		text := func(b []byte) string {
			if b == nil {
				return "-"
			}
			return string(b)
		}
		if err != nil || text(passwd) != tc.users || text(group) != tc.groups {
			t.Errorf("%s: got %q, %q, %v", name, passwd, group, err)
		}
	}
}

// TestIdentify has who somebody is that the image does not know: name and home of who runs us with
// keep-id, as podman has it.
func TestIdentify(t *testing.T) {
	alice := Account{Name: "alice", Group: "staff", Home: "/home/alice"}
	ids := []spec.IDRange{{Container: 0, Host: 1, Size: 1000}, {Container: 1000, Host: 0, Size: 1}, {Container: 1001, Host: 1001, Size: 9}}
	for name, tc := range map[string]struct {
		args []string
		root bool // who runs us
		work string
		want User
		line string // of passwd; empty if the image's own will do
		gr   string
	}{
		"keep-id with the home mounted": {[]string{"--userns=keep-id", "-v", "/home/alice:/home/alice"}, false, "", User{UID: 1000, GID: 1000, Home: "/home/alice"}, "alice:*:1000:1000:container user:/home/alice:/bin/sh", "staff:x:1000:alice"},
		"with what is above it":         {[]string{"--userns=keep-id", "-v", "/home:/home"}, false, "", User{UID: 1000, GID: 1000, Home: "/home/alice"}, "alice:*:1000:1000:container user:/home/alice:/bin/sh", "staff:x:1000:alice"},
		"without":                       {[]string{"--userns=keep-id", "-w", "/var"}, false, "", User{UID: 1000, GID: 1000, Home: "/var"}, "alice:*:1000:1000:container user:/var:/bin/sh", "staff:x:1000:alice"},
		"in the image's directory":      {[]string{"--userns=keep-id"}, false, "/srv/", User{UID: 1000, GID: 1000, Home: "/srv"}, "alice:*:1000:1000:container user:/srv:/bin/sh", "staff:x:1000:alice"},
		"keep-id as another number":     {[]string{"--userns=keep-id:uid=1000,gid=1000", "-v", "/home:/home"}, false, "", User{UID: 1000, GID: 1000, Home: "/"}, "1000:*:1000:1000:container user:/:/bin/sh", "1000:x:1000:1000"},
		"a number of one's own":         {[]string{"--user", "1000", "-w", "/var"}, false, "", User{UID: 1000, Home: "/var", KnownGroup: true}, "1000:*:1000:0:container user:/var:/bin/sh", ""},
		"keep-id as root":               {[]string{"--userns=keep-id"}, true, "", User{Name: "root", Home: "/root", KnownGroup: true}, "", ""},
		"keep-id as a number of root's": {[]string{"--userns=keep-id:uid=5,gid=6"}, true, "", User{UID: 5, GID: 6, Home: "/"}, "5:*:5:6:container user:/:/bin/sh", "6:x:6:5"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t, tc.args...)
			in.Rootfs = root(t, map[string]string{"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"})
			in.Image = &v1.ImageConfig{User: "root", WorkingDir: tc.work}
			in.Rootless = !tc.root
			if !tc.root && in.Spec.UserNS.Mode != "" {
				in.UIDMap, in.GIDMap = ids, ids
			}
			passwd, group, err := in.Identify(alice)
			if err != nil {
				t.Fatal(err)
			}
			tc.want.Groups = []uint32{tc.want.GID}
			if !reflect.DeepEqual(*in.User, tc.want) {
				t.Errorf("got  %+v\nwant %+v", *in.User, tc.want)
			}
			if got := lastLine(passwd); got != tc.line {
				t.Errorf("passwd has %q", got)
			}
			if got := lastLine(group); got != tc.gr {
				t.Errorf("group has %q", got)
			}
		})
	}
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	return lines[len(lines)-1]
}

// TestOwner: nothing is made for, or handed to, a user whom the container cannot have. With that
// number it would belong to somebody else's container, or to a user of the machine.
func TestOwner(t *testing.T) {
	some := []spec.IDRange{{Container: 0, Host: 300, Size: 10}, {Container: 50, Host: 7, Size: 1}}
	for _, c := range []struct {
		user     string
		m        []spec.IDRange
		uid, gid int
		err      string
	}{
		{"3:50", some, 303, 7, ""},
		{"11:3", some, 0, 0, "user 11 is not mapped"},
		{"3:51", some, 0, 0, "group 51 is not mapped"},
		{"11:51", nil, 11, 51, ""},
		{"99:1", nil, 99, 1, ""},
		{"100:1", nil, 0, 0, "there are only 100 user and 90 group IDs"},
		{"1:90", nil, 0, 0, "there are only 100 user and 90 group IDs"},
	} {
		in := Input{Spec: &spec.Container{User: c.user}, Image: &v1.ImageConfig{}, Rootfs: t.TempDir(), UIDMap: c.m, GIDMap: c.m, Host: Host{UIDs: 100, GIDs: 90}}
		uid, gid, err := in.Owner()
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) || c.err == "" && (err != nil || uid != c.uid || gid != c.gid) {
			t.Errorf("%s in %v: %d:%d, %v", c.user, c.m, uid, gid, err)
		}
	}
}

func TestFindAccount(t *testing.T) {
	lookup := func(name string) (string, bool) {
		return map[string]string{"USER": "carol", "HOME": "/home/carol"}[name], true
	}
	if a := FindAccount(0, 0, lookup); a.Name != "root" || a.Home != "/root" || a.Group != "root" {
		t.Errorf("%+v", a)
	}
	if a := FindAccount(1<<31-3, 1<<31-3, lookup); a != (Account{Name: "carol", Home: "/home/carol"}) {
		t.Errorf("a user of a directory: %+v", a)
	}
	in := input(t, "--userns=keep-id", "-v", "/home:/home")
	in.Rootfs, in.UIDMap = root(t, nil), []spec.IDRange{{Container: 0, Host: 1, Size: 1000}, {Container: 1000, Host: 0, Size: 1}}
	in.GIDMap, in.Rootless = in.UIDMap, true
	for _, evil := range []Account{{Name: "x:0:0\nevil"}, {Group: "x:0"}, {Home: "/home/x:/bin/evil"}} {
		in.User = nil
		passwd, group, err := in.Identify(evil)
		if err != nil || !strings.HasPrefix(string(passwd), "1000:*:1000:1000:container user:/:") || !strings.HasPrefix(string(group), "1000:x:1000:") {
			t.Errorf("%+v: %q, %q, %v", evil, passwd, group, err)
		}
	}
}

// TestCheckUsers: a container may put in the place of its users what a runtime would wait for.
func TestCheckUsers(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		pipe  string
		large string // has more bytes than are ever read
		want  string // empty is no error
	}{
		"none":                   {},
		"as images have them":    {files: map[string]string{"etc/passwd": passwdFile, "etc/group": groupFile}},
		"far more than is read":  {files: map[string]string{"etc/passwd": passwdFile}, large: "etc/passwd"},
		"a directory":            {files: map[string]string{"etc/group/x": ""}, want: "/etc/group of the container: it is not a regular file but a directory"},
		"a link inside":          {files: map[string]string{"etc/passwd": "->/usr/passwd", "usr/passwd": passwdFile}},
		"users in a pipe":        {files: map[string]string{"etc/group": groupFile}, pipe: "etc/passwd", want: "/etc/passwd of the container: it is not a regular file but a pipe"},
		"groups in a pipe":       {files: map[string]string{"etc/passwd": passwdFile}, pipe: "etc/group", want: "/etc/group of the container: it is not a regular file but a pipe"},
		"groups of the kernel's": {files: map[string]string{"etc/group": "->/proc/kmsg"}, want: "/etc/group of the container is a link to /proc/kmsg"},
	} {
		dir := root(t, c.files)
		if c.pipe != "" {
			if err := syscall.Mkfifo(filepath.Join(dir, c.pipe), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if c.large != "" {
			if err := os.Truncate(filepath.Join(dir, c.large), maxDatabase+1); err != nil {
				t.Fatal(err)
			}
		}
		if err := CheckUsers(dir); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestManyGroups has an image that puts its user into as many groups as fit: neither does it take
// long, nor is it the kernel that finds out.
func TestManyGroups(t *testing.T) {
	var b strings.Builder
	for i := range 300000 {
		fmt.Fprintf(&b, "g%d:x:%d:app\n", i, i+1)
	}
	dir := root(t, map[string]string{"etc/passwd": "app:x:5:5::/:/bin/sh\n", "etc/group": b.String()})
	if _, err := ResolveUser(dir, &spec.Container{User: "app"}, nil, nil); err == nil || !strings.Contains(err.Error(), "in 300000 groups of the image, and a process can have 65536") {
		t.Error(err)
	}
	_, err := ResolveUser(dir, &spec.Container{}, &v1.ImageConfig{User: strings.Repeat("x", 1<<20)}, nil)
	if err == nil || len(err.Error()) > 1000 || !strings.Contains(err.Error(), "the image's USER") {
		t.Errorf("a message of %d bytes", len(fmt.Sprint(err)))
	}
}

// TestKernelDatabase has an image whose users come from a file of the kernel's.
func TestKernelDatabase(t *testing.T) {
	for _, to := range []string{"/proc/self/fd/5", "../../proc/kmsg", "/dev/zero"} {
		dir := root(t, map[string]string{"etc/passwd": "->" + to})
		if _, err := ResolveUser(dir, &spec.Container{}, nil, nil); err == nil || !strings.Contains(err.Error(), "is a link to") {
			t.Errorf("%s: %v", to, err)
		}
	}
	// As exec sees it, where the kernel's files are there.
	dir := root(t, map[string]string{"etc/passwd": "->/proc/version"})
	if os.Getuid() != 0 {
		t.Skip("mounts a procfs")
	}
	if err := os.Mkdir(filepath.Join(dir, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("/proc", filepath.Join(dir, "proc"), "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Unmount(filepath.Join(dir, "proc"), syscall.MNT_DETACH) }()
	if _, err := ResolveUser(dir, &spec.Container{}, nil, nil); err == nil || !strings.Contains(err.Error(), "is a file of the kernel") {
		t.Errorf("with procfs: %v", err)
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
