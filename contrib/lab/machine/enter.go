// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is something to run in a lab.
type Command struct {
	User  string   // a user of the lab; empty means alice
	Args  []string // program and arguments; one argument alone is a bash script
	Dir   string   // working directory; empty means the user's home
	Env   []string // KEY=VALUE, on top of what a login gives; a later one wins
	Stdin io.Reader
	// Stdout and Stderr, when set, get the output instead of the Result.
	Stdout, Stderr io.Writer
	// Terminal gives the command a terminal of the lab, as a login has, connected to the caller's.
	Terminal bool
	Timeout  time.Duration // zero means only the context ends it
}

// Result of a command. Code is its exit status, 128 and the signal's number when it was killed.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Run runs a command in the lab as one of its users and returns when it has ended. An exit status
// other than zero is no error; not being able to run it, and the timeout, are.
//
// The process is what a login shell would be: in the lab's namespaces, without the host's
// environment, with the user's runtime directory and bus if there is a manager, and in a cgroup
// that systemd knows, the scope lab-USER.scope in the user's slice (made at the first command of a
// boot). So journal entries carry a unit, and a user manager may take the process into a scope of
// its own. Entering costs some ten milliseconds.
func (m *Machine) Run(ctx context.Context, c Command) (Result, error) {
	if c.User == "" {
		c.User = "alice"
	}
	if m.spec.VM != "" {
		return m.remote(ctx, c)
	}
	r, ok := m.state()
	if !ok {
		return Result{}, m.notRunning()
	}
	u, err := lookup(fmt.Sprintf("/proc/%d/root/etc/passwd", r.Leader), c.User)
	if err != nil {
		return Result{}, fmt.Errorf("lab %s: %w", m.Name, err)
	}
	var group *os.File
	// Asking whether the boot is over comes before systemd can make scopes.
	if !(len(c.Args) > 1 && c.Args[1] == "is-system-running") {
		if group, err = m.session(ctx, r, u); err != nil {
			return Result{}, err
		}
		defer group.Close()
	}
	return m.enter(ctx, r, u, group, c)
}

type user struct {
	name, home, shell string
	uid, gid          int
}

func lookup(passwd, name string) (user, error) {
	data, err := os.ReadFile(passwd)
	if err != nil {
		return user{}, err
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 7 && f[0] == name {
			uid, err1 := strconv.Atoi(f[2])
			gid, err2 := strconv.Atoi(f[3])
			return user{name, f[5], f[6], uid, gid}, errors.Join(err1, err2)
		}
	}
	return user{}, fmt.Errorf("no user %s: alice, bob, carol, dave and root are there", name)
}

// session returns the cgroup of the user's commands, opened.
func (m *Machine) session(ctx context.Context, r run, u user) (*os.File, error) {
	dir, err := m.payload()
	if err != nil {
		return nil, err
	}
	slice := fmt.Sprintf("user-%d.slice", u.uid)
	scope := "lab-" + u.name + ".scope"
	path := filepath.Join(dir, "user.slice", slice, scope)
	f, err := os.Open(path)
	if !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	// A scope lives as long as it has a process.
	script := `systemd-run --quiet --scope --collect --slice="$1" --unit="$2" --uid="$3" sleep infinity </dev/null >/dev/null 2>&1 &`
	res, err := m.enter(ctx, r, user{name: "root", home: "/", shell: "/bin/sh"}, nil,
		Command{Args: []string{"sh", "-c", script, "sh", slice, scope, u.name}})
	if err != nil || res.Code != 0 {
		return nil, errors.Join(err, fmt.Errorf("make %s in lab %s: status %d: %s", scope, m.Name, res.Code, res.Stderr))
	}
	for range 6000 {
		if f, err = os.Open(path); err == nil {
			return f, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, fmt.Errorf("lab %s: no %s after a minute: %w", m.Name, scope, err)
}

func (m *Machine) enter(ctx context.Context, r run, u user, group *os.File, c Command) (Result, error) {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	if c.Dir == "" {
		c.Dir = u.home
	}
	argv := []string{"-t", strconv.Itoa(r.Leader), "-m", "-u", "-i", "-n", "-p", "-C", "--",
		"setpriv", "--reuid=" + strconv.Itoa(u.uid), "--regid=" + strconv.Itoa(u.gid), "--init-groups", "--",
		"env", "-i", "-C", c.Dir}
	argv = append(argv, environment(r, u)...)
	argv = append(argv, c.Env...)
	script := c.Args
	if len(script) == 1 {
		script = []string{"bash", "-c", script[0]}
	}
	if c.Terminal {
		// A terminal of the host has no name in the lab; script(1) makes one there and follows its
		// size.
		script = []string{"script", "--quiet", "--return", "--flush", "--command", quote(script), "/dev/null"}
	}
	cmd := exec.CommandContext(ctx, "nsenter", append(argv, script...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !c.Terminal}
	if group != nil {
		cmd.SysProcAttr.UseCgroupFD = true
		cmd.SysProcAttr.CgroupFD = int(group.Fd())
	}
	// nsenter forks to enter the process namespace: end both. Whoever left the process group and
	// still holds the output is not waited for.
	cmd.Cancel = func() error {
		if c.Terminal {
			return cmd.Process.Kill()
		}
		return unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	}
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	res := Result{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return res, fmt.Errorf("%s in lab %s: %w", strings.Join(c.Args, " "), m.Name, ctx.Err())
	case errors.As(err, &exit):
		status := exit.Sys().(syscall.WaitStatus)
		res.Code = status.ExitStatus()
		if status.Signaled() {
			res.Code = 128 + int(status.Signal())
		}
		return res, nil
	case errors.Is(err, exec.ErrWaitDelay):
		return res, nil
	}
	return res, err
}

// environment is what pam_systemd and login leave in a shell.
func environment(r run, u user) []string {
	env := []string{
		"HOME=" + u.home, "USER=" + u.name, "LOGNAME=" + u.name, "SHELL=" + u.shell, "LANG=C.UTF-8",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
	if term := os.Getenv("TERM"); term != "" {
		env = append(env, "TERM="+term)
	}
	dir := fmt.Sprintf("/run/user/%d", u.uid)
	root := fmt.Sprintf("/proc/%d/root", r.Leader)
	if _, err := os.Stat(root + dir); err == nil {
		env = append(env, "XDG_RUNTIME_DIR="+dir)
	}
	if _, err := os.Stat(root + dir + "/bus"); err == nil {
		env = append(env, "DBUS_SESSION_BUS_ADDRESS=unix:path="+dir+"/bus")
	}
	return env
}

// quote writes words for a shell.
func quote(words []string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("'" + strings.ReplaceAll(w, "'", `'\''`) + "'")
	}
	return b.String()
}
