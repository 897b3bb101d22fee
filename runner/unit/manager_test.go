// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// fake is a manager that notes what it is asked for.
type fake struct {
	job     string // what the job of the unit is to do; empty: it is gone
	next    []any  // is the job of the unit once that is asked what it is to do, and has ended
	asked   []string
	props   []systemd.Property
	aux     []systemd.PropertyCollection
	refuse  error
	result  string // of jobs; empty: they never end
	unit    map[string]any
	service map[string]any
	looked  int      // how often it was asked for properties
	listed  []string // answer to any pattern
	files   []string // unit files
}

func (f *fake) do(done chan<- string, words ...string) (int, error) {
	f.asked = append(f.asked, strings.Join(words, " "))
	if f.refuse != nil {
		err := f.refuse
		f.refuse = nil
		return 0, err
	}
	switch {
	case done == nil: // nobody waits
	case words[0] == "stop":
		done <- "done"
	case f.result != "":
		done <- f.result
	}
	return 1, nil
}
func (f *fake) Close() {}
func (f *fake) StartUnitContext(_ context.Context, name, mode string, ch chan<- string) (int, error) {
	return f.do(ch, "start", name, mode)
}
func (f *fake) StopUnitContext(_ context.Context, name, mode string, ch chan<- string) (int, error) {
	return f.do(ch, "stop", name, mode)
}
func (f *fake) SetUnitPropertiesContext(_ context.Context, name string, runtime bool, props ...systemd.Property) error {
	f.props = props
	_, err := f.do(nil, "set", name, fmt.Sprint(runtime))
	return err
}
func (f *fake) RestartUnitContext(_ context.Context, name, mode string, ch chan<- string) (int, error) {
	return f.do(ch, "restart", name, mode)
}
func (f *fake) StartTransientUnitContext(_ context.Context, name, mode string, props []systemd.Property, ch chan<- string) (int, error) {
	f.props = props
	return f.do(ch, "transient", name, mode)
}
func (f *fake) StartTransientUnitAux(_ context.Context, name, mode string, props []systemd.Property, aux []systemd.PropertyCollection, ch chan<- string) (int, error) {
	f.props, f.aux = props, aux
	return f.do(ch, "transient", name, mode)
}
func (f *fake) ResetFailedUnitContext(_ context.Context, name string) error {
	f.asked = append(f.asked, "reset "+name)
	return nil
}
func (f *fake) ListUnitsByPatternsContext(_ context.Context, _, patterns []string) ([]systemd.UnitStatus, error) {
	f.asked = append(f.asked, "list "+strings.Join(patterns, " "))
	var out []systemd.UnitStatus
	for _, name := range f.listed {
		out = append(out, systemd.UnitStatus{Name: name})
	}
	return out, f.refuse
}
func (f *fake) ListUnitFilesByPatternsContext(_ context.Context, _, _ []string) ([]systemd.UnitFile, error) {
	var out []systemd.UnitFile
	for _, path := range f.files {
		out = append(out, systemd.UnitFile{Path: path})
	}
	return out, f.refuse
}
func (f *fake) JobTypeContext(_ context.Context, job dbus.ObjectPath) (*dbus.Variant, error) {
	f.asked = append(f.asked, "type "+string(job))
	if f.next != nil {
		f.unit["Job"], f.next = f.next, nil
		return nil, dbus.Error{Name: "org.freedesktop.DBus.Error.UnknownObject"}
	}
	if f.job == "" {
		return nil, dbus.Error{Name: "org.freedesktop.DBus.Error.UnknownObject"}
	}
	v := dbus.MakeVariant(f.job)
	return &v, f.refuse
}
func (f *fake) GetUnitPropertyContext(_ context.Context, name, property string) (*systemd.Property, error) {
	f.asked = append(f.asked, property+" "+name)
	return &systemd.Property{Name: property, Value: dbus.MakeVariant(f.unit[property])}, f.refuse
}
func (f *fake) SystemStateContext(context.Context) (*systemd.Property, error) {
	return &systemd.Property{Name: "SystemState", Value: dbus.MakeVariant("running")}, nil
}

func (f *fake) ReloadContext(context.Context) error {
	f.asked = append(f.asked, "reload")
	return nil
}
func (f *fake) GetUnitPropertiesContext(context.Context, string) (map[string]any, error) {
	f.looked++
	return f.unit, nil
}
func (f *fake) GetUnitTypePropertiesContext(context.Context, string, string) (map[string]any, error) {
	f.looked++
	return f.service, nil
}

// GetUnitTypePropertyContext answers like the manager: a property that a service does not have is
// an error.
func (f *fake) GetUnitTypePropertyContext(_ context.Context, _, _, property string) (*systemd.Property, error) {
	v, ok := f.service[property]
	if !ok {
		return nil, dbus.Error{Name: "org.freedesktop.DBus.Error.UnknownProperty"}
	}
	return &systemd.Property{Name: property, Value: dbus.MakeVariant(v)}, nil
}

func TestJobs(t *testing.T) {
	ctx := context.Background()
	f := &fake{result: "done"}
	m := &Manager{conn: f}
	if err := errors.Join(m.Start(ctx, "a.service"), m.Restart(ctx, "a.service"), m.Stop(ctx, "a.service")); err != nil {
		t.Error(err)
	}
	if got := strings.Join(f.asked, ","); got != "start a.service replace,reset a.service,restart a.service replace,stop a.service replace" {
		t.Errorf("asked %s", got)
	}
	f = &fake{result: "done", unit: map[string]any{"LoadState": "loaded", "ActiveState": "failed"}}
	if err := (&Manager{conn: f}).Restart(ctx, "a.service"); err != nil || strings.Join(f.asked, ",") != "restart a.service replace" {
		t.Errorf("restart of a unit that has failed: %v, asked %q", err, f.asked)
	}
	f = &fake{refuse: dbus.Error{Name: "org.freedesktop.systemd1.NoSuchUnit"}}
	if err := (&Manager{conn: f}).Stop(ctx, "absent.service"); err != nil {
		t.Errorf("stop of a unit that does not exist: %v", err)
	}
	f = &fake{
		result: "failed", unit: map[string]any{"LoadState": "loaded"},
		service: map[string]any{"Result": "exit-code", "StatusText": "pulling"},
	}
	err := (&Manager{conn: f}).Start(ctx, "a.service")
	var failed JobError
	if !errors.As(err, &failed) || err.Error() != "start a.service: failed (exit-code): pulling" || !strings.Contains(failed.Hint(), "--user status a.service") {
		t.Errorf("got %v", err)
	}
}

func TestProperties(t *testing.T) {
	f := &fake{
		unit: map[string]any{
			"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "FragmentPath": "/x", "Transient": true,
			"InvocationID": []byte{0xab, 0xcd}, "Job": []any{uint32(7), dbus.ObjectPath("/job")},
			"RequiredBy": []string{"front.service"}, "BoundBy": []string{"pod.service"}, "ConsistsOf": []string{"part.service"},
			"TriggeredBy": []string{"a.timer"}, "ActiveExitTimestampMonotonic": uint64(20),
		},
		service: map[string]any{"MainPID": uint32(42), "Result": "success", "Restart": "always", "ControlGroup": "/a", "NRestarts": uint32(3), "ExecMainExitTimestampMonotonic": uint64(20),
			"ExecStart": [][]any{{"/usr/bin/podunit", []string{"/usr/bin/podunit", "start", "f00"}, false}}},
	}
	got, err := (&Manager{conn: f}).Properties(context.Background(), "a.service")
	want := Properties{
		LoadState: "loaded", ActiveState: "active", SubState: "running", FragmentPath: "/x", Transient: true, InvocationID: "abcd",
		HasJob: true, MainPID: 42, Result: "success", Restart: "always", ControlGroup: "/a", Restarts: 3,
		NeededBy: []string{"front.service", "pod.service", "part.service"}, TriggeredBy: []string{"a.timer"}, EndedItself: true, Argument: "f00",
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	f.service["ExecMainExitTimestampMonotonic"] = uint64(21)
	if got, err := (&Manager{conn: f}).Properties(context.Background(), "a.service"); err != nil || got.EndedItself {
		t.Errorf("its main process ended after the stop had begun: %v, %v", got.EndedItself, err)
	}
	f.unit["StartLimitIntervalUSec"], f.unit["StartLimitBurst"] = uint64(math.MaxUint64), uint32(3)
	if got, err := (&Manager{conn: f}).Properties(context.Background(), "a.service"); err != nil || got.Restarts != 2 {
		t.Errorf("of three restarts the limit refused one: %d, %v", got.Restarts, err)
	}
}

func TestInstances(t *testing.T) {
	f := &fake{listed: []string{"web@two.service", "web@one.service", "other.service"}}
	m := &Manager{conn: f}
	got, err := m.Instances(context.Background(), "web@.service")
	if err != nil || strings.Join(got, " ") != "web@one.service web@two.service" || strings.Join(f.asked, ",") != "list web@*.service" {
		t.Errorf("%v, %v, asked %v", got, err, f.asked)
	}
	if _, err := m.Instances(context.Background(), "web.service"); err == nil {
		t.Error("a unit that is no template has instances")
	}
	f.refuse = errors.New("no")
	if _, err := m.Instances(context.Background(), "web@.service"); !errors.Is(err, f.refuse) {
		t.Errorf("%v", err)
	}
}

func TestStartService(t *testing.T) {
	f := &fake{result: "done"}
	s := Service{
		Description: "web", Start: []string{"/usr/bin/podunit", "start", "web"}, StopPost: []string{"/usr/bin/podunit", "rm", "web"}, Twice: true,
		Environment: []string{"A=b"}, Restart: "on-failure", MaxRestarts: 3, StopTimeout: 20 * time.Second, Collect: true,
	}
	if err := (&Manager{conn: f}).StartService(context.Background(), "web.service", s); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range f.props {
		got = append(got, fmt.Sprintf("%s=%s %v", p.Name, p.Value.Signature(), p.Value.Value()))
	}
	want := fmt.Sprintf(`Description=s web
Type=s notify
NotifyAccess=s all
Delegate=b true
KillMode=s control-group
LogRateLimitIntervalUSec=t 1000000
LogRateLimitBurst=u 100000000
ExecStart=a(sasb) [{/usr/bin/podunit [/usr/bin/podunit start web] false}]
ExecStopPost=a(sasb) [{/usr/bin/podunit [/usr/bin/podunit rm web] true} {/usr/bin/podunit [/usr/bin/podunit rm web] true}]
Environment=as [A=b]
Restart=s on-failure
RestartUSec=t 1000000
StartLimitIntervalUSec=t %d
StartLimitBurst=u 4
TimeoutStopUSec=t 20000000
CollectMode=s inactive-or-failed`, uint64(math.MaxUint64))
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if err := (&Manager{conn: f}).StartService(context.Background(), "web.service", Service{Start: []string{"podunit"}}); err == nil {
		t.Error("a relative command")
	}
	if got := (Service{PIDFile: "/run/pod.pid"}).killMode(); got != "mixed" {
		t.Errorf("a pod's unit kills %s", got)
	}
}

func TestStartServiceGivenUp(t *testing.T) {
	f := &fake{}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err := (&Manager{conn: f}).StartService(ctx, "web.service", Service{Start: []string{"/bin/true"}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if got := strings.Join(f.asked, ","); got != "transient web.service fail,stop web.service replace" {
		t.Errorf("asked %s", got)
	}
	// The scope that we are in, or nearly, is not for us to stop.
	f = &fake{}
	if _, err := (&Manager{conn: f}).StartScope(ctx, "web.scope", "", ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if got := strings.Join(f.asked, ","); got != "transient web.scope fail" {
		t.Errorf("asked %s", got)
	}
}

func TestFree(t *testing.T) {
	for _, tt := range []struct {
		name  string
		unit  map[string]any
		asked string
		taken bool
	}{
		{"nobody has it", nil, "", false},
		{"nobody has it any more", map[string]any{"LoadState": "not-found"}, "", false},
		{"a failed transient one", map[string]any{"LoadState": "loaded", "Transient": true, "ActiveState": "failed"}, "reset a.service", false},
		{"a running transient one", map[string]any{"LoadState": "loaded", "Transient": true, "ActiveState": "active"}, "", true},
		{"one with a file, stopped", map[string]any{"LoadState": "loaded", "ActiveState": "inactive", "FragmentPath": "/f"}, "", true},
		{"a masked one", map[string]any{"LoadState": "masked", "ActiveState": "inactive"}, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{unit: tt.unit}
			if tt.unit != nil {
				f.listed = []string{"a.service"}
			}
			err := (&Manager{conn: f}).Free(context.Background(), "a.service")
			var taken NameTakenError
			if errors.As(err, &taken) != tt.taken || (err != nil) != tt.taken {
				t.Errorf("got %v", err)
			}
			if got := strings.Join(f.asked, ","); got != strings.TrimSuffix("list a.service,"+tt.asked, ",") {
				t.Errorf("asked %s", got)
			}
			if tt.unit == nil && f.looked != 0 {
				t.Error("the manager was asked for the properties of a unit that it has not loaded")
			}
		})
	}
}

// TestJob: a unit is asked for its own job, and nobody for those of all.
func TestJob(t *testing.T) {
	some, other := []any{uint32(7), dbus.ObjectPath("/job/7")}, []any{uint32(8), dbus.ObjectPath("/job/8")}
	none := []any{uint32(0), dbus.ObjectPath("/")}
	for name, c := range map[string]struct {
		of, next    []any
		kind        string
		refuse      error
		want, asked string
		fails       bool
	}{
		"none":            {of: none, asked: "Job a.service"},
		"a restart":       {of: some, kind: "restart", want: "restart", asked: "Job a.service,type /job/7"},
		"ended meanwhile": {of: some, next: none, asked: "Job a.service,type /job/7,Job a.service"},
		"replaced":        {of: some, next: other, kind: "stop", want: "stop", asked: "Job a.service,type /job/7,Job a.service,type /job/8"},
		"two have ended":  {of: some, next: other, asked: "Job a.service,type /job/7,Job a.service,type /job/8"},
		"no answer":       {of: some, kind: "stop", refuse: errors.New("broken"), asked: "Job a.service", fails: true},
	} {
		f := &fake{unit: map[string]any{"Job": c.of}, next: c.next, job: c.kind, refuse: c.refuse}
		got, err := (&Manager{conn: f}).Job(t.Context(), "a.service")
		if asked := strings.Join(f.asked, ","); got != c.want || (err != nil) != c.fails || asked != c.asked {
			t.Errorf("%s: %q, %v; asked %s", name, got, err, asked)
		}
	}
}

func TestNoManager(t *testing.T) {
	dir := t.TempDir()
	_, err := Connect(context.Background(), Config{UID: 1000, RuntimeDir: dir})
	var missing NoManagerError
	if !errors.As(err, &missing) || len(missing.Tried) != 2 {
		t.Fatalf("got %v", err)
	}
	if h := missing.Hint(); !strings.Contains(h, "enable-linger") || !strings.Contains(h, "XDG_RUNTIME_DIR=/run/user/1000") {
		t.Errorf("hint %s", h)
	}
}

func TestRestartFor(t *testing.T) {
	for policy, want := range map[string]string{"": "no", "no": "no", "always": "always", "unless-stopped": "always", "on-failure": "on-failure"} {
		if got := RestartFor(policy); got != want {
			t.Errorf("%q: %s", policy, got)
		}
	}
}

func TestEnvironment(t *testing.T) {
	got := Environment([]string{"SECRET=x", "PATH=/bin", "PODUNIT_CRASH_AFTER=layer", "INVOCATION_ID=1", "HOME=/h"})
	if strings.Join(got, " ") != "HOME=/h PATH=/bin PODUNIT_CRASH_AFTER=layer" {
		t.Errorf("got %v", got)
	}
}

// TestNoStartLimit: what somebody starts by hand, and no policy, is never refused for being started
// often.
func TestNoStartLimit(t *testing.T) {
	for _, restart := range []string{"", "no", "always"} {
		props, err := Service{Start: []string{"/bin/true"}, Restart: restart}.properties()
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, p := range props {
			found = found || p.Name == "StartLimitIntervalUSec" && p.Value.Value() == uint64(0)
		}
		if !found {
			t.Errorf("Restart=%q leaves the manager's limit of five starts in ten seconds", restart)
		}
	}
}

// TestFreeOfGenerated: a transient unit that has ended or failed, and that a unit which is enabled
// names, stays in the manager. Its file goes where a generator has made a unit of this name, and
// only there.
func TestFreeOfGenerated(t *testing.T) {
	for _, c := range []struct {
		state     string
		generated bool
	}{{"inactive", true}, {"failed", true}, {"inactive", false}, {"failed", false}} {
		dir := t.TempDir()
		path := filepath.Join(dir, "transient", "web.service")
		files := []string{path, filepath.Join(path+".d", "50.conf")}
		if c.generated {
			files = append(files, filepath.Join(dir, "generator", "web.service"))
		}
		for _, file := range files {
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		if !c.generated {
			cancel() // it would wait until the unit is gone
		}
		f := &fake{listed: []string{"web.service"}, unit: map[string]any{"LoadState": "loaded", "ActiveState": c.state, "Transient": true, "FragmentPath": path}}
		err := (&Manager{conn: f}).Free(ctx, "web.service")
		cancel()
		var taken NameTakenError
		if (errors.As(err, &taken) && taken.Path != "") != c.generated {
			t.Errorf("%v: %v", c, err)
		}
		for _, file := range files[:2] {
			if _, err := os.Lstat(file); (err == nil) == c.generated {
				t.Errorf("%v: %s: %v", c, file, err)
			}
		}
		if slices.Contains(f.asked, "reload") != c.generated {
			t.Errorf("%v: asked %q", c, f.asked)
		}
	}
}
