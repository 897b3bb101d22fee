// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// theirs is the mappings of a user namespace that somebody else has made, relative to our own; nil
// if it is the one we are in.
func (e *Engine) theirs(ctx context.Context, u spec.UserNS, peers Peers) (uids, gids []spec.IDRange, err error) {
	if u.Mode == spec.UserContainer {
		var other Record
		if other, err = peers.of("user"); err == nil {
			uids, gids, err = e.IDMappings(other)
		}
	} else {
		uids, gids, err = mappingsAt(ctx, u.From.Path)
	}
	if err != nil {
		err = fmt.Errorf("--userns %s: %w", u, err)
	}
	return uids, gids, err
}

// joinedUser is the path of the user namespace that a container joins, or bundle.Private. The
// container's files belong to the IDs that were there when it was made.
func (s *start) joinedUser(ctx context.Context) (string, error) {
	r := s.ask.Record
	u := r.Spec.UserNS
	if !u.Joins() {
		return bundle.Private, nil
	}
	path := u.From.Path
	if u.Mode == spec.UserContainer {
		var err error
		if path, err = s.joined("user"); err != nil {
			return "", fmt.Errorf("--userns %s: %w", u, err)
		}
	}
	uids, gids, err := s.theirs(ctx, u, s.ask.Peers)
	if err != nil {
		return "", err
	}
	ownUIDs, ownGIDs, err := s.IDMappings(*r)
	if err != nil {
		return "", err
	}
	if !slices.Equal(uids, ownUIDs) || !slices.Equal(gids, ownGIDs) {
		return "", fmt.Errorf("--userns %s: that user namespace has other IDs than when this container was made, to whom its files belong: remove it and make it anew", u)
	}
	if len(uids) == 0 {
		return bundle.Private, nil // it is the one we are in
	}
	return path, nil
}

// enterWait is how long it may take to enter a namespace, on a busy machine.
const enterWait = time.Minute

// mappingsAt is the mappings of the user namespace at path, relative to our own; nil if it is our
// own. The kernel shows them only of a process in the namespace, and there may be none: nsenter(1)
// enters it, as the root of that namespace, for whom nobody in it could do more than he can already.
func mappingsAt(ctx context.Context, path string) (uids, gids []spec.IDRange, err error) {
	if process.IsOurs(path, "user") {
		return nil, nil, nil
	}
	if err := enterable(path); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, enterWait)
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "nsenter", "--user="+path, "cat")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // whose namespace it is may read it
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	// Once a line comes back, it is inside.
	_, werr := in.Write([]byte("\n"))
	_, rerr := bufio.NewReader(out).ReadByte()
	if err = errors.Join(werr, rerr); err == nil {
		uids, err = mapped(cmd.Process.Pid, "uid_map")
	}
	if err == nil {
		gids, err = mapped(cmd.Process.Pid, "gid_map")
	}
	ended := errors.Join(in.Close(), cmd.Wait())
	if text := strings.TrimSpace(said.String()); text != "" {
		return nil, nil, errors.New(text)
	}
	return uids, gids, errors.Join(err, ended)
}

// enterable says why the kernel does not let us enter the user namespace at path, or nothing.
// Source: ioctl_nsfs(2), NS_GET_PARENT; user_namespaces(7), capabilities.
func enterable(path string) error {
	beyond := func() error {
		return fmt.Errorf("%s is not below the user namespace that podunit works in, and the kernel lets one enter only those: "+
			"make it with podunit unshare unshare --user ..., or run the container as root", path)
	}
	other := fmt.Errorf("%s is no user namespace: it takes one such as /proc/PID/ns/user", path)
	f, err := process.OpenNamespace(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return beyond()
	case errors.Is(err, process.ErrNotNamespace):
		return other
	case err != nil:
		return err
	}
	defer f.Close()
	if kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWUSER {
		return other
	}
	switch parent, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_PARENT); {
	case errors.Is(err, unix.EPERM):
		return beyond()
	case err != nil:
		return &os.PathError{Op: "NS_GET_PARENT", Path: path, Err: err}
	default:
		return unix.Close(parent)
	}
}

// unmapped is how the kernel shows an ID that our user namespace does not have.
const unmapped = 1<<32 - 1

// mapped reads a map of a process, relative to our own user namespace.
func mapped(pid int, name string) ([]spec.IDRange, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		return nil, err
	}
	var out []spec.IDRange
	for line := range strings.Lines(string(text)) {
		var r spec.IDRange
		if _, err := fmt.Sscan(line, &r.Container, &r.Host, &r.Size); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if r.Host == unmapped {
			return nil, fmt.Errorf("its ID %d is outside of those that podunit has here", r.Container)
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		return nil, errors.New("it has no IDs yet: newuidmap(1) and newgidmap(1) map some")
	}
	return out, nil
}

// ownedBy returns an error if the runtime cannot join the process namespace at pid after the user
// namespace at user, because that does not own it. All other kinds we join before we execute the
// runtime, but who joins a process namespace is not in it, only its children are. Source: setns(2);
// ioctl_nsfs(2), NS_GET_USERNS.
func ownedBy(user, pid string) error {
	if user == "" || !strings.HasPrefix(pid, "/") {
		return nil
	}
	f, err := process.OpenNamespace(pid)
	if err != nil {
		return err
	}
	defer f.Close()
	fd, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		return &os.PathError{Op: "NS_GET_USERNS", Path: pid, Err: err}
	}
	owner := os.NewFile(uintptr(fd), pid)
	defer owner.Close()
	owns, err := owner.Stat()
	if err != nil {
		return err
	}
	joined, err := os.Stat(user)
	if err == nil && !os.SameFile(owns, joined) {
		err = errors.New("--pid and --userns: the process namespace belongs to another user namespace, and the kernel lets nobody join both; join those of one container")
	}
	return err
}
