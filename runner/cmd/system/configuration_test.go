// SPDX-License-Identifier: Apache-2.0

package system

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/runc"
	"go.podman.io/common/pkg/config"
)

// byLibraries are the keys that functions of the configuration honour, which the code calls.
var byLibraries = map[string]string{
	"helper_binaries_dir": ".FindHelperBinary(", "init_path": ".FindInitBinary(", "host_containers_internal_ip": "etchosts.GetHostContainersInternalIP(",
	"env": "config.New(", // [engine] env is set for this process; that of [containers] is Config.Env
}

// TestEveryKeyOfTheConfiguration: each key of containers.conf is read by code that is no test, or
// said to have no effect, and not both.
func TestEveryKeyOfTheConfiguration(t *testing.T) {
	var code strings.Builder
	err := filepath.WalkDir("../..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "configuration.go") {
			return err
		}
		text, err := os.ReadFile(path)
		code.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all := code.String()
	known := map[string]int{}
	eachKey(&config.Config{}, func(section, key, field string, _ reflect.Value) {
		why, void := withoutEffect[section][key]
		if _, whole := withoutEffect[section]["*"]; whole {
			return
		}
		known[section]++
		// Of a section, not of a flag with the same name.
		owners := []string{"Containers.", "Engine.", "Network.", "cc.", "conf.", "Config.", "config."}
		switch section { // these have words in common with other structures, as driver
		case "secrets":
			owners = []string{"conf.Secrets."}
		case "configmaps":
			owners = []string{"conf.ConfigMaps."}
		}
		read := slices.ContainsFunc(owners, func(of string) bool {
			return regexp.MustCompile(regexp.QuoteMeta(of+field) + `\b`).MatchString(all)
		})
		if call := byLibraries[key]; call != "" {
			read = strings.Contains(all, call)
		}
		if read == void {
			t.Errorf("%s of [%s]: read %v, said to have no effect %v (%s)", key, section, read, void, why)
		}
	})
	for section, keys := range withoutEffect {
		if _, whole := keys["*"]; !whole && len(keys) > known[section] {
			t.Errorf("[%s] has keys that containers.conf does not have", section)
		}
	}
}

// TestManualHasTheKeys: the manual names every key without effect.
func TestManualHasTheKeys(t *testing.T) {
	text, err := os.ReadFile("../../../contrib/doc/podunit.1")
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "Of containers.conf these have no effect")
	part, _, _ = strings.Cut(part, ".SH EXAMPLES")
	words := strings.FieldsFunc(part, func(r rune) bool { return strings.ContainsRune(" ,;\"\n.", r) })
	for section, keys := range withoutEffect {
		for key := range keys {
			if key != "*" && !slices.Contains(words, key) {
				t.Errorf("%s of [%s] is missing", key, section)
			}
		}
	}
}

func TestSaidInVain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "containers.conf")
	if err := os.WriteFile(file, []byte("[containers]\nkeyring=false\nlabel=true\nlog_path='/x'\n[engine]\nhooks_dir=['/h']\n[machine]\ncpus=3\n[engine.volume_plugins]\n[network]\nnetwork_backend='netavark'\nrootless_port_forwarder='pasta'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_CONF", file)
	said, err := runc.Said(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, selinux := range []bool{true, false} {
		want := []string{"log_path of [containers]", "hooks_dir of [engine]", "cpus of [machine]", "rootless_port_forwarder of [network]"}
		if !selinux {
			want = slices.Insert(want, 0, "label of [containers]")
		}
		var keys []string
		for _, one := range saidInVain(said, func(string) bool { return selinux }) {
			key, _, _ := strings.Cut(one, ":")
			keys = append(keys, key)
		}
		if !slices.Equal(keys, want) {
			t.Errorf("with SELinux %t: got %v, want %v", selinux, keys, want)
		}
	}
}
