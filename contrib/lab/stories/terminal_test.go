// SPDX-License-Identifier: Apache-2.0

//go:build lab

package stories

import (
	_ "embed"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/machine"
)

//go:embed terminal.py
var person string

// terminal: a user at a shell, whose cgroup no manager has delegated, sits down at a container.
func terminal(t *testing.T, l *labtest.Lab) {
	const user = "frank"
	newUser(l, user)
	l.WriteFile(user, "terminal.py", person)
	const image = "localhost:5000/busybox"
	l.MustRun(user, "podunit pull -q "+image)
	story := func(name string, tell func(*testing.T, *labtest.Lab)) {
		t.Run(name, func(t *testing.T) { tell(t, l.For(t)) })
	}
	story("podunit run -it: size, Ctrl-C, exit status", func(t *testing.T, l *labtest.Lab) {
		l.MustRun(user, "python3 terminal.py podunit run --rm -it "+image+" sh")
	})
	story("without a network it is the same", func(t *testing.T, l *labtest.Lab) {
		l.MustRun(user, "python3 terminal.py podunit run --rm -it --network none "+image+" sh")
	})
	story("podunit exec -it: size, Ctrl-C, exit status", func(t *testing.T, l *labtest.Lab) {
		l.MustRun(user, `podunit run -q -d --name box --network none --stop-timeout 100 `+image+` sleep 1000
			python3 terminal.py podunit exec -it box sh`)
	})
	story("stop and rm keep to the time they are given", func(t *testing.T, l *labtest.Lab) {
		start := time.Now()
		l.MustRun(user, `podunit stop -t 1 box; podunit start box; podunit rm -f -t 0 box`)
		if took := time.Since(start); took > time.Minute { // not its 100 seconds
			t.Errorf("it took %v", took)
		}
	})
	story("a container whose terminal is closed ends", func(t *testing.T, l *labtest.Lab) {
		l.MustRun(user, "HANGUP=yes python3 terminal.py podunit run --rm -it --network none --stop-timeout 1 "+image+" sh")
		l.Eventually(user, `[ -z "$(podunit ps -aq)" ]`, time.Minute)
	})
	story("one in the background has a terminal as well", func(t *testing.T, l *labtest.Lab) {
		l.MustRun(user, "podunit run -q -dit --name far --network none "+image+" sh -c 'tty; echo said; exec sh'")
		want := "/dev/pts/0\nsaid"
		if out := l.Eventually(user, "podunit logs far | grep -B1 said", time.Minute); out != want {
			t.Errorf("got %q, want %q", out, want)
		}
		l.MustRun(user, "podunit exec far true && podunit rm -f -t 0 far")
	})
	story("without a terminal it reads and writes pipes", func(t *testing.T, l *labtest.Lab) {
		stdout, stderr, code := l.Command(machine.Command{
			User: user, Args: []string{"podunit", "run", "--rm", "-i", "--network", "none", image, "sh"},
			Stdin: strings.NewReader("echo out; echo err >&2; echo again >/dev/stderr; cat; exit 7\nsome\ninput"),
		})
		if stdout != "out\nsome\ninput" && stdout != "out\n" || stderr != "err\nagain\n" || code != 7 {
			t.Errorf("stdout %q, stderr %q, status %d", stdout, stderr, code)
		}
		for args, want := range map[string]int{"true": 0, "false": 1, "no-such-command": 127, "/etc/passwd": 126} {
			if _, _, code := l.Run(user, "podunit run --rm --network none "+image+" "+args); code != want {
				t.Errorf("%s: status %d, want %d", args, code, want)
			}
		}
		if _, _, code := l.Run(user, "podunit run --rm no-such-image true"); code != 125 {
			t.Errorf("no such image: status %d, want 125", code)
		}
	})
	nothingLeft(t, l, user)
}
