// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/source"
	"github.com/podunit/podunit/runner/check"
)

func newStore(t *testing.T) Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "systemd")
	return Store{Dir: dir, Search: source.Search{Getenv: func(name string) string {
		if name == "QUADLET_UNIT_DIRS" {
			return dir
		}
		return ""
	}}}
}

// put lays files out in a directory of their own.
func put(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func tree(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

const good = "[Container]\nImage=localhost/a\n"

func TestInstall(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  map[string]string
		args   []string // relative to the directory of the files
		want   string   // names in the install directory
		faults int
		record string
	}{
		{"a unit file", map[string]string{"a.container": good}, []string{"a.container"}, ".a.container.app a.container", 0, "a.container\n"},
		{"a unit file and an asset", map[string]string{"a.container": good, "a.env": "X=1"}, []string{"a.container", "a.env"}, ".a.container.app a.container a.env", 0, "a.container\na.env\n"},
		{"a directory", map[string]string{"a.container": good, "b.volume": "", "x/c.volume": ""}, []string{""}, ".shop.app a.container b.volume", 1, "a.container\nb.volume\n"},
		{"a .quadlets file", map[string]string{"m.quadlets": "# FileName=a\n[Container]\nImage=x\n---\n# FileName=b\n[Volume]\n"}, []string{"m.quadlets"}, ".m.app a.container b.volume", 0, "a.container\nb.volume\n"},
		{"a .quadlets file in a directory", map[string]string{"m.quadlets": "# FileName=a\n[Volume]\n", "b.env": ""}, []string{""}, ".shop.app a.volume b.env", 0, "b.env\na.volume\n"},
		{"a broken .quadlets file", map[string]string{"m.quadlets": "# FileName=a\n[Container]\n---\n[Volume]\n"}, []string{"m.quadlets"}, "", 1, ""},
		{"any other file first", map[string]string{"a.txt": "", "b.volume": ""}, []string{"a.txt", "b.volume"}, ".a.txt.asset b.volume", 1, "b.volume\n"},
		{"a directory later", map[string]string{"a.container": good, "d/x": ""}, []string{"a.container", "d"}, ".a.container.app a.container", 1, ""},
		{"a file that is not there", nil, []string{"a.container"}, "", 1, ""},
		{"a first file that is not there", map[string]string{"b.env": ""}, []string{"a.container", "b.env"}, ".a.container.app b.env", 1, "b.env\n"},
		{"a first directory that is not there", map[string]string{"b.env": ""}, []string{"shop", "b.env"}, ".shop.asset b.env", 1, "b.env\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, dir := newStore(t), put(t, c.files)
			var args []string
			for _, a := range c.args {
				args = append(args, filepath.Join(dir, a))
			}
			p := s.Plan(args, nil)
			paths, errs := s.Install(t.Context(), p, false)
			if len(errs) > 0 || len(p.Faults) != c.faults {
				t.Errorf("errors %v, faults %v", errs, p.Faults)
			}
			if got := tree(t, s.Dir); got != c.want || len(paths) != len(p.Files) {
				t.Errorf("installed %q, want %q", got, c.want)
			}
			if c.record != "" {
				if data, _ := os.ReadFile(filepath.Join(s.Dir, p.Record)); sorted(string(data)) != sorted(c.record) {
					t.Errorf("record %q, want %q", data, c.record)
				}
			}
		})
	}
}

func sorted(s string) string {
	lines := strings.Split(s, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestInstallTwice(t *testing.T) {
	s := newStore(t)
	dir := put(t, map[string]string{"a.container": good})
	path := filepath.Join(dir, "a.container")
	s.Install(t.Context(), s.Plan([]string{path}, nil), false)
	if d, errs := s.Diff(s.Plan([]string{path}, nil), true); len(errs) > 0 || len(d) > 0 {
		t.Errorf("a diff of nothing: %q, %v", d, errs)
	}
	if d, errs := s.Diff(s.Plan([]string{path}, nil), false); len(errs) != 1 || !errors.Is(errs[0], ErrExists) || len(d) > 0 {
		t.Errorf("a diff of what will be refused: %q, %v", d, errs)
	}
	if err := os.WriteFile(path, []byte(good+"ReadOnly=true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := s.Plan([]string{path}, nil)
	d, errs := s.Diff(p, true)
	if len(errs) > 0 || !strings.Contains(string(d), "\n+ReadOnly=true\n") || !strings.HasPrefix(string(d), "--- "+s.Dir) {
		t.Errorf("diff:\n%s%v", d, errs)
	}
	if _, errs := s.Install(t.Context(), p, false); len(errs) != 1 || !errors.Is(errs[0], ErrExists) {
		t.Errorf("installing twice: %v", errs)
	}
	if _, errs := s.Install(t.Context(), p, true); len(errs) != 0 {
		t.Errorf("replacing: %v", errs)
	}
	if data, _, err := s.Read("a.container"); err != nil || !strings.Contains(string(data), "ReadOnly") {
		t.Errorf("%q, %v", data, err)
	}
	if left, _ := filepath.Glob(s.Dir + "/.*tmp*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestInstallURL(t *testing.T) {
	s := newStore(t)
	fetch := func(url string) (string, []byte, error) {
		switch url {
		case "https://x/a.container":
			return "a.container", []byte(good), nil
		case "https://x/evil":
			return "../evil.container", []byte(good), nil
		case "https://me:hidden@x/shown":
			return "\x1b[2Kb.container", []byte(good), nil
		}
		return "", nil, errors.New("404 Not Found")
	}
	p := s.Plan([]string{"https://x/a.container", "https://x/evil", "https://me:hidden@x/none", "https://me:hidden@x/shown"}, fetch)
	if len(p.Files) != 1 || len(p.Faults) != 3 {
		t.Errorf("files %v, faults %v", p.Files, p.Faults)
	}
	if said := errors.Join(p.Faults...).Error(); strings.Contains(said, "hidden") || strings.Contains(said, "\x1b") {
		t.Errorf("%q", said)
	}
	for first, record := range map[string]string{"https://x/none.container": ".none.container.app", "https://x/": ".a.container.app", "https://x/evil": ".a.container.app"} {
		if p := s.Plan([]string{first, "https://x/a.container"}, fetch); p.Record != record {
			t.Errorf("%s: record %q, want %q", first, p.Record, record)
		}
	}
}

func TestCheckOfPlan(t *testing.T) {
	s := newStore(t)
	dir := put(t, map[string]string{
		"a.container": good + "PublishPort=80:80\nEnvironmentFile=a.env\nPodd=1\n", "a.env": "", "b.container": good + "PublishPort=81:80\n",
	})
	s.Install(t.Context(), s.Plan([]string{put(t, map[string]string{"old.container": good + "PublishPort=81:80\nBroken=1\n"})}, nil), false)
	host := check.Host{Exists: func(string) bool { return false }}
	list := s.Check(s.Plan([]string{dir}, nil), check.Options{Host: host})
	var all strings.Builder
	for _, d := range list {
		all.WriteString(d.Place() + "\n")
	}
	got := all.String()
	if !strings.Contains(got, filepath.Join(dir, "a.container")+":5:1: error: unsupported key 'Podd'") || strings.Contains(got, "a.env") ||
		!strings.Contains(got, "port 81/tcp is published by old.container too") {
		t.Errorf("said:\n%s", got)
	}
	if strings.Contains("\n"+got, "\n"+s.Dir) {
		t.Errorf("a file that is there already is complained about:\n%s", got)
	}
}

// TestCheckLikeTheGenerator: what is installed is checked with the drop-ins that it will get, and a
// .quadlets file that is installed as it is section by section.
func TestCheckLikeTheGenerator(t *testing.T) {
	s := newStore(t)
	lay := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(s.Dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lay("mends.container.d/10-image.conf", "[Container]\nImage=localhost/a\n")
	lay("breaks.container.d/10-bad.conf", "[Container]\nPodd=1\n")
	lay("volume.d/10-all.conf", "[Volume]\nDrivr=x\n")
	lay("aaa.volume", "") // shares the finding, and is named first
	lay("sub/below.container", good)
	lay("taken.container", good)
	fetch := func(url string) (string, []byte, error) {
		if url == "https://x/bad.quadlets" {
			return "bad.quadlets", []byte("# FileName=x\n[Container]\nImage=localhost/a\n---\n[Volume]\n"), nil
		}
		return "m.quadlets", []byte("# FileName=one\n[Container]\nImag=x\n---\n# FileName=taken\n[Container]\nImage=localhost/a\n"), nil
	}
	dir := put(t, map[string]string{
		"mends.container": "[Container]\n", "breaks.container": good, "new.volume": "", "below.container": good, "one.container": good,
	})
	for _, c := range []struct {
		name string
		args []string
		want string // what is said, a line each, without the directories
	}{
		{"a drop-in brings what is missing", []string{dir + "/mends.container"}, ""},
		{"a drop-in breaks it", []string{dir + "/breaks.container"}, "DIR/breaks.container.d/10-bad.conf:2:1: error: unsupported key 'Podd' in group 'Container'\n"},
		{"a drop-in of all units of a type", []string{dir + "/new.volume"}, "DIR/volume.d/10-all.conf:2:1: error: unsupported key 'Drivr' in group 'Volume'\n"},
		{"one of the same name in a subdirectory", []string{dir + "/below.container"}, ""},
		{"a .quadlets file from a URL", []string{"https://x/m.quadlets"},
			"https://x/m.quadlets: warning: taken.container will have no effect, DIR/taken.container hides it\n" +
				"https://x/m.quadlets:2:1: error: no Image or Rootfs key specified\n" +
				"https://x/m.quadlets:3:1: error: unsupported key 'Imag' in group 'Container'\n"},
		{"a .quadlets file with a bad section", []string{"https://x/bad.quadlets"}, "https://x/bad.quadlets:5:1: error: section has no comment that names its file\n"},
		{"a name twice in a plan", []string{dir + "/one.container", "https://x/m.quadlets"},
			"https://x/m.quadlets: warning: taken.container will have no effect, DIR/taken.container hides it\n" +
				"https://x/m.quadlets:1: warning: one.container is defined twice, SRC/one.container counts\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := s.Plan(c.args, fetch)
			if len(p.Faults) > 0 {
				t.Fatal(p.Faults)
			}
			var b strings.Builder
			for _, d := range s.Check(p, check.Options{}) {
				b.WriteString(d.Place() + "\n")
			}
			got := strings.NewReplacer(s.Dir, "DIR", dir, "SRC").Replace(b.String())
			if got != c.want {
				t.Errorf("said:\n%swant:\n%s", got, c.want)
			}
		})
	}
	high := t.TempDir()
	s.Search = source.Search{Getenv: func(name string) string {
		if name == "QUADLET_UNIT_DIRS" {
			return high + ":" + s.Dir
		}
		return ""
	}}
	if err := os.WriteFile(high+"/one.container", []byte(good), 0o644); err != nil {
		t.Fatal(err)
	}
	list := s.Check(s.Plan([]string{dir + "/one.container"}, nil), check.Options{})
	if len(list) != 1 || list[0].Code != "hidden" || list[0].Severity != report.Warning || !strings.Contains(list[0].Message, high+"/one.container hides it") {
		t.Errorf("a file of a higher directory: %v", list)
	}
}

// manager is what systemd would say of services.
type manager map[string]State

func (m manager) services() Services {
	return Services{
		State: func(service string) (State, error) {
			if strings.Contains(service, "@.") {
				return State{}, errors.New("systemd refuses to be asked for a template")
			}
			return m[service], nil
		},
		Instances: func(template string) ([]string, error) {
			var out []string
			for name := range m {
				if strings.HasPrefix(name, strings.TrimSuffix(template, ".service")) {
					out = append(out, name)
				}
			}
			slices.Sort(out)
			return out, nil
		},
		Stop: func(service string) error { m[service] = State{true, "inactive", "dead"}; return nil },
	}
}

func TestTemplates(t *testing.T) {
	s := newStore(t)
	s.Install(t.Context(), s.Plan([]string{put(t, map[string]string{
		"web@.container": good, "web@own.container": good, "idle@.container": good, "new.container": good, "run.container": good, "a b.volume": "",
	})}, nil), false)
	m := manager{
		"web@one.service": {true, "active", "running"}, "web@two.service": {true, "activating", "start"}, "web@off.service": {true, "failed", "failed"},
		"web@own.service": {true, "active", "running"}, "run.service": {true, "active", "running"},
	}
	sv := m.services()
	list, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.Name+": "+sv.Status(e))
	}
	want := []string{
		`a b.volume: the name "a b-volume.service" contains a character that systemd does not accept in unit names; letters, digits and :-_.\ are`,
		"idle@.container: Not loaded", "new.container: Not loaded", "run.container: active/running", "web@.container: Not loaded", "web@own.container: active/running",
	}
	if !slices.Equal(got, want) {
		t.Errorf("status:\n%s", strings.Join(got, "\n"))
	}
	broken := sv
	broken.State = func(service string) (State, error) { return State{}, errors.New("no answer") }
	if got := broken.Status(Entry{Service: "a.service"}); got != "no answer" {
		t.Errorf("an error is the status of one row: %q", got)
	}

	if err := os.Remove(s.Dir + "/.shop.app"); err != nil {
		t.Fatal(err)
	}
	removed, errs := s.Remove(t.Context(), []string{"idle@.container", "a b.volume", "web@.container"}, RemoveOptions{}, sv)
	if !slices.Equal(removed, []string{"idle@.container", "a b.volume"}) || len(errs) != 1 || !errors.Is(errs[0], ErrActive) ||
		!strings.HasSuffix(errs[0].Error(), ": web@one.service, web@two.service") {
		t.Errorf("removed %v, %v", removed, errs)
	}
	removed, errs = s.Remove(t.Context(), []string{"web@.container"}, RemoveOptions{Force: true}, sv)
	if !slices.Equal(removed, []string{"web@.container"}) || len(errs) > 0 || m["web@one.service"].up() || m["web@two.service"].up() || !m["web@own.service"].up() {
		t.Errorf("removed %v, %v, %v", removed, errs, m)
	}
}

func TestListAndRemove(t *testing.T) {
	s := newStore(t)
	s.Install(t.Context(), s.Plan([]string{put(t, map[string]string{"a.container": good + "Pod=p.pod\n", "p.pod": "", "conf.txt": "x", "bad.volume": "nonsense"})}, nil), false)
	single := put(t, map[string]string{"single.volume": "", "single.txt": ""})
	s.Install(t.Context(), s.Plan([]string{filepath.Join(single, "single.volume"), filepath.Join(single, "single.txt")}, nil), false)
	if err := os.WriteFile(s.Dir+"/mine.network", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	list, err := s.List()
	if err != nil || len(list) != 5 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, e := range list {
		switch e.Name {
		case "a.container":
			if e.Service != "a.service" || e.App != ".shop.app" || e.Pod != "p.pod" {
				t.Errorf("%+v", e)
			}
		case "bad.volume":
			if e.Service != "" || !strings.Contains(e.Problem, "not a key-value pair") {
				t.Errorf("%+v", e)
			}
		case "mine.network":
			if e.App != "" {
				t.Errorf("%+v", e)
			}
		}
	}
	m := manager{"p-pod.service": {true, "active", "running"}}
	sv := m.services()
	removed, errs := s.Remove(t.Context(), []string{"a.container"}, RemoveOptions{}, sv)
	if len(errs) != 1 || !errors.Is(errs[0], ErrActive) || !slices.Contains(removed, "a.container") || slices.Contains(removed, "p.pod") {
		t.Errorf("removed %v, %v", removed, errs)
	}
	if got := tree(t, s.Dir); got != ".shop.app .single.volume.app conf.txt mine.network p.pod single.txt single.volume" {
		t.Errorf("left: %s", got)
	}
	removed, errs = s.Remove(t.Context(), []string{".shop.app"}, RemoveOptions{Force: true}, sv)
	if len(errs) > 0 || !slices.Equal(removed, []string{"p.pod"}) || m["p-pod.service"].up() {
		t.Errorf("removed %v, %v", removed, errs)
	}
	if _, errs := s.Remove(t.Context(), []string{"none.volume"}, RemoveOptions{}, sv); len(errs) != 1 || !errors.Is(errs[0], ErrNotFound) {
		t.Errorf("%v", errs)
	}
	if removed, errs := s.Remove(t.Context(), []string{"none.volume"}, RemoveOptions{Ignore: true}, sv); len(errs) != 0 || len(removed) != 1 {
		t.Errorf("%v, %v", removed, errs)
	}
	if _, errs := s.Remove(t.Context(), nil, RemoveOptions{All: true}, sv); len(errs) > 0 {
		t.Errorf("%v", errs)
	}
	if got := tree(t, s.Dir); got != "" {
		t.Errorf("left: %s", got)
	}
}

// TestRemoveQuadletsFile: a .quadlets file that was installed as it is goes as a whole or not at all.
func TestRemoveQuadletsFile(t *testing.T) {
	s := newStore(t)
	fetch := func(string) (string, []byte, error) {
		return "m.quadlets", []byte("# FileName=one\n[Container]\nImage=x\n---\n# FileName=two\n[Volume]\n"), nil
	}
	if _, errs := s.Install(t.Context(), s.Plan([]string{"https://x/m.quadlets"}, fetch), false); len(errs) > 0 {
		t.Fatal(errs)
	}
	m := manager{"two-volume.service": {true, "active", "exited"}}
	for _, name := range []string{"one.container", ".m.app"} {
		if removed, errs := s.Remove(t.Context(), []string{name}, RemoveOptions{}, m.services()); len(errs) != 1 || !errors.Is(errs[0], ErrActive) || len(removed) > 0 {
			t.Errorf("%s: removed %v, %v", name, removed, errs)
		}
		if got := tree(t, s.Dir); got != ".m.app m.quadlets" {
			t.Errorf("left: %s", got)
		}
	}
	removed, errs := s.Remove(t.Context(), []string{"one.container"}, RemoveOptions{Force: true}, m.services())
	if len(errs) > 0 || !slices.Equal(removed, []string{"one.container", "two.volume"}) || m["two-volume.service"].up() || tree(t, s.Dir) != "" {
		t.Errorf("removed %v, %v, left %s", removed, errs, tree(t, s.Dir))
	}
	if err := os.WriteFile(s.Dir+"/own.quadlets", []byte("# FileName=own\n[Volume]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if removed, errs := s.Remove(t.Context(), []string{"own.volume"}, RemoveOptions{}, m.services()); len(errs) != 1 || !strings.Contains(errs[0].Error(), "is a section of") || len(removed) > 0 {
		t.Errorf("removed %v, %v", removed, errs)
	}
}

// TestRecordWithPath: no record reaches out of its directory.
func TestRecordWithPath(t *testing.T) {
	s := newStore(t)
	s.Install(t.Context(), s.Plan([]string{put(t, map[string]string{"a.volume": ""})}, nil), false)
	outside := filepath.Join(filepath.Dir(s.Dir), "outside")
	for path, text := range map[string]string{outside: "", s.Dir + "/.shop.app": "a.volume\n\n../outside\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var said []string
	s.Warn = func(message string) { said = append(said, message) }
	if _, err := s.List(); err != nil || !slices.Equal(said, []string{s.Dir + `/.shop.app:3: "../outside" is no file name and is left out`}) {
		t.Errorf("%q, %v", said, err)
	}
	if removed, errs := s.Remove(t.Context(), []string{"a.volume"}, RemoveOptions{}, manager{}.services()); len(errs) > 0 || !slices.Equal(removed, []string{"a.volume"}) {
		t.Errorf("%v, %v", removed, errs)
	}
	if _, err := os.Stat(outside); err != nil || tree(t, s.Dir) != "" {
		t.Errorf("%v, left %s", err, tree(t, s.Dir))
	}
}

func TestFilters(t *testing.T) {
	r := Row{Name: "web.container", Status: "active/running", Pod: "media.pod"}
	for _, c := range []struct {
		args []string
		want bool
	}{
		{nil, true}, {[]string{"name=^web"}, true}, {[]string{"name=^db", "name=web"}, true}, {[]string{"name=web", "status=failed"}, false}, {[]string{"pod=med"}, true},
	} {
		f, err := ParseFilters(c.args)
		if err != nil || f.Match(r) != c.want {
			t.Errorf("%v: %v", c.args, err)
		}
	}
	for _, bad := range []string{"name", "nam=x", "name=("} {
		if _, err := ParseFilters([]string{bad}); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}
