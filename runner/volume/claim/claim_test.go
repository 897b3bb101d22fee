// SPDX-License-Identifier: Apache-2.0

package claim

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestUnits has units of all kinds name volumes, and asks who names them.
func TestUnits(t *testing.T) {
	root := t.TempDir()
	yaml := filepath.Join(root, "app.yaml")
	for path, text := range map[string]string{
		"/run/user/1000/systemd/generator/web.service":         "[Service]\nExecStart=podunit run --name web -v data:/data:Z --rm -v /srv:/srv img\nExecStopPost=-podunit rm -v -f -i web\n",
		"/run/user/1000/systemd/generator/data-volume.service": "[Service]\nExecStart=podunit volume create --ignore --label a=b data\n",
		"/run/user/1000/systemd/generator/db@.service":         "[Service]\nExecStart=podunit run --mount type=volume,source=db-%i,destination=/db --mount=type=bind,src=host,dst=/x img\n",
		"/run/user/1000/systemd/transient/t.service":           "[Service]\nExecStart=\nExecStart=\"/usr/bin/podunit\" \"run\" \"--volume=cache:/c\" \"img\"\n",
		"/run/user/1000/systemd/generator/app.service":         "[Service]\nExecStart=podunit kube play --replace " + yaml + "\n",
		"/etc/systemd/user/env.service":                        "[Service]\nEnvironment=VOL=logs\nExecStart=podunit run -v ${VOL}:/l -v %N-x:/y img\n",
		"/etc/systemd/user/sh.service":                         "[Service]\nExecStart=/bin/sh -c \"exec podunit run -vshell:/s img\"\n",
		"/etc/systemd/user/web.service.d/more.conf":            "[Service]\nExecStart=podunit run -v added:/a img\n",
		"/etc/systemd/system/alice.service":                    "[Service]\nUser=alice\nExecStart=podunit run -v hers:/h img\n",
		"/etc/systemd/system/root.service":                     "[Service]\nExecStart=podunit run -v roots:/h img\n",
		"/app.yaml":                                            "kind: Pod\nspec:\n  volumes:\n  - persistentVolumeClaim:\n      claimName: claimed\n",
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A masked unit, and one that must not be read.
	if err := os.Symlink("/dev/null", filepath.Join(root, "/etc/systemd/user/masked.service")); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"loop.service": "loop.service", "past.service": "masked.service/x", "web.service.d/loop.conf": "loop.conf"} {
		path := filepath.Join(root, "/etc/systemd/user", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(to, path)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/dev/zero", filepath.Join(root, "/etc/systemd/user/endless.service")); err != nil {
		t.Fatal(err)
	}
	alice, err := Where{Root: root, UID: 1000, Name: "alice"}.Read()
	if err != nil {
		t.Fatal(err)
	}
	for volume, want := range map[string][]string{
		"data":    {"data-volume.service", "web.service"},
		"db-1":    {"db@.service"},
		"db":      nil,
		"host":    nil,
		"cache":   {"t.service"},
		"claimed": {"app.service"},
		"logs":    {"env.service"},
		"env-x":   {"env.service"},
		"shell":   {"sh.service"},
		"added":   {"web.service"},
		"hers":    {"alice.service"},
		"roots":   nil,
		"web":     nil,
		"nobody":  nil,
	} {
		if got := alice.Of(volume); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", volume, got, want)
		}
	}
	system, err := Where{Root: root, Name: "root"}.Read()
	if err != nil {
		t.Fatal(err)
	}
	for volume, want := range map[string][]string{"roots": {"root.service"}, "hers": nil, "shell": {"sh.service"}, "data": nil} {
		if got := system.Of(volume); !slices.Equal(got, want) {
			t.Errorf("of root's, %s: %v, want %v", volume, got, want)
		}
	}
}

// TestOpen claims all that a word may mean which the unit's file does not settle.
func TestOpen(t *testing.T) {
	for word, yes := range map[string]string{"${DATA}": "anything", "x-$DATA": "x-anything", "a%%": "a%", "%i": "anything", "%p-data": "web-data"} {
		if re := pattern(word, "web@.service", nil); re == nil || !re.MatchString(yes) {
			t.Errorf("%s is not %s: %v", word, yes, re)
		}
	}
	if re := pattern("%i", "web@1.service", nil); re.MatchString("2") || !re.MatchString("1") {
		t.Error("an instance's %i is known")
	}
}

// TestUnread: of a unit whose file the user may not read, the manager tells; where it does not, no
// volume that has a name is known to be unused.
func TestUnread(t *testing.T) {
	asked := map[string]string{"hers.service": "alice", "roots.service": "", "db@.service": "1000"}
	w := Where{UID: 1000, Name: "alice", Ask: func(unit string) (string, [][]string, error) {
		return asked[unit], [][]string{{"podunit", "run", "-v", "of-%p-%i:/data", "img"}}, nil
	}}
	var u Units
	for unit := range asked {
		u.all = append(u.all, w.ask(unit)...)
	}
	anonymous := strings.Repeat("0f", 32)
	for volume, want := range map[string][]string{"of-hers-": {"hers.service"}, "of-db-1": {"db@.service"}, "of-roots-": nil, "other": nil} {
		if got := u.Of(volume); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", volume, got, want)
		}
	}
	if got := u.Unknown(); got != nil {
		t.Errorf("unknown: %v", got)
	}
	w.Ask = func(string) (string, [][]string, error) { return "", nil, errors.New("no manager") }
	u.all = w.ask("hers.service")
	if got := u.Of("any"); !slices.Equal(got, []string{"hers.service (which cannot be read)"}) {
		t.Errorf("without a manager: %v", got)
	}
	if got := u.Of(anonymous); got != nil {
		t.Errorf("a volume without a name: %v", got)
	}
	if got := u.Unknown(); !slices.Equal(got, []string{"hers.service"}) {
		t.Errorf("unknown: %v", got)
	}
}
