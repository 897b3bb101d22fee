// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// otherWays are the files that write without Write and Replace, each with what it writes: not
// what is kept, or with a way of its own that is as good.
var otherWays = map[string]string{
	"bundle/timezone.go":          "in the container's own tree",
	"cgroup":                      "the kernel's files",
	"cli/file.go":                 "archives, for whom they are written",
	"cli/globals.go":              "what goes to stdout",
	"cmd/artifact/extract.go":     "for who asked, aside and then renamed",
	"cmd/image/load.go":           "a copy of what comes through a pipe",
	"cmd/kube/generate.go":        "for who asked, without a name until it is whole",
	"cmd/quadlet/edit.go":         "a draft, for an editor",
	"cmd/system/autoupdate.go":    "a lock",
	"container/check.go":          "the kernel's files",
	"container/create.go":         "markers, empty or in the runtime directory",
	"container/engine.go":         "a lock",
	"container/event.go":          "an empty mark",
	"container/oci.go":            "the runtime directory",
	"container/volume.go":         "mount points in the runtime directory",
	"health/files.go":             "a lock in the runtime directory",
	"helper/helper.go":            "logs, which grow, and the runtime directory",
	"image/download/lock.go":      "a lock in the runtime directory",
	"image/download/note.go":      "a note that grows, synced at each line",
	"image/download/scratch.go":   "an empty mark",
	"image/download/workdir.go":   "downloads, whose digests are computed before they are used",
	"image/registry/commit.go":    "a download, whose digest is computed before it is used",
	"kube/play/volumes.go":        "a whole directory in the runtime directory",
	"ledger/ledger.go":            "puts aside what cannot be read",
	"manage/manage.go":            "as Write, with owner and mode of the file that it replaces",
	"netns":                       "the kernel's files",
	"network/files.go":            "the runtime directory",
	"network/joined.go":           "the runtime directory",
	"network/netavark/connect.go": "names in the runtime directory, made outside the directory that is read",
	"network/netavark/shared.go":  "mount points below a /run of its own",
	"network/network.go":          "the runtime directory",
	"network/tap.go":              "the kernel's files",
	"network/view.go":             "a mount point in a mount namespace of its own",
	"pod/pod.go":                  "puts out of sight what is removed",
	"pod/start.go":                "the runtime directory",
	"rootless/rootless.go":        "the runtime directory, under the lock of the list",
	"runc":                        "the runtime directory",
	"safe/take.go":                "an empty lock",
	"safe/write.go":               "here it is",
	"secret/give.go":              "memory that a container has",
	"service/boot.go":             "an empty mark",
	"service/connect.go":          "in place, since a container has it: hosts and resolv.conf",
	"service/idfile.go":           "an ID for who asked",
	"slack/slack.go":              "the kernel's files",
	"volume/fill.go":              "moves what is synced already",
	"volume/lock.go":              "puts out of sight what is removed",
	"volume/volume.go":            "a whole directory aside, synced before and after it is renamed",
}

// TestOneWay finds files that write what is kept in a way of their own.
func TestOneWay(t *testing.T) {
	writes := regexp.MustCompile(`\bos\.(WriteFile|Create|CreateTemp|Rename)\(|\bO_CREATE?\b|\b(root|own|base|dir)\.(WriteFile|Create|Rename)\(`)
	used := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/docs/write/") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !writes.Match(text) {
			return err
		}
		name := strings.TrimPrefix(filepath.ToSlash(path), "../")
		dir, _, _ := strings.Cut(name, "/")
		if otherWays[name] == "" && otherWays[dir] == "" {
			t.Errorf("%s writes in a way of its own: safe.Write is for what is kept, safe.Replace for the rest; or say here what it is", name)
		}
		used[name], used[dir] = true, true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range otherWays {
		if !used[name] {
			t.Errorf("%s is listed and does not write any more", name)
		}
	}
}
