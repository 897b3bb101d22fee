// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// run is run.json: the processes of a booted lab.
type run struct {
	Nspawn      int    // systemd-nspawn, on the host; of others the process that serves the disk
	NspawnStart string // its start time
	Leader      int    // the lab's process 1, as the host numbers it
}

// joiner enters the lab's cgroups, and becomes what a lab is.
const joiner = `set -e
for g in $GROUPS_; do echo $$ >"$g/cgroup.procs"; done
cd "$DIR"
exec "$@"
`

// keeper is what becomes nspawn. It has a mount namespace of its own, which holds the overlay and
// ends with the lab.
const keeper = `set -e
if ! mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$OWN/upper,workdir=$OWN/work" "$DIR/root"; then
	echo "cannot mount an overlay below $DIR: put the cache on ext4, xfs, btrfs or tmpfs (PODUNIT_LAB_CACHE)" >&2
	exit 1
fi
exec "$@"
`

// link is the host's end of the lab's network cable; interface names have at most 15 bytes.
func (m *Machine) link() string { return linkName(m.spec.Index) }

func linkName(index int) string { return "pl" + strconv.Itoa(index) }

// Boot starts the lab and returns when its systemd has finished starting and the users that linger
// have their managers. It takes two to three seconds. The lab goes on when the calling process
// ends.
func (m *Machine) Boot(ctx context.Context) error {
	if m.Running() {
		return fmt.Errorf("lab %s is running", m.Name)
	}
	// What a power cut left.
	if err := m.PowerCut(); err != nil {
		return err
	}
	var groups []string
	var argv []string
	if hostSystemd() {
		argv = []string{"systemd-run", "--quiet", "--scope", "--collect", "--description=podunit lab " + m.Name, "--slice=machine.slice", "--unit=" + m.scope(), "--property=Delegate=yes"}
	} else {
		var err error
		if groups, err = m.makeGroups(); err != nil {
			return err
		}
	}
	join := []string{"sh", "-c", joiner, "sh"}
	switch {
	case m.spec.VM != "":
		argv = slices.Concat(argv, join, m.qemu())
	case m.spec.Lossy:
		argv = slices.Concat(argv, separate(), join, m.lossy(), m.nspawn())
	default:
		argv = slices.Concat(argv, separate(), join, m.nspawn())
	}
	console, err := os.Create(m.console())
	if err != nil {
		return err
	}
	defer console.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = append(os.Environ(),
		"GROUPS_="+strings.Join(groups, " "), "LOWER="+strings.Join(m.spec.Lower, ":"), "DIR="+m.dir, "OWN="+m.own(),
		"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", "SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes", "LC_ALL=C.UTF-8")
	if err := cmd.Start(); err != nil {
		return err
	}
	died := make(chan struct{})
	go func() {
		_ = cmd.Wait() // a power cut is no error, and await tells of the rest
		close(died)
	}()
	if err := m.await(ctx, cmd.Process.Pid, died); err != nil {
		return errors.Join(fmt.Errorf("boot lab %s: %w; its console is %s", m.Name, err, m.console()), m.PowerCut())
	}
	return nil
}

// separate has a command executed in a mount namespace of its own.
func separate() []string { return []string{"unshare", "--mount", "--propagation", "private"} }

// nspawn is the command of a lab in a container.
func (m *Machine) nspawn() []string {
	own := m.own()
	return []string{"sh", "-c", keeper, "sh",
		"systemd-nspawn", "--quiet", "--boot", "--directory=" + m.dir + "/root", "--machine=" + m.Name, "--hostname=" + m.Name,
		"--capability=all", "--keep-unit", "--register=no", "--console=read-only", "--settings=no",
		"--resolv-conf=off", "--timezone=off", "--link-journal=no",
		"--network-veth-extra=" + m.link() + ":host0",
		"--system-call-filter=@known add_key keyctl bpf",
		"--bind=" + own + "/home:/home", "--bind=" + own + "/roothome:/root", "--bind=" + own + "/containers:/var/lib/containers"}
}

// Console is the end of what the lab wrote on its console since it got power.
func (m *Machine) Console() string {
	data, _ := os.ReadFile(m.console()) // none before the first boot
	return string(last(data, 2000))
}

func (m *Machine) console() string { return filepath.Join(m.dir, "console.log") }

// await waits for the lab's first process, then for the end of its boot.
func (m *Machine) await(ctx context.Context, nspawn int, died <-chan struct{}) error {
	limit := 3 * time.Minute // with what the boot starts, on a busy machine
	if m.spec.VM != "" {
		limit = 10 * time.Minute // without KVM, on a busy machine
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	pause := func() error {
		select {
		case <-died:
			return fmt.Errorf("it ended: %s", m.Console())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
			return nil
		}
	}
	leader := 0
	for leader == 0 && m.spec.VM == "" {
		if err := pause(); err != nil {
			return err
		}
		below := children(nspawn)
		if m.spec.Lossy { // between them is nspawn
			for _, pid := range below {
				below = append(below, children(pid)...)
			}
		}
		for _, pid := range below {
			if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(comm) == "systemd\n" {
				leader = pid
			}
		}
	}
	data, err := json.Marshal(run{Nspawn: nspawn, NspawnStart: startTime(nspawn), Leader: leader})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(m.dir, "run.json"), data, 0o644); err != nil {
		return err
	}
	for m.spec.VM != "" { // qemu makes the link
		if _, err := os.Stat("/sys/class/net/" + m.link()); err == nil {
			break
		}
		if err := pause(); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"address", "replace", m.peer() + "/30", "dev", m.link()},
		{"link", "set", m.link(), "up"},
	} {
		if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	if m.spec.VM != "" {
		if err := m.awaitAgent(ctx, pause); err != nil {
			return err
		}
	}
	// The manager's private socket is there before anything can be asked; --wait then blocks until
	// the boot is over.
	for {
		out, _ := m.Run(ctx, Command{User: "root", Args: []string{"systemctl", "is-system-running", "--wait"}})
		switch strings.TrimSpace(out.Stdout) {
		case "running", "degraded":
			return nil
		}
		if err := pause(); err != nil {
			return err
		}
	}
}

func last(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}

// state of the running lab; ok is false when it does not run.
func (m *Machine) state() (r run, ok bool) {
	if m.inside {
		return run{Leader: 1}, true
	}
	data, err := os.ReadFile(filepath.Join(m.dir, "run.json"))
	if err != nil || json.Unmarshal(data, &r) != nil {
		return r, false
	}
	return r, r.NspawnStart != "" && startTime(r.Nspawn) == r.NspawnStart
}

// Running tells whether the lab has power.
func (m *Machine) Running() bool {
	_, ok := m.state()
	return ok
}

// Root is the running lab's root directory as the host reaches it. Links in it that are absolute
// lead to the host.
func (m *Machine) Root() (string, error) {
	if m.spec.VM != "" {
		return "", fmt.Errorf("lab %s is a virtual machine: its files are not the host's to reach, except by commands", m.Name)
	}
	r, ok := m.state()
	if !ok {
		return "", m.notRunning()
	}
	return fmt.Sprintf("/proc/%d/root", r.Leader), nil
}

func (m *Machine) notRunning() error {
	return fmt.Errorf("lab %s is not running: boot it with up", m.Name)
}

// Poweroff shuts the lab down in order and waits until it is off; a lab that is off is left so.
func (m *Machine) Poweroff(ctx context.Context) error {
	r, ok := m.state()
	if !ok {
		return m.PowerCut()
	}
	if m.spec.VM != "" {
		if _, err := m.Run(ctx, Command{User: "root", Args: []string{"systemctl", "poweroff", "--no-block"}}); err != nil && m.Running() {
			return err
		}
		return m.awaitOff(ctx)
	}
	// SIGRTMIN+4 asks for poweroff.target: systemd(1). Go numbers real-time signals as the kernel
	// does, glibc's 34 first.
	if err := unix.Kill(r.Leader, unix.Signal(34+4)); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return m.awaitOff(ctx)
}

// awaitOff waits for the end of a lab that was told to shut down.
func (m *Machine) awaitOff(ctx context.Context) error {
	for m.Running() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("lab %s does not power off: %w", m.Name, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return m.PowerCut()
}

// PowerCut kills everything of the lab at once, as a power failure does, and clears away what is
// left of the run. What was written stays. A lab that is off is left so.
func (m *Machine) PowerCut() error {
	if err := m.killDisk(); err != nil {
		return err
	}
	if err := m.killGroup(); err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); m.Running() && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	// The link goes with the network namespace, which the kernel takes down in the background, one
	// after the other on a busy machine; a quick boot would clash.
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat("/sys/class/net/" + m.link()); err != nil {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("lab %s: the link %s does not go", m.Name, m.link())
		}
	}
	if err := m.awaitDetached(); err != nil {
		return err
	}
	if err := m.removeGroups(); err != nil {
		return err
	}
	err := os.Remove(filepath.Join(m.dir, "run.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
