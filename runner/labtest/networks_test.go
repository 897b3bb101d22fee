// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// networkFiles are a set as people have it: a proxy with a port, an application on two networks, a database
// on an internal one, and a pod.
var networkFiles = map[string]string{
	"front.network":    "[Network]\nNetworkName=front\nSubnet=10.89.9.0/24\n",
	"inner.network":    "[Network]\nNetworkName=inner\nInternal=true\nIPv6=true\n",
	"proxy.container":  "[Container]\nContainerName=proxy\nImage=localhost:5000/nginx\nNetwork=front.network\nPublishPort=8081:80\n[Install]\nWantedBy=default.target\n",
	"app.container":    "[Container]\nContainerName=app\nImage=localhost:5000/busybox\nExec=sleep 1000\nNetwork=front.network:ip=10.89.9.77\nNetwork=inner.network\nNetworkAlias=theapp\nStopTimeout=0\n[Install]\nWantedBy=default.target\n",
	"db.container":     "[Container]\nContainerName=db\nImage=localhost:5000/redis\nNetwork=inner.network\n[Install]\nWantedBy=default.target\n",
	"group.pod":        "[Pod]\nPodName=group\nNetwork=front.network\n[Install]\nWantedBy=default.target\n",
	"member.container": "[Container]\nContainerName=member\nImage=localhost:5000/busybox\nExec=sleep 1000\nPod=group.pod\nStopTimeout=0\n",
}

const networkUnits = "proxy app db group-pod member"

// TestLabNetworks runs a set of services on named networks, as alice, through faults and a reboot.
func TestLabNetworks(t *testing.T) {
	lab := boot(t, labtest.Options{})
	before := lab.settled()
	for name, text := range networkFiles {
		lab.WriteFile("alice", ".config/containers/systemd/"+name, text)
	}
	lab.MustRun("alice", "podunit check && systemctl --user daemon-reload && systemctl --user start "+networkUnits)
	resolve := func(l *Lab, from, name, want string) {
		l.t.Helper()
		l.Eventually("alice", "podunit exec "+from+" nslookup "+name+" 2>/dev/null | grep -w 'Address: "+want+"'", time.Minute)
	}
	all := func(l *Lab) {
		l.t.Helper()
		resolve(l, "member", "app", "10.89.9.77")
		resolve(l, "proxy", "theapp", "10.89.9.77")
		resolve(l, "app", "proxy", `10\.89\.9\..*`)
		resolve(l, "app", "group", `10\.89\.9\..*`)
		resolve(l, "app", "db", `10\..*`)
		l.MustRun("alice", "podunit exec app wget -qO- http://proxy | grep -qi nginx")
		// The machine itself is reached only through pasta.
		l.Eventually("alice", "podunit exec app wget -qO- -T 1 http://host.containers.internal:8081/ | grep -qi nginx", time.Minute)
	}
	t.Run("names", func(t *testing.T) { all(lab.on(t)) })
	t.Run("internal", func(t *testing.T) {
		l := lab.on(t)
		if routes := l.MustRun("alice", "podunit exec db cat /proc/net/route"); strings.Contains(routes, "eth0\t00000000\t") {
			t.Errorf("the database has a way out:\n%s", routes)
		}
		if out, _, code := l.Run("alice", "podunit exec db sh -c 'getent hosts proxy'"); code == 0 {
			t.Errorf("the database knows a name of another network: %s", out)
		}
	})
	t.Run("client address", func(t *testing.T) {
		l := lab.on(t)
		address := l.MustRun("root", "ip -4 -o address show host0 | awk '{sub(\"/.*\", \"\", $4); print $4}'")
		peer := l.MustRun("root", "ip route show default | awk '{print $3}'")
		// The other end of the lab's cable is another machine's network namespace.
		if out, err := exec.Command("curl", "-sf", "-m", "60", "http://"+strings.TrimSpace(address)+":8081/client").CombinedOutput(); err != nil && !strings.Contains(err.Error(), "22") {
			t.Fatalf("%v: %s", err, out)
		}
		l.Eventually("alice", "podunit logs proxy 2>&1 | grep '^"+strings.TrimSpace(peer)+" .*/client'", time.Minute)
	})
	t.Run("faults", func(t *testing.T) {
		l := lab.on(t)
		pid := l.MustRun("alice", "podunit inspect -f '{{.State.Pid}}' app db")
		for _, kill := range []string{
			"kill -9 $(cat $XDG_RUNTIME_DIR/podunit/networks/netns/pasta.pid)",
			"kill -9 $(systemctl --user show -P MainPID podunit-dns)",
			"kill -9 $(systemctl --user show -P MainPID podunit-netns)",
			"systemctl --user restart podunit-netns",
		} {
			l.MustRun("alice", kill)
			all(l)
		}
		if now := l.MustRun("alice", "podunit inspect -f '{{.State.Pid}}' app db"); now != pid {
			t.Errorf("containers were restarted: %s, before %s", now, pid)
		}
	})
	t.Run("verbs", func(t *testing.T) {
		l := lab.on(t)
		if _, stderr, code := l.Run("alice", "podunit network rm front"); code != 2 || !strings.Contains(stderr, `"front" has associated containers with it`) {
			t.Errorf("a network in use: status %d, %s", code, stderr)
		}
		if _, stderr, code := l.Run("alice", "podunit network rm nowhere"); code != 1 || !strings.Contains(stderr, "network not found") {
			t.Errorf("no network: status %d, %s", code, stderr)
		}
		if ours, theirs := l.MustRun("alice", "podunit network ls"), l.MustRun("alice", "podman network ls"); ours != theirs {
			t.Errorf("podunit lists\n%sand podman\n%s", ours, theirs)
		}
		if got := l.MustRun("alice", `podunit network inspect front | jq -r '.[0].containers[] | select(.name=="app") | .interfaces.eth0.subnets[0].ipnet'`); strings.TrimSpace(got) != "10.89.9.77/24" {
			t.Errorf("inspect tells %s", got)
		}
	})
	t.Run("reboot", func(t *testing.T) {
		l := lab.on(t)
		l.Reboot()
		l.Active("alice", "proxy", "app", "db", "group-pod", "member")
		all(l)
	})
	t.Run("nothing is left", func(t *testing.T) {
		l := lab.on(t)
		l.MustRun("alice", "systemctl --user stop "+networkUnits+" front-network inner-network && podunit network rm front inner && podunit rmi -a -f && rm -r .config/containers/systemd && systemctl --user daemon-reload")
		l.Eventually("alice", "! systemctl --user is-active podunit-netns podunit-dns", time.Minute)
		l.Gone("root", "ls -A /run/user/1000/podunit/networks/connected; pgrep -a -x 'pasta|pasta.avx2|aardvark-dns|podunit-infra'; ip -o link show type bridge")
		for _, line := range added(before, l.settled()) {
			if strings.HasPrefix(line, "process") || strings.HasPrefix(line, "mount") || strings.HasPrefix(line, "a network namespace") {
				t.Errorf("left over: %s", line)
			}
		}
	})
}
