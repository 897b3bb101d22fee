// SPDX-License-Identifier: Apache-2.0

// Command lab makes, boots and drives the machines that podunit is tested on: see the help text.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/podunit/podunit/contrib/lab/bench"
	"github.com/podunit/podunit/contrib/lab/cache"
	"github.com/podunit/podunit/contrib/lab/cut"
	"github.com/podunit/podunit/contrib/lab/disk"
	"github.com/podunit/podunit/contrib/lab/machine"
	"github.com/podunit/podunit/contrib/lab/rootfs"
	"github.com/podunit/podunit/contrib/lab/throttle"
)

const usage = `Usage: lab VERB [FLAGS] [ARGUMENTS]

A lab is a Debian 13 machine with a real systemd, in systemd-nspawn, or with --vm in qemu. It needs root. With --debian it
has another release.

  up                 make the lab if there is none, boot it if it is off
  run CMD [ARG...]   run a command in it, as alice; one argument alone is a bash script
  shell              a login shell in it, on a terminal
  install [DIR]      make install of the source tree in DIR (default: .) into it, then daemon-reload
  down               power it off in order
  kill               cut its power: everything in it is killed
  reboot             down and up; with --cut, kill and up
  route on|off       give it back its default route, or take it
  peer on|off        unmask Podman's own generators, or mask them (as a new lab has it)
  status             what runs, and where
  ls                 all labs
  rm                 cut its power and remove it; --all for every lab
  gc                 remove the labs whose owner died
  prepare            make the cached root filesystem and images, no lab
  prune              remove cached file systems and images of older recipes that no lab stands on
  throttle           (inside a lab) a slow TCP proxy, for slow pulls
  cut CMD [ARG...]   (inside a lab) run CMD, and kill podunit in it before its write number --at; see --log
  agent              (inside a virtual machine) runs what the host asks for
  disk FILE CMD...   serve the disk of a virtual machine to CMD, with a cache that is lost when this process is killed
  lossy FILE DIR CMD...
                     run CMD with the same disk mounted on DIR, for a lab that up --lossy has made
  bench [GROUP...]   podunit beside Podman, in a lab of its own: see --rounds, --out, --plant
  bench-compare BASE NEW
                     two bench.json: fails where NEW is slower beyond noise
  bench-page FILE    the document of a bench.json, on standard output

Exit status: the command's own for run and shell; 1 of bench-compare for slower; 125 when the lab could not do it.

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		if code == 0 {
			code = 125
		}
	}
	os.Exit(code)
}

// settings are the flags, all verbs together: a verb reads those it knows.
type settings struct {
	name, user, dir   string
	env               []string
	timeout           time.Duration
	tty, cut, all     bool
	noRoute, noImages bool
	lossy             bool
	release, vm       string
	owner             int
	throttle          throttle.Options
	registry          throttle.Registry
	bench             bench.Options
	out               string
	at                int
	log               string
}

// flags are those that set s.
func (s *settings) flags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("lab", pflag.ContinueOnError)
	flags.SetInterspersed(false)
	flags.SortFlags = false
	flags.StringVar(&s.name, "name", "podunit", "which lab")
	flags.StringVar(&s.user, "user", "alice", "run, shell: alice, bob, carol (no subordinate ids), dave (no linger) or root")
	flags.StringVar(&s.dir, "dir", "", "run, shell: working directory (default: the home)")
	flags.StringArrayVar(&s.env, "env", nil, "run, shell: KEY=VALUE, may be repeated")
	flags.DurationVar(&s.timeout, "timeout", 0, "run: kill the command after this time")
	flags.BoolVarP(&s.tty, "tty", "t", false, "run: on a terminal of the lab")
	flags.BoolVar(&s.cut, "cut", false, "reboot: cut the power instead of powering off")
	flags.BoolVar(&s.all, "all", false, "rm: every lab")
	flags.BoolVar(&s.noRoute, "no-route", false, "up: a new lab has no default route")
	flags.BoolVar(&s.noImages, "no-images", false, "up: a new lab has an empty registry")
	flags.StringVar(&s.release, "debian", "", "up, bench: a new lab has this release of Debian: "+strings.Join(rootfs.Releases(), ", ")+"; "+rootfs.Suite+" if absent")
	flags.StringVar(&s.vm, "vm", "", "up: a new lab is a virtual machine with this Debian: "+strings.Join(rootfs.Suites(), ", "))
	flags.BoolVar(&s.lossy, "lossy", false, "up: a new lab has a disk that loses unflushed writes at kill and reboot --cut")
	flags.IntVar(&s.owner, "owner", 0, "up: a new lab belongs to this process; gc removes it when that has died")
	flags.StringVar(&s.throttle.Listen, "listen", "127.0.0.1:5001", "throttle: where to listen")
	flags.StringVar(&s.throttle.To, "to", "127.0.0.1:5000", "throttle: where connections go")
	flags.IntVar(&s.throttle.Rate, "rate", 0, "throttle: bytes per second towards the client, all connections together; 0 is no limit")
	flags.Int64Var(&s.throttle.StallAfter, "stall-after", 0, "throttle: pass this many bytes to clients, then none; 0 is never")
	flags.DurationVar(&s.registry.Delay, "delay", 0, "throttle: wait this long before each answer of a registry")
	flags.StringToStringVar(&s.registry.Faults, "fault", nil, "throttle: REPOSITORY=FAULT, may be repeated: "+strings.Join(throttle.Faults, ", "))
	flags.IntVar(&s.bench.Rounds, "rounds", 20, "bench: how often contenders take turns")
	flags.Uint64Var(&s.bench.Seed, "seed", uint64(time.Now().UnixNano()), "bench: of the order of turns; up, disk, lossy: of what is lost")
	flags.StringVar(&s.out, "out", "bench", "bench: directory for bench.json and a drawing of each group")
	flags.Float64Var(&s.bench.Plant, "plant", 0, "bench: a part that podunit is made slower by, as 0.1, to prove bench-compare")
	flags.IntVar(&s.at, "at", 0, "cut: before which call that changes a file podunit is killed, from 1 on; 0 is never")
	flags.StringVar(&s.log, "log", "", "cut: this file gets a line for each such call")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage, flags.FlagUsages()) }
	return flags
}

func run(ctx context.Context, args []string) (int, error) {
	var s settings
	flags := s.flags()
	if len(args) == 0 || strings.HasPrefix(args[0], "-") || args[0] == "help" {
		flags.Usage()
		if len(args) > 0 && (args[0] == "help" || args[0] == "--help" || args[0] == "-h") {
			return 0, nil
		}
		return 125, nil
	}
	verb := args[0]
	if err := flags.Parse(args[1:]); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return 0, nil
		}
		return 125, err
	}
	switch verb {
	case "throttle":
		return 0, s.slow(ctx)
	case "cut":
		return s.cutShort(ctx, flags.Args())
	case "cut-child":
		return 125, cut.Child(flags.Args())
	case "cut-managers":
		return 0, cut.Serve("podunit", 1, flags.Arg(0))
	case "cut-rest":
		return 0, cut.Rest()
	case "agent":
		return 0, machine.ServeAgent(ctx)
	case "disk", "lossy":
		return 0, s.disk(verb, flags.Args())
	case "watch":
		// Started by labtest with a pipe as standard input: its end is the end of the test.
		_, _ = io.Copy(io.Discard, os.Stdin)
		verb = "rm"
	}
	switch verb {
	case "bench-compare":
		return compare(flags.Args())
	case "bench-page":
		return 0, page(flags.Args())
	}
	if os.Geteuid() != 0 {
		return 125, fmt.Errorf("a lab needs root, this is uid %d: run it with sudo", os.Geteuid())
	}
	c, err := cache.Open()
	if err != nil {
		return 125, err
	}
	if verb == "bench" {
		return 0, s.measure(ctx, c, flags.Args())
	}
	return s.verb(ctx, c, verb, flags.Args())
}

func (s settings) verb(ctx context.Context, c cache.Dir, verb string, args []string) (int, error) {
	log := io.Writer(os.Stderr)
	most := map[string]int{"run": -1, "install": 1, "route": 1, "peer": 1}
	limit, known := most[verb]
	if !known {
		limit = 0
	}
	if limit >= 0 && len(args) > limit {
		return 125, fmt.Errorf("%s: unexpected argument %q", verb, args[limit])
	}
	switch verb {
	case "up":
		return 0, s.up(ctx, c, log)
	case "prepare":
		return 0, machine.Prepare(ctx, c, log)
	case "prune":
		return 0, machine.Prune(c, log)
	case "ls":
		return 0, list(c, log)
	case "gc":
		gone, err := machine.GC(c, log)
		for _, name := range gone {
			fmt.Println("removed", name)
		}
		return 0, err
	case "rm":
		if s.all {
			labs, err := machine.List(c, log)
			for _, m := range labs {
				err = errors.Join(err, m.Remove())
			}
			return 0, err
		}
	}
	m, err := machine.Open(c, s.name, log)
	if errors.Is(err, machine.ErrNone) && verb == "rm" {
		return 0, nil
	}
	if err != nil {
		return 125, fmt.Errorf("%w; make it with: lab up --name %s", err, s.name)
	}
	return s.on(ctx, m, verb, args)
}

// on executes a verb on a lab that exists.
func (s settings) on(ctx context.Context, m *machine.Machine, verb string, args []string) (int, error) {
	switch verb {
	case "rm":
		return 0, m.Remove()
	case "down":
		patience := 2 * time.Minute
		if m.Virtual() {
			patience = 20 * time.Minute
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return 0, m.Poweroff(ctx)
	case "kill":
		return 0, m.PowerCut()
	case "reboot":
		off := m.Poweroff
		if s.cut {
			off = func(context.Context) error { return m.PowerCut() }
		}
		if err := off(ctx); err != nil {
			return 125, err
		}
		return 0, m.Boot(ctx)
	case "run":
		if len(args) == 0 {
			return 125, errors.New("run: no command: lab run CMD [ARG...]")
		}
		return s.run(ctx, m, args)
	case "shell":
		s.tty = true
		return s.run(ctx, m, []string{"bash", "-l"})
	case "install":
		return s.install(ctx, m, args)
	case "route", "peer":
		if len(args) != 1 || args[0] != "on" && args[0] != "off" {
			return 125, fmt.Errorf("%s: say on or off", verb)
		}
		if verb == "route" {
			return 0, m.SetRoute(ctx, args[0] == "on")
		}
		return 0, m.SetPeer(ctx, args[0] == "on")
	case "status":
		return s.status(ctx, m)
	}
	return 125, fmt.Errorf("unknown verb %q; lab help lists them", verb)
}

func (s settings) up(ctx context.Context, c cache.Dir, log io.Writer) error {
	if s.release != "" && s.vm != "" {
		return errors.New("up: --vm names the release of Debian itself, leave --debian out")
	}
	if _, err := machine.GC(c, log); err != nil {
		return err
	}
	m, err := machine.Open(c, s.name, log)
	if err == nil && s.release != "" {
		return fmt.Errorf("up: the lab %s is there, and --debian is for a new one: leave it out, or remove the lab with: lab rm --name %s", s.name, s.name)
	}
	if errors.Is(err, machine.ErrNone) {
		m, err = machine.New(ctx, c, s.name, machine.Options{NoRoute: s.noRoute, NoImages: s.noImages, Release: s.release, VM: s.vm, Lossy: s.lossy, Seed: s.bench.Seed, Owner: s.owner}, log)
	}
	if err != nil || m.Running() {
		return err
	}
	return m.Boot(ctx)
}

func (s settings) run(ctx context.Context, m *machine.Machine, args []string) (int, error) {
	cmd := machine.Command{
		User: s.user, Args: args, Dir: s.dir, Env: s.env, Timeout: s.timeout, Terminal: s.tty,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	if fd := int(os.Stdin.Fd()); s.tty && term.IsTerminal(fd) {
		// Keys are for the lab's terminal to interpret; script(1) puts ours back at its end, a
		// killed one does not.
		if old, err := term.GetState(fd); err == nil {
			defer func() { _ = term.Restore(fd, old) }()
		}
	}
	res, err := m.Run(ctx, cmd)
	return res.Code, err
}

func (s settings) install(ctx context.Context, m *machine.Machine, args []string) (int, error) {
	dir := "."
	if len(args) == 1 {
		dir = args[0]
	}
	root, err := m.Root()
	if m.Virtual() {
		if root, err = os.MkdirTemp("", "podunit-install-"); err == nil {
			defer os.RemoveAll(root)
		}
	}
	if err != nil {
		return 125, err
	}
	mk := exec.CommandContext(ctx, "make", "--no-print-directory", "-C", dir, "install", "PREFIX=/usr", "DESTDIR="+root)
	if out, err := mk.CombinedOutput(); err != nil {
		return 125, fmt.Errorf("make install: %w\n%s", err, out)
	}
	if m.Virtual() {
		if err := m.Copy(ctx, root); err != nil {
			return 125, err
		}
	}
	return 0, m.Reload(ctx)
}

// slow serves as a slow registry, or as a slow way to one.
func (s settings) slow(ctx context.Context) error {
	if s.registry.Delay == 0 && len(s.registry.Faults) == 0 {
		return throttle.Serve(ctx, s.throttle)
	}
	s.registry.Listen, s.registry.To, s.registry.Log = s.throttle.Listen, s.throttle.To, os.Stdout
	return s.registry.Serve(ctx)
}

// cutShort runs a command, and kills podunit in it.
func (s settings) cutShort(ctx context.Context, args []string) (int, error) {
	if len(args) == 0 {
		return 125, errors.New("cut: no command: lab cut --at N CMD [ARG...]")
	}
	res, err := cut.Run(ctx, "podunit", s.at, []string{"/proc/self/exe", "cut-child"}, []string{"/proc/self/exe", "cut-rest"}, args)
	if err == nil && s.log != "" {
		err = os.WriteFile(s.log, []byte(strings.Join(append(res.Calls, ""), "\n")), 0o644)
	}
	if err != nil {
		return 125, err
	}
	return res.Code, nil
}

// disk executes a command, qemu or nspawn, with a disk that forgets: at a socket, or mounted.
func (s settings) disk(verb string, args []string) error {
	mounted := verb == "lossy"
	switch {
	case mounted && len(args) < 3:
		return errors.New("lossy: say the file of the disk, where to mount it and the command that uses it")
	case len(args) < 2:
		return errors.New("disk: say the file of the disk and the command that uses it")
	}
	d, err := disk.Open(args[0], s.bench.Seed)
	if err != nil {
		return err
	}
	if mounted {
		err = d.Mounted(args[1], args[2:])
	} else {
		err = d.Run(args[1:])
	}
	return errors.Join(err, d.Close())
}

func list(c cache.Dir, log io.Writer) error {
	labs, err := machine.List(c, log)
	for _, m := range labs {
		state := "off"
		if m.Running() {
			state = "running"
		}
		fmt.Printf("%-20s %-8s %s\n", m.Name, state, m.Address())
	}
	return err
}

func (s settings) status(ctx context.Context, m *machine.Machine) (int, error) {
	if !m.Running() {
		fmt.Printf("%s is off\n", m.Name)
		return 3, nil // as systemctl status
	}
	fmt.Printf("%s runs at %s", m.Name, m.Address())
	if root, err := m.Root(); err == nil {
		fmt.Printf("; its root is %s", filepath.Clean(root))
	}
	fmt.Println()
	res, err := m.Run(ctx, machine.Command{User: "root", Args: []string{"systemctl", "--no-pager", "--failed", "status"}})
	fmt.Print(res.Stdout, res.Stderr)
	return 0, err
}
