// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/unitfile"
)

func input(name, text string) quadlet.Input {
	in := quadlet.Input{Path: "/etc/containers/systemd/" + name, Dir: "/etc/containers/systemd"}
	in.File, in.Faults = unitfile.Parse(in.Path, []byte(text))
	return in
}

// TestFlagOrFunction: a key is emitted by its flag or by a function of its own, and each one is emitted somehow.
// A unit that lacks the key must differ from one that has it.
func TestFlagOrFunction(t *testing.T) {
	needs := map[string]string{
		"Container": "Image=localhost/a\n", "Kube": "Yaml=a.yml\n", "Image": "Image=localhost/a\n",
		"Build": "ImageTag=localhost/a\nFile=./C\n[Service]\nWorkingDirectory=/w\n", "Artifact": "Artifact=localhost/a\n",
	}
	exec := func(text []byte) string {
		var lines []string
		for line := range strings.SplitSeq(string(text), "\n") {
			if strings.HasPrefix(line, "Exec") && !strings.HasPrefix(line, "Exec=") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "\n")
	}
	for _, s := range keys.Sections() {
		if s.Ext == "" {
			continue
		}
		for _, k := range s.Keys {
			if k.Flag == "" || s.Name+"."+k.Name == "Volume.Driver" {
				continue // Driver=image needs more than itself; the golden cases have it
			}
			base := "[" + s.Name + "]\n" + needs[s.Name]
			with := base + "[" + s.Name + "]\n" + k.Name + "=" + k.Example + "\n"
			a, _ := Generate([]quadlet.Input{input("x"+s.Ext, base)}, Options{})
			b, faults := Generate([]quadlet.Input{input("x"+s.Ext, with)}, Options{})
			if faults.Errors() > 0 {
				t.Errorf("[%s] %s=: %s", s.Name, k.Name, faults[0].Place())
				continue
			}
			if exec(a.Units[0].Text) == exec(b.Units[0].Text) {
				t.Errorf("[%s] %s= changes nothing", s.Name, k.Name)
			}
			if !strings.Contains(string(b.Units[0].Text), strings.TrimSuffix(k.Flag, "=")) {
				t.Errorf("[%s] %s= does not emit %s", s.Name, k.Name, k.Flag)
			}
		}
	}
}

// TestGoodAmongBad: a faulty file does not disturb its neighbours.
func TestGoodAmongBad(t *testing.T) {
	var good, all []quadlet.Input
	for i := range 50 {
		g := input(fmt.Sprintf("good%d.container", i), "[Container]\nImage=localhost/a\n[Install]\nWantedBy=default.target\n")
		good = append(good, g)
		all = append(all, g, input(fmt.Sprintf("bad%d.container", i), "[Container]\nImag=localhost/a\n[Install]\nWantedBy=default.target\n"))
	}
	alone, _ := Generate(good, Options{})
	mixed, faults := Generate(all, Options{})
	texts := map[string][]byte{}
	for _, u := range mixed.Units {
		texts[u.Name] = u.Text
	}
	for _, u := range alone.Units {
		if !bytes.Equal(u.Text, texts[u.Name]) {
			t.Errorf("%s changed", u.Name)
		}
	}
	if len(mixed.Units) != 100 || len(mixed.Links) != 100 {
		t.Errorf("%d units and %d links, want 100 and 100", len(mixed.Units), len(mixed.Links))
	}
	for i := range 50 {
		text := string(texts[fmt.Sprintf("bad%d.service", i)])
		if !strings.Contains(text, fmt.Sprintf("bad%d.container:2:1: error: unsupported key 'Imag'", i)) || !strings.Contains(text, "did you mean Image=?") {
			t.Errorf("bad%d does not say what is wrong:\n%s", i, text)
		}
	}
	if faults.Errors() < 50 {
		t.Errorf("%d errors", faults.Errors())
	}
}

// TestRefusedClaim: a file with an error does not take a service from a good file of another type.
func TestRefusedClaim(t *testing.T) {
	const good, bad, late = "[Kube]\nYaml=/a.yml\n[Install]\nWantedBy=default.target\n", "[Container]\nImag=x\n[Install]\nWantedBy=x.target\n", "[Container]\nImage=localhost/a\nPod=none.pod\n"
	for _, c := range []struct {
		name   string
		files  []quadlet.Input
		failed bool
		says   []string // severity: place
	}{
		{"the container has an error", []quadlet.Input{input("app.container", bad), input("app.kube", good)}, false, []string{"error: app.container", "error: app.container", "error: app.container", "warning: app.kube"}},
		{"the container has an error that conversion finds", []quadlet.Input{input("app.container", late), input("app.kube", good)}, false, []string{"error: app.container", "error: app.container", "warning: app.kube"}},
		{"the container needs what has an error", []quadlet.Input{input("app.container", "[Container]\nImage=b.image\n"), input("app.kube", good), input("b.image", "[Image]\n")}, false,
			[]string{"error: app.container", "error: app.container", "warning: app.kube", "error: b.image"}},
		{"both are good", []quadlet.Input{input("app.container", "[Container]\nImage=localhost/a\n"), input("app.kube", good)}, true, []string{"error: app.container", "error: app.kube"}},
		{"both have errors", []quadlet.Input{input("app.container", late), input("app.kube", "[Kube]\n")}, true, []string{"error: app.container", "error: app.container", "error: app.kube", "error: app.kube"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, faults := Generate(c.files, Options{User: true})
			found := 0
			for _, u := range out.Units {
				if u.Name == "app.service" {
					found++
					if u.Failed != c.failed || !c.failed && !strings.HasSuffix(u.Source, "app.kube") {
						t.Errorf("app.service comes from %s, failed: %t", u.Source, u.Failed)
					}
				}
			}
			if links := len(out.Links); found != 1 || !c.failed && (links != 1 || out.Links[0].Path != "default.target.wants/app.service") {
				t.Errorf("%d units, links %v", found, out.Links)
			}
			var says []string
			for _, f := range faults {
				says = append(says, f.Severity.String()+": "+f.Unit)
			}
			if !slices.Equal(says, c.says) {
				t.Errorf("said: %q", faults)
			}
		})
	}
	// What needs one of two good files that clash fails too.
	_, faults := Generate([]quadlet.Input{input("a.volume", ""), input("b.volume", "[Volume]\nServiceName=a-volume\n"), input("c.container", "[Container]\nImage=localhost/a\nVolume=a.volume:/d\n")}, Options{})
	if len(faults) != 3 || !strings.Contains(faults[2].Message, "needs a.volume, which has an error") {
		t.Errorf("%v", faults)
	}
}

func TestLongLines(t *testing.T) {
	word := strings.Repeat("x", 200<<10)
	_, faults := Generate([]quadlet.Input{input("w.container", "[Container]\nImage=localhost/a\nLabel=a="+word+"\n")}, Options{})
	if len(faults) == 0 || !strings.Contains(faults[0].Message, "longer than the 128 KiB") {
		t.Errorf("a word of 200 KiB: %v", faults)
	} else if got := faults[0].Pos; got.Line != 3 || got.Col != 1 {
		t.Errorf("a word of 200 KiB is told at %s, its key stands in line 3", got)
	}
	_, faults = Generate([]quadlet.Input{input("n.container", "[Container]\nImage=localhost/a\nContainerName="+word+"\n")}, Options{})
	if len(faults) == 0 || faults[0].Pos.Line != 3 {
		t.Errorf("a name of 200 KiB: %v", faults)
	}
	var b strings.Builder
	b.WriteString("[Container]\nImage=localhost/a\n")
	for i := range 100000 {
		fmt.Fprintf(&b, "Label=k%d=%d\n", i, i)
	}
	out, faults := Generate([]quadlet.Input{input("k.container", b.String())}, Options{})
	if len(faults) != 1 || !strings.Contains(faults[0].Message, "longer than the 1 MiB") || !out.Units[0].Failed {
		t.Errorf("100000 keys: %v", faults)
	}
}

// TestProvenance: each key that the example of a row sets is known to be where some word of a command comes from, and
// the words are those of the unit.
func TestProvenance(t *testing.T) {
	// What a key of these needs beside itself, and the keys that shape the unit without a word of a command.
	beside := map[string]string{
		"Group": "User=a\n", "Gateway": "Subnet=10.0.0.0/8\n", "IPRange": "Subnet=10.0.0.0/8\n", "RemapUid": "RemapUsers=manual\n", "RemapGid": "RemapUsers=manual\n",
		"Type": "Device=/a\n", "SetWorkingDirectory": "File=a\n",
	}
	silent := []string{"ServiceName", "StartWithPod", "NetworkDeleteOnStop", "RemapUidSize", "RemapUsers", "SetWorkingDirectory",
		"Group", "Image.ImageTag", "Kube.RemapUid", "Kube.RemapGid"}
	others := []quadlet.Input{input("front.network", "[Network]\n"), input("media.pod", "[Pod]\n")}
	for _, s := range keys.Sections() {
		if s.Ext == "" {
			continue
		}
		for _, k := range s.Keys {
			text := "[" + s.Name + "]\n" + map[string]string{
				"Container": "Image=localhost/a\n", "Kube": "Yaml=a.yml\n", "Image": "Image=localhost/a\n", "Build": "ImageTag=localhost/a\n[Service]\nWorkingDirectory=/w\n[Build]\n", "Artifact": "Artifact=localhost/a\n",
			}[s.Name] + beside[k.Name] + k.Name + "=" + k.Example + "\n"
			if s.Name == "Volume" && k.Name == "Image" {
				text += "Driver=image\n"
			}
			set, made := Convert(append([]quadlet.Input{input("x"+s.Ext, text)}, others...), Options{Exists: func(string) bool { return true }})
			from := map[string]bool{}
			for _, cmd := range made[0].Commands {
				for i, w := range cmd.Words {
					if w.Line != nil {
						from[w.Line.Key] = true
						if w.Off < 0 || w.End > len(w.Line.Value) || i == 0 {
							t.Errorf("[%s] %s=: word %q is at %d to %d of %q", s.Name, k.Name, w.Text, w.Off, w.End, w.Line.Value)
						}
					}
				}
				texts := make([]string, len(cmd.Words))
				for i, w := range cmd.Words {
					texts[i] = w.Text
				}
				if made[0].Text != nil && !strings.Contains(string(made[0].Text), unitfile.Join(texts[1:])+"\n") {
					t.Errorf("[%s] %s=: the unit has no command %q", s.Name, k.Name, texts)
				}
			}
			if !from[k.Name] && !slices.Contains(silent, k.Name) && !slices.Contains(silent, s.Name+"."+k.Name) {
				t.Errorf("[%s] %s=%s: no word comes from it; %v", s.Name, k.Name, k.Example, set.Units[0].Report)
			}
		}
	}
}

// FuzzGenerate: no input panics; what comes out parses again, has a name that systemd takes, and is always the same.
func FuzzGenerate(f *testing.F) {
	f.Add("a.container", "[Container]\nImage=b.image\nVolume=c.volume:/d\nNetwork=a.container\nPod=p.pod\n", "b.image", "[Image]\nImage=x\n")
	f.Add("a@.container", "[Container]\nImage=x\nMount=type=bind,source=\"a\n[Install]\nWantedBy=x\nAlias=../y", "p.pod", "[Pod]\n")
	f.Add("a.build", "[Build]\nImageTag=x\nSetWorkingDirectory=file\nFile=%h/x\n", "a.kube", "[Kube]\nYaml=\"a b\"\n")
	f.Add("a.network", "[Network]\nSubnet=1\nGateway=2\nGateway=3", "a.volume", "[Volume]\nServiceName=a\x01b\nUser=root\n")
	f.Fuzz(func(t *testing.T, nameA, a, nameB, b string) {
		var in []quadlet.Input
		for _, x := range [][2]string{{nameA, a}, {nameB, b}} {
			i := strings.LastIndexByte(x[0], '.')
			if i < 0 || keys.ByExt(x[0][i:]) == nil || strings.ContainsAny(x[0], "/\x00") || len(x[0]) > 250 {
				t.Skip()
			}
			in = append(in, input(x[0], x[1]))
		}
		if nameA == nameB {
			t.Skip()
		}
		out, faults := Generate(in, Options{})
		if again, _ := Generate(in, Options{}); !same(out, again) {
			t.Fatal("two runs differ")
		}
		for _, u := range out.Units {
			if strings.ContainsAny(u.Name, "/\x00") || len(u.Name) > 255 || !strings.HasSuffix(u.Name, ".service") {
				t.Fatalf("name %q", u.Name)
			}
			if bytes.IndexByte(u.Text, 0) >= 0 {
				t.Fatalf("%s contains a NUL byte", u.Name)
			}
			if _, bad := unitfile.Parse(u.Name, u.Text); len(bad) > 0 {
				t.Fatalf("%s does not parse: %s\n%q", u.Name, bad[0].Place(), u.Text)
			}
		}
		for _, l := range out.Links {
			if strings.HasPrefix(l.Path, "/") || l.Path == ".." || strings.HasPrefix(l.Path, "../") || strings.ContainsRune(l.Path, 0) {
				t.Fatalf("link %q", l.Path)
			}
		}
		for _, d := range faults {
			if strings.ContainsAny(d.Line(), "\n\x00\x1b") {
				t.Fatalf("report %q is more than a line of text", d.Line())
			}
		}
	})
}

func same(a, b Output) bool {
	if len(a.Units) != len(b.Units) || len(a.Links) != len(b.Links) {
		return false
	}
	for i := range a.Units {
		if a.Units[i].Name != b.Units[i].Name || !bytes.Equal(a.Units[i].Text, b.Units[i].Text) {
			return false
		}
	}
	for i := range a.Links {
		if a.Links[i] != b.Links[i] {
			return false
		}
	}
	return true
}

func BenchmarkGenerate(b *testing.B) {
	for _, n := range []int{1, 100, 1000, 5000} {
		in := make([]quadlet.Input, n)
		for i := range in {
			in[i] = input(fmt.Sprintf("web%d.container", i), fmt.Sprintf("[Unit]\nDescription=Service %d\nAfter=network.target\n\n"+
				"[Container]\nImage=docker.io/library/nginx:1.29\nPublishPort=%d:80\nEnvironment=TZ=Asia/Shanghai A=b\n"+
				"Volume=%%h/data:/data:z\nLabel=app=web%d\nHealthCmd=/bin/true\n\n[Service]\nRestart=always\n\n[Install]\nWantedBy=default.target\n", i, 1000+i, i))
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				out, faults := Generate(in, Options{User: true})
				if len(out.Units) != n || len(faults) != 0 {
					b.Fatal(faults)
				}
			}
		})
	}
}

// TestManyFaults: what is wrong a hundred thousand times is told in bounded time, and not a hundred thousand times.
func TestManyFaults(t *testing.T) {
	var files []quadlet.Input
	for i := range 1000 {
		files = append(files, input(fmt.Sprintf("some-volume-%d.volume", i), "[Install]\nAlias=same.service\n"))
	}
	for name, line := range map[string]string{
		"missing": "Volume=sume-volume-%d.volume:/d\n", "escape": "Secret=\\%%%d\n", "quote": "Sysctl=\"%d\n", "unknown": "Key%d=1\n", "port": "ExposeHostPort=%d/x\n",
	} {
		var b strings.Builder
		b.WriteString("[Container]\nImage=localhost/a\n")
		for i := range 100000 {
			fmt.Fprintf(&b, line, i+1000)
		}
		files = append(files, input(name+".container", b.String()))
	}
	start := time.Now()
	out, faults := Generate(files, Options{})
	if took := time.Since(start); took > time.Minute {
		t.Errorf("took %s", took)
	}
	if len(faults) > 2000 || len(out.Units) != 1005 {
		t.Errorf("%d reports, %d units", len(faults), len(out.Units))
	}
	failed := 0
	for _, u := range out.Units {
		if u.Failed {
			failed++
		}
	}
	if failed != 3 {
		t.Errorf("%d units failed, want 3", failed)
	}
}

// TestRuntimeDirectory: a system unit with User= has a runtime directory made for the user,
// in which all processes of the user look. It is there for all units of the user, so that the
// end of one must not take it away, and the file's own directories stay what they are.
func TestRuntimeDirectory(t *testing.T) {
	uid := func(name string) (int, bool) { return 1003, name == "dave" }
	for service, want := range map[string]string{
		"[Service]\nUser=dave\n":   "podunit-user/1003",
		"[Service]\nUser=1234\n":   "podunit-user/1234",
		"[Service]\nUser=nobody\n": "", // an account that /etc/passwd does not have
		"[Service]\nUser=root\n":   "",
		"[Service]\nUser=%i\n":     "",
		"":                         "",
		"[Service]\nUser=dave\nRuntimeDirectory=own\nRuntimeDirectoryPreserve=no\n": "podunit-user/1003",
	} {
		for name, text := range map[string]string{"a.container": "[Container]\nImage=localhost/a\n", "a.pod": "[Pod]\n", "a.volume": "[Volume]\n"} {
			out, _ := Generate([]quadlet.Input{input(name, text+service)}, Options{UID: uid})
			got := string(out.Units[0].Text)
			for _, line := range []string{"RuntimeDirectory=" + want, "RuntimeDirectoryMode=0700", "RuntimeDirectoryPreserve=yes"} {
				if has := strings.Contains(got, "\n"+line+"\n"); has != (want != "") {
					t.Errorf("%s with %q: %s is there: %v\n%s", name, service, line, has, got)
				}
			}
			if strings.Contains(got, "user-runtime-dir@") || strings.Contains(got, "RuntimeDirectoryPreserve=no") {
				t.Errorf("%s with %q depends on a login, or on one of the user's units:\n%s", name, service, got)
			}
			own := "own"
			if name == "a.pod" && !strings.Contains(service, "RuntimeDirectory=") {
				own = "%N" // for its PID file
			}
			if has := strings.Contains(got, "\nRuntimeDirectory="+own+"\n"); want != "" && has != (own == "%N" || strings.Contains(service, "=own")) {
				t.Errorf("%s with %q: its own directory %s is there: %v\n%s", name, service, own, has, got)
			}
			if user, _ := Generate([]quadlet.Input{input(name, text+service)}, Options{User: true, UID: uid}); strings.Contains(string(user.Units[0].Text), "podunit-user") {
				t.Errorf("%s of a user's manager, with %q, asks for what only the system has", name, service)
			}
		}
	}
}
