// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"bufio"
	"embed"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/machine"
)

// The lines that podunit and Podman are given, a file for each kind of verbs. In them,
//
//	# ...             says what comes
//	+ COMMAND         prepares, and is not judged
//	COMMAND           is judged: what it prints, its status, and whether it says why it fails
//	= COMMAND         is judged, and so are the words of its error
//	> COMMAND         is judged; podunit may print lines that Podman does not
//	~ WHAT: REASON    below a command: what of it (output, error, status, with commas between) is
//	                  meant to be otherwise, and why. It fails the test when nothing is otherwise.
//	                  "~ root WHAT: REASON" is so for root alone, "~ user WHAT: REASON" for all others.
//
// The lines of root.txt are for root alone; those of more.txt run with PODUNIT_LAB_EVERYDAY=all only.
//
//go:embed testdata/beside/*.txt
var beside embed.FS

//go:embed testdata/beside.sh
var besideScript string

// A besideCase is a line that is judged.
type besideCase struct {
	kind    string // = or >, or nothing
	command string
	meant   map[string]string // what is meant to be otherwise, and why
}

// readBeside gives the cases of a file by the number of their lines, with what is meant to be
// otherwise for root or for another user.
func readBeside(t *testing.T, text string, root bool) map[int]besideCase {
	t.Helper()
	cases := map[int]besideCase{}
	last := 0
	for i, line := range strings.Split(text, "\n") {
		switch {
		case line == "", strings.HasPrefix(line, "#"), strings.HasPrefix(line, "+ "):
		case strings.HasPrefix(line, "~ "):
			what, why, ok := strings.Cut(strings.TrimPrefix(line, "~ "), ": ")
			if !ok || last == 0 {
				t.Fatalf("line %d: %q is not WHAT: REASON below a command", i+1, line)
			}
			what, forRoot := strings.CutPrefix(what, "root ")
			what, forUsers := strings.CutPrefix(what, "user ")
			if forRoot && !root || forUsers && root {
				continue
			}
			for part := range strings.SplitSeq(what, ", ") {
				if !slices.Contains(besideParts, part) {
					t.Fatalf("line %d: %q is none of %q", i+1, part, besideParts)
				}
				cases[last].meant[part] = why
			}
		default:
			last = i + 1
			c := besideCase{command: line, meant: map[string]string{}}
			if line[:2] == "= " || line[:2] == "> " {
				c.kind, c.command = line[:1], line[2:]
			}
			cases[last] = c
		}
	}
	return cases
}

var besideParts = []string{"output", "error", "status"}

// TestLabEveryday is what people do all day, in one lab.
func TestLabEveryday(t *testing.T) {
	l := boot(t, labtest.Options{})
	prepareBeside(l, "alice")
	prepareBeside(l, "bob")
	l.MustRun("alice", "ln -s $(command -v podunit) bin/podman")
	t.Run("beside podman", func(t *testing.T) { besidePodman(t, l) })
	t.Run("a build", func(t *testing.T) { realBuild(t, l) })
	t.Run("documented lines", func(t *testing.T) { documentedLines(t, l, "alice") })
	t.Run("in shells", func(t *testing.T) { inShells(t, l) })
	t.Run("upkeep", func(t *testing.T) { upkeep(t, l) })
}

// besidePodman gives the same lines to podunit, which alice calls podman, and to Podman, which bob
// does: each of the two has a storage of its own.
func besidePodman(t *testing.T, l *Lab) {
	for _, file := range besideFiles(t) {
		if file != "root.txt" && (file != "more.txt" || everydayWhole()) {
			t.Run(strings.TrimSuffix(file, ".txt"), func(t *testing.T) {
				compareBeside(t, file, besideSide{l, "alice", 1}, besideSide{l, "bob", 2})
			})
		}
	}
}

// TestLabEverydayOfRoot gives the lines to root, who has podunit in one lab, by the name podman,
// and Podman in another. PODUNIT_LAB_EVERYDAY=all has it take all of them, and those of popular
// images' pages; else it takes those that are for root alone.
func TestLabEverydayOfRoot(t *testing.T) {
	ours := boot(t, labtest.Options{})
	peers := boot(t, labtest.Options{Name: fmt.Sprintf("everydayofroot-peer-%d", os.Getpid()), Bare: true})
	for _, l := range []*Lab{ours, peers} {
		prepareBeside(l, "root")
	}
	ours.MustRun("root", "ln -s $(command -v podunit) bin/podman")
	for _, file := range besideFiles(t) {
		if file == "root.txt" || everydayWhole() {
			t.Run(strings.TrimSuffix(file, ".txt"), func(t *testing.T) {
				compareBeside(t, file, besideSide{ours, "root", 1}, besideSide{peers, "root", 1})
			})
		}
	}
	if everydayWhole() {
		t.Run("documented lines", func(t *testing.T) { documentedLines(t, ours, "root") })
	}
}

// everydayWhole tells whether all lines are asked for, and not only those of CI.
func everydayWhole() bool { return os.Getenv("PODUNIT_LAB_EVERYDAY") == "all" }

// prepareBeside makes what the lines need in a user's home directory.
func prepareBeside(l *Lab, user string) {
	l.WriteFile(user, ".config/containers/containers.conf", "[containers]\npids_limit=0\n[engine]\nruntime=\"runc\"\n")
	l.WriteFile(user, "beside.sh", besideScript)
	l.MustRun(user, "mkdir -p work bin")
}

// besideFiles are the files with lines, in their order.
func besideFiles(t *testing.T) []string {
	t.Helper()
	files, err := beside.ReadDir("testdata/beside")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		names = append(names, file.Name())
	}
	return names
}

// A besideSide is one of the two that the lines are given to: a user, and the digit that his ports
// begin with.
type besideSide struct {
	lab   *Lab
	user  string
	digit int
}

// compareBeside gives the lines of a file to both, at the same time, and judges what they said.
func compareBeside(t *testing.T, file string, ours, peers besideSide) {
	text, err := beside.ReadFile("testdata/beside/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var said [2]map[int]map[string]string
	var wg sync.WaitGroup
	for i, side := range []besideSide{ours, peers} {
		wg.Go(func() { said[i] = runBeside(side.lab.on(t), side.user, side.digit, string(text)) })
	}
	wg.Wait()
	for n, c := range readBeside(t, string(text), ours.user == "root") {
		judgeBeside(t, fmt.Sprintf("%s:%d", file, n), c, said[0][n], said[1][n])
	}
	for _, side := range []besideSide{ours, peers} {
		side.lab.on(t).MustRun(side.user, "PATH=~/bin:$PATH; podman pod rm -fa -t 0; podman rm -fa -t 0")
	}
}

// judgeBeside compares what the two said to a line.
func judgeBeside(t *testing.T, where string, c besideCase, ours, peers map[string]string) {
	t.Helper()
	if ours == nil || peers == nil {
		t.Errorf("%s: %s\nwas not run by both", where, c.command)
		return
	}
	same := map[string]bool{
		"output": ours["output"] == peers["output"] || c.kind == ">" && hasLines(ours["output"], peers["output"]),
		"status": ours["status"] == peers["status"],
		"error":  ours["error"] == peers["error"] || c.kind != "=" && (ours["error"] != "" || peers["status"] == "0" || peers["error"] == ""),
	}
	for _, part := range besideParts {
		switch why, meant := c.meant[part]; {
		case meant && same[part]:
			t.Errorf("%s: %s\nthe %s is the same, and should not be: %s", where, c.command, part, why)
		case !meant && !same[part]:
			t.Errorf("%s: %s\n%s of podunit:\n%s\n%s of podman:\n%s\nthe errors:\n%s%s", where, c.command, part, ours[part], part, peers[part], ours["error"], peers["error"])
		}
	}
}

// hasLines tells whether all lines of some are among those of all.
func hasLines(all, some string) bool {
	lines := strings.Split(all, "\n")
	for line := range strings.SplitSeq(some, "\n") {
		if !slices.Contains(lines, line) {
			return false
		}
	}
	return true
}

// runBeside gives the lines to the podman of a user and returns what it said to each, by the number
// of the line.
func runBeside(l *Lab, user string, n int, text string) map[int]map[string]string {
	said := map[int]map[string]string{}
	out, stderr, _ := l.Command(machine.Command{
		User:    user,
		Args:    []string{fmt.Sprintf("cd work; export PATH=~/bin:$PATH I=%s N=%d USER=%s tmp=/tmp/beside-%s; . ~/beside.sh", image, n, user, user)},
		Stdin:   strings.NewReader(text),
		Timeout: 10 * time.Minute,
	})
	if stderr != "" {
		l.t.Errorf("%s: %s", user, stderr)
	}
	var last map[string]string
	lines := bufio.NewScanner(strings.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		kind, rest, _ := strings.Cut(lines.Text(), " ")
		switch kind {
		case "C":
			var line int
			if _, err := fmt.Sscan(rest, &line); err != nil {
				l.t.Errorf("%s: %q: %v", user, lines.Text(), err)
			}
			last = map[string]string{}
			said[line] = last
		case "O":
			last["output"] += plainBeside(rest) + "\n"
		case "E":
			// The way out of an error is podunit's alone, and what its libraries log Podman's.
			if !strings.HasPrefix(rest, "  hint: ") && !strings.HasPrefix(rest, `time="`) {
				last["error"] += plainBeside(rest) + "\n"
			}
		case "S":
			last["status"] = rest
		case "T":
			l.t.Errorf("%s: line %s was not done after a minute", user, rest)
		}
	}
	return said
}

// besideVaries is what differs between two users and two moments, and what stands for it.
var besideVaries = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "ID"},
	{regexp.MustCompile(`\b[0-9a-f]{25}\b`), "ID25"}, // of a secret
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "ID12"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?([+-]\d\d:?\d\d|Z))?( [A-Z]{3,4})?`), "TIME"},
	{regexp.MustCompile(`(\d+|About an?|Less than a) (second|minute|hour)s?`), "A WHILE"},
	{regexp.MustCompile(`\b(alice|bob)\b`), "USER"},
	{regexp.MustCompile(`\b100[01]\b`), "UID"},
	{regexp.MustCompile(`\b[12](87\d\d)\b`), "$1"},
	{regexp.MustCompile(`\s{2,}`), "  "},
	{regexp.MustCompile(`\s+$`), ""},
}

func plainBeside(line string) string {
	for _, v := range besideVaries {
		line = v.from.ReplaceAllString(line, v.to)
	}
	return line
}
