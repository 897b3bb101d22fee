// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/helper"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/step"
	"github.com/podunit/podunit/runner/unit"
	"golang.org/x/sys/unix"
)

// Units of named networks. A user's has the namespace and the names; root's networks are the
// machine's, and root's unit has the names only.
const (
	NamespaceUnit = "podunit-netns.service"
	DNSUnit       = "podunit-dns.service"
)

// Networks are the named networks of the user, in the directories where Podman has them.
func (e *Engine) Networks() *netavark.Store {
	s := &netavark.Store{
		Rootless: e.User.Rootless(), Config: e.Containers.Config, Records: filepath.Join(e.Containers.RunDir, "networks", "connected"),
		Dir: e.Containers.Config.Network.NetworkConfigDir,
	}
	if !s.Rootless {
		// Podman as root makes links in the same namespace.
		s.Run, s.LockFile = "/run/containers/networks", "/run/lock/netavark.lock"
		if s.Dir == "" {
			s.Dir = "/etc/containers/networks"
		}
		return s
	}
	if s.Dir == "" {
		s.Dir = filepath.Join(e.Containers.Store.GraphRoot(), "networks")
	}
	s.Run, s.LockFile = filepath.Join(e.Containers.RunDir, "networks"), filepath.Join(s.Dir, "netavark.lock")
	return s
}

// bridge describes how a container or pod is connected to named networks.
func (e *Engine) bridge(asked spec.Networking, w who) (*network.Bridge, error) {
	store := e.Networks()
	c := netavark.Connection{ID: w.id, Name: w.name, Hostname: w.hostname}
	if store.Rootless {
		c.Shared = e.sharedDir()
		if err := e.together(); err != nil {
			return nil, err
		}
	}
	for _, n := range asked.Networks {
		want, err := n.Endpoint()
		if err != nil {
			return nil, err
		}
		name := n.Name
		if n.Mode == spec.NetBridge {
			name = store.Default()
		}
		one := netavark.Endpoint{Name: name}
		one.InterfaceName, one.Options = want.Interface, want.Options
		for _, ip := range append(slices.Clone(want.IPs), asked.IP, asked.IP6) {
			if ip.IsValid() {
				one.StaticIPs = append(one.StaticIPs, net.IP(ip.AsSlice()))
			}
		}
		if one.StaticMAC = []byte(want.MAC); asked.MAC != nil {
			one.StaticMAC = []byte(asked.MAC)
		}
		one.Aliases = []string{w.id[:12]}
		for _, a := range slices.Concat([]string{asked.Hostname, asked.FullName}, want.Aliases, asked.Aliases) {
			if a != "" && a != w.name && !slices.Contains(one.Aliases, a) {
				one.Aliases = append(one.Aliases, a)
			}
		}
		c.Networks = append(c.Networks, one)
	}
	return &network.Bridge{Store: store, Connection: c, Servers: e.servers()}, nil
}

// servers returns the functions that start and stop the units which named networks need.
func (e *Engine) servers() netavark.Servers {
	return netavark.Servers{Namespace: NamespaceUnit, Names: e.askForNames, Start: func(ctx context.Context, name string) error {
		if name == NamespaceUnit && e.onlyIn(name) == nil {
			return errLost // the manager would wait for this process
		}
		m, err := e.Connect(ctx)
		if err != nil && e.User.Rootless() {
			return hint.With(fmt.Errorf("%s is a unit of the user's manager, which is not there: %w", name, err), "as root: loginctl enable-linger %d", e.User.UID)
		}
		if err != nil {
			return fmt.Errorf("%s is a unit of the system's manager: %w", name, err)
		}
		defer m.Close()
		err = m.Start(ctx, name)
		if unit.IsGone(err) {
			return hint.With(fmt.Errorf("the unit %s is not installed", name), "make install puts it into lib/systemd/user and lib/systemd/system; then systemctl --user daemon-reload")
		}
		return err
	}}
}

// askForNames returns when the name server of the networks answers. A namespace that was lost
// meanwhile is made again by its unit, which connects all containers to it that run. One that starts
// sees itself that its namespace is another one now: see netavark.Connection.Connect. The caller has
// the lock of the networks, which that unit needs, so nobody waits for it here.
func (e *Engine) askForNames(ctx context.Context) error {
	if !e.User.Rootless() {
		return e.servers().Start(ctx, DNSUnit)
	}
	if _, err := e.Networks().Program("aardvark-dns"); err != nil {
		return err
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := helper.AskForNames(ctx, e.sharedDir())
		if !errors.Is(err, helper.ErrNoHolder) {
			return err
		}
		if _, ok := netavark.ReadShared(e.sharedDir()); !ok {
			return nil
		}
		if time.Since(began) > netavark.NoticeTime {
			// It may be one that an older podunit has made, which had a unit for names.
			return hint.With(fmt.Errorf("the process of %s serves no names", NamespaceUnit), "systemctl --user restart %s", NamespaceUnit)
		}
	}
}

// sharedDir is the runtime directory of the namespace of the user's networks.
func (e *Engine) sharedDir() string { return SharedDir(e.Containers.RunDir) }

// SharedDir is the directory, in podunit's runtime directory, of the network namespace of the
// user's named networks: see netavark.ReadShared.
func SharedDir(runDir string) string { return filepath.Join(runDir, "networks", "netns") }

// together returns an ApartError while the user's networks are in use with another runtime
// directory. Each runtime directory has a user namespace of its own, the network namespace belongs
// to one of them, and processes in the other cannot enter it.
func (e *Engine) together() error {
	uid := strconv.Itoa(e.User.UID)
	if _, ok := netavark.ReadShared(e.sharedDir()); ok {
		return nil
	}
	for _, dir := range []string{filepath.Join("/run/user", uid), filepath.Join(rootless.UnitsDir, uid)} {
		other := filepath.Join(dir, "podunit")
		if _, ok := netavark.ReadShared(filepath.Join(other, "networks", "netns")); ok && other != e.Containers.RunDir {
			return ApartError{UID: e.User.UID, There: dir, Here: filepath.Dir(e.Containers.RunDir)}
		}
	}
	return nil
}

// ApartError says that the user's named networks are in use with another runtime directory.
type ApartError struct {
	UID         int
	There, Here string // runtime directories: that of the networks, and ours
}

func (e ApartError) Error() string {
	return fmt.Sprintf("the named networks of user %d are in use by containers of the runtime directory %s, and this container's is %s", e.UID, e.There, e.Here)
}

// Hint is the way out.
func (e ApartError) Hint() string {
	return fmt.Sprintf("as root, have all of the user's containers in one from the boot on: "+
		"printf 'd %s 0755 root root\\nd %s/%d 0700 %d %d\\n' >/etc/tmpfiles.d/podunit-%d.conf; systemd-tmpfiles --create; systemctl restart user@%d.service",
		rootless.UnitsDir, rootless.UnitsDir, e.UID, e.UID, e.UID, e.UID, e.UID)
}

// HoldNetworks makes the network namespace of the user's named networks, with a process that holds
// it as the main process of our unit, and connects again who was connected to one that was lost.
func (e *Engine) HoldNetworks(ctx context.Context) error {
	if !e.User.Rootless() {
		return errors.New("root's networks are in the namespace of the machine")
	}
	if err := e.onlyIn(NamespaceUnit); err != nil {
		return err
	}
	err := e.Networks().Making(ctx)
	if err == nil {
		err = e.holdNetworks(ctx)
	}
	return e.again(ctx, errors.Join(err, e.Networks().EndUnused(e.sharedDir())))
}

func (e *Engine) holdNetworks(ctx context.Context) error {
	dir := e.sharedDir()
	err := errors.Join(network.Release(dir), os.RemoveAll(dir), os.RemoveAll(e.Networks().Names()), os.MkdirAll(dir, 0o700))
	if err != nil {
		return err
	}
	req := network.Request{
		Network: spec.Network{Mode: spec.NetPasta}, Dir: dir, Files: dir, Resolver: &network.Resolver{},
		Config: e.Containers.Config, Online: e.waitOnline, Control: true,
	}
	manager := e.takeNotify()
	n, err := network.Start(ctx, req)
	if err != nil {
		return err
	}
	h, err := e.hold(ctx, n)
	if err != nil {
		return errors.Join(err, n.Close())
	}
	// Until the manager is told of the other process, this one is the main process of the unit: if it
	// is killed, the manager makes another namespace, and all are connected to that.
	e.reconnect(ctx, manager, reconnectTurn, reconnectTime)
	if err := isUp(ctx, manager, h); err != nil {
		return errors.Join(err, endHolder(h), n.Close())
	}
	// The process that holds the namespace keeps it alive; a mount of it in its directory would
	// only be in the way.
	return netns.Drop(n.Path())
}

// OnlyOnce is the error of a unit's start that the manager need not try again, since no running
// container needs the unit.
type OnlyOnce struct{ error }

func (o OnlyOnce) Unwrap() error { return o.error }

// again decides what follows when a unit of the networks could not be started. While a running
// container needs it, the manager tries again, with pauses that grow. Otherwise the error becomes
// OnlyOnce: the command that asked for the unit has reported the fault. The manager heeds that for
// the namespace's unit only, see exitOnce of the verbs.
func (e *Engine) again(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if own, oerr := e.ownProperties(ctx); oerr == nil {
		select {
		case <-ctx.Done():
		case <-time.After(pauseAfter(own.Restarts)):
		}
	}
	if all, lerr := e.onNetworks(); len(all) == 0 && lerr == nil {
		return OnlyOnce{err}
	}
	return err
}

// pauseAfter is how long to wait after so many restarts, beside what the unit itself waits.
func pauseAfter(restarts int) time.Duration {
	const none, most = 3, 10 * time.Second
	if restarts < none {
		return 0
	}
	return min(most, 100*time.Millisecond<<min(restarts-none, 10))
}

// onlyIn returns an error unless this process is executed by the unit of that name: its work
// replaces what all containers on the networks are using, and only the manager sees to it that no
// second process does so at the same time.
func (e *Engine) onlyIn(name string) error {
	if e.InService() && e.Own.Name == name {
		return nil
	}
	systemctl := "systemctl"
	if e.User.Rootless() {
		systemctl += " --user"
	}
	return hint.With(fmt.Errorf("this is the work of %s", name), "%s start %s", systemctl, name)
}

// errLost says that the namespace has ended while this process was making it.
var errLost = errors.New("the process that holds the network namespace has ended")

// hold starts the process that holds the namespace of n, and notes it.
func (e *Engine) hold(ctx context.Context, n *network.Network) (h netavark.Shared, err error) {
	if err := n.Made(); err != nil {
		return h, err
	}
	n.Connect(ctx, "")
	store := e.Networks()
	// If aardvark-dns is not installed, networks without names work all the same; the start of a
	// container on one with names says so, see askForNames.
	program, _ := store.Program("aardvark-dns")
	holder, err := helper.Netns{Program: program, Names: store.Names(), Dir: e.sharedDir()}.Start(func(cmd *exec.Cmd) error {
		// The name server asks the servers of the namespace.
		return netavark.Within(n.Path(), e.sharedDir(), cmd.Start, [2]string{n.ResolvConf(), "/etc/resolv.conf"})
	})
	if err != nil {
		return h, fmt.Errorf("start the holder of the namespace: %w", err)
	}
	if err := e.User.Keep(holder.PID); err != nil {
		return h, errors.Join(err, holder.Close())
	}
	made, err := n.Wait(ctx, "")
	if made.Refused != nil {
		e.Warn(fmt.Sprintf("each container that publishes has a pasta of its own, as the one of all networks has no socket for pesto: %v", made.Refused))
	}
	if err == nil {
		err = holder.WatchNetwork(made.PastaPID)
	}
	h = netavark.Shared{PID: holder.PID, Ticks: process.StartTicks(holder.PID), DNS: made.DNS, Host: made.Host, Pasta: made.PastaPID, Control: made.Control}
	if err == nil {
		err = h.Save(e.sharedDir())
	}
	if err != nil {
		err = errors.Join(err, endHolder(h))
	}
	return h, err
}

// isUp tells the manager that the unit is up, with the process that holds the namespace.
func isUp(ctx context.Context, manager notify.Socket, h netavark.Shared) error {
	if !process.Alive(h.PID, h.Ticks) {
		return errLost
	}
	return tellManager(ctx, manager, "conmon", h.PID)
}

// endHolder ends the process that holds a namespace.
func endHolder(h netavark.Shared) error {
	return process.End(h.PID, h.Ticks, unix.SIGKILL, process.KillWait)
}

// reconnect connects again the running containers and pods that were connected to a namespace that
// was lost, in the order of inTurn. One that cannot be connected is a warning.
func (e *Engine) reconnect(ctx context.Context, manager notify.Socket, turn, limit time.Duration) {
	was := func(c *netavark.Connection) bool { return c.Answer != nil }
	if !slices.ContainsFunc(e.Networks().Connected(), was) {
		return // as at the first start of this boot: no need to look at every container
	}
	all, err := e.onNetworks()
	if err != nil {
		e.Warn(fmt.Sprintf("containers on networks: %v", err))
	}
	connect := func(one connected, turn time.Duration) error { return e.reconnectOne(ctx, manager, one, turn) }
	inTurn(all, turn, limit, connect, func(err error) {
		e.Warn(fmt.Sprintf("%v; systemctl --user restart %s tries again", err, NamespaceUnit))
	})
}

// inTurn calls connect for each of all. Who is not connected within turn lets the others go first,
// and is tried once more after them. So are all who are left when others keep the lock of the
// networks. Who hangs the second time, too, takes half of what is left of limit, and never less than
// turn.
func inTurn(all []connected, turn, limit time.Duration, connect func(one connected, turn time.Duration) error, gaveUp func(error)) {
	locked := func(err error) bool { return errors.As(err, &netavark.LockedError{}) }
	var slow []connected
	for i, one := range all {
		err := connect(one, turn)
		if locked(err) {
			slow = append(slow, all[i:]...) // the next one would wait for the same lock
			break
		}
		if errors.As(err, &netavark.SlowError{}) {
			slow = append(slow, one)
		} else if err != nil {
			gaveUp(err)
		}
	}
	for i, one := range slow {
		turn := max(turn, limit/2)
		err := connect(one, turn)
		if errors.As(err, &netavark.SlowError{}) {
			limit = max(0, limit-turn)
		}
		if err != nil {
			gaveUp(err)
		}
		if left := len(slow) - i - 1; locked(err) && left > 0 {
			gaveUp(fmt.Errorf("%d more are not connected again, for the same reason", left))
			return
		}
	}
}

// reconnectOne connects one within turn, once it has the lock of the networks. The manager is asked
// for the time that it may take, whatever the unit's limit is.
func (e *Engine) reconnectOne(ctx context.Context, manager notify.Socket, one connected, turn time.Duration) error {
	servers := e.servers()
	servers.Limit = turn
	err := manager.Send(notify.ExtendTimeout(netavark.LockWait + turn + reconnectMore))
	err = errors.Join(err, network.Reconnect(ctx, one.dir, one.pid, one.ticks, servers))
	step.Crash("connected again")
	return err
}

// reconnectTurn is what each of them may take while others wait. It is longer than netavark takes on
// a busy machine, and short enough that one that hangs keeps the names of the others away for less
// than five seconds. reconnectTime is what those that hang may take in their second turns together,
// beside reconnectTurn for each.
const (
	reconnectTurn = 2 * time.Second
	reconnectTime = time.Minute
	reconnectMore = 5 * time.Second // for the rest
)

// connected is a container or pod that runs and is on named networks.
type connected struct {
	id, dir string
	pid     int // of its first process
	ticks   uint64
}

// onNetworks lists the running containers and pods that are on named networks. With an error it
// returns those that could be read.
func (e *Engine) onNetworks() (all []connected, err error) {
	containers, err := e.Containers.List()
	errs := []error{err}
	for _, r := range containers {
		if !r.Spec.Named() {
			continue
		}
		s, err := e.Containers.Status(r.ID)
		if errs = append(errs, err); s.PID != 0 {
			all = append(all, connected{r.ID, e.Containers.Dir(r.ID), s.PID, s.StartTicks})
		}
	}
	pods, err := e.Pods.List()
	errs = append(errs, err)
	for _, p := range pods {
		if s := e.Pods.Status(p); s.InfraPID != 0 && p.Spec.Named() {
			all = append(all, connected{p.ID, e.Pods.Dir(p.ID), s.InfraPID, s.StartTicks})
		}
	}
	return all, errors.Join(errs...)
}

// findOnNetworks is the ID of a container or pod, as people name it. The name of a pod goes before
// the beginning of a container's ID.
func (e *Engine) findOnNetworks(name string) (string, error) {
	p, err := e.Pods.LookupExact(name)
	if !errors.Is(err, pod.ErrNotFound) {
		return p.ID, err
	}
	r, err := e.Find(name)
	if !errors.Is(err, container.ErrNotFound) {
		return r.ID, err
	}
	if p, perr := e.FindPod(name); !errors.Is(perr, pod.ErrNotFound) {
		return p.ID, perr
	}
	return "", err
}

// ReloadNetworks makes the links and the firewall rules of the named containers and pods again, or
// of all that run if none is named. It returns the IDs of those for which it did.
func (e *Engine) ReloadNetworks(ctx context.Context, names []string) ([]string, error) {
	all, err := e.onNetworks()
	if err != nil {
		return nil, err
	}
	var errs []error
	if len(names) > 0 {
		var chosen []connected
		for _, name := range names {
			id, err := e.findOnNetworks(name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			i := slices.IndexFunc(all, func(c connected) bool { return c.id == id })
			if i < 0 {
				errs = append(errs, fmt.Errorf("%s is no container that runs and is on a named network", name))
				continue
			}
			chosen = append(chosen, all[i])
		}
		all = chosen
	}
	var done []string
	for _, one := range all {
		if err := network.Reconnect(ctx, one.dir, one.pid, one.ticks, e.servers()); err != nil {
			errs = append(errs, err)
			continue
		}
		done = append(done, one.id)
	}
	return done, errors.Join(errs...)
}

// UpdateNetwork changes which servers the name server of a network asks, at once for the containers
// on it.
func (e *Engine) UpdateNetwork(ctx context.Context, nameOrID string, add, drop []net.IP) error {
	shared := ""
	if e.User.Rootless() {
		shared = e.sharedDir()
	}
	return e.Networks().Update(ctx, nameOrID, shared, add, drop)
}

// ServeNames runs aardvark-dns for root's networks, which goes to the background and is then the
// main process of our unit. A user's is in the unit of the namespace. The start that wanted it may
// still be writing the first names. If there are none after a while, that start has failed or its
// container is gone, and the unit ends.
func (e *Engine) ServeNames(ctx context.Context) error {
	if e.User.Rootless() {
		// A unit that an older podunit has left is tried less and less often.
		return e.again(ctx, hint.With(errors.New("the names of a user's networks are served in "+NamespaceUnit), "systemctl --user restart %s", NamespaceUnit))
	}
	if err := e.onlyIn(DNSUnit); err != nil {
		return err
	}
	return e.again(ctx, e.serveNames(ctx))
}

func (e *Engine) serveNames(ctx context.Context) error {
	store := e.Networks()
	program, err := store.Program("aardvark-dns")
	if err != nil {
		return err
	}
	return store.WithNames(ctx, func(ctx context.Context, dir string) error { return e.startNames(ctx, program, dir) }, func() error {
		// Else the manager would try again and again.
		return e.AskUnit(ctx, "stop", DNSUnit)
	})
}

// startNames starts aardvark-dns with the names in dir.
func (e *Engine) startNames(ctx context.Context, program, dir string) error {
	// The PID file of a killed aardvark-dns would be believed once another process has its number.
	if err := os.Remove(filepath.Join(dir, "aardvark.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	port := uint16(53)
	if p := e.Containers.Config.Network.DNSBindPort; p != 0 {
		port = p
	}
	cmd := exec.CommandContext(ctx, program, "--config", dir, "-p", fmt.Sprint(port), "run")
	cmd.Env = []string{"RUST_LOG=error"}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	return nil
}
