// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/generator/convert"
	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/unitfile"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestVerbsOfOthers(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // there is no buildah in it
	for line, want := range map[string]string{
		"farm build":                "there is no podunit farm\n  hint: podunit works on this machine only",
		"container checkpoint web":  "there is no podunit container checkpoint\n  hint: a service that keeps its state",
		"container init web":        "there is no podunit container init\n  hint: podunit start CONTAINER",
		"image mount x":             "there is no podunit image mount\n  hint: podunit create IMAGE",
		"volume reload x":           "podunit volume reload takes no arguments",
		"network update a":          "network update wants --dns-add or --dns-drop",
		"attach --detach-keys a x":  "--detach-keys a: not here\n  hint: nothing that is typed leaves a container alone",
		"push --sign-by-sigstore a": "--sign-by-sigstore a: not here\n  hint: skopeo copy --sign-by-sigstore",
		"system service":            "there is no podunit system service\n  hint: there is no socket",
		"build -t x .":              "buildah, which builds images, is not installed\n  hint: apt install buildah",
		"buildx build -t x .":       "buildah, which builds images, is not installed\n  hint: apt install buildah",
		"builder build .":           "buildah, which builds images, is not installed\n  hint: apt install buildah",
		"builder prune":             "there is no podunit builder prune\n  hint: buildah prune",
		"stopp web":                 "there is no podunit stopp\n  hint: did you mean podunit stop?",
		"image pul x":               "there is no podunit image pul\n  hint: did you mean podunit image pull?",
		"frobnicate":                "there is no podunit frobnicate\n  hint: podunit --help lists the verbs",
		"ps web":                    "podunit ps takes no arguments: \"web\"\n  hint: podunit ps [flags]",
		"start":                     "podunit start needs an argument\n  hint: podunit start [flags] CONTAINER...",
		"tag x":                     "podunit tag needs 2 arguments, there is 1",
		"images x y":                "podunit images takes no more than 1: \"y\"",
		"stop --tme 3 web":          "unknown flag --tme; did you mean --time?",
		"--runtime=crun frobnicate": "there is no podunit frobnicate",
	} {
		var stderr bytes.Buffer
		e := &cli.Env{Program: program(), Stdout: &stderr, Stderr: &stderr, Lookup: func(string) (string, bool) { return "", false }}
		if code := cli.Run(context.Background(), e, strings.Fields(line)); code != cli.ExitRunner || !strings.HasPrefix(stderr.String(), "podunit: error: "+want) {
			t.Errorf("%s: exit status %d\n%s\nwant %s", line, code, &stderr, want)
		}
	}
}

// TestDoctorHeedsGlobalFlags, though it begins where no other verb would.
func TestDoctorHeedsGlobalFlags(t *testing.T) {
	var out bytes.Buffer
	e := &cli.Env{Program: program(), Stdout: &out, Stderr: &out, Lookup: func(string) (string, bool) { return "", false }}
	code := cli.Run(context.Background(), e, []string{"--log-level", "bogus", "doctor"})
	if code != 1 || !strings.Contains(out.String(), `log level "bogus" is not supported`) {
		t.Errorf("status %d: %s", code, &out)
	}
}

// TestTheShellIsOffered no files where none are meant.
func TestTheShellIsOffered(t *testing.T) {
	for line, want := range map[string]string{
		"run --network":           "pasta none host container: ns: :4",
		"run --pull":              "always missing newer never :4",
		"run --restart":           "no on-failure always unless-stopped :4",
		"pod create --restart":    "no on-failure always unless-stopped :4",
		"kill -s":                 "HUP INT QUIT KILL USR1 USR2 TERM CONT STOP WINCH :4",
		"run --stop-signal":       "HUP INT QUIT KILL USR1 USR2 TERM WINCH :4",
		"run --name":              ":4",
		"run --hostname":          ":4",
		"run --env":               ":4",
		"stop --time":             ":4",
		"run --env-file":          ":0",
		"run --volume":            ":0",
		"run --cidfile":           ":0",
		"rm --cidfile":            ":0",
		"pull --policy":           "always missing newer never :4",
		"pull --authfile":         ":0",
		"inspect --type":          "all container image pod volume :4",
		"run localhost/a":         ":0",
		"create localhost/a true": ":0",
		"exec web":                ":0",
	} {
		var out, stderr bytes.Buffer
		e := &cli.Env{Program: program(), Stdout: &out, Stderr: &stderr, Lookup: func(string) (string, bool) { return "", false }}
		words := append([]string{"__completeNoDesc"}, append(strings.Fields(line), "")...)
		if code := cli.Run(context.Background(), e, words); code != 0 || strings.Join(strings.Fields(out.String()), " ") != want {
			t.Errorf("%s: status %d, got %s\nwant %s\n%s", line, code, strings.Fields(out.String()), want, &stderr)
		}
	}
}

// TestWhatTheShellIsOfferedIsTaken: the parser takes each value that is whole.
func TestWhatTheShellIsOfferedIsTaken(t *testing.T) {
	for _, flag := range []string{
		"--cgroups", "--health-on-failure", "--image-volume", "--ipc", "--log-driver", "--network", "--pid", "--pull", "--restart", "--sdnotify",
		"--stop-signal", "--systemd", "--userns", "--uts",
	} {
		var out bytes.Buffer
		e := &cli.Env{Program: program(), Stdout: &out, Stderr: &out, Lookup: func(string) (string, bool) { return "", false }}
		if code := cli.Run(context.Background(), e, []string{"__completeNoDesc", "run", flag, ""}); code != 0 {
			t.Fatalf("%s: %s", flag, &out)
		}
		offered := 0
		for value := range strings.FieldsSeq(out.String()) {
			if strings.HasPrefix(value, ":") || strings.HasSuffix(value, ":") || value == "Completion" {
				if value == "Completion" {
					break
				}
				continue
			}
			offered++
			set := pflag.NewFlagSet("run", pflag.ContinueOnError)
			flags := spec.ContainerFlags(set)
			if err := set.Parse([]string{flag, value, "localhost/a"}); err != nil {
				t.Errorf("%s %s: %v", flag, value, err)
				continue
			}
			if _, err := flags.Container(set.Args(), spec.Host{}); err != nil {
				t.Errorf("%s %s: %v", flag, value, err)
			}
		}
		if offered == 0 {
			t.Errorf("%s: nothing is offered: %s", flag, &out)
		}
	}
}

// A verb that is there must not be said to be absent.
func TestAbsentVerbsAreAbsent(t *testing.T) {
	root := (&cli.Env{Program: program()}).Root("")
	for _, verb := range cli.AbsentVerbs() {
		words := strings.Fields(verb)
		cmd, rest, _ := root.Find(words)
		if cmd != root && len(rest) == 0 {
			t.Errorf("there is a verb %s", verb)
		}
	}
}

// TestTheManualNamesEachVerb that people are to type.
func TestTheManualNamesEachVerb(t *testing.T) {
	manual, err := os.ReadFile("../../contrib/doc/podunit.1")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(manual), `\-`, "-")
	for _, cmd := range (&cli.Env{Program: program()}).Root("").Commands() {
		named := regexp.MustCompile(`(?m)^\.B[R]? .*\b` + regexp.QuoteMeta(cmd.Name()) + `\b`)
		if !cmd.Hidden && cmd.Name() != "completion" && !named.MatchString(page) {
			t.Errorf("contrib/doc/podunit.1 does not name %s", cmd.Name())
		}
	}
}

// verb runs a command line.
func verb(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	e := &cli.Env{Program: program(), Stdout: &out, Stderr: &errs, Lookup: func(string) (string, bool) { return "", false }}
	status = cli.Run(context.Background(), e, args)
	return status, out.String(), errs.String()
}

func TestHelpKeys(t *testing.T) {
	if status, stdout, _ := verb("help", "keys", "PodName"); status != 0 || !strings.Contains(stdout, "in [Pod]") {
		t.Errorf("%d %s", status, stdout)
	}
	if status, stdout, _ := verb("help", "check"); status != 0 || !strings.Contains(stdout, "--strict") {
		t.Errorf("%d %s", status, stdout)
	}
	if status, _, stderr := verb("help", "keys", "PodNam"); status == 0 || !strings.Contains(stderr, "did you mean PodName?") {
		t.Errorf("%d %s", status, stderr)
	}
}

// TestRunnerTakesGeneratedFlags: each flag that a key becomes is one that the runner's verb knows.
func TestRunnerTakesGeneratedFlags(t *testing.T) {
	root := (&cli.Env{Program: program()}).Root("")
	verbs := map[string][]string{
		"Container": {"run"}, "Pod": {"pod", "create"}, "Kube": {"kube", "play"}, "Volume": {"volume", "create"}, "Network": {"network", "create"},
		"Image": {"image", "pull"}, "Build": {"build"}, "Artifact": {"artifact", "pull"},
	}
	needs := map[string]string{"Container": "Image=localhost/a\n", "Kube": "Yaml=a\n", "Image": "Image=localhost/a\n", "Build": "ImageTag=a\nSetWorkingDirectory=unit\n", "Artifact": "Artifact=localhost/a\n"}
	for _, s := range keys.Sections() {
		path := verbs[s.Name]
		if path == nil {
			continue
		}
		cmd, rest, err := root.Find(path)
		if err != nil || len(rest) > 0 || cmd == root {
			t.Logf("the runner has no %s yet", strings.Join(path, " "))
			continue
		}
		for _, k := range s.Keys {
			if k.Flag == "" {
				continue
			}
			if flag := strings.TrimPrefix(strings.TrimSuffix(k.Flag, "="), "--"); cmd.Flags().Lookup(flag) == nil {
				t.Errorf("%s does not know --%s, which [%s] %s= becomes", strings.Join(path, " "), flag, s.Name, k.Name)
			}
		}
		in := quadlet.Input{Path: "/x" + s.Ext, Dir: "/"}
		in.File, _ = unitfile.Parse(in.Path, []byte("["+s.Name+"]\n"+needs[s.Name]))
		out, _ := convert.Generate([]quadlet.Input{in}, convert.Options{})
		for line := range strings.SplitSeq(string(out.Units[0].Text), "\n") {
			command, ok := strings.CutPrefix(line, "Exec")
			if !ok || strings.HasPrefix(command, "=") {
				continue
			}
			_, command, _ = strings.Cut(command, "=")
			words, err := unitfile.SplitArgs(command)
			if err != nil {
				t.Fatal(err)
			}
			sub, args, err := root.Find(unitfile.Texts(words[1:]))
			if err != nil || sub == root {
				t.Errorf("the runner has no verb for: %s", command)
				continue
			}
			sub.InitDefaultHelpFlag()
			if err := sub.ParseFlags(args); err != nil {
				t.Errorf("%s: %v", command, err)
			}
		}
	}
}

// TestLimitsOfPodsAreKnown: the flags that make the generator give a pod a slice are those that pod
// create has for its limits.
func TestLimitsOfPodsAreKnown(t *testing.T) {
	flags := pflag.NewFlagSet("pod create", pflag.ContinueOnError)
	spec.PodFlags(flags)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Value.Type() == "bool" {
			return
		}
		one := pflag.NewFlagSet("one", pflag.ContinueOnError)
		asked := spec.PodFlags(one)
		for _, value := range []string{"1", "100", "1g", "0-1", "/dev/sda:100"} {
			if one.Parse([]string{"--" + f.Name + "=" + value}) != nil {
				continue
			}
			p, err := asked.Pod([]string{"media"}, spec.Host{Dir: "/"})
			if p == nil || !p.Limits.Any() {
				continue
			}
			t.Logf("--%s=%s: %v", f.Name, value, err)
			names := []string{"--" + f.Name}
			if f.Shorthand != "" {
				names = append(names, "-"+f.Shorthand)
			}
			for _, name := range names {
				if !slices.Contains(convert.PodLimits, name) {
					t.Errorf("the generator does not know %s", name)
				}
			}
		}
	})
	for _, name := range convert.PodLimits {
		name = strings.TrimLeft(name, "-")
		if f := flags.Lookup(name); f != nil && !f.Hidden {
			continue
		}
		if len(name) > 1 || flags.ShorthandLookup(name) == nil {
			t.Errorf("pod create has no %s", name)
		}
	}
}

// TestPlainVerbs: the constructor in runner/rootless/enter.c and Go are of one mind about verbs that
// need no namespaces.
func TestPlainVerbs(t *testing.T) {
	source, err := os.ReadFile("../rootless/enter.c")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)plain\[\] = \{(.*?)\}`).FindSubmatch(source)
	if list == nil {
		t.Fatal("enter.c has no list of plain verbs")
	}
	var inC []string
	for _, m := range regexp.MustCompile(`"(.*?)"`).FindAllSubmatch(list[1], -1) {
		inC = append(inC, string(m[1]))
	}
	inGo := []string{"completion", "help"} // cobra's
	for _, v := range program().Verbs {
		if v.Plain {
			inGo = append(inGo, v.Name)
		}
	}
	slices.Sort(inC)
	slices.Sort(inGo)
	if !slices.Equal(inC, inGo) {
		t.Errorf("in C %q, in Go %q", inC, inGo)
	}
}

// TestUnitsDir: the directory that the generator has made for a unit's user is where the
// runner looks.
func TestUnitsDir(t *testing.T) {
	in := quadlet.Input{Path: "/q/a.container", Dir: "/q"}
	in.File, _ = unitfile.Parse(in.Path, []byte("[Container]\nImage=localhost/a\n[Service]\nUser=1234\n"))
	out, _ := convert.Generate([]quadlet.Input{in}, convert.Options{})
	if want := "\nRuntimeDirectory=" + filepath.Base(rootless.UnitsDir) + "/1234\n"; filepath.Dir(rootless.UnitsDir) != "/run" || !strings.Contains(string(out.Units[0].Text), want) {
		t.Errorf("the runner looks in %s; want %q in\n%s", rootless.UnitsDir, want, out.Units[0].Text)
	}
}

// TestVerbsFindByService reads the verbs: where one takes a container or pod as people name it, the
// name of a service will do, so it calls Find, FindPod or NameOf. Lookup is for IDs, for names from
// NameOf, and for exists, which answers whether there is a container or pod of that name.
func TestVerbsFindByService(t *testing.T) {
	lookup := regexp.MustCompile(`\.(?:Containers|Pods)\.Lookup\(([^)]*)\)`)
	ids := regexp.MustCompile(`\bid$|\.ID$`)
	found := 0
	for _, tree := range []string{"../cmd", "../cli", "../kube/dump"} {
		err := filepath.WalkDir(tree, func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "exists.go" {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range lookup.FindAllStringSubmatch(string(text), -1) {
				found++
				if !ids.MatchString(m[1]) && !strings.Contains(string(text), ".NameOf(") {
					t.Errorf("%s: Lookup(%s) knows no services: Find, FindPod and NameOf do", path, m[1])
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Error("no call was found: they are looked for in the wrong place")
	}
}

// TestHiddenVerbsAreTraced: no help lists the verbs that only services and timers execute, so the lab
// has a list of those that must run under strace.
func TestHiddenVerbsAreTraced(t *testing.T) {
	text, err := os.ReadFile("../labtest/strace_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "var hiddenVerbs = []string{")
	list, _, _ = strings.Cut(list, "}")
	seen := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if _, verb, _ := strings.Cut(cmd.CommandPath(), " "); cmd.Hidden && !cmd.HasSubCommands() && verb != "container cleanup" { // that is cleanup again
			seen++
			if !strings.Contains(list, `"`+verb+`"`) {
				t.Errorf("podunit %s is not in hiddenVerbs of labtest/strace_test.go", verb)
			}
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk((&cli.Env{Program: program()}).Root(""))
	if seen != strings.Count(list, `"`)/2 {
		t.Errorf("%d hidden verbs, and a list of %s", seen, list)
	}
}
