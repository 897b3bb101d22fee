// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	_ "embed"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/machine"
)

// Scripts that tell what Tab gives after each line that they get; the one for zsh gets what is
// waited for, too.
var (
	//go:embed testdata/tab.bash
	tabInBash string
	//go:embed testdata/tab.fish
	tabInFish string
	//go:embed testdata/tab.zsh
	tabInZsh string
)

// inShells presses Tab in the shells that podunit has words for.
func inShells(t *testing.T, l *Lab) {
	l = l.on(t)
	l.MustRun("alice", "podunit pull -q localhost:5000/busybox; podunit create --name tab-container localhost:5000/busybox; podunit volume create tab-volume; podunit network create tab-network; podunit pod create --name tab-pod; "+
		"podunit tag localhost:5000/busybox localhost/tab-image; printf s | podunit secret create tab-secret -")
	tabs := [][2]string{
		{"podunit sto", "stop"},
		{"podunit start tab-c", "tab-container"},
		{"podunit logs --timest", "--timestamps"},
		{"podunit volume rm tab-v", "tab-volume"},
		{"podunit network inspect tab-n", "tab-network"},
		{"podunit pod start tab-p", "tab-pod"},
		{"podunit rmi localhost/tab-i", "localhost/tab-image"},
		{"podunit secret rm tab-s", "tab-secret"},
		{"podunit run --pull alw", "always"},
		{"podunit run --network tab-n", "tab-network"},
		{"podunit run --secret tab-s", "tab-secret"},
		{"podunit cp tab-c", "tab-container"},
		{"podunit kube generate tab-p", "tab-pod"},
	}
	for shell, script := range map[string]string{"bash": tabInBash, "fish": tabInFish, "zsh": tabInZsh} {
		t.Run(shell, func(t *testing.T) {
			l := l.on(t)
			l.WriteFile("alice", "tab", script)
			args := []string{shell, "tab"}
			if shell == "zsh" {
				args = []string{shell, "-f", "tab"}
			}
			for _, c := range tabs {
				args = append(args, c[0])
				if shell == "zsh" {
					args = append(args, c[1])
				}
			}
			out, stderr, _ := l.Command(machine.Command{User: "alice", Args: args, Timeout: 5 * time.Minute})
			var words []string
			for line := range strings.Lines(out) {
				word, _, _ := strings.Cut(strings.TrimSpace(line), "\t") // fish says what it is
				words = append(words, strings.TrimSpace(word))
			}
			for _, c := range tabs {
				if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, c[1]) }) { // an image has its tag, too
					t.Errorf("after %q there is no %s: %q; %s", c[0], c[1], words, stderr)
				}
			}
		})
	}
	l.MustRun("alice", "podunit rm tab-container; podunit pod rm tab-pod; podunit volume rm tab-volume; podunit network rm tab-network; podunit secret rm tab-secret; podunit rmi localhost/tab-image")
}
