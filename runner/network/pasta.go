// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// Addresses inside a container that stand for something outside, the same as in
// the rest of the ecosystem. Source: go.podman.io/common/libnetwork/pasta, which
// cannot be used itself: it demands options that Debian 12's pasta does not know,
// cannot be interrupted, and does not tell the process it made.
const (
	dnsForward = "169.254.1.1" // the host's resolver
	guestAddr  = "169.254.1.2" // the host
)

// localMode is for a machine that is on a network but has no default route. pasta
// would copy what there is, and then has no address of its own inside from which to
// connect to the container when the machine talks to itself. Any addresses do; these
// are those that pasta takes by itself on a machine without any network.
func localMode() []string {
	return []string{"-a", "169.254.2.1", "-n", "16", "-g", "169.254.2.2"}
}

// looseMode is for Debian 12's pasta on a machine without a default route, which it
// refuses to look at: it gets a device that is always there.
func looseMode() []string {
	return []string{"-4", "-i", "lo", "-I", "tap0", "-M", "02:00:a9:fe:02:02"}
}

// ipv6Mode is for ports published on an IPv6 address such as ::1, on a machine that
// has no IPv6 route: pasta would leave IPv6 out, and fail to bind.
func ipv6Mode(device string) []string {
	return []string{"--outbound-if6", device, "-a", "fd00::3", "-g", "fd00::1"}
}

// fitting are the options that make pasta fit the machine; none where the user
// settles such things.
func fitting(ports []spec.PortMapping, extra []string, r routes) []string {
	settled := []string{
		"-4", "--ipv4-only", "-6", "--ipv6-only", "-i", "--interface", "-a", "--address", "-n", "--netmask",
		"-g", "--gateway", "-o", "--outbound", "--outbound-if4", "--outbound-if6",
	}
	for _, w := range extra {
		name, _, _ := strings.Cut(w, "=")
		if slices.Contains(settled, name) {
			return nil
		}
	}
	var out []string
	if r.default4 == "" && r.default6 == "" && r.any4 != "" {
		out = localMode()
	}
	device := r.default4
	if device == "" {
		device = r.any4
	}
	wanted := slices.ContainsFunc(ports, func(p spec.PortMapping) bool { return p.HostIP.Is6() && !p.HostIP.Is4In6() })
	if wanted && r.default6 == "" && device != "" {
		out = append(out, ipv6Mode(device)...)
	}
	return out
}

// pastaArgs are pasta's arguments, and the addresses and files that follow from them.
type pastaArgs struct {
	words []string
	dns   []string // addresses inside that lead to the host's resolver
	host  []string // addresses inside that lead to the host
	pids  []string // files that get its process ID besides ours, of which pasta knows only one
	own   bool     // it is root's and runs as pastaUser
}

// own reports whether pasta runs as pastaUser. Root's does, unless the configuration or the user
// names another account. By itself pasta would become nobody, who may open neither the namespace
// nor low ports.
func own(extra []string, root bool) bool {
	return root && !slices.ContainsFunc(extra, func(w string) bool { return w == "--runas" || strings.HasPrefix(w, "--runas=") })
}

// args composes pasta's command line. extra is what the configuration and the user
// add; where it settles something, ours is left out.
func args(extra []string, ports []spec.PortMapping, netns, pid string, root bool) pastaArgs {
	a := pastaArgs{words: []string{"--config-net"}}
	given := map[string]bool{}
	for i := 0; i < len(extra); i++ {
		w := extra[i]
		name, value, inline := strings.Cut(w, "=")
		if !inline && i+1 < len(extra) {
			value = extra[i+1]
		}
		given[name] = true
		switch name {
		case "--pid", "-P":
			a.pids = append(a.pids, value)
			if !inline {
				i++
			}
			continue
		case "--map-gw":
			continue // not pasta's: it undoes our --no-map-gw
		case "--dns-forward":
			a.dns = append(a.dns, value)
		case "--map-guest-addr":
			a.host = append(a.host, value)
		}
		a.words = append(a.words, w)
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return given[n] })
	}
	published := map[string]bool{}
	for _, p := range ports {
		flag := map[string]string{"tcp": "-t", "udp": "-u"}[p.Protocol]
		published[flag] = true
		a.words = append(a.words, flag, portArg(p))
	}
	// Unless told otherwise pasta would mirror every port in both directions.
	for _, f := range [][2]string{{"-t", "--tcp-ports"}, {"-u", "--udp-ports"}, {"-T", "--tcp-ns"}, {"-U", "--udp-ns"}} {
		if !published[f[0]] && !has(f[0], f[1]) {
			a.words = append(a.words, f[0], "none")
		}
	}
	if len(a.dns) == 0 {
		a.dns = []string{dnsForward}
		a.words = append(a.words, "--dns-forward", dnsForward)
	}
	if !has("--map-gw", "--no-map-gw") {
		a.words = append(a.words, "--no-map-gw")
	}
	if len(a.host) == 0 {
		a.host = []string{guestAddr}
		a.words = append(a.words, "--map-guest-addr", guestAddr)
	}
	if !has("-d", "--debug", "--trace", "-q", "--quiet") {
		a.words = append(a.words, "--quiet")
	}
	a.own = own(extra, root)
	// podunit ends pasta, so pasta need not watch the path of the namespace. The watch would cost
	// 14 ms of every stop, in which the kernel waits until nothing reads the watch any more.
	a.words = append(a.words, "--no-netns-quit", "--pid", pid, "--netns", netns)
	return a
}

// portArg is a mapping as pasta takes it. Source: pasta(1), --tcp-ports.
func portArg(p spec.PortMapping) string {
	s := fmt.Sprintf("%d:%d", p.HostPort, p.ContainerPort)
	if p.Range > 1 {
		s = fmt.Sprintf("%d-%d:%d-%d", p.HostPort, p.HostPort+p.Range-1, p.ContainerPort, p.ContainerPort+p.Range-1)
	}
	if p.HostIP.IsValid() {
		s = p.HostIP.String() + "/" + s
	}
	return s
}

// addressed leaves out IPv6 where a port is published on all addresses and the machine is on no
// network. There pasta would accept connections to ::1, which clients try first for
// "localhost", and reset them if the program inside listens on IPv4 only, as many do;
// refused ones go on to 127.0.0.1. With a route pasta itself leaves out what the machine lacks.
func addressed(ports []spec.PortMapping, r routes) []spec.PortMapping {
	if r != (routes{}) {
		return ports
	}
	ports = slices.Clone(ports)
	for i := range ports {
		if !ports[i].HostIP.IsValid() {
			ports[i].HostIP = netip.IPv4Unspecified()
		}
	}
	return ports
}

// without leaves an option and its value out.
func without(words []string, option string) []string {
	i := slices.Index(words, option)
	if i < 0 || i+1 >= len(words) {
		return words
	}
	return slices.Delete(slices.Clone(words), i, i+2)
}

// after is the word after an option; empty if there is none.
func after(words []string, option string) string {
	i := slices.Index(words, option)
	if i < 0 || i+1 >= len(words) {
		return ""
	}
	return words[i+1]
}

// running is a pasta that has been started.
type running struct {
	pid       int
	dns, host []string
	control   string // see Result
	refused   error  // see Result
}

// startPasta starts pasta and returns when it is ready.
func startPasta(ctx context.Context, req Request, ns *os.File, ports []spec.PortMapping) (running, error) {
	program, err := req.Config.FindHelperBinary("pasta", true)
	if err != nil {
		return running{}, NoPastaError{Err: err}
	}
	extra := append(slices.Clone(req.Config.Network.PastaOptions.Get()), req.Network.Options...)
	routes := readRoutes(os.ReadFile)
	extra = append(fitting(ports, extra, routes), extra...)
	extra = append(ownTap(ns, extra, tapName(req, routes)), extra...)
	req.Control = req.Control && pesto(req.Config) != "" && mentions(program, "conf-path")
	a, err := showPasta(ctx, req, program, extra, addressed(ports, routes))
	var refused error
	if req.Control && errors.As(err, &PastaError{}) {
		req.Control, refused = false, err // it may not make the socket, by the rules of AppArmor or others
		a, err = showPasta(ctx, req, program, extra, addressed(ports, routes))
	}
	if err != nil {
		err = errors.Join(err, endAll(req.Dir))
		if problem := portProblem(ports); problem != nil {
			return running{}, problem // taken since it was looked at
		}
		return running{}, err
	}
	pid, err := readPID(filepath.Join(req.Dir, pidFile))
	if err == nil && pid == 0 {
		err = fmt.Errorf("pasta could not write its PID into %s", filepath.Join(req.Dir, pidFile))
	}
	if err != nil { // the disk is full: it runs all the same, and nobody would end it
		return running{}, errors.Join(err, endAll(req.Dir))
	}
	for _, path := range a.pids {
		if err := safe.Replace(path, fmt.Appendln(nil, pid), 0o644); err != nil {
			return running{}, errors.Join(fmt.Errorf("--network pasta:--pid,%s: %w", path, err), endAll(req.Dir))
		}
	}
	got := running{pid: pid, dns: a.dns, host: a.host, refused: refused}
	if req.Control {
		got.control = filepath.Join(req.Dir, pestoFile)
	}
	return got, nil
}

// showPasta executes pasta where AppArmor lets it find the namespace and the file for its process
// ID. The profile that Debian 12 has for it lets it into fewer directories than later ones.
func showPasta(ctx context.Context, req Request, program string, extra []string, ports []spec.PortMapping) (pastaArgs, error) {
	seen, view, own := seenDir(req.Dir), inView, own(extra, req.Root)
	if own {
		seen, view = seenByRoots(req.Dir), inRootView
	}
	if req.Control {
		extra = append([]string{"--conf-path", filepath.Join(seen, pestoFile)}, extra...)
	}
	a := args(extra, ports, filepath.Join(seen, netnsFile), filepath.Join(seen, pidFile), req.Root)
	err := view(req.Dir, func() error { return runPasta(ctx, program, &a) })
	var refused PastaError
	if errors.As(err, &refused) && strings.Contains(refused.Said, "Couldn't open network namespace") {
		a = args(extra, ports, narrowName(req.Dir), filepath.Join(viewed, filepath.Base(req.Dir), pidFile), req.Root)
		if err = inNarrowView(own, req.Dir, func() error { return runPasta(ctx, program, &a) }); err != nil {
			err = fmt.Errorf("%w; that was for an AppArmor profile as Debian 12's, after %w", err, refused)
		}
	}
	return a, err
}

// portProblem looks at the ports once more after pasta refused its job.
func portProblem(ports []spec.PortMapping) error {
	for _, p := range ports {
		if err := probe(p); err != nil {
			return err
		}
	}
	return nil
}

// mentions reports whether a program has the name of an option in it. Debian 12's pasta writes its
// whole usage to the journal when it gets one that it does not know. Where the file cannot be read,
// or is a script around another program, the answer is yes, and runPasta finds out.
func mentions(program, option string) bool {
	data, err := os.ReadFile(program)
	return err != nil || !bytes.HasPrefix(data, []byte("\x7fELF")) || bytes.Contains(data, []byte(option))
}

// runPasta executes pasta until it has gone to the background. Options that this
// version does not know, and a host that it does not like, cost another attempt.
func runPasta(ctx context.Context, program string, a *pastaArgs) error {
	if slices.Contains(a.words, "--map-guest-addr") && !mentions(program, "map-guest-addr") {
		a.words, a.host = without(a.words, "--map-guest-addr"), nil
	}
	for {
		cmd := exec.CommandContext(ctx, program, a.words...)
		// Nothing of ours is meant for it, NOTIFY_SOCKET least of all.
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if a.own {
			cmd.SysProcAttr = asPasta()
		}
		err := withoutSignals(cmd.Start)
		if err == nil {
			err = cmd.Wait()
		}
		if err == nil {
			return nil
		}
		out := said.Bytes()
		if ctx.Err() != nil {
			return fmt.Errorf("start pasta: %w", context.Cause(ctx))
		}
		switch {
		case bytes.Contains(out, []byte("--map-guest-addr")) && slices.Contains(a.words, "--map-guest-addr"):
			a.words, a.host = without(a.words, "--map-guest-addr"), nil
		case bytes.Contains(out, []byte("External interface not usable")) && !slices.Contains(a.words, "-i"):
			if !slices.Contains(a.words, "-a") {
				a.words = append(localMode(), a.words...)
			}
			if slices.Contains(a.words, "-I") {
				a.words = append(without(looseMode(), "-I"), a.words...)
			} else {
				a.words = append(looseMode(), a.words...)
			}
		case bytes.Contains(out, []byte("No external routable interface for IPv4")) && !slices.Contains(a.words, "-i") && after(a.words, "--outbound-if6") != "":
			// Debian 12's leaves out the family that has no default route, although it has got an
			// address to use, and then cannot bind its ports.
			a.words = append([]string{"-i", after(a.words, "--outbound-if6")}, a.words...)
		default:
			return PastaError{Said: lastWords(out), Err: err}
		}
	}
}

// lastWords is what pasta wrote, on one line. Old versions complain about every line that they
// could not also send to syslog, and show their usage after an unknown option.
func lastWords(out []byte) string {
	var lines []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "Usage:") {
			break
		}
		if line != "" && !(strings.HasPrefix(line, "Failed to send ") && strings.HasSuffix(line, "to syslog")) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// stopPasta ends the pasta of a request and removes its files; nothing there is
// no error.
func stopPasta(dir string) error {
	path := filepath.Join(dir, pidFile)
	pid, err := readPID(path)
	if err == nil && pid > 0 {
		var ours bool
		if ours, err = endPasta(pid, dir); err == nil && !ours {
			return dropFile(path) // it ended long ago
		}
	} else if err == nil {
		err = endAll(dir) // it was killed while it started, or the disk was full
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("end pasta: %w", err)
	}
	return dropFile(path)
}

func dropFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// readPID reads pasta's PID. The file is empty while pasta is starting, which its runner may not
// have survived: then this waits a second for the PID, and is 0 if there is none, as pasta was
// killed too.
func readPID(path string) (int, error) {
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		data, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
			return n, nil
		}
		if time.Since(begun) > time.Second {
			return 0, nil
		}
	}
}

// Runs reports whether a process is the pasta of the request whose Dir this is.
func Runs(pid int, dir string) bool { return isPasta(pid, dir) }

// isPasta reports whether a process is the pasta of the request whose Dir this is: its
// command line names the namespace, and cannot be another's of the same PID.
func isPasta(pid int, dir string) bool {
	words, err := process.CommandLine(pid)
	return err == nil && slices.ContainsFunc([]string{dir, seenDir(dir), seenByRoots(dir)}, func(d string) bool {
		return slices.Contains(words, filepath.Join(d, netnsFile)) || slices.Contains(words, narrowName(dir))
	})
}

// endAll ends every pasta of the request, whose PIDs nobody has noted.
func endAll(dir string) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || !isPasta(pid, dir) {
			continue
		}
		_, err = endPasta(pid, dir)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// endPasta kills the process if it is the pasta of the request, and reports whether it was. pasta
// has nothing to save, and ignores most other signals.
func endPasta(pid int, dir string) (bool, error) {
	p, err := process.Open(pid, 0)
	if p == nil || err != nil {
		return false, err
	}
	defer p.Close()
	// The command line is read after the pidfd was opened, so that both are of the same process.
	if !isPasta(pid, dir) {
		return false, nil
	}
	if err := p.Kill(); errors.Is(err, unix.EPERM) {
		return false, nil // a stranger's, whatever its command line says
	} else if err != nil {
		return true, fmt.Errorf("process %d: %w", pid, err)
	}
	return true, nil
}

// sameFamily leaves out the addresses of a family that the container has none of.
func sameFamily(addrs []string, ips []netip.Addr) []string {
	var out []string
	for _, s := range addrs {
		a, err := netip.ParseAddr(s)
		if err == nil && slices.ContainsFunc(ips, func(ip netip.Addr) bool { return ip.Is4() == a.Is4() }) {
			out = append(out, s)
		}
	}
	return out
}

// NoPastaError says that pasta is not installed.
type NoPastaError struct{ Err error }

func (e NoPastaError) Error() string { return fmt.Sprintf("the network needs pasta: %v", e.Err) }
func (e NoPastaError) Unwrap() error { return e.Err }

// Hint is the way out.
func (e NoPastaError) Hint() string {
	return "apt install passt, or use --network none or host"
}

// PastaError says that pasta could not do its job, in its own words.
type PastaError struct {
	Said string
	Err  error
}

func (e PastaError) Error() string {
	if e.Said == "" {
		return fmt.Sprintf("pasta: %v", e.Err)
	}
	return fmt.Sprintf("pasta: %s (%v)", e.Said, e.Err)
}
func (e PastaError) Unwrap() error { return e.Err }

// Hint is the way out, empty if none is known.
func (e PastaError) Hint() string {
	if strings.Contains(e.Said, "tun socket") || strings.Contains(e.Said, "/dev/net/tun") {
		return "/dev/net/tun must exist and be open to all: modprobe tun; chmod 666 /dev/net/tun"
	}
	if strings.Contains(e.Said, "Failed to bind") {
		// Every port was free before; what is left is Debian 12's pasta on a host
		// without any route.
		return "pasta may do no IPv6 on a machine that is on no network: publish on an IPv4 address"
	}
	return ""
}
