// SPDX-License-Identifier: Apache-2.0

// Package runc talks to an OCI runtime through its command line, the one that
// runc, crun and youki share. Nothing else in the tree executes a runtime.
package runc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/hint"
)

// Runtime is one OCI runtime and the directory where it keeps its state.
type Runtime struct {
	Command string // path of the program
	Root    string // --root: its state, on a tmpfs
	// Flags are what a command line adds to each of its commands (--runtime-flag), with their dashes.
	Flags []string
	// NoKeyring and NoPivot are keyring=false and no_pivot_root=true of containers.conf(5): a
	// container keeps the session keyring that it is started with; its root is moved to instead of
	// pivoted to.
	NoKeyring, NoPivot bool

	// sealed, if there is one, returns what Create executes instead of Command: a sealed copy.
	// A runtime that stays beside its container, or beside what it executes there, makes its own:
	// ours goes with this process.
	sealed func() string
}

// Prepare does early, once, what Create needs; other work can go on beside it.
func (r Runtime) Prepare() {
	if r.sealed != nil {
		r.sealed()
	}
}

// ErrNotFound says that the container's command does not exist (status 127).
var ErrNotFound = errors.New("command not found in the container")

// ErrNotExecutable says that the container's command cannot be executed (126).
var ErrNotExecutable = errors.New("command cannot be executed in the container")

// ErrNoDirectory says that the process cannot begin in its working directory (126).
var ErrNoDirectory = errors.New("working directory cannot be entered in the container")

// ErrNoContainer says that the runtime does not know the container.
var ErrNoContainer = errors.New("the runtime knows no such container")

// Find returns the runtime of that name or path. Names beyond $PATH are looked for
// where distributions put system programs, which a user's PATH may lack.
func Find(name, root string) (Runtime, error) {
	if name == "" {
		name = "runc"
	}
	if path, err := exec.LookPath(name); err == nil {
		return found(path, root), nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/lib/cri-o-runc/sbin"} {
		if path := filepath.Join(dir, name); filepath.Base(name) == name && isExecutable(path) {
			return found(path, root), nil
		}
	}
	return Runtime{}, fmt.Errorf("the OCI runtime %s is not installed: %w", name, fs.ErrNotExist)
}

func found(path, root string) Runtime {
	return Runtime{Command: path, Root: root, sealed: sync.OnceValue(func() string { return seal(path) })}
}

func isExecutable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

// Streams are the files the container's first process inherits; nil is /dev/null.
type Streams struct {
	Stdin, Stdout, Stderr *os.File
	// Console, for Create, is the socket in the bundle to which the runtime sends the
	// near end of the container's terminal.
	Console string
	// Files are handed to the container as descriptors 3 and on.
	Files []*os.File
	// AlsoStdout and AlsoStderr, for Foreground, get what goes to Stdout and Stderr, too; that they
	// fail is no error.
	AlsoStdout, AlsoStderr io.Writer
	// TTY, for Foreground, tells that the container gets a terminal.
	TTY bool
}

// besides writes to a stream, and to another one as long as that takes it.
type besides struct {
	to   io.Writer
	also io.Writer // nil once it has failed
}

func (b *besides) Write(p []byte) (int, error) {
	n, err := b.to.Write(p)
	if b.also != nil {
		if _, failed := b.also.Write(p[:n]); failed != nil {
			b.also = nil
		}
	}
	return n, err
}

// base is what each command of the runtime begins with.
func (r Runtime) base() []string { return append(slices.Clone(r.Flags), "--root", r.Root) }

func (r Runtime) command(ctx context.Context, log string, args ...string) *exec.Cmd {
	base := r.base()
	if log != "" {
		base = append(base, "--log", log, "--log-format", "json")
	}
	cmd := exec.CommandContext(ctx, r.Command, append(base, args...)...)
	cmd.Env = environment()
	cmd.Cancel = func() error { return giveUp(cmd) }
	cmd.WaitDelay = 2 * endWait // for its output, which a child of its child may hold
	return cmd
}

// configuredFlags are the flags of a creation that containers.conf(5) asks for.
func (r Runtime) configuredFlags() (flags []string) {
	if r.NoKeyring {
		flags = append(flags, "--no-new-keyring")
	}
	if r.NoPivot {
		flags = append(flags, "--no-pivot")
	}
	return flags
}

// environment is the runtime's own; the container's is in config.json. A runtime written in Go
// lives for milliseconds: one thread for Go and no garbage collection are a tenth faster. An
// attached runc passes SIGURG on to the container like any other signal, and Go sends itself one
// to interrupt a goroutine, unless it is told not to. Other runtimes do not look at these.
// Source: Go's runtime, GODEBUG and sighandler in signal_unix.go.
func environment() []string {
	env := []string{"GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1"}
	for _, name := range []string{"PATH", "HOME", "TERM", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// Forget drops what the runtime keeps of a container whose processes are gone. The
// runtime's own delete does the same (it has no hooks to run here) and takes as long
// as its start.
func (r Runtime) Forget(id string) error { return os.RemoveAll(filepath.Join(r.Root, id)) }

// Foreground runs the container in bundle, as config says, attached to the streams and
// returns its exit status. started is called with the pid once its first process exists, also
// if that has ended by then.
func (r Runtime) Foreground(ctx context.Context, id, bundle string, config Config, s Streams, started func(pid int)) (code int, err error) {
	path := filepath.Join(bundle, configName)
	if err := os.WriteFile(path, config.Read, 0o600); err != nil {
		return 0, err
	}
	// The runtime has read it when there is a process, or has ended.
	keep := sync.OnceValue(func() error { return errors.Join(os.Remove(path), os.WriteFile(path, config.Kept, 0o600)) })
	defer func() { err = errors.Join(err, keep()) }()
	pidFile, log := filepath.Join(bundle, "pid"), filepath.Join(bundle, "runtime.log")
	if err := removeFile(pidFile); err != nil { // of an earlier start
		return 0, err
	}
	// Once there is a process, the caller passes signals on to the container itself.
	starting, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	goesOn := context.AfterFunc(ctx, end)
	told := false
	tell := func() bool {
		if pid, err := ReadPID(pidFile); err == nil && !told {
			told = true
			goesOn()
			_ = keep() // told at the end
			if started != nil {
				started(pid)
			}
		}
		return told
	}
	err = untilTold(ctx, log, func() error {
		args := append([]string{"run", "--bundle", bundle, "--pid-file", pidFile}, r.configuredFlags()...)
		cmd := r.command(starting, log, append(append(args, s.preserve()...), id)...)
		return s.foreground(cmd, log, config.execute, tell)
	})
	return r.status(err, log)
}

// foreground runs the runtime. tell is called again and again until it says that it has told of the
// container's first process, or the runtime has ended. execute is that of the Config.
func (s Streams) foreground(cmd *exec.Cmd, log string, execute func(func() error) error, tell func() bool) error {
	s.wire(cmd)
	s.keepFiles(cmd)
	if s.AlsoStdout != nil {
		cmd.Stdout = &besides{s.Stdout, s.AlsoStdout}
	}
	words := &lastWords{to: io.Discard}
	if s.Stderr != nil {
		words.to = &besides{s.Stderr, s.AlsoStderr}
		cmd.Stderr = words
	}
	release := func() {}
	if s.TTY && s.needsTerminal() {
		var err error
		if release, err = lendTerminal(cmd, words); err != nil {
			return err
		}
	}
	if err := execute(cmd.Start); err != nil {
		release()
		return err
	}
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if errors.Is(err, syscall.EPIPE) || errors.Is(err, exec.ErrWaitDelay) {
			err = nil // nobody reads our output any more, and the container has ended well
		}
		release()
		_ = words.end(lastError(log)) // nobody reads it
		ended <- err
	}()
	// The runtime has no other way to say "it is there" while it stays attached.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			tell() // it may have lived for less than a tick
			return err
		case <-tick.C:
			if tell() {
				tick.Stop()
			}
		}
	}
}

// Update gives a container that runs other limits.
func (r Runtime) Update(ctx context.Context, id string, limits *rspec.LinuxResources) error {
	text, err := json.Marshal(limits)
	if err != nil {
		return err
	}
	cmd := r.command(ctx, "", "update", "--resources", "-", id)
	cmd.Stdin = bytes.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s update: %s: %w", filepath.Base(r.Command), bytes.TrimSpace(out), err)
	}
	return nil
}

// Delete removes what the runtime keeps of a container, killing what is alive. It is
// no error if there is nothing.
func (r Runtime) Delete(ctx context.Context, id string) error {
	if _, err := os.Stat(filepath.Join(r.Root, id)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	out, err := r.command(ctx, "", "delete", "--force", id).CombinedOutput()
	if err != nil && !bytes.Contains(out, []byte("does not exist")) {
		// A runtime killed in the middle of create leaves a directory without a
		// state that it then refuses to delete.
		if rm := os.RemoveAll(filepath.Join(r.Root, id)); rm != nil {
			return fmt.Errorf("delete container %s: %s: %w", id, bytes.TrimSpace(out), err)
		}
	}
	return os.RemoveAll(filepath.Join(r.Root, id))
}

// removeFile removes a file, if there is one.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ReadPID reads a process id from a file.
func ReadPID(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("%s: %q is not a process id", path, b)
	}
	return pid, nil
}

// status tells the container's exit status from a fault of the runtime's own: only
// the latter leaves an error in the log.
func (r Runtime) status(err error, log string) (int, error) {
	var exit *exec.ExitError
	if err == nil {
		return 0, nil
	}
	if !errors.As(err, &exit) {
		return 0, fmt.Errorf("%s: %w", r.Command, err)
	}
	if msg := lastError(log); msg != "" {
		return 0, r.explain("run", err, log)
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return exit.ExitCode(), nil
}

// explain turns the runtime's log into an error.
func (r Runtime) explain(verb string, err error, log string) error {
	msg := lastError(log)
	if msg == "" {
		return fmt.Errorf("%s %s: %w", filepath.Base(r.Command), verb, err)
	}
	lower := strings.ToLower(msg)
	var kind error
	switch {
	case strings.Contains(lower, "chdir to cwd"):
		kind = ErrNoDirectory
	case strings.Contains(lower, "executable file not found"),
		strings.Contains(lower, "no such file or directory") && strings.Contains(lower, "exec"):
		kind = ErrNotFound
	case strings.Contains(lower, "permission denied") && strings.Contains(lower, "exec"),
		strings.Contains(lower, "exec format error"), strings.Contains(lower, "is a directory"):
		kind = ErrNotExecutable
	case strings.Contains(lower, "does not exist"):
		kind = ErrNoContainer
	}
	if kind == nil {
		// What it made says why it ended, before the runtime says that it has.
		if all := errorsIn(log); len(all) > 1 {
			msg += " (" + strings.Join(all[:len(all)-1], "; ") + ")"
		}
		err = fmt.Errorf("%s %s: %s: %w", filepath.Base(r.Command), verb, msg, err)
		if strings.Contains(lower, "keyring") && strings.Contains(lower, "disk quota exceeded") {
			// keyrings(7): each container takes a key of its user, who has 200 of them.
			err = hint.With(err, "more keys for each user, as root: sysctl kernel.keys.maxkeys=2000 kernel.keys.maxbytes=200000")
		}
		return err
	}
	// What the runtime puts in front says how it is built, not what is wrong.
	for _, prefix := range []string{"runc run failed: ", "runc create failed: ", "exec failed: ", "unable to start container process: "} {
		msg = strings.TrimPrefix(msg, prefix)
	}
	return fmt.Errorf("%w: %s", kind, msg)
}

// lastError is the last message of level error in a log of JSON lines.
func lastError(path string) string {
	if all := errorsIn(path); len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// errorsIn lists the messages of level error in a log of JSON lines.
func errorsIn(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var all []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct{ Level, Msg string }
		if json.Unmarshal(lines.Bytes(), &entry) == nil && (entry.Level == "error" || entry.Level == "fatal") && entry.Msg != "" {
			all = append(all, entry.Msg)
		}
	}
	return all
}

// wire leaves a stream that is nil to os/exec, for which nil is /dev/null; a nil
// *os.File in an interface would not be nil any more.
func (s Streams) wire(cmd *exec.Cmd) {
	if s.Stdin != nil {
		cmd.Stdin = s.Stdin
	}
	if s.Stdout != nil {
		cmd.Stdout = s.Stdout
	}
	if s.Stderr != nil {
		cmd.Stderr = s.Stderr
	}
	cmd.ExtraFiles = s.Files
}

// keepFiles has a runtime that we wait for get pipes in the place of files, which we copy. The
// runtime makes the container's user the owner of what it gets, and a file that a shell has opened
// would no longer be the caller's. Source: runc, libcontainer/init_linux.go, fixStdioPermissions.
func (s Streams) keepFiles(cmd *exec.Cmd) {
	if s.TTY {
		return
	}
	if isFile(s.Stdin) {
		cmd.Stdin = struct{ io.Reader }{s.Stdin}
	}
	if isFile(s.Stdout) {
		cmd.Stdout = struct{ io.Writer }{s.Stdout}
	}
	if isFile(s.Stderr) {
		cmd.Stderr = struct{ io.Writer }{s.Stderr}
	}
}

func isFile(f *os.File) bool {
	if f == nil {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode().IsRegular()
}

// preserve is the option that has the runtime hand on the files.
func (s Streams) preserve() []string {
	if len(s.Files) == 0 {
		return nil
	}
	return []string{"--preserve-fds", strconv.Itoa(len(s.Files))}
}
