// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden cases")

// machine is a host that is the same everywhere.
func machine() Host {
	return Host{
		Arch: "amd64",
		Capabilities: strings.Fields("CAP_AUDIT_WRITE CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_MKNOD " +
			"CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_NET_RAW CAP_SETFCAP CAP_SETGID CAP_SETPCAP CAP_SETUID CAP_SYS_ADMIN " +
			"CAP_SYS_CHROOT CAP_SYS_RESOURCE"),
		MaskedPaths: []string{"/proc/kcore", "/proc/keys", "/sys/firmware"}, ReadOnlyPaths: []string{"/proc/bus", "/proc/sys"},
		Rlimits: map[string]Rlimit{"nofile": {1024, 524288}, "nproc": {30000, 30000}}, OOMScoreAdj: 100,
		UIDs: 65537, GIDs: 65537, Seccomp: true, ZoneInfo: "/usr/share/zoneinfo", LocalTime: "/etc/localtime",
		MountFlags: func(p string) ([]string, error) {
			switch {
			case strings.HasPrefix(p, "/missing"), strings.HasSuffix(p, "/Nowhere"):
				return nil, &os.PathError{Op: "statfs", Path: p, Err: fs.ErrNotExist}
			case strings.HasPrefix(p, "/locked"):
				return []string{"nosuid", "noexec"}, nil
			}
			return nil, nil
		},
	}
}

// TestGolden builds the cases of testdata/bundle. A case is a txtar file: run
// holds the words of the command line, one a line; input.json what else Input
// has; image.json the image; etc/passwd and etc/group its users; config.json,
// warnings and error are what comes out. Of seccomp only the head is shown.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("../../testdata/bundle/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in := Input{ID: strings.Repeat("0123456789abcdef", 4), Host: machine(), Rootfs: t.TempDir(), Hostname: "box",
				Image: &v1.ImageConfig{Cmd: []string{"sh"}}}
			var given []txtar.File
			expected := map[string]string{}
			for _, f := range archive.Files {
				switch f.Name {
				case "config.json", "warnings", "error":
					expected[f.Name] = string(f.Data)
					continue
				case "run":
					c := container(t, strings.Split(strings.TrimSuffix(string(f.Data), "\n"), "\n")...)
					in.Spec, in.Mounts = c, resolved(c)
				case "input.json":
					strict(t, f.Data, &in)
				case "image.json":
					in.Image = &v1.ImageConfig{}
					strict(t, f.Data, in.Image)
				default:
					name := filepath.Join(in.Rootfs, f.Name)
					if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(name, f.Data, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				given = append(given, f)
			}
			got := build(t, in)
			if *update {
				out := &txtar.Archive{Comment: archive.Comment, Files: given}
				for _, name := range []string{"config.json", "warnings", "error"} {
					if got[name] != "" {
						out.Files = append(out.Files, txtar.File{Name: name, Data: []byte(got[name])})
					}
				}
				if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, name := range []string{"config.json", "warnings", "error"} {
				if got[name] != expected[name] {
					t.Errorf("%s is now\n%s\nand was\n%s\n(go test ./runner/bundle -update, if it is meant)", name, got[name], expected[name])
				}
			}
		})
	}
}

func strict(t *testing.T, data []byte, to any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		t.Fatal(err)
	}
}

func build(t *testing.T, in Input) map[string]string {
	t.Helper()
	config, warnings, err := Build(in)
	if err != nil {
		return map[string]string{"error": err.Error() + "\n"}
	}
	config.Root.Path = "/rootfs"
	if s := config.Linux.Seccomp; s != nil {
		config.Linux.Seccomp = &rspec.LinuxSeccomp{DefaultAction: s.DefaultAction, Architectures: s.Architectures}
	}
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"config.json": string(data) + "\n"}
	if len(warnings) > 0 {
		got["warnings"] = strings.Join(warnings, "\n") + "\n"
	}
	return got
}
