// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// buildTags are those of the Makefile.
const buildTags = "apparmor containers_image_openpgp exclude_graphdriver_btrfs netgo osusergo"

// TestAppArmorIsLinked: without a tag, the library that knows AppArmor says that no kernel has it,
// and every profile is refused.
func TestAppArmorIsLinked(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(makefile), "\nTAGS := "+buildTags+"\n") {
		t.Errorf("the tags of the Makefile are not %q", buildTags)
	}
	out, err := exec.Command("go", "list", "-tags", buildTags, "-f", "{{.GoFiles}}", "go.podman.io/common/pkg/apparmor").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "apparmor_linux.go") {
		t.Errorf("%s, %v", out, err)
	}
}

// TestTheSmallProgramIsSmall lists what the program that services execute must not link in: each of
// these initializes itself before main runs, in every start.
func TestTheSmallProgramIsSmall(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-tags", buildTags, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	linked := strings.Fields(string(out))
	if len(linked) < 100 {
		t.Fatalf("%d packages", len(linked))
	}
	for _, heavy := range []string{ // packages, and what lies below a / at the end
		"google.golang.org/", "go.opentelemetry.io/", "github.com/sigstore/", "github.com/ProtonMail/", "github.com/distribution/",
		"github.com/docker/distribution/", "github.com/moby/moby/api/", "github.com/containers/ocicrypt", "go.podman.io/image/",
		"go.podman.io/common/libimage", "github.com/podunit/podunit/generator/keys",
		"github.com/podunit/podunit/runner/image/registry", "github.com/podunit/podunit/runner/kube/manifest", "sigs.k8s.io/", "k8s.io/",
	} {
		for _, p := range linked {
			if p == heavy || strings.HasSuffix(heavy, "/") && strings.HasPrefix(p, heavy) {
				t.Errorf("%s is linked into the small program", p)
			}
		}
	}
}

// TestTheSmallProgramUsesOneProcessor has this test's program, which links what the small one does,
// run once more where three are allowed. Go tells which packages it initializes, one after the other.
// The program with all verbs, which pulls, uses those that there are.
func TestTheSmallProgramUsesOneProcessor(t *testing.T) {
	const again = "PODUNIT_TEST_AGAIN"
	if os.Getenv(again) != "" {
		fmt.Println(runtime.GOMAXPROCS(0), "processors")
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), again+"=yes", "GOMAXPROCS=3", "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1 processors\n") {
		t.Errorf("%v\n%s", err, out)
	}
	ours := strings.Index(string(out), "/runner/single @")
	for _, later := range []string{"errors", "os", "github.com/opencontainers/go-digest"} {
		if i := strings.Index(string(out), "init "+later+" @"); ours < 0 || i < ours {
			t.Errorf("%s is initialized before runner/single\n%s", later, out)
		}
	}
	all, err := exec.Command("go", "list", "-deps", "-tags", buildTags, "./full").CombinedOutput()
	if err != nil || len(all) == 0 || strings.Contains(string(all), "/runner/single\n") {
		t.Errorf("%v\n%s", err, all)
	}
}

// TestPromisesNameTheirTests: what security.md says in italics is the name of a test, or what a lab
// test calls one of its stories.
func TestPromisesNameTheirTests(t *testing.T) {
	page, err := os.ReadFile("../contrib/doc/security.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, dir := range []string{".", "../contrib/lab", "../generator"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			data, err := os.ReadFile(path)
			tests.Write(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	text := strings.Join(strings.Fields(regexp.MustCompile(`(?s)\*\*.*?\*\*`).ReplaceAllString(string(page), "")), " ")
	names := regexp.MustCompile(`\*([^*]+)\*`).FindAllStringSubmatch(text, -1)
	if len(names) < 100 {
		t.Fatalf("%d names", len(names))
	}
	for _, n := range names {
		if !strings.Contains(tests.String(), "func "+n[1]+"(") && !strings.Contains(tests.String(), `"`+n[1]) && !strings.Contains(tests.String(), "/"+n[1]+`"`) {
			t.Errorf("there is no test %q", n[1])
		}
	}
}
