// SPDX-License-Identifier: Apache-2.0

//go:build lab

package stories

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// systemManager: the same files in /etc/containers/systemd, run by root, and with User= by somebody
// who is not logged in, does not linger and so has no manager of his own (dave), or has one beside
// (grace).
func systemManager(t *testing.T, l *labtest.Lab) {
	const dir = "/etc/containers/systemd/"
	newUser(l, "grace")
	ports := map[string][2]int{"root": {8081, 8091}, "grace": {8082, 8092}, "dave": {8083, 8093}}
	units := func(user string) []string { return []string{user + "-web", user + "-pod", user + "-member"} }
	for user, port := range ports {
		service := ""
		if user != "root" {
			service = "[Service]\nUser=" + user + "\n"
		}
		l.WriteFile("root", dir+user+"-web.container", fmt.Sprintf("[Container]\nImage=localhost:5000/nginx\nPublishPort=%d:80\n%s", port[0], service))
		l.WriteFile("root", dir+user+".pod", fmt.Sprintf("[Pod]\nPublishPort=%d:80\n%s", port[1], service))
		l.WriteFile("root", dir+user+"-member.container", fmt.Sprintf("[Container]\nImage=localhost:5000/nginx\nPod=%s.pod\n%s", user, service))
	}
	l.MustRun("root", "systemctl daemon-reload")
	if l.MustRun("root", "loginctl show-user dave 2>/dev/null; ls -d /run/user/1003 2>/dev/null; true") != "" {
		t.Fatal("dave is logged in: the test proves nothing")
	}
	// Somebody else has the name of the place that there once was for the state of such units.
	l.MustRun("bob", "mkdir -m 777 /tmp/podunit-run-1003")
	for user, port := range ports {
		t.Run("run by "+user, func(t *testing.T) {
			l := l.For(t)
			all := strings.Join(units(user), " ")
			if user == "grace" {
				// One of her own manager's runs from before she has a system unit for the first time.
				quadlet(l, user, "own.container", "[Container]\nImage=localhost:5000/nginx\nNetwork=none\n")
				l.MustRun(user, "systemctl --user daemon-reload; systemctl --user start own; podunit exec systemd-own true")
			}
			l.MustRun("root", "systemctl start "+user+"-web "+user+"-pod")
			l.Active("root", units(user)...)
			for _, p := range port {
				l.Eventually("root", fmt.Sprintf("curl -fsS --max-time 3 -o /dev/null localhost:%d/ && curl -fsS --max-time 3 -o /dev/null %s:%d/", p, l.Machine.Address(), p), 2*time.Minute)
			}
			for _, u := range []string{user + "-web", user + "-member"} {
				l.Eventually("root", "journalctl -q -o cat -p info -u "+u+` | grep -q 'GET / HTTP'`, 2*time.Minute)
				pid := property(l, "root", u, "MainPID")
				out := l.MustRun("root", fmt.Sprintf("ps -o comm=,user=,ppid= -p %s", pid))
				if got := strings.Join(strings.Fields(out), " "); got != "nginx "+user+" 1" {
					t.Errorf("%s: name, user and parent of the main process: %s", u, got)
				}
			}
			if user == "grace" {
				// It is safe where it runs, and a restart moves it to the others.
				_, said, code := l.Run(user, "podunit rm -f systemd-own")
				if code != 125 || !strings.Contains(said, "belongs to the runtime directory /run/user/") || !strings.Contains(said, "systemctl --user restart") {
					t.Errorf("status %d, %s", code, said)
				}
				l.MustRun(user, "systemctl --user is-active own; systemctl --user restart own; podunit exec systemd-own true")
				if got := strings.Fields(l.MustRun(user, "podunit ps --format {{.Names}} | grep -v infra | sort")); !slices.Equal(got, []string{"systemd-grace-member", "systemd-grace-web", "systemd-own"}) {
					t.Errorf("she sees %q", got)
				}
				l.MustRun(user, "systemctl --user stop own")
			}
			// The pod and its member go on alone when somebody kills one of them.
			if user == "dave" {
				// A login of his sees the same containers, and when it ends they go on.
				out := l.MustRun("root", "loginctl enable-linger dave && until [ -d /run/user/1003 ]; do sleep 0.1; done && runuser -l dave -c 'XDG_RUNTIME_DIR=/run/user/1003 podunit ps --format {{.Names}}={{.State}}' && loginctl disable-linger dave")
				for _, name := range []string{"systemd-dave-web=running", "systemd-dave-member=running"} {
					if !strings.Contains(out, name) {
						t.Errorf("after his login dave sees %q, want %s", out, name)
					}
				}
				l.Eventually("root", "systemctl is-active user@1003; [ $? != 0 ]", time.Minute)
				l.Eventually("root", "[ ! -e /run/user/1003 ]", time.Minute)
				l.MustRun("root", "! systemctl is-active "+all+" | grep -v -x active")
			}
			// A restart of the only member does not end the pod, to which its start is bound.
			l.MustRun("root", "systemctl restart "+user+"-member && ! systemctl is-active "+all+" | grep -v -x active")
			before := mainPIDs(l, "root", units(user)...)
			l.MustRun("root", "systemctl kill -s KILL "+user+"-web; systemctl restart "+user+"-web")
			after := mainPIDs(l, "root", units(user)...)
			for _, u := range units(user) {
				if (before[u] == after[u]) != (u != user+"-web") {
					t.Errorf("%s: %s before, %s after", u, before[u], after[u])
				}
			}
			l.MustRun("root", "systemctl stop "+user+"-web "+user+"-pod")
			nothingLeft(t, l, user)
		})
	}
	for _, user := range []string{"root", "dave"} {
		t.Run("the media pod, run by "+user, func(t *testing.T) {
			l := l.For(t)
			writeMedia(t, l, "root", dir, func(text string) string {
				text = strings.ReplaceAll(text, "PublishPort=", "PublishPort=1") // alice has hers at the same time
				if user == "root" {
					return text
				}
				// The home of the manager's user, whoever runs the service: systemd.unit(5).
				return strings.ReplaceAll(text, "%h", "/home/"+user) + "[Service]\nUser=" + user + "\n"
			})
			l.MustRun(user, "mkdir -p ~/media/downloads ~/media/config/{qbittorrent,transmission}")
			l.MustRun("root", "systemctl daemon-reload; systemctl start media-pod")
			l.Active("root", append([]string{"media-pod"}, mediaMembers...)...)
			l.Eventually("root", `for port in 17878 18988 18989; do for host in localhost `+l.Machine.Address()+`; do
				curl -fsSL --max-time 5 -o /dev/null -H "Host: localhost:${port#1}" http://$host:$port/ || exit; done; done`, 2*time.Minute)
			l.MustRun(user, "podunit exec systemd-transmission touch /downloads/here")
			if out := l.MustRun("root", "cd ~"+user+"/media && stat -c %U downloads/here && find . -ignore_readdir_race ! -user "+user); out != user {
				t.Errorf("owners: %s", out)
			}
			l.MustRun("root", "systemctl stop media-pod")
			l.Eventually("root", `[ "$(systemctl is-active media-pod `+strings.Join(mediaMembers, " ")+` | sort -u)" = inactive ]`, 2*time.Minute)
			nothingLeft(t, l, user)
		})
	}
}
