// SPDX-License-Identifier: Apache-2.0

package specifier

import (
	"slices"
	"strings"
	"testing"
)

func TestDropInDirs(t *testing.T) {
	for base, want := range map[string]string{
		"web-app-db@one.container": "web-app-db@one.container.d web-app-db@.container.d web-app-@.container.d web-app-.container.d web-@.container.d web-.container.d container.d",
		"web-app-db@.container":    "web-app-db@.container.d web-app-@.container.d web-app-.container.d web-@.container.d web-.container.d container.d",
		"web-db.pod":               "web-db.pod.d web-.pod.d pod.d",
		"web.volume":               "web.volume.d volume.d",
		"a@b-c.network":            "a@b-c.network.d a@.network.d network.d",
		"trailing-.volume":         "trailing-.volume.d volume.d",
	} {
		if got := Parse(base).DropInDirs(); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: %v", base, got)
		}
	}
}

func TestProblem(t *testing.T) {
	for unit, good := range map[string]bool{
		"web.service": true, "web@one.service": true, `a\x20b:_-.service`: true, ".service": false, "a b.service": false, "a/b.service": false,
		"@x.service": false, "ä.service": false, strings.Repeat("x", 247) + ".service": true, strings.Repeat("x", 248) + ".service": false,
	} {
		if got := Problem(unit); (got == "") != good {
			t.Errorf("%q: %q", unit, got)
		}
	}
}

func TestAbsolute(t *testing.T) {
	for path, want := range map[string]string{
		"/x": "/x", "x": "/d/x", "./x": "/d/x", "../x": "/x", "%h/x": "%h/x", "%%h/x": "/d/%%h/x", "./%n": "/d/%n", "-/x": "/d/-/x", "": "", "%": "/d/%",
	} {
		if got := Absolute(path, "/d"); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
	if got := EscapeExec("50% of $HOME"); got != "50%% of $$HOME" {
		t.Error(got)
	}
}
