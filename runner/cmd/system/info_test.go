// SPDX-License-Identifier: Apache-2.0

package system

import (
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/service"
	"go.podman.io/common/pkg/config"
)

// TestInfoOfTheHost: templates that scripts were written with for podman find what they ask for.
func TestInfoOfTheHost(t *testing.T) {
	conf, err := config.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := hostInfo{Rootless: true}
	x := &service.Engine{Config: service.Config{Runtime: "/bin/true"}, Containers: &container.Engine{Config: conf, Runtime: runc.Runtime{Root: t.TempDir()}}}
	if err := h.confine(x); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	text := "{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}} {{.Host.Security.Rootless}} {{.Host.RemoteSocket.Exists}}"
	if err := format.Each(&b, text, []information{{Host: h}}); err != nil || strings.TrimSpace(b.String()) != "true /bin/true true false" {
		t.Errorf("%q, %v", b.String(), err)
	}
	for _, field := range []string{"Pasta.Executable", "NetworkBackend", "Security.AppArmorEnabled", "Security.SECCOMPEnabled", "Security.SELinuxEnabled", "Security.SECCOMPProfilePath", "RemoteSocket.Path"} {
		if err := format.Each(&b, "{{.Host."+field+"}}", []information{{Host: h}}); err != nil {
			t.Error(err)
		}
	}
	if h.NetworkBackend == "" {
		t.Error("nothing connects containers")
	}
}

func TestWhatTheProcessorsDid(t *testing.T) {
	if got, want := cpuUseOf("cpu  10 10 20 60 5 0 0 0 0 0\ncpu0 1 1 1 1\n"), (cpuUse{20, 20, 60}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, nothing := range []string{"", "cpu 1 2", "intr 1 2 3 4 5", "cpu 0 0 0 0"} {
		if got := cpuUseOf(nothing); got != (cpuUse{}) {
			t.Errorf("%q: %+v", nothing, got)
		}
	}
}
