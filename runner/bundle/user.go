// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	osuser "os/user"
	"path"
	"slices"
	"strconv"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	"github.com/moby/sys/user"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
)

// User is who the first process is.
type User struct {
	UID, GID uint32
	// Groups are the supplementary groups. The group itself comes first: left out,
	// a program that changes its group could get round permissions that deny that
	// group something (CVE-2022-2989).
	Groups []uint32
	// Name is empty if the image's /etc/passwd does not have the user.
	Name string
	// Home is an absolute path; / if the image's /etc/passwd does not have the user.
	Home string
	// KnownGroup tells whether the image's /etc/group has the group.
	KnownGroup bool
}

// Account is a user of this machine.
type Account struct {
	// Name, Group and Home are empty where nothing is known.
	Name, Group, Home string
}

// FindAccount looks a user and a group up in the machine's user database. Users of a directory
// service are not in /etc/passwd, which is all that a static program reads; lookup is then asked for
// the variables USER and HOME, which the login has set. Whoever needs a login name asks here.
func FindAccount(uid, gid int, lookup func(string) (string, bool)) Account {
	var a Account
	if u, err := osuser.LookupId(strconv.Itoa(uid)); err == nil {
		a.Name, a.Home = u.Username, u.HomeDir
	} else {
		a.Name, _ = lookup("USER")
		a.Home, _ = lookup("HOME")
	}
	if g, err := osuser.LookupGroupId(strconv.Itoa(gid)); err == nil {
		a.Group = g.Name
	}
	return a
}

// Identify finds out who the container's user is and sets User. One that the image does not know
// lives in the working directory. With keep-id it has the name, the group and, where that is
// mounted, the home of who runs us; passwd and group then are files that know them, nil where the
// image's own do. Source: podman-run(1), --userns keep-id and --passwd.
func (in *Input) Identify(outside Account) (passwd, group []byte, err error) {
	if err := in.resolve(); err != nil {
		return nil, nil, err
	}
	if strings.ContainsAny(outside.Name+outside.Group+outside.Home, ":\n") {
		outside = Account{} // it would break the lines it is put into
	}
	keep, u := in.KeepID(), *in.User
	name, groupName := "", ""
	if u.Name == "" {
		u.Home = in.workDir()
	}
	// With uid= or gid= it is nobody of this machine any more.
	if ns := in.Spec.UserNS; keep != nil && in.Spec.User == "" {
		if ns.UID == nil && u.Name == "" {
			name = outside.Name
			if in.mounted(outside.Home) {
				u.Home = outside.Home
			}
		}
		if ns.GID == nil {
			groupName = outside.Group
		}
	}
	in.User = &u
	return userDatabase(in.Rootfs, u, name, groupName)
}

// resolve looks the user up, once.
func (in *Input) resolve() error {
	if in.User != nil {
		return nil
	}
	u, err := ResolveUser(in.Rootfs, in.Spec, in.Image, in.KeepID())
	if err == nil {
		in.User = &u
	}
	return err
}

// Owner is the container's user and group as our own user namespace has them: who owns what is
// made for the container outside of it. A user whom the container cannot have is an error: outside,
// the ID is somebody else's.
func (in *Input) Owner() (uid, gid int, err error) {
	if err := in.resolve(); err != nil {
		return 0, 0, err
	}
	uid, gid = in.Outside(in.User.UID, in.User.GID)
	return uid, gid, in.Mapped(in.User.UID, in.User.GID)
}

// Mapped returns an error if a user or group has no ID in the container's user namespace.
func (in *Input) Mapped(uid, gid uint32) error {
	for _, id := range []struct {
		what string
		id   uint32
		m    []spec.IDRange
	}{{"user", uid, in.UIDMap}, {"group", gid, in.GIDMap}} {
		if _, mapped := spec.Outside(id.m, id.id); !mapped {
			return fmt.Errorf("%s %d is not mapped in the user namespace of the container; give it a range with it in", id.what, id.id)
		}
	}
	if len(in.UIDMap) == 0 && (uint64(uid) >= in.Host.UIDs || uint64(gid) >= in.Host.GIDs) {
		return fmt.Errorf("user %d:%d: there are only %d user and %d group IDs to map to; add a larger range for this user to /etc/subuid and /etc/subgid",
			uid, gid, in.Host.UIDs, in.Host.GIDs)
	}
	return nil
}

// Outside is what a user and a group of the container are in our own user namespace.
func (in *Input) Outside(uid, gid uint32) (int, int) {
	u, _ := spec.Outside(in.UIDMap, uid)
	g, _ := spec.Outside(in.GIDMap, gid)
	return u, g
}

// workDir is where the first process begins.
func (in *Input) workDir() string {
	dir := "/"
	if in.Image != nil && in.Image.WorkingDir != "" {
		dir = path.Clean("/" + in.Image.WorkingDir)
	}
	if in.Spec.WorkDir != "" {
		dir = path.Clean("/" + in.Spec.WorkDir)
	}
	return dir
}

// mounted reports whether a directory, or one above it, is a mount that was asked for.
func (in *Input) mounted(dir string) bool {
	for ; path.IsAbs(dir) && dir != "/"; dir = path.Dir(dir) {
		if slices.ContainsFunc(in.Mounts, func(m Mount) bool { return path.Clean(m.Destination) == dir }) {
			return true
		}
	}
	return false
}

// What the user database of an image lacks.
var (
	ErrNoUser  = user.ErrNoPasswdEntries
	ErrNoGroup = user.ErrNoGroupEntries
)

// maxUser is the most bytes of USER that are looked at, and of a message about it.
const maxUser = 256

func clip(s string) string {
	if len(s) > maxUser {
		return s[:maxUser] + "..."
	}
	return s
}

// clipped is an error about something that may be as long as an image likes.
type clipped struct{ error }

func (c clipped) Error() string { return clip(c.error.Error()) }

func (c clipped) Unwrap() error { return c.error }

// ResolveUser finds out who the container's user is, looked up in the user
// database of the image. keepID is who it is if the command line does not say
// so, and comes before the image's; nil means root.
func ResolveUser(rootfs string, c *spec.Container, image *v1.ImageConfig, keepID *User) (User, error) {
	who, from := c.User, "--user"
	if who == "" && keepID == nil && image != nil {
		who, from = image.User, "the image's USER"
	}
	if who == "" && keepID != nil {
		who = fmt.Sprintf("%d:%d", keepID.UID, keepID.GID)
	}
	passwd, err := readInRoot(rootfs, "/etc/passwd")
	if err != nil {
		return User{}, err
	}
	group, err := readInRoot(rootfs, "/etc/group")
	if err != nil {
		return User{}, err
	}
	exec, err := user.GetExecUser(who, &user.ExecUser{Home: "/"}, bytes.NewReader(passwd), bytes.NewReader(group))
	if err != nil {
		return User{}, fmt.Errorf("%s %q: %w; write the number if the image does not know the name", from, clip(who), clipped{err})
	}
	u := User{UID: uint32(exec.Uid), GID: uint32(exec.Gid), Home: exec.Home}
	if u.Home == "" {
		u.Home = "/"
	}
	u.Groups = []uint32{u.GID}
	for _, g := range exec.Sgids {
		if !c.OnlyGroups {
			u.Groups = append(u.Groups, uint32(g))
		}
	}
	extra, err := user.GetAdditionalGroups(c.Groups, bytes.NewReader(group))
	if err != nil {
		return User{}, fmt.Errorf("--group-add: %w; write the number if the image does not know the name", err)
	}
	slices.Sort(extra)
	for _, g := range extra {
		u.Groups = append(u.Groups, uint32(g))
	}
	if u.Groups = unique(u.Groups); len(u.Groups) > maxGroups {
		return User{}, fmt.Errorf("%s %q is in %d groups of the image, and a process can have %d", from, clip(who), len(u.Groups), maxGroups)
	}
	users, err := user.ParsePasswdFilter(bytes.NewReader(passwd), func(p user.User) bool { return p.Uid == exec.Uid })
	if err != nil {
		return User{}, fmt.Errorf("/etc/passwd of the image: %w", err)
	}
	if len(users) > 0 {
		u.Name = users[0].Name
	}
	groups, err := user.ParseGroupFilter(bytes.NewReader(group), func(g user.Group) bool { return g.Gid == exec.Gid })
	if err != nil {
		return User{}, fmt.Errorf("/etc/group of the image: %w", err)
	}
	u.KnownGroup = len(groups) > 0
	return u, nil
}

// userDatabase gives an /etc/passwd and an /etc/group to bind into the
// container that also know its user, as many programs ask who they are; nil
// where the image's own will do. name and groupName are those of a user that
// the image does not know; empty, or a name that the image has for somebody
// else, means the number.
func userDatabase(rootfs string, u User, name, groupName string) (passwd, group []byte, err error) {
	uid, gid := strconv.FormatUint(uint64(u.UID), 10), strconv.FormatUint(uint64(u.GID), 10)
	if u.Name == "" {
		if passwd, err = readInRoot(rootfs, "/etc/passwd"); err != nil {
			return nil, nil, err
		}
		if name == "" || has(passwd, name) {
			name = uid
		}
		passwd = appendLine(passwd, fmt.Sprintf("%s:*:%s:%s:container user:%s:/bin/sh", name, uid, gid, u.Home))
	}
	if !u.KnownGroup {
		if group, err = readInRoot(rootfs, "/etc/group"); err != nil {
			return nil, nil, err
		}
		if groupName == "" || has(group, groupName) {
			groupName = gid
		}
		member := u.Name
		if member == "" {
			member = name
		}
		group = appendLine(group, fmt.Sprintf("%s:x:%s:%s", groupName, gid, member))
	}
	return passwd, group, nil
}

// has reports whether a line of a database begins with name.
func has(database []byte, name string) bool {
	return bytes.HasPrefix(database, []byte(name+":")) || bytes.Contains(database, []byte("\n"+name+":"))
}

func appendLine(file []byte, line string) []byte {
	file = bytes.Clone(file)
	if len(file) > 0 && file[len(file)-1] != '\n' {
		file = append(file, '\n')
	}
	return append(append(file, line...), '\n')
}

// unique drops repetitions and keeps the order.
func unique(ids []uint32) []uint32 {
	var out []uint32
	seen := map[uint32]bool{} // an image may put its user into any number of groups
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

// maxGroups is how many groups a process can have. Source: setgroups(2), Linux 2.6.4.
const maxGroups = 65536

// maxDatabase is the largest /etc/passwd or /etc/group that is read, in bytes.
// An image may bring anything; this is far more than a real one.
const maxDatabase = 16 << 20

// readInRoot reads a database of an image, which may be hostile. One that is not there is empty.
func readInRoot(rootfs, name string) ([]byte, error) {
	data, err := safe.ReadInRoot(rootfs, name, maxDatabase)
	var at *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, kernelLink(rootfs, name, "image")
	case errors.Is(err, safe.ErrTooLarge):
		return nil, fmt.Errorf("%s of the image has more than %d bytes", name, maxDatabase)
	case errors.As(err, &at):
		return nil, fmt.Errorf("%s of the image: %w", name, at.Err)
	}
	return data, err
}

// kernelLink is the fault of an image, or of a container, in which a file is a link to one of the
// kernel's: the root of an image has none, but the runtime, which asks for the file when they are
// there, may wait for such a one without end.
func kernelLink(rootfs, name, whose string) error {
	to, err := securejoin.SecureJoin(rootfs, name)
	if err != nil {
		return nil //nolint:nilerr // then nobody can follow it
	}
	to = strings.TrimPrefix(to, path.Clean(rootfs))
	for _, dir := range []string{"/proc/", "/sys/", "/dev/"} {
		if strings.HasPrefix(to, dir) {
			return fmt.Errorf("%s of the %s is a link to %s, which is no file of the %[2]s", name, whose, to)
		}
	}
	return nil
}

// KeepID is who the container's user is with keep-id unless told otherwise, the user
// outside; nil in other modes. It is what ResolveUser takes.
func (in *Input) KeepID() *User {
	switch {
	case in.Spec.UserNS.Mode != spec.UserKeepID:
		return nil
	case len(in.UIDMap) > 0:
		return &User{UID: inside(in.UIDMap), GID: inside(in.GIDMap)}
	case in.Rootless:
		return nil
	}
	// Root has the same IDs inside as outside anyway.
	var u User
	if id := in.Spec.UserNS.UID; id != nil {
		u.UID = *id
	}
	if id := in.Spec.UserNS.GID; id != nil {
		u.GID = *id
	}
	return &u
}

// keepGroups tells whether the groups of the user can be kept. Inside the user namespace they have
// no number; leaving them alone is up to the runtime, and only crun can do it.
func (b *builder) keepGroups() error {
	if !b.Rootless {
		return nil
	}
	return errors.New("--group-add keep-groups: runc cannot keep groups that are not mapped; map the group with --gidmap, or give it with --group-add by its number inside")
}

// user sets who the process is.
func (b *builder) user() error {
	if b.User == nil {
		if _, _, err := b.Identify(Account{}); err != nil {
			return err
		}
	}
	u := b.User
	b.identity = *u
	if err := b.Mapped(b.User.UID, b.User.GID); err != nil {
		return err
	}
	p := b.g.Config.Process
	p.User.UID, p.User.GID = u.UID, u.GID
	p.User.AdditionalGids = u.Groups
	if b.Spec.KeepGroups {
		if err := b.keepGroups(); err != nil {
			return err
		}
		p.User.AdditionalGids = unique(slices.Concat(u.Groups, b.Host.Groups))
	}
	mask := b.Spec.Umask
	if mask == nil && b.Config.Umask != "" {
		n, err := strconv.ParseUint(b.Config.Umask, 8, 32)
		if err != nil {
			return fmt.Errorf("umask %q of containers.conf is not an octal number", b.Config.Umask)
		}
		m := uint32(n)
		mask = &m
	}
	p.User.Umask = mask
	return nil
}

// CheckUsers judges the user database of a container that is running, whose root is at rootfs: a
// runtime that joins it reads the files, whoever the user is, and would wait for ever for a pipe.
// How much it reads is its own affair.
func CheckUsers(rootfs string) error {
	for _, name := range []string{"/etc/passwd", "/etc/group"} {
		err := safe.CheckInRoot(rootfs, name)
		var at *fs.PathError
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = kernelLink(rootfs, name, "container")
		case errors.As(err, &at):
			err = fmt.Errorf("%s of the container: %w", name, at.Err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// SetUser makes another user run a process in a container that is running, whose
// root is at rootfs: the user's numbers and groups, the home directory in place
// of the one in the environment, and the capabilities that fit. Root gets the
// bounding set, anybody else what the container's process keeps over execve.
func SetUser(p *rspec.Process, rootfs, who string) error {
	u, err := ResolveUser(rootfs, &spec.Container{User: who}, nil, nil)
	if err != nil {
		return err
	}
	p.User.UID, p.User.GID, p.User.AdditionalGids = u.UID, u.GID, u.Groups
	p.Env = slices.Clone(p.Env)
	if i := slices.IndexFunc(p.Env, func(kv string) bool { return strings.HasPrefix(kv, "HOME=") }); i >= 0 {
		p.Env[i] = "HOME=" + u.Home
	} else {
		p.Env = append(p.Env, "HOME="+u.Home)
	}
	if p.Capabilities == nil {
		return nil
	}
	c := *p.Capabilities
	c.Effective, c.Permitted, c.Inheritable = c.Ambient, c.Ambient, c.Ambient
	if u.UID == 0 {
		c.Effective, c.Permitted, c.Inheritable, c.Ambient = c.Bounding, c.Bounding, nil, nil
	}
	p.Capabilities = &c
	return nil
}

// inside is the ID that the user (ID 0 of our user namespace) has in m.
func inside(m []spec.IDRange) uint32 {
	for _, r := range m {
		if r.Host == 0 {
			return r.Container
		}
	}
	return 0
}
