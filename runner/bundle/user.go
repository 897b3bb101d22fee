// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
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

// ResolveUser finds out who the container's user is, looked up in the user
// database of the image. keepID is who it is if neither the command line nor
// the image says so; nil means root.
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
		return User{}, fmt.Errorf("%s %q: %w; write the number if the image does not know the name", from, who, err)
	}
	u := User{UID: uint32(exec.Uid), GID: uint32(exec.Gid), Home: exec.Home}
	if u.Home == "" {
		u.Home = "/"
	}
	u.Groups = []uint32{u.GID}
	for _, g := range exec.Sgids {
		u.Groups = append(u.Groups, uint32(g))
	}
	extra, err := user.GetAdditionalGroups(c.Groups, bytes.NewReader(group))
	if err != nil {
		return User{}, fmt.Errorf("--group-add: %w; write the number if the image does not know the name", err)
	}
	slices.Sort(extra)
	for _, g := range extra {
		u.Groups = append(u.Groups, uint32(g))
	}
	u.Groups = unique(u.Groups)
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

// UserDatabase gives an /etc/passwd and an /etc/group to bind into the
// container that also know its user, as many programs ask who they are; nil
// where the image's own will do. name and home are those of a user that the
// image does not know; empty means the number and /.
func UserDatabase(rootfs string, u User, name, home string) (passwd, group []byte, err error) {
	if name == "" {
		name = strconv.FormatUint(uint64(u.UID), 10)
	}
	if home == "" {
		home = "/"
	}
	if u.Name == "" {
		if passwd, err = readInRoot(rootfs, "/etc/passwd"); err != nil {
			return nil, nil, err
		}
		passwd = appendLine(passwd, fmt.Sprintf("%s:*:%d:%d:container user:%s:/bin/sh", name, u.UID, u.GID, home))
	}
	if !u.KnownGroup {
		if group, err = readInRoot(rootfs, "/etc/group"); err != nil {
			return nil, nil, err
		}
		group = appendLine(group, fmt.Sprintf("%d:x:%d:%s", u.GID, u.GID, name))
	}
	return passwd, group, nil
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
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// maxDatabase is the largest /etc/passwd or /etc/group that is read, in bytes.
// An image may bring anything; this is far more than a real one.
const maxDatabase = 16 << 20

// readInRoot reads a regular file of an image, which may be hostile: symbolic
// links are followed as they are inside the image, and never out of it. A file
// that is not there is empty.
func readInRoot(rootfs, name string) ([]byte, error) {
	root, err := unix.Open(rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: rootfs, Err: err}
	}
	defer unix.Close(root)
	// First without opening it: a pipe would keep us waiting, a device might do something.
	// Source: openat2(2), Linux 5.6.
	fd, err := unix.Openat2(root, name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s of the image: %w", name, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("%s of the image: %w", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%s of the image is not a regular file", name)
	}
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, fmt.Errorf("%s of the image: %w", name, err)
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxDatabase+1))
	if err != nil {
		return nil, fmt.Errorf("%s of the image: %w", name, err)
	}
	if len(data) > maxDatabase {
		return nil, fmt.Errorf("%s of the image has more than %d bytes", name, maxDatabase)
	}
	return data, nil
}

// KeepID is who the container's user is with keep-id unless told otherwise, the user
// outside; nil in other modes. It is what ResolveUser takes.
func (in *Input) KeepID() *User {
	if in.Spec.UserNS.Mode != spec.UserKeepID || len(in.UIDMap) == 0 {
		return nil
	}
	return &User{UID: inside(in.UIDMap), GID: inside(in.GIDMap)}
}

// keepGroups tells whether the groups of the user can be kept. Inside the user namespace they have no number; leaving
// them alone is up to the runtime, and only crun can do it.
func (b *builder) keepGroups() error {
	if !b.Rootless {
		return nil
	}
	return errors.New("--group-add keep-groups: runc cannot keep groups that are not mapped; map the group with --gidmap, or give it with --group-add by its number inside")
}

// user sets who the process is.
func (b *builder) user() error {
	u := b.User
	if u == nil {
		found, err := ResolveUser(b.Rootfs, b.Spec, b.Image, b.KeepID())
		if err != nil {
			return err
		}
		u = &found
	}
	b.identity = *u
	for _, id := range []struct {
		what string
		id   uint32
		m    []spec.IDRange
	}{{"user", u.UID, b.UIDMap}, {"group", u.GID, b.GIDMap}} {
		if b.nested() && !contains(id.m, id.id) {
			return fmt.Errorf("%s %d is not mapped in the user namespace of the container; give it a range with it in", id.what, id.id)
		}
	}
	if !b.nested() && (uint64(u.UID) >= b.Host.UIDs || uint64(u.GID) >= b.Host.GIDs) {
		return fmt.Errorf("user %d:%d: there are only %d user and %d group IDs to map to; add a larger range for this user to /etc/subuid and /etc/subgid",
			u.UID, u.GID, b.Host.UIDs, b.Host.GIDs)
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

func contains(m []spec.IDRange, id uint32) bool {
	return slices.ContainsFunc(m, func(r spec.IDRange) bool { return id >= r.Container && id-r.Container < r.Size })
}
