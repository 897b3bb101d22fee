// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/unitfile"
)

const casesDir = "../testdata/generator"

var update = flag.Bool("update", false, "rewrite the expected part of the golden cases")

// world is the directory that a case's files are laid out in. Its path is written as / in what is
// compared.
type world struct {
	root string
	out  string
}

// layOut writes the files of a case. A file under in/ is one of /etc/containers/systemd; one under
// root/ stands for an absolute path; a name ending in " -> TARGET" is a symlink.
func layOut(t *testing.T, files []txtar.File) world {
	t.Helper()
	w := world{root: t.TempDir()}
	w.out = filepath.Join(w.root, "out")
	for _, f := range files {
		name, target, isLink := strings.Cut(f.Name, " -> ")
		switch {
		case strings.HasPrefix(name, "in/"):
			name = filepath.Join(w.root, "etc/containers/systemd", strings.TrimPrefix(name, "in/"))
		case strings.HasPrefix(name, "root/"):
			name = filepath.Join(w.root, strings.TrimPrefix(name, "root/"))
		default:
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if isLink {
			if filepath.IsAbs(target) && target != "/dev/null" {
				target = w.root + target
			}
			err = os.Symlink(target, name)
		} else {
			mode := fs.FileMode(0o644)
			if strings.Contains(name, "-generators/") {
				mode = 0o755
			}
			err = os.WriteFile(name, f.Data, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// directives are the lines "name: value" of a case's comment: args, and env, where ROOT is the root
// of the files.
func directives(comment []byte) (args []string, env map[string]string) {
	env = map[string]string{}
	for line := range strings.SplitSeq(string(comment), "\n") {
		if v, ok := strings.CutPrefix(line, "args: "); ok {
			args = append(args, strings.Fields(v)...)
		}
		if v, ok := strings.CutPrefix(line, "env: "); ok {
			k, v, _ := strings.Cut(v, "=")
			env[k] = v
		}
	}
	return args, env
}

var pid = regexp.MustCompile(`(?m)^quadlet-generator\[\d+\]: `)

// result runs the generator in a world and collects what it did as the files of a case.
func (w world) result(t *testing.T, comment []byte) []txtar.File {
	t.Helper()
	args, vars := directives(comment)
	var stdout, stderr bytes.Buffer
	e := env{
		args:   append([]string{"/usr/lib/systemd/system-generators/podunit-system-generator", "-no-kmsg-log"}, args...),
		stdout: &stdout, stderr: &stderr, root: w.root,
		getenv: func(name string) string {
			v, ok := vars[name]
			switch {
			case ok:
				return strings.ReplaceAll(v, "ROOT", w.root)
			case name == "HOME":
				return filepath.Join(w.root, "home/alice")
			}
			return ""
		},
	}
	e.args = append(e.args, w.out) // by hand it is one directory, systemd gives three
	if _, byHand := vars["QUADLET_UNIT_DIRS"]; !byHand {
		e.args = append(e.args, w.out+".early", w.out+".late")
	}
	status := run(e)
	hide := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(w.root), nil) }

	var files []txtar.File
	var links []string
	err := filepath.WalkDir(w.out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(w.out, path)
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			links = append(links, rel+" -> "+target+"\n")
			return err
		}
		data, err := os.ReadFile(path)
		files = append(files, txtar.File{Name: "out/" + rel, Data: hide(data)})
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	sort.Strings(links)
	log := pid.ReplaceAll(hide(stderr.Bytes()), nil)
	if stdout.Len() > 0 {
		files = append(files, txtar.File{Name: "out.stdout", Data: hide(stdout.Bytes())})
	}
	if len(links) > 0 {
		files = append(files, txtar.File{Name: "out.links", Data: []byte(strings.Join(links, ""))})
	}
	if len(log) > 0 {
		files = append(files, txtar.File{Name: "out.log", Data: log})
	}
	return append(files, txtar.File{Name: "out.status", Data: []byte{byte('0' + status), '\n'}})
}

func goldenCases(t *testing.T) map[string]*txtar.Archive {
	t.Helper()
	paths, err := filepath.Glob(casesDir + "/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in %s: %v", casesDir, err)
	}
	cases := map[string]*txtar.Archive{}
	for _, p := range paths {
		a, err := txtar.ParseFile(p)
		if err != nil {
			t.Fatal(err)
		}
		cases[p] = a
	}
	return cases
}

func TestGolden(t *testing.T) {
	for path, a := range goldenCases(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			w := layOut(t, a.Files)
			got := w.result(t, a.Comment)
			var inputs, want []txtar.File
			for _, f := range a.Files {
				if strings.HasPrefix(f.Name, "in/") || strings.HasPrefix(f.Name, "root/") {
					inputs = append(inputs, f)
				} else {
					want = append(want, f)
				}
			}
			if *update {
				a.Files = append(inputs, got...)
				if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			g, e := txtar.Format(&txtar.Archive{Files: got}), txtar.Format(&txtar.Archive{Files: want})
			if !bytes.Equal(g, e) {
				t.Errorf("%s is not as expected (go test ./generator -update rewrites it):\n%s", path, firstDifference(string(g), string(e)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			expected := "(end)"
			if i < len(w) {
				expected = w[i]
			}
			from := max(0, i-5)
			return strings.Join(g[from:i], "\n") + "\n got: " + g[i] + "\nwant: " + expected
		}
	}
	return "the end is missing: " + strings.Join(w[len(g):], "\n")
}

// TestGoldenStable runs each case twice: the same files must give the same bytes.
func TestGoldenStable(t *testing.T) {
	for path, a := range goldenCases(t) {
		first := layOut(t, a.Files).result(t, a.Comment)
		second := layOut(t, a.Files).result(t, a.Comment)
		if !bytes.Equal(txtar.Format(&txtar.Archive{Files: first}), txtar.Format(&txtar.Archive{Files: second})) {
			t.Errorf("%s: two runs differ", path)
		}
	}
}

// TestGoldenCoversKeys checks the cases against the key table: each key is used in a case that
// converts.
func TestGoldenCoversKeys(t *testing.T) {
	used := map[string]bool{}
	for _, a := range goldenCases(t) {
		for _, f := range a.Files {
			if !strings.HasPrefix(f.Name, "out/") {
				continue
			}
			u, _ := unitfile.Parse(f.Name, f.Data)
			for _, g := range u.Groups {
				for _, l := range g.Lines {
					used[strings.TrimPrefix(g.Name, "X-")+"."+l.Key] = true
				}
			}
		}
	}
	for _, s := range keys.Sections() {
		for _, k := range s.Keys {
			if !used[s.Name+"."+k.Name] {
				t.Errorf("no golden case has [%s] %s=", s.Name, k.Name)
			}
		}
	}
}

// TestGoldenCoversReports checks that each error and warning of the reference's section 7 is seen
// in some case.
func TestGoldenCoversReports(t *testing.T) {
	var logs strings.Builder
	for _, a := range goldenCases(t) {
		for _, f := range a.Files {
			if f.Name == "out.log" {
				logs.Write(f.Data)
			}
		}
	}
	all := logs.String()
	for _, want := range []string{
		// 7.1, errors
		"unsupported key 'PublishPrt' in group 'Container'",
		"in group 'Quadlet'",
		"unable to translate dependency for ",
		"no Image or Rootfs key specified",
		"the Image and Rootfs keys conflict",
		"invalid KillMode ",
		"invalid service Type ",
		"ReloadCmd and ReloadSignal are mutually exclusive",
		"invalid Group set without User",
		"invalid port format ",
		" is not Quadlet based",
		"quadlet pod unit ",
		"Mount= is not comma-separated",
		"source has no value",
		"source parameter is required for mount type bind",
		"source parameter is required for mount type glob",
		"source parameter is required for mount type image",
		"source parameter is required for mount type artifact",
		"requested Quadlet image none.image was not found",
		"requested Quadlet image none.build was not found",
		"requested Quadlet source none.volume was not found",
		"requested Quadlet source none.artifact was not found",
		"requested Quadlet source none.image was not found",
		"requested Quadlet network none.network was not found",
		"requested Quadlet network nowhere.container was not found",
		"the name of the container of ",
		"extra options are not supported when joining another container's network",
		"deprecated Remap keys are set along with explicit mapping keys",
		"RemapUid set without RemapUsers",
		"RemapGid set without RemapUsers",
		"RemapUsers=keep-id supports only a single value",
		"unsupported RemapUsers option ",
		"RemapUsers=manual is not supported",
		"no Yaml key specified",
		"SetWorkingDirectory=yaml is only supported when a single Yaml key is provided",
		"unsupported value for SetWorkingDirectory",
		"cannot set more gateways than subnets",
		"cannot set more ranges than subnets",
		"cannot set gateway or range without subnet",
		"the key Image is mandatory when using the image driver",
		"key Type can't be used without Device",
		"no Image key specified",
		"no Artifact key specified",
		"no ImageTag key specified",
		"neither SetWorkingDirectory, nor File key specified",
		"SetWorkingDirectory=file needs the key File",
		"relative path in File key requires SetWorkingDirectory key to be set",
		// 1.6, load errors
		"not a key-value pair, section or comment",
		"assignment before the first section",
		"byte-order mark",
		"cannot be read: is a directory",
		"it is a symlink to nothing",
		// podunit's own
		"has an error",
		"is claimed by",
		"section [Instal] is ignored",
		"there is no section [Volume], but one called [volume]",
		// 7.2, warnings
		"which not a fully qualified image name",
		"using key User in the Service group is not supported",
		"using key Group in the Service group is not supported",
		"using key DynamicUser in the Service group is not supported",
		"Exec= is ignored: unsupported escape char",
		"ReloadCmd= is ignored: unsupported escape char",
		"Label= is ignored: unsupported escape char",
		"is not a valid file path: it is not absolute",
		"neither XDG_CONFIG_HOME nor HOME is set",
		"leads out of the directory of the units",
		"is not the name of a unit and is left out",
		"contains a slash and is left out",
		"WantedBy= has no effect in the template idle@.container",
		"DefaultInstance= has no effect, lines.container is no template",
		"is left out, it is taken by",
		"is not a number, 0 is used",
		"unbalanced quotes",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no golden case logs %q", want)
		}
	}
}
