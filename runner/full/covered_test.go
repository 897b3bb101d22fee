// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestEachDailyVerbHasACase: what people use daily or often is in a test that executes it.
func TestEachDailyVerbHasACase(t *testing.T) {
	cases := map[string]string{} // of "VERB" and "VERB --flag", where it is executed
	for where, text := range caseTexts(t) {
		for _, words := range commandsIn(text) {
			for _, one := range whatIsUsed(words) {
				if cases[one] == "" {
					cases[one] = where + ": " + strings.Join(words, " ")
				}
			}
		}
	}
	list, err := os.Open("testdata/daily.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	lines := bufio.NewScanner(list)
	seen := 0
	for lines.Scan() {
		verb, flags, ok := strings.Cut(lines.Text(), ":")
		if !ok || strings.HasPrefix(verb, "#") {
			continue
		}
		for _, one := range append([]string{""}, strings.Fields(flags)...) {
			key := verb
			if one != "" {
				key += " --" + one
			}
			seen++
			if cases[key] == "" {
				t.Errorf("no test executes podunit %s", key)
			}
			t.Logf("%s\t%s", key, cases[key])
		}
	}
	if err := lines.Err(); err != nil || seen < 200 {
		t.Errorf("%d of the list, %v", seen, err)
	}
}

// ours are verbs that Podman has not.
var ours = []string{
	"check", "cleanup", "completion bash", "completion fish", "completion powershell", "completion zsh", "doctor", "generate quadlet", "help",
	"play kube", "quadlet edit", "quadlet install", "quadlet list", "quadlet print", "quadlet rm",
}

// TestEachVerbIsBesidePodman: each verb that Podman has, too, is executed by both in a test that
// compares what they say.
func TestEachVerbIsBesidePodman(t *testing.T) {
	compared := map[string]bool{}
	for where, text := range caseTexts(t) {
		if !strings.Contains(where, "testdata/beside/") && !strings.HasPrefix(where, "runner/labtest/verbs_test.go:") {
			continue
		}
		if strings.HasPrefix(text, "+ ") {
			continue // which prepares, and is not compared
		}
		for _, words := range commandsIn(text) {
			for _, one := range whatIsUsed(words) {
				compared[one] = true
			}
		}
	}
	e := &cli.Env{Program: program(), Stdout: io.Discard, Stderr: io.Discard, Lookup: func(string) (string, bool) { return "", false }}
	var walk func(cmd *cobra.Command)
	seen := 0
	walk = func(cmd *cobra.Command) {
		for _, one := range cmd.Commands() {
			walk(one)
		}
		if cmd.HasSubCommands() || cmd.Hidden {
			return
		}
		seen++
		if path := pathOf(cmd); !compared[path] && !slices.Contains(ours, path) {
			t.Errorf("podunit %s is compared with Podman nowhere", path)
		}
	}
	walk(e.Root(""))
	if seen < 100 {
		t.Errorf("only %d verbs", seen)
	}
}

// caseTexts are the scripts that tests execute: the lines that are compared with Podman's, and the
// texts in tests.
func caseTexts(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := strings.TrimPrefix(path, "../../")
		switch {
		case strings.HasSuffix(path, "_test.go"):
			return stringsIn(path, func(line int, text string) { texts[name+":"+strconv.Itoa(line)] = text })
		case strings.Contains(path, "testdata/beside/"):
			b, err := os.ReadFile(path)
			for i, line := range strings.Split(string(b), "\n") {
				if !strings.HasPrefix(line, "~ ") && !strings.HasPrefix(line, "#") {
					texts[name+":"+strconv.Itoa(i+1)] = line
				}
			}
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// stringsIn gives the texts in a test of a lab to each.
func stringsIn(path string, each func(line int, text string)) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution|parser.ParseComments)
	if err != nil || !slices.ContainsFunc(file.Comments, func(c *ast.CommentGroup) bool { return c.List[0].Text == "//go:build lab" }) {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil && strings.Contains(text, " ") {
				each(files.Position(lit.Pos()).Line, text)
			}
		}
		return true
	})
	return nil
}

// commandsIn are the words of each command in a script, quotes taken away, that is podunit by one
// of its names.
func commandsIn(script string) [][]string {
	var all [][]string
	var words []string
	word, some := "", false
	flush := func() {
		if some {
			words = append(words, word)
		}
		word, some = "", false
	}
	end := func() {
		flush()
		at := slices.IndexFunc(words, func(w string) bool {
			return slices.Contains([]string{"podunit", "podman", "docker", "$P"}, w)
		})
		if at >= 0 && at+1 < len(words) {
			all = append(all, words[at:])
		}
		words = nil
	}
	quote := rune(0)
	for _, r := range script {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '\'' || r == '"':
			quote, some = r, true
		case r == ' ' || r == '\t':
			flush()
		case strings.ContainsRune("|;&()`\n", r):
			end()
		default:
			word, some = word+string(r), true
		}
	}
	end()
	return all
}

// synonyms are verbs with a word before them that are the same as others.
var synonyms = map[string]string{
	"image ls": "images", "image list": "images", "image rm": "rmi", "image pull": "pull", "image push": "push", "image save": "save", "image load": "load",
	"image build": "build", "builder build": "build", "buildx build": "build", "image history": "history", "image import": "import", "image tag": "tag", "image untag": "untag",
	"container ls": "ps", "container list": "ps", "container ps": "ps", "system info": "info", "system events": "events",
}

// pathOf is what a verb is called, without podunit and without a word before it that changes nothing.
func pathOf(cmd *cobra.Command) string {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	if short, ok := strings.CutPrefix(path, "container "); ok && short != "exists" && short != "prune" {
		return short
	}
	if same, ok := synonyms[path]; ok {
		return same
	}
	return path
}

// whatIsUsed is the verb of a command and each of its flags.
func whatIsUsed(words []string) []string {
	verb := ""
	if i := slices.IndexFunc(words[1:], func(w string) bool { return !strings.HasPrefix(w, "-") }); i >= 0 {
		verb = words[1+i]
	}
	e := &cli.Env{Program: program(), Stdout: io.Discard, Stderr: io.Discard, Lookup: func(string) (string, bool) { return "", false }}
	cmd, rest, err := e.Root(verb).Find(words[1:])
	if err != nil || !cmd.HasParent() {
		return nil
	}
	path := pathOf(cmd)
	used := []string{path}
	if cmd.DisableFlagParsing {
		// buildah's: what is a flag of its is so by its looks.
		for _, w := range rest {
			name, ok := map[string]string{"-t": "tag", "-f": "file"}[w]
			if !ok {
				name, _, _ = strings.Cut(strings.TrimPrefix(w, "--"), "=")
				ok = strings.HasPrefix(w, "--")
			}
			if ok {
				used = append(used, path+" --"+name)
			}
		}
		return used
	}
	_ = cmd.ParseFlags(rest) // what is before a mistake counts
	cmd.Flags().Visit(func(f *pflag.Flag) { used = append(used, path+" --"+f.Name) })
	return used
}
