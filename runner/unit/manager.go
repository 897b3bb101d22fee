// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// Config says which manager to talk to, and as whom.
type Config struct {
	// UID is the caller's on the host. Inside a user namespace getuid(2) says
	// something else, and the manager goes by what the host says.
	UID int
	// System means the system's manager, else the user's own.
	System bool
	// RuntimeDir is $XDG_RUNTIME_DIR; empty means /run/user/UID.
	RuntimeDir string
	// SessionBus is $DBUS_SESSION_BUS_ADDRESS, tried last.
	SessionBus string
}

// ConfigFor is the manager that a user's units belong to: root's are the
// system's. Source: systemctl(1), whose default is the other way round for users.
func ConfigFor(uid int, lookup func(string) (string, bool)) Config {
	c := Config{UID: uid, System: uid == 0}
	c.RuntimeDir, _ = lookup("XDG_RUNTIME_DIR")
	c.SessionBus, _ = lookup("DBUS_SESSION_BUS_ADDRESS")
	return c
}

// addresses lists where the manager can be reached, best first. Its own socket needs no bus daemon
// and is one hop; the bus serves users who may not use the socket.
func (c Config) addresses() []address {
	if c.System {
		var out []address
		if c.UID == 0 {
			out = append(out, address{direct: "/run/systemd/private"})
		}
		return append(out, address{bus: "unix:path=/run/dbus/system_bus_socket"})
	}
	dir := c.RuntimeDir
	if dir == "" {
		dir = filepath.Join("/run/user", strconv.Itoa(c.UID))
	}
	escaped := (&url.URL{Path: dir}).EscapedPath() // D-Bus addresses escape in the same way
	out := []address{{direct: dir + "/systemd/private"}, {bus: "unix:path=" + escaped + "/bus"}}
	if c.SessionBus != "" {
		out = append(out, address{bus: c.SessionBus})
	}
	return out
}

// address is where a manager can be reached: the path of its own socket, or the D-Bus address of a
// bus.
type address struct{ direct, bus string }

// String is the D-Bus address.
func (a address) String() string {
	if a.direct != "" {
		return "unix:path=" + (&url.URL{Path: a.direct}).EscapedPath()
	}
	return a.bus
}

// A Manager is a connection to a service manager.
type Manager struct {
	conn   conn
	system bool
}

// conn is what is used of a connection.
type conn interface {
	Close()
	StartUnitContext(ctx context.Context, name, mode string, ch chan<- string) (int, error)
	StopUnitContext(ctx context.Context, name, mode string, ch chan<- string) (int, error)
	RestartUnitContext(ctx context.Context, name, mode string, ch chan<- string) (int, error)
	StartTransientUnitContext(ctx context.Context, name, mode string, props []systemd.Property, ch chan<- string) (int, error)
	StartTransientUnitAux(ctx context.Context, name, mode string, props []systemd.Property, aux []systemd.PropertyCollection, ch chan<- string) (int, error)
	SetUnitPropertiesContext(ctx context.Context, name string, runtime bool, props ...systemd.Property) error
	ResetFailedUnitContext(ctx context.Context, name string) error
	GetUnitPropertiesContext(ctx context.Context, name string) (map[string]any, error)
	GetUnitTypePropertiesContext(ctx context.Context, name, kind string) (map[string]any, error)
	GetUnitTypePropertyContext(ctx context.Context, name, kind, property string) (*systemd.Property, error)
	ListUnitsByPatternsContext(ctx context.Context, states, patterns []string) ([]systemd.UnitStatus, error)
	ListUnitFilesByPatternsContext(ctx context.Context, states, patterns []string) ([]systemd.UnitFile, error)
	GetUnitPropertyContext(ctx context.Context, name, property string) (*systemd.Property, error)
	JobTypeContext(ctx context.Context, job dbus.ObjectPath) (*dbus.Variant, error)
	ReloadContext(ctx context.Context) error
	SystemStateContext(ctx context.Context) (*systemd.Property, error)
}

// connection adds to the library's what that cannot ask.
type connection struct {
	*systemd.Conn
	bus *dbus.Conn
}

// JobTypeContext asks a job what it is to do.
func (c connection) JobTypeContext(ctx context.Context, job dbus.ObjectPath) (*dbus.Variant, error) {
	var v dbus.Variant
	o := c.bus.Object("org.freedesktop.systemd1", job)
	err := o.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, "org.freedesktop.systemd1.Job", "JobType").Store(&v)
	return &v, err
}

// Connect connects to the manager. A NoManagerError says that there is none.
func Connect(ctx context.Context, c Config) (*Manager, error) {
	missing := NoManagerError{System: c.System, UID: c.UID}
	for _, a := range c.addresses() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		// The library asks for two connections, one of them for signals, which come on the first as
		// well: see jobsOnly.
		one := sync.OnceValues(func() (*dbus.Conn, error) { return dial(a, c.UID) })
		sc, err := systemd.NewConnection(one)
		if err == nil {
			bus, _ := one() // it has succeeded
			return &Manager{conn: connection{sc, bus}, system: c.System}, nil
		}
		missing.Tried = append(missing.Tried, fmt.Errorf("%s: %w", a, err))
	}
	return nil, missing
}

// dial does not take a context: the connection must outlive the context of a start, so that the
// unit can be stopped when the start is given up.
func dial(a address, uid int) (*dbus.Conn, error) {
	var c *dbus.Conn
	var err error
	if a.direct != "" {
		var socket net.Conn
		if socket, err = net.Dial("unix", a.direct); err == nil {
			c, err = dbus.NewConn(newJobsOnly(socket))
		}
	} else {
		c, err = dbus.Dial(a.bus)
	}
	if err != nil {
		return nil, err
	}
	err = c.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(uid))})
	if err == nil && a.direct == "" { // of the manager itself there is nobody to say Hello to
		err = c.Hello()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close closes the connection.
func (m *Manager) Close() { m.conn.Close() }

// NoManagerError says that no service manager could be reached.
type NoManagerError struct {
	System bool
	UID    int
	Tried  []error
}

func (e NoManagerError) Error() string {
	whose := "user's"
	if e.System {
		whose = "system's"
	}
	var tried []string
	for _, err := range e.Tried {
		tried = append(tried, err.Error())
	}
	return fmt.Sprintf("the %s service manager cannot be reached (%s)", whose, strings.Join(tried, "; "))
}

func (e NoManagerError) Unwrap() []error { return e.Tried }

// Hint is the way out.
func (e NoManagerError) Hint() string {
	if e.System {
		return "this needs a machine booted with systemd"
	}
	return fmt.Sprintf("log in as the user itself (ssh, machinectl shell; not su or sudo), or as root: loginctl enable-linger %d; "+
		"then: export XDG_RUNTIME_DIR=/run/user/%d", e.UID, e.UID)
}

// JobError says that the manager could not do what was asked.
type JobError struct {
	Verb   string // start, stop, restart
	Unit   string
	System bool
	// Job is the job's own result: failed, canceled, timeout, dependency, skipped.
	Job string
	// Result and Status are the unit's, if it is still there: exit-code,
	// timeout, start-limit-hit …; and its last status line.
	Result, Status string
}

func (e JobError) Error() string {
	s := fmt.Sprintf("%s %s: %s", e.Verb, e.Unit, e.Job)
	if e.Result != "" && e.Result != "success" {
		s += " (" + e.Result + ")"
	}
	if e.Status != "" {
		s += ": " + e.Status
	}
	return s
}

// Hint is the way out.
func (e JobError) Hint() string {
	who := "--user "
	if e.System {
		who = ""
	}
	return fmt.Sprintf("%s; journalctl %s-e -u %s", StatusWords(e.Unit, !e.System), who, e.Unit)
}

// StatusWords are the words of a shell that show a unit, or the unit of a process, whose number is
// given instead.
func StatusWords(unit string, user bool) string {
	if user {
		return "systemctl --user status " + unit
	}
	return "systemctl status " + unit
}

// job does one job and waits until it is done.
func (m *Manager) job(ctx context.Context, verb, name string, start func(ctx context.Context, done chan<- string) error) error {
	// The channel has room for one result, so that the end of a job that we no longer wait for does
	// not block its sender.
	done := make(chan string, 1)
	if err := start(ctx, done); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	select {
	case result := <-done:
		if result == "done" {
			return nil
		}
		failed := JobError{Verb: verb, Unit: name, System: m.system, Job: result}
		if p, err := m.Properties(ctx, name); err == nil {
			failed.Result, failed.Status = p.Result, p.StatusText
		}
		return failed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Start starts a unit and waits until it is up.
func (m *Manager) Start(ctx context.Context, name string) error {
	return m.job(ctx, "start", name, func(ctx context.Context, done chan<- string) error {
		_, err := m.conn.StartUnitContext(ctx, name, "replace", done)
		return err
	})
}

// Stop stops a unit and waits until it is down. A unit that does not exist is
// stopped already.
func (m *Manager) Stop(ctx context.Context, name string) error {
	err := m.job(ctx, "stop", name, func(ctx context.Context, done chan<- string) error {
		_, err := m.conn.StopUnitContext(ctx, name, "replace", done)
		return err
	})
	if isError(err, "org.freedesktop.systemd1.NoSuchUnit") {
		return nil
	}
	return err
}

// Restart stops and starts a unit and waits until it is up. The manager forgets the starts before:
// those that somebody asks for do not use up the tries of a restart policy. It leaves a unit that
// has failed as it is, as forgetting the failure of a transient one removes it.
func (m *Manager) Restart(ctx context.Context, name string) error {
	raw, err := m.conn.GetUnitPropertiesContext(ctx, name)
	if err != nil {
		return fmt.Errorf("unit %s: %w", name, err)
	}
	if properties(raw).ActiveState != "failed" {
		if err := m.ResetFailed(ctx, name); err != nil {
			return fmt.Errorf("unit %s: %w", name, err)
		}
	}
	return m.job(ctx, "restart", name, func(ctx context.Context, done chan<- string) error {
		_, err := m.conn.RestartUnitContext(ctx, name, "replace", done)
		return err
	})
}

// ResetFailed forgets that a unit failed; a transient one is gone then. A unit
// that does not exist is no error.
func (m *Manager) ResetFailed(ctx context.Context, name string) error {
	err := m.conn.ResetFailedUnitContext(ctx, name)
	if isError(err, "org.freedesktop.systemd1.NoSuchUnit") {
		return nil
	}
	return err
}

// Reload makes the manager read its unit files again and run the generators.
func (m *Manager) Reload(ctx context.Context) error { return m.conn.ReloadContext(ctx) }

// Stopping reports whether the manager is on its way down. A manager that does not answer is.
func (m *Manager) Stopping(ctx context.Context) bool {
	p, err := m.conn.SystemStateContext(ctx)
	return err != nil || p.Value.Value() == "stopping"
}

// IsGone reports whether the manager refused something because it knows no unit of that name.
func IsGone(err error) bool { return isError(err, "org.freedesktop.systemd1.NoSuchUnit") }

func isError(err error, name string) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == name
}

// Properties are the facts that the manager tells of a unit. Source: org.freedesktop.systemd1(5).
type Properties struct {
	LoadState    string // loaded, not-found, masked …
	ActiveState  string // active, activating, inactive, failed …
	SubState     string // running, exited, auto-restart …
	FragmentPath string // its file; empty if there is none
	SourcePath   string // the file that its own was generated from; empty if there is none
	InvocationID string // 32 hexadecimal digits of the current or last run
	Transient    bool
	After        []string // units that it is ordered after
	NeededBy     []string // units that go down with it and are restarted with it: Requires=, BindsTo= and PartOf= of theirs
	TriggeredBy  []string // timers, paths and sockets that start it
	HasJob       bool     // something is asked of it: start, stop …
	// The rest is a service's only.
	MainPID      int
	Result       string // success, exit-code, signal, timeout …
	StatusText   string // the last STATUS= it sent
	Restart      string // its setting
	ControlGroup string // empty while it has no process
	Restarts     int    // how often the manager restarted it by itself since somebody started it
	// What it has to start and to stop; zero for no limit.
	StartTimeout, StopTimeout time.Duration
	Type                      string // notify, oneshot …
	Argument                  string // the last word of ExecStart=: of a container's transient service, the ID
	// Ended is the last main process that has ended, 0 for none, and ExitCode how: 128+N is a death
	// by signal N.
	Ended, ExitCode int
	// EndedItself says of a service that was up and is not any more that its main process had ended
	// before the manager stopped the rest of it: nobody asked for a stop.
	EndedItself bool
}

// Exists tells whether there is a unit of that name, a file or a transient one.
func (p Properties) Exists() bool { return p.LoadState != "not-found" }

// timeLimit is a time as the manager has it; it writes the highest number for none.
func timeLimit(v any) time.Duration {
	n, _ := v.(uint64)
	if n > uint64(math.MaxInt64/time.Microsecond) {
		return 0
	}
	return time.Duration(n) * time.Microsecond
}

// Properties asks for a unit; one that does not exist has LoadState not-found.
func (m *Manager) Properties(ctx context.Context, name string) (Properties, error) {
	raw, err := m.conn.GetUnitPropertiesContext(ctx, name)
	if err != nil {
		return Properties{}, fmt.Errorf("unit %s: %w", name, err)
	}
	p := properties(raw)
	if !p.Exists() || !strings.HasSuffix(name, ".service") {
		return p, nil
	}
	// With a start limit whose interval never ends, the manager also counts the restart that the
	// limit refused.
	tries := math.MaxInt
	if forget, _ := raw["StartLimitIntervalUSec"].(uint64); forget == math.MaxUint64 {
		if burst, ok := raw["StartLimitBurst"].(uint32); ok && burst > 0 {
			tries = int(burst) - 1
		}
	}
	down, _ := raw["ActiveExitTimestampMonotonic"].(uint64)
	raw, err = m.conn.GetUnitTypePropertiesContext(ctx, name, "Service")
	if err != nil {
		return Properties{}, fmt.Errorf("unit %s: %w", name, err)
	}
	pid, _ := raw["MainPID"].(uint32)
	p.MainPID = int(pid)
	p.Result, p.StatusText = text(raw, "Result"), text(raw, "StatusText")
	p.Restart, p.ControlGroup = text(raw, "Restart"), text(raw, "ControlGroup")
	restarts, _ := raw["NRestarts"].(uint32)
	p.Restarts = min(int(restarts), tries)
	p.StartTimeout, p.StopTimeout = timeLimit(raw["TimeoutStartUSec"]), timeLimit(raw["TimeoutStopUSec"])
	p.Type = text(raw, "Type")
	for _, words := range commands(raw["ExecStart"]) {
		p.Argument = words[len(words)-1]
	}
	p.Ended, p.ExitCode = ended(raw)
	exit, _ := raw["ExecMainExitTimestampMonotonic"].(uint64)
	p.EndedItself = exit != 0 && exit <= down
	return p, nil
}

// Ended asks which main process of a service has ended last, and how, as Properties has it; 0 while
// one runs, and if there was none. It asks for these few alone: for all of a service, which are
// some hundreds, the manager needs a millisecond and we another, and each stop asks.
func (m *Manager) Ended(ctx context.Context, name string) (pid, code int, err error) {
	raw := map[string]any{}
	for _, property := range []string{"ExecMainCode", "ExecMainStatus", "ExecMainPID", "MainPID"} {
		p, err := m.conn.GetUnitTypePropertyContext(ctx, name, "Service", property)
		if err != nil {
			return 0, 0, fmt.Errorf("unit %s: %w", name, err)
		}
		raw[property] = p.Value.Value()
		if property == "ExecMainCode" && raw[property] == int32(0) {
			return 0, 0, nil
		}
	}
	if running, _ := raw["MainPID"].(uint32); running != 0 {
		return 0, 0, nil
	}
	pid, code = ended(raw)
	return pid, code, nil
}

// ended reads from properties which main process has ended last, and how. Source:
// org.freedesktop.systemd1(5), ExecMainCode, which is si_code of sigaction(2).
func ended(raw map[string]any) (pid, code int) {
	how, _ := raw["ExecMainCode"].(int32)
	status, _ := raw["ExecMainStatus"].(int32)
	last, _ := raw["ExecMainPID"].(uint32)
	const exited, killed, dumped = 1, 2, 3
	switch how {
	case exited:
		return int(last), int(status)
	case killed, dumped:
		return int(last), 128 + int(status)
	}
	return 0, 0 // it runs, or there was none
}

// Job is the job that is queued for a unit at the moment: start, stop, restart ...; empty for none.
// While a restart stops the unit, the job is restart. It asks for the jobs of no other unit: where
// many stop together, each of them asks.
func (m *Manager) Job(ctx context.Context, name string) (string, error) {
	for range 2 {
		p, err := m.conn.GetUnitPropertyContext(ctx, name, "Job")
		if err != nil {
			return "", fmt.Errorf("the job of %s: %w", name, err)
		}
		id, path := jobOf(p.Value.Value())
		if id == 0 {
			return "", nil
		}
		kind, err := m.conn.JobTypeContext(ctx, path)
		if isError(err, "org.freedesktop.DBus.Error.UnknownObject") {
			continue // it has ended since, or another one has taken its place
		}
		if err != nil {
			return "", fmt.Errorf("the job of %s: %w", name, err)
		}
		word, _ := kind.Value().(string)
		return word, nil
	}
	return "", nil
}

// jobOf reads the property Job of a unit, (uo): the number, 0 for none, and the object.
func jobOf(v any) (id uint32, path dbus.ObjectPath) {
	if job, ok := v.([]any); ok && len(job) == 2 {
		id, _ = job[0].(uint32)
		path, _ = job[1].(dbus.ObjectPath)
	}
	return id, path
}

// properties are the facts that every kind of unit has.
func properties(raw map[string]any) Properties {
	p := Properties{
		LoadState:    text(raw, "LoadState"),
		ActiveState:  text(raw, "ActiveState"),
		SubState:     text(raw, "SubState"),
		FragmentPath: text(raw, "FragmentPath"),
		SourcePath:   text(raw, "SourcePath"),
	}
	if id, ok := raw["InvocationID"].([]byte); ok {
		p.InvocationID = hex.EncodeToString(id)
	}
	p.Transient, _ = raw["Transient"].(bool)
	p.After, _ = raw["After"].([]string)
	p.TriggeredBy, _ = raw["TriggeredBy"].([]string)
	for _, name := range []string{"RequiredBy", "BoundBy", "ConsistsOf"} {
		list, _ := raw[name].([]string)
		p.NeededBy = append(p.NeededBy, list...)
	}
	id, _ := jobOf(raw["Job"])
	p.HasJob = id != 0
	return p
}

// Instances names the units that the manager has loaded of a template: "web@one.service" of
// "web@.service".
func (m *Manager) Instances(ctx context.Context, template string) ([]string, error) {
	before, after, ok := strings.Cut(template, "@.")
	if !ok {
		return nil, fmt.Errorf("%s is not a template", template)
	}
	before, after = before+"@", "."+after
	list, err := m.conn.ListUnitsByPatternsContext(ctx, []string{}, []string{before + "*" + after})
	if err != nil {
		return nil, fmt.Errorf("instances of %s: %w", template, err)
	}
	var names []string
	for _, u := range list {
		// A pattern also fits the aliases of a unit, which is listed by its main name.
		if strings.HasPrefix(u.Name, before) && strings.HasSuffix(u.Name, after) {
			names = append(names, u.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func text(raw map[string]any, name string) string {
	s, _ := raw[name].(string)
	return s
}

// stopGrace is how long the unit of a start that was given up may take to stop.
// The runner in it needs 2 seconds for that.
const stopGrace = 10 * time.Second

// StartService starts a transient service and waits until it is up. If ctx ends
// before, the service is stopped again. After a failure its remains are those of
// any failed unit, unless Service.Collect.
func (m *Manager) StartService(ctx context.Context, name string, s Service) error {
	props, err := s.properties()
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return m.startTransient(ctx, name, props, true)
}

// Launch starts a transient service and does not wait for it.
func (m *Manager) Launch(ctx context.Context, name string, s Service) error {
	props, err := s.properties()
	if err != nil {
		return err
	}
	if _, err := m.conn.StartTransientUnitContext(ctx, name, "replace", props, nil); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return nil
}

// startTransient stops the unit again if ctx ends, unless it ends with us.
func (m *Manager) startTransient(ctx context.Context, name string, props []systemd.Property, stop bool) error {
	err := m.job(ctx, "start", name, func(ctx context.Context, done chan<- string) error {
		_, err := m.conn.StartTransientUnitContext(ctx, name, "fail", props, done)
		return err
	})
	switch {
	case isError(err, "org.freedesktop.systemd1.UnitExists"):
		return m.taken(ctx, name)
	case stop && err != nil && ctx.Err() != nil:
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		return errors.Join(err, m.Stop(undo, name))
	}
	return err
}

// NameTakenError says that there is a unit of the name already.
type NameTakenError struct {
	Unit string
	Path string // its file; empty for a transient unit
}

func (e NameTakenError) Error() string {
	if e.Path != "" {
		return fmt.Sprintf("unit %s exists already: %s", e.Unit, e.Path)
	}
	return fmt.Sprintf("unit %s exists already", e.Unit)
}

// Hint is the way out.
func (e NameTakenError) Hint() string {
	return "choose another name with --name, or stop and remove that unit"
}

func (m *Manager) taken(ctx context.Context, name string) error {
	p, err := m.Properties(ctx, name)
	if err != nil {
		return err
	}
	return p.takes(name)
}

// Free makes sure that a transient unit of the name can be started: what is left of one that has
// ended is removed, any other that is loaded is a NameTakenError. For a unit file of that name the
// start fails with a NameTakenError.
func (m *Manager) Free(ctx context.Context, name string) error {
	// Most names are new, and to ask for the properties of a unit that is not loaded makes the
	// manager look through all unit files.
	if loaded, err := m.conn.ListUnitsByPatternsContext(ctx, []string{}, []string{name}); err == nil && len(loaded) == 0 {
		return nil
	}
	p, err := m.Properties(ctx, name)
	if err != nil {
		return err
	}
	switch {
	case !p.Exists():
		return nil
	case p.Transient && p.ActiveState == "failed" && !p.HasJob:
		if err := m.ResetFailed(ctx, name); err != nil {
			return err
		}
		return m.uncover(ctx, p.FragmentPath)
	case p.Transient && p.ActiveState == "inactive" && !p.HasJob:
		return m.unpin(ctx, name)
	}
	return p.takes(name)
}

// forgetWait is how long the manager may take to forget a unit that nobody needs: it may be
// reading its unit files again.
const forgetWait = 5 * time.Second

// unpin waits until a transient unit that has ended is forgotten. Units that failed and
// were bound to it, a pod's containers that were killed, keep it: they go first, and so does
// its file where a generator has made another since. One that still stays is needed by somebody else.
func (m *Manager) unpin(ctx context.Context, name string) error {
	for deadline := time.Now().Add(forgetWait); ; {
		raw, err := m.conn.GetUnitPropertiesContext(ctx, name)
		if err != nil {
			return fmt.Errorf("unit %s: %w", name, err)
		}
		p := properties(raw)
		switch {
		case !p.Exists():
			return nil
		case !p.Transient || ctx.Err() != nil || time.Now().After(deadline):
			return p.takes(name)
		}
		if err := m.uncover(ctx, p.FragmentPath); err != nil {
			return err
		}
		bound, _ := raw["BoundBy"].([]string)
		for _, other := range bound {
			if o, err := m.Properties(ctx, other); err == nil && o.Transient && o.ActiveState == "failed" && !o.HasJob {
				if err := m.ResetFailed(ctx, other); err != nil {
					return err
				}
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// uncover takes away the file of a transient unit that has ended where a generator has made a unit
// of this name since. The manager prefers the transient one, and keeps it as long as units that are
// enabled name it, which those of a generator are: a start would be one of the container that is
// gone. With the other unit the name is taken, a NameTakenError.
func (m *Manager) uncover(ctx context.Context, path string) error {
	dir, name := filepath.Split(filepath.Clean(path))
	dir = filepath.Clean(dir)
	if filepath.Base(dir) != "transient" {
		return nil
	}
	generated := filepath.Join(filepath.Dir(dir), "generator", name)
	if _, err := os.Lstat(generated); err != nil {
		return nil
	}
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process does it, or the manager
		}
		return fmt.Errorf("the file of the transient unit %s: %w", name, err)
	}
	if err := os.RemoveAll(path + ".d"); err != nil {
		return fmt.Errorf("the files of the transient unit %s: %w", name, err)
	}
	if err := m.Reload(ctx); err != nil {
		return err
	}
	return NameTakenError{Unit: name, Path: generated}
}

// takes is the error that a unit has the name. It leaves out the file of a transient unit, which is
// the manager's own note and would mislead.
func (p Properties) takes(name string) error {
	if p.Transient {
		return NameTakenError{Unit: name}
	}
	return NameTakenError{Unit: name, Path: p.FragmentPath}
}

// StartScope moves this process into a transient scope of its own, whose cgroup
// is ours to divide, and returns where that is. An empty slice is the manager's default.
func (m *Manager) StartScope(ctx context.Context, name, description, slice string) (Own, error) {
	props := []systemd.Property{
		prop("Description", description),
		prop("PIDs", []uint32{uint32(os.Getpid())}),
		prop("Delegate", true),
		prop("CollectMode", "inactive-or-failed"),
		prop("TimeoutStopUSec", usec(stopGrace)),
	}
	if slice != "" {
		props = append(props, prop("Slice", slice))
	}
	// If ctx ends, this process may be in the scope already: a stop of the scope would wait for
	// this process, which waits for the stop.
	if err := m.startTransient(ctx, name, props, false); err != nil {
		return Own{}, err
	}
	return CurrentUnit(func(string) (string, bool) { return "", false })
}
