// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
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
