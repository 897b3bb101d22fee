// SPDX-License-Identifier: Apache-2.0

//go:build lab

package stories

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// entry of the journal, as journalctl -o json --all has it.
type entry struct {
	Priority   string          `json:"PRIORITY"`
	Identifier string          `json:"SYSLOG_IDENTIFIER"`
	Unit       string          `json:"_SYSTEMD_USER_UNIT"`
	Container  string          `json:"CONTAINER_NAME"`
	Partial    string          `json:"CONTAINER_PARTIAL_MESSAGE"`
	Message    json.RawMessage `json:"MESSAGE"` // a string, or an array of bytes if it is not UTF-8
}

func (e entry) text() string {
	var s string
	if json.Unmarshal(e.Message, &s) == nil {
		return s
	}
	var numbers []int
	if json.Unmarshal(e.Message, &numbers) != nil {
		return string(e.Message)
	}
	b := make([]byte, len(numbers))
	for i, n := range numbers {
		b[i] = byte(n)
	}
	return string(b)
}

// said is what the container of a user's unit wrote.
func said(t *testing.T, l *labtest.Lab, user, unit string) (list []entry) {
	t.Helper()
	for line := range strings.SplitSeq(l.MustRun(user, "journalctl --user --quiet --output=json --all --output-fields=PRIORITY,SYSLOG_IDENTIFIER,_SYSTEMD_USER_UNIT,CONTAINER_NAME,CONTAINER_PARTIAL_MESSAGE,MESSAGE --unit="+unit), "\n") {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %.200s", err, line)
		}
		if e.Container != "" {
			list = append(list, e)
		}
	}
	return list
}

// burst is what a container writes to test its logs. Between the last line and its end there is
// nothing.
const burst = `seq 1 100000 | sed "s/^/out /"
seq 1 1000 | sed "s/^/err /" >&2
echo "by name" >/dev/stderr
head -c 100000 /dev/zero | tr '\0' a; echo
head -c 2000000 /dev/zero | tr '\0' b; echo
printf 'no UTF-8: \377\n'
printf 'no newline at the end'
`

func journal(t *testing.T, l *labtest.Lab) {
	const user = "erin"
	newUser(l, user)
	l.WriteFile(user, "burst.sh", burst)
	quadlet(l, user, "web.container", "[Container]\nImage=localhost:5000/nginx\nPublishPort=8080:80\n")
	loud := "[Container]\nImage=localhost:5000/%s\nNetwork=none\nVolume=%%h/burst.sh:/burst.sh:ro\nEntrypoint=sh\nExec=/burst.sh\n[Service]\nRemainAfterExit=yes\n"
	quadlet(l, user, "burst.container", fmt.Sprintf(loud, "busybox"))
	// USER redis. The image's check asks a server that does not run here, and what it comes to is
	// told in the journal.
	quadlet(l, user, "burst-redis.container", fmt.Sprintf(loud, "redis")+"[Container]\nHealthCmd=none\n")
	l.MustRun(user, "systemctl --user daemon-reload; systemctl --user start web")
	story := func(name string, tell func(*testing.T, *labtest.Lab)) {
		t.Run(name, func(t *testing.T) { tell(t, l.For(t)) })
	}
	story("nginx logs through /dev/stdout and /dev/stderr", func(t *testing.T, l *labtest.Lab) {
		l.Eventually(user, "curl -fsS -o /dev/null localhost:8080/", time.Minute)
		l.MustRun(user, "curl -s -o /dev/null localhost:8080/nowhere")
		l.Eventually(user, "journalctl --user -q -u web -p err -o cat | grep -q 'nowhere.*No such file'", time.Minute)
		for _, e := range said(t, l, user, "web") {
			access := strings.Contains(e.text(), `"GET /`) && strings.Contains(e.text(), "HTTP/1.1\" ")
			if access && e.Priority != "6" || strings.Contains(e.text(), "No such file") && e.Priority != "3" {
				t.Errorf("priority %s: %s", e.Priority, e.text())
			}
			if e.Identifier != "web" || e.Unit != "web.service" || e.Container != "systemd-web" {
				t.Errorf("identifier %q, unit %q, container %q: %s", e.Identifier, e.Unit, e.Container, e.text())
			}
		}
	})
	for unit, who := range map[string]string{"burst": "root", "burst-redis": "another user"} {
		story("100,000 lines at once are all there, in order, written by "+who, func(t *testing.T, l *labtest.Lab) {
			l.MustRun(user, "systemctl --user start "+unit)
			l.Eventually(user, `[ "$(systemctl --user show -P SubState `+unit+`)" = exited ]`, 5*time.Minute)
			// The last ones of both streams, between which there is no order.
			for _, last := range []string{"by name", "no newline at the end"} {
				l.Eventually(user, "journalctl --user -q -o cat -u "+unit+" MESSAGE='"+last+"' | grep .", 5*time.Minute)
			}
			complete(t, said(t, l, user, unit))
		})
	}
	story("log keys of systemd hold for a container", func(t *testing.T, l *labtest.Lab) {
		for name, keys := range map[string]string{
			"apart":  "User=1000\n[Service]\nStandardOutput=append:%h/apart.log\nStandardError=journal\n",
			"lone":   "User=1000\n[Service]\nStandardOutput=append:%h/lone.log\n",
			"tagged": "[Service]\nSyslogIdentifier=myid\nLogLevelMax=debug\n",
			"filed":  "LogDriver=passthrough\n[Service]\nStandardOutput=append:%h/filed.log\n",
			"named":  "LogDriver=passthrough\n[Service]\nSyslogIdentifier=myid\n",
		} {
			quadlet(l, user, name+".container", "[Container]\nImage=localhost:5000/busybox\nNetwork=none\nStopSignal=KILL\nExec=sh -c 'echo said; echo wrong >&2; exec sleep 1000'\n"+keys)
		}
		l.MustRun(user, "systemctl --user daemon-reload; systemctl --user start apart lone tagged filed named")
		json := func(unit, message string) string {
			return "journalctl --user -q -o json -u " + unit + " MESSAGE=" + message + ` | jq -r '"\(.SYSLOG_IDENTIFIER) \(.CONTAINER_NAME)"'`
		}
		l.Eventually(user, json("apart", "wrong")+" | grep -x 'apart systemd-apart'", time.Minute)
		l.Eventually(user, json("tagged", "said")+" | grep -x 'myid systemd-tagged'", time.Minute)
		l.Eventually(user, json("named", "said")+" | grep -x 'myid null'", time.Minute)
		l.Eventually(user, "grep -x said apart.log && grep -x said filed.log", time.Minute)
		// The files stay the user's, and whoever stops a container can start it again.
		l.MustRun(user, "systemctl --user restart apart lone")
		l.Eventually(user, "[ $(grep -cx said apart.log) = 2 ] && [ $(grep -cx said lone.log) = 2 ] && [ $(grep -cx wrong lone.log) = 2 ]", time.Minute)
		l.Eventually(user, "podunit logs systemd-apart 2>&1 | grep -x wrong", time.Minute)
		if out := l.MustRun(user, "stat -c %U apart.log lone.log; podunit logs systemd-apart 2>&1; podunit logs systemd-lone 2>&1; true"); !strings.HasPrefix(out, user+"\n"+user+"\n") ||
			!strings.Contains(out, "see StandardOutput= of apart.service\nwrong\n") || !strings.Contains(out, "see StandardOutput= of lone.service") {
			t.Errorf("%s", out)
		}
		// One that the runner itself waits for.
		quadlet(l, user, "once.container", "[Container]\nImage=localhost:5000/busybox\nNetwork=none\nUser=1000\nExec=echo done\n[Service]\nType=oneshot\nStandardOutput=append:%h/once.log\n")
		l.MustRun(user, "systemctl --user daemon-reload; systemctl --user start once && systemctl --user start once")
		l.Eventually(user, "[ $(grep -cx done once.log) = 2 ]", time.Minute)
		l.MustRun(user, "systemctl --user stop apart lone tagged filed named; systemctl --user reset-failed")
		out := l.MustRun(user, json("apart", "said")+"; "+json("filed", "said")+"; podunit check .config/containers/systemd/{apart,tagged,filed,named}.container 2>&1; true")
		if strings.Count(out, "has no effect") != 1 || strings.Count(out, "tagged.container:") != 1 || strings.Contains(out, "said") || strings.Contains(out, "systemd-") {
			t.Errorf("%s", out)
		}
	})
	story("podunit logs -f follows", func(t *testing.T, l *labtest.Lab) {
		out := l.MustRun(user, `podunit logs -f --tail 1 systemd-web >followed 2>errors &
			for i in $(seq 300); do [ -s followed ] || [ -s errors ] && break; sleep 0.1; done
			curl -s -o /dev/null localhost:8080/followed
			for i in $(seq 300); do grep -q 'GET /followed' followed && grep -q followed errors && break; sleep 0.1; done
			systemctl --user stop web; wait; cat followed; echo --; cat errors`)
		stdout, stderr, _ := strings.Cut(out, "--\n")
		if !strings.Contains(stdout, `"GET /followed`) || !strings.Contains(stderr, "followed\" failed") {
			t.Errorf("stdout and stderr of podunit logs -f: %s", out)
		}
	})
	story("podunit logs of one that runs shows all lines", func(t *testing.T, l *labtest.Lab) {
		l.MustRun(user, `podunit run -q -d --name many --network none localhost:5000/busybox sh -c 'seq 1 5000; echo end >&2; sleep 1000'`)
		l.MustRun(user, "seq 1 5000 >want")
		l.Eventually(user, `podunit logs many 2>errors | cmp - want && grep -q end errors`, time.Minute)
		l.MustRun(user, "podunit rm -f -t 0 many")
	})
	l.MustRun(user, "systemctl --user stop burst burst-redis")
	nothingLeft(t, l, user)
}

// complete checks the entries that burst must have made.
func complete(t *testing.T, all []entry) {
	t.Helper()
	var out, errs int
	var rest, named []string
	partial := ""
	for _, e := range all {
		text := e.text()
		switch {
		case strings.HasPrefix(text, "out "):
			out++
			if e.Priority != "6" || text != fmt.Sprint("out ", out) {
				t.Fatalf("line %d of stdout is %q at priority %s", out, text, e.Priority)
			}
		case strings.HasPrefix(text, "err "):
			errs++
			if e.Priority != "3" || text != fmt.Sprint("err ", errs) {
				t.Fatalf("line %d of stderr is %q at priority %s", errs, text, e.Priority)
			}
		case e.Priority == "3":
			named = append(named, text)
		case e.Partial != "" || strings.HasPrefix(text, "b") && partial != "" && len(rest) == 1:
			partial += text // a line of more than 1 MiB comes in pieces; all but the last are marked
		default:
			rest = append(rest, e.Priority+" "+text)
		}
	}
	if out != 100000 || errs != 1000 {
		t.Errorf("%d lines of stdout, %d of stderr", out, errs)
	}
	if partial != strings.Repeat("b", 2000000) {
		t.Errorf("the longest line: %d bytes", len(partial))
	}
	if !slices.Equal(named, []string{"by name"}) {
		t.Errorf("other lines of stderr: %.200q", named)
	}
	want := []string{"6 " + strings.Repeat("a", 100000), "6 no UTF-8: \xff", "6 no newline at the end"}
	if len(rest) != len(want) {
		t.Fatalf("%d other lines: %.200q", len(rest), rest)
	}
	for i := range want {
		if rest[i] != want[i] {
			t.Errorf("line %d: got %.100q, want %.100q", i, rest[i], want[i])
		}
	}
}
