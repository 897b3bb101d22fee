// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestCommands(t *testing.T) {
	dir := t.TempDir()
	f := &fake{
		listed:  []string{"many@one.service"},
		service: map[string]any{"User": "", "ExecStart": [][]any{{"/bin/podunit", []string{"/bin/podunit", "run", "x"}, false, uint64(0)}}},
	}
	for name, content := range map[string]string{
		"web.service": "[Service]\nExecStart=podunit run --label wanted x\n", "many@.service": "ExecStart=podunit run --label wanted x",
		"other.service": "[Service]\nExecStart=true\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		f.files = append(f.files, path)
	}
	masked := filepath.Join(dir, "masked.service")
	if err := os.Symlink("/dev/null", masked); err != nil {
		t.Fatal(err)
	}
	f.files = append(f.files, masked, filepath.Join(dir, "gone.service"))
	// Another name of a unit is not another unit.
	other := filepath.Join(dir, "www.service")
	if err := os.Symlink("web.service", other); err != nil {
		t.Fatal(err)
	}
	f.files = append(f.files, other)
	got, err := (&Manager{conn: f}).Commands(context.Background(), "wanted")
	want := "[{many@one.service  [[/bin/podunit run x]]} {web.service  [[/bin/podunit run x]]}]"
	if err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, %v", got, err)
	}
}

// TestExecutes: of a template, the manager is asked for an instance.
func TestExecutes(t *testing.T) {
	f := &fake{service: map[string]any{
		"User":      "alice",
		"ExecStart": [][]any{{"/bin/podunit", []string{"podunit", "run", "-v", "data-" + instance + ":/d", "x"}, false, uint64(0)}},
		"ExecStop":  [][]any{{"/bin/podunit", []string{"podunit", "stop", "x"}, false, uint64(0)}},
	}}
	user, lines, err := (&Manager{conn: f}).Executes(context.Background(), "db@.service")
	if want := "[[podunit run -v data-%i:/d x] [podunit stop x]]"; err != nil || user != "alice" || fmt.Sprint(lines) != want {
		t.Errorf("%s, %v, %v", user, lines, err)
	}
}

// A variable is looked up in the environment of its service.
func TestCommandsWithVariables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.service")
	if err := os.WriteFile(path, []byte("wanted"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &fake{files: []string{path}, service: map[string]any{"User": "app", "Environment": []string{"IMAGE=x"}, "EnvironmentFiles": [][]any{}}}
	f.service["ExecStart"] = [][]any{{"/bin/podunit", []string{"/bin/podunit", "run", "${IMAGE}"}}}
	got, err := (&Manager{conn: f}).Commands(context.Background(), "wanted")
	if want := "[{web.service app [[/bin/podunit run x]]}]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, %v; want %s", got, err, want)
	}
	delete(f.service, "Environment")
	f.service["ExecStart"] = [][]any{{"/bin/podunit", []string{"/bin/podunit", "run", "${IMAGE}"}}}
	if _, err := (&Manager{conn: f}).Commands(context.Background(), "wanted"); err == nil {
		t.Error("a refused question is no error")
	}
}

func TestExpanded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("# of the application\nTAG=2\nQUOTED=\"a b\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := environment([]string{"TAG=1", "HOST=registry.test"}, [][]any{{file, false}, {"/nowhere/env", true}})
	got := expanded([][]string{{"run", "${HOST}/app:${TAG}", "$QUOTED", "a$QUOTED", "$$HOME", "${UNSET}"}}, env)
	want := `[["run" "registry.test/app:2" "a b" "a$QUOTED" "$HOME" "${UNSET}"]]`
	if fmt.Sprintf("%q", got) != want {
		t.Errorf("%q; want %s", got, want)
	}
}
