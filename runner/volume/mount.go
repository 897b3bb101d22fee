// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/process"
	"golang.org/x/sys/unix"
)

// giveUp is how long we wait for what a killed mount(8) has said.
const giveUp = time.Second

// What is what a volume stands for, where that is not a directory of the storage: the words of
// mount(8).
type What struct {
	Type   string   // of the file system; empty is left to mount(8)
	Device string   // or the directory of a bind
	Data   []string // mount options
	Image  string   // of the driver image: its files, with what containers change kept in the volume
}

// What reports what the options of a volume have mounted, if anything. Source:
// podman-volume-create(1), --opt.
func (v *Volume) What() (What, bool) { return what(v.Options) }

func what(options map[string]string) (What, bool) {
	w := What{Type: options["type"], Device: options["device"], Image: options["image"]}
	for o := range strings.SplitSeq(options["o"], ",") {
		if o != "" && o != "copy" && o != "nocopy" {
			w.Data = append(w.Data, o)
		}
	}
	if w.Type == "tmpfs" && w.Device == "" {
		w.Device = "tmpfs"
	}
	return w, w.Type != "" || w.Device != "" || w.Image != ""
}

// Shared reports whether all who use it at one time must have one and the same mount: else each
// would have files of his own.
func (w What) Shared() bool { return w.Type == "tmpfs" || w.Image != "" }

// ReadOnly reports whether nobody may write to it. The last word counts, as for mount(8).
func (w What) ReadOnly() bool {
	only := false
	for _, o := range w.Data {
		only = o == "ro" || only && o != "rw"
	}
	return only
}

// isBind reports whether it is a directory of this machine.
func (w What) isBind() bool {
	return w.Type == "bind" || slices.Contains(w.Data, "bind") || slices.Contains(w.Data, "rbind")
}

// check says what is wrong with it.
func (w What) check(rootless bool) error {
	switch {
	case w.Image != "" && (w.Type != "" || w.Device != "" || len(w.Data) > 0):
		return errors.New("volume option image: it does not go together with type, device and o")
	case w.Image != "":
		return nil
	case w.Device == "":
		return fmt.Errorf("volume option type=%s: it needs device=", w.Type)
	case w.Type == "" && !w.isBind() && rootless, rootless && !w.isBind() && w.Type != "tmpfs" && w.Type != "overlay":
		return hint.With(fmt.Errorf("volume option type=%s: the kernel mounts that for root only", w.Type),
			"as a user, volumes are of type bind, tmpfs or overlay; else have the system mount it, in /etc/fstab, and use Volume=DIRECTORY")
	}
	return nil
}

// Mount mounts what a volume stands for on its directory, in our own mount namespace: it goes with
// us and with the container that has it. It reports whether there is anything to mount. What must
// be one and the same for all, join looks for at others that have it, and mounts; image mounts the
// files of one under a layer.
func (v *Volumes) Mount(ctx context.Context, got *Volume, join func(target string) (bool, error), image func(name, upper, work, target string) error) (bool, error) {
	w, any := got.What()
	if !any || IsMounted(got.Dir) {
		return any, nil
	}
	return true, v.WithLock(ctx, got.Name, func() error { // two that start at once
		if w.Shared() {
			if joined, err := join(got.Dir); joined || err != nil {
				return err
			}
		}
		if w.Image != "" {
			return got.mountImage(w.Image, image)
		}
		return w.mount(ctx, got.Name, got.Dir)
	})
}

// mount has mount(8) do it, which knows what helpers and loop devices each file system needs.
func (w What) mount(ctx context.Context, name, dir string) error {
	if w.isBind() {
		if _, err := os.Stat(w.Device); err != nil {
			return fmt.Errorf("volume %s: device: %w", name, err)
		}
	}
	var args []string
	data, password := w.withoutPassword()
	if slices.ContainsFunc(data, func(o string) bool { return strings.HasPrefix(o, "password2=") }) && w.isCIFS() {
		return hint.With(fmt.Errorf("volume %s: password2= would stand in the list of processes, which everybody may read", name), "credentials=FILE in its place, with password2= as a line of the file")
	}
	if w.Type == "bind" {
		data = append([]string{"bind"}, data...)
	} else if w.Type != "" {
		args = append(args, "-t", w.Type)
	}
	if len(data) > 0 {
		args = append(args, "-o", strings.Join(data, ","))
	}
	cmd := exec.CommandContext(ctx, "mount", append(args, "--", w.Device, dir)...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), password...)
	// A helper such as mount.nfs is a child of mount(8), and waits minutes for a server that does not
	// answer. In a session of their own both are killed together.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return process.KillGroup(cmd) }
	cmd.WaitDelay = giveUp
	if out, err := cmd.CombinedOutput(); err != nil {
		// Where the manager gives up the start, mount(8) may hear of it before we do.
		if ended := cmd.ProcessState; ctx.Err() != nil || ended != nil && ended.ExitCode() < 0 {
			return fmt.Errorf("volume %s: mount: %s has not answered: %w", name, w.Device, cmp.Or(ctx.Err(), err))
		}
		said := strings.TrimSpace(strings.TrimPrefix(string(out), "mount: "))
		if said == "" {
			said = err.Error()
		}
		return fmt.Errorf("volume %s: mount: %s", name, said)
	}
	return nil
}

func (w What) isCIFS() bool { return w.Type == "cifs" || w.Type == "smb3" }

// withoutPassword are the mount options as everybody may read them in the list of processes, and as
// a variable the password that was among them, if any. Source: mount.cifs(8), $PASSWD.
func (w What) withoutPassword() (data, variable []string) {
	if !w.isCIFS() {
		return w.Data, nil
	}
	for _, o := range w.Data {
		if name, value, _ := strings.Cut(o, "="); name == "password" || name == "pass" {
			variable = []string{"PASSWD=" + value}
		} else {
			data = append(data, o)
		}
	}
	return data, variable
}

// mountImage has the files of an image mounted under a layer that lies beside what containers see.
func (v *Volume) mountImage(name string, image func(name, upper, work, target string) error) error {
	base := filepath.Dir(v.Dir)
	upper, work := filepath.Join(base, "upper"), filepath.Join(base, "work")
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := image(name, upper, work, v.Dir); err != nil {
		return fmt.Errorf("volume %s: %w", v.Name, err)
	}
	return nil
}

// IsMounted reports whether something is mounted on a directory.
func IsMounted(dir string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, dir, unix.AT_SYMLINK_NOFOLLOW, 0, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
