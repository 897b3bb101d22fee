// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	_ "embed"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// The program that prints what a container is, from inside.
//
//go:embed testdata/probe/probe.sh
var probeScript string

// The sets of options that it is given. The file says how it is written.
//
//go:embed testdata/probe/sets.txt
var probeSets string

// probeImage is where the probe is pushed to in the lab's registry.
const probeImage = "localhost:5000/probe:latest"

// A probeSet is a set of options, and what is meant to be otherwise under it.
type probeSet struct {
	user, script string
	short        bool // in the short form of the test, too
	meant        []meantLine
}

// A meantLine is a kind of lines in which podunit and Podman differ on purpose.
type meantLine struct {
	pattern *regexp.Regexp
	seen    *bool
}

// readProbeSets gives the sets, and the lines that differ under all of them.
func readProbeSets(t *testing.T, text string) (sets []*probeSet, everywhere []meantLine) {
	t.Helper()
	for i, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "~ "); ok {
			pattern, _, ok := strings.Cut(rest, ": ")
			if !ok {
				t.Fatalf("sets.txt:%d: %q is not PATTERN: REASON", i+1, rest)
			}
			re, err := regexp.Compile(pattern)
			if err != nil {
				t.Fatalf("sets.txt:%d: %v", i+1, err)
			}
			m := meantLine{re, new(bool)}
			if len(sets) == 0 {
				everywhere = append(everywhere, m)
			} else {
				last := sets[len(sets)-1]
				last.meant = append(last.meant, m)
			}
			continue
		}
		rest, short := strings.CutPrefix(line, "*")
		user, options, _ := strings.Cut(rest, " ")
		script, whole := strings.CutPrefix(options, "! ")
		if !whole {
			script = "podman run --rm --name probed " + options + " $P"
		}
		sets = append(sets, &probeSet{user: user, script: script, short: short})
	}
	return sets, everywhere
}

// TestLabProbe compares, fact by fact, what containers of podunit and of Podman are from inside.
// PODUNIT_LAB_PROBE=all has it take all sets of options; else it takes those that have a star.
func TestLabProbe(t *testing.T) {
	sets, everywhere := readProbeSets(t, probeSets)
	whole := os.Getenv("PODUNIT_LAB_PROBE") == "all"
	l := boot(t, labtest.Options{})
	makeProbe(l)
	for _, s := range sets {
		if !whole && !s.short {
			continue
		}
		t.Run(s.user+" "+s.script, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() { // what a set leaves has the names of the next one's
					l.on(t).Run(s.user, "for engine in podunit /usr/bin/podman; do $engine rm -f -t 0 probed; $engine pod rm -f -t 0 pp; done")
				}
			})
			ours := runProbe(l.on(t), s, "podunit")
			peers := runProbe(l.on(t), s, "/usr/bin/podman")
			diff := missingLines("podunit", ours, peers) + missingLines("podman", peers, ours)
			for line := range strings.Lines(diff) {
				line = strings.TrimSuffix(line, "\n")
				if !isMeant(line, s.meant) && !isMeant(line, everywhere) {
					t.Error(line)
				}
			}
			for _, m := range s.meant {
				if !*m.seen {
					t.Errorf("no line with %q differs", m.pattern)
				}
			}
		})
	}
	if whole {
		for _, m := range everywhere {
			if !*m.seen {
				t.Errorf("under no set, a line with %q differs", m.pattern)
			}
		}
	}
}

// makeProbe makes the probe's image, and what its options name.
func makeProbe(l *Lab) {
	l.t.Helper()
	l.WriteFile("alice", "probe.sh", probeScript)
	l.MustRun("alice", `
		podunit create -q --name make `+image+` >/dev/null
		chmod 755 probe.sh; podunit cp probe.sh make:/probe
		podunit commit -q -c 'ENTRYPOINT ["/bin/sh", "/probe"]' -c CMD= -c ENV=PROBE=image -c WORKDIR=/srv make `+probeImage+` >/dev/null
		podunit rm make >/dev/null; podunit push -q --tls-verify=false `+probeImage)
	for _, user := range []string{"alice", "root"} {
		conf := "[containers]\npids_limit=0\n[engine]\nruntime=\"runc\"\n"
		l.WriteFile(user, ".config/containers/containers.conf", conf)
		l.WriteFile(user, "file.env", "FROM_FILE=yes\n")
		l.MustRun(user, `mkdir -p dir; echo x >dir/file; podunit pull -q `+probeImage+`; printf hidden | podunit secret create s1 -; podunit volume create named`)
	}
}

// runProbe returns what the probe prints under an engine: lines that begin with a word that says
// what they tell of.
func runProbe(l *Lab, s *probeSet, engine string) []string {
	l.t.Helper()
	env := "P=" + probeImage + "; podman() { B=passed " + engine + " \"$@\"; }; cd\n"
	out, stderr, status := l.Run(s.user, env+s.script+" 2>&1")
	if status != 0 || strings.Count(out, "\n") < 100 {
		l.t.Fatalf("%s: status %d\n%s%s", engine, status, out, stderr)
	}
	host := strings.Fields(l.MustRun(s.user, "readlink /proc/self/ns/*"))
	var lines []string
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\r\n ")
		if strings.HasPrefix(line, `time="`) {
			continue // what Podman's libraries log
		}
		if ns, ok := strings.CutPrefix(line, "namespace "); ok {
			kind, _, _ := strings.Cut(ns, ":")
			if slices.Contains(host, ns) {
				line = "namespace " + kind + " the host's"
			} else {
				line = "namespace " + kind + " its own"
			}
		}
		for _, v := range probeVaries {
			line = v.from.ReplaceAllString(line, v.to)
		}
		lines = append(lines, line)
	}
	return lines
}

// probeVaries is what differs from one container to the next, and what stands for it.
var probeVaries = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "ID"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "ID32"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "ID12"},
	{regexp.MustCompile(`(,?)(lowerdir|upperdir|workdir)=[^,]*`), ""},
	{regexp.MustCompile(`\b(pipe|socket):\[\d+\]`), "$1"},
	{regexp.MustCompile(`fe80::[0-9a-f:]+(.*?)(?: tentative)?( \\)?$`), "fe80::X$1"},
	{regexp.MustCompile(`\b(group|session)=\d{3,}`), "$1=of the machine"},                  // with --pid host
	{regexp.MustCompile(`\bgroup=([2-9]|\d\d) session=1\b`), "group=of a child session=1"}, // of --init, after as many threads of the runtime as there were
	// These are kept beside the container, wherever that is; the other flags are those of the file
	// system there.
	{regexp.MustCompile(`^(mount /(?:etc/(?:hosts|hostname|resolv\.conf|passwd|group|localtime)|run/\.containerenv)) \w+ (r[ow])(?:,nosuid,nodev)?(,noexec)?.*`), "$1 $2$3"},
}

// missingLines returns the lines of a that b has not, each with a word in front.
func missingLines(word string, a, b []string) string {
	count := map[string]int{}
	for _, line := range b {
		count[line]++
	}
	var out strings.Builder
	for _, line := range a {
		if count[line]--; count[line] < 0 {
			fmt.Fprintln(&out, word, line)
		}
	}
	return out.String()
}

func isMeant(line string, meant []meantLine) bool {
	for _, m := range meant {
		if m.pattern.MatchString(line) {
			*m.seen = true
			return true
		}
	}
	return false
}
