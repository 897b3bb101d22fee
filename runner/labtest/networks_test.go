// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// networkFiles are a set as people have it: a proxy with a port, an application on two networks, a
// database on an internal one, and a pod.
var networkFiles = map[string]string{
	"front.network":    "[Network]\nNetworkName=front\nSubnet=10.89.9.0/24\n",
	"inner.network":    "[Network]\nNetworkName=inner\nInternal=true\nIPv6=true\n",
	"proxy.container":  "[Container]\nContainerName=proxy\nImage=localhost:5000/nginx\nNetwork=front.network\nPublishPort=8081:80\n[Install]\nWantedBy=default.target\n",
	"app.container":    "[Container]\nContainerName=app\nImage=localhost:5000/busybox\nExec=sleep 1000\nNetwork=front.network:ip=10.89.9.77\nNetwork=inner.network\nNetworkAlias=theapp\nStopTimeout=0\n[Install]\nWantedBy=default.target\n",
	"db.container":     "[Container]\nContainerName=db\nImage=localhost:5000/redis\nNetwork=inner.network\n[Service]\nRestart=always\nRestartSec=0\n[Install]\nWantedBy=default.target\n",
	"plain.container":  "[Container]\nContainerName=plain\nImage=localhost:5000/busybox\nExec=httpd -f -vv -p 80\nPublishPort=8082:80\nStopTimeout=0\n",
	"six.container":    "[Container]\nContainerName=six\nImage=localhost:5000/busybox\nExec=httpd -f -vv -p 80\nNetwork=front.network\nPublishPort=8083:80\nStopTimeout=0\n",
	"dual.network":     "[Network]\nNetworkName=dual\nIPv6=true\n",
	"dual.container":   "[Container]\nContainerName=dual\nImage=localhost:5000/busybox\nExec=httpd -f -vv -p 80\nNetwork=dual.network\nPublishPort=8084:80\nStopTimeout=0\n",
	"group.pod":        "[Pod]\nPodName=group\nNetwork=front.network\n[Install]\nWantedBy=default.target\n",
	"shop.pod":         "[Pod]\nPodName=shop\nNetwork=dual.network\nPublishPort=8085:80\n",
	"clerk.container":  "[Container]\nContainerName=clerk\nImage=localhost:5000/nginx\nVolume=%h/six.conf:/etc/nginx/conf.d/default.conf:ro\nPod=shop.pod\n",
	"lone.pod":         "[Pod]\nPodName=lone\nPublishPort=8086:80\n",
	"monk.container":   "[Container]\nContainerName=monk\nImage=localhost:5000/nginx\nVolume=%h/six.conf:/etc/nginx/conf.d/default.conf:ro\nPod=lone.pod\n",
	"open.container":   "[Container]\nContainerName=open\nImage=localhost:5000/busybox\nExec=httpd -f -vv -p 8087\nNetwork=host\nStopTimeout=0\n",
	"member.container": "[Container]\nContainerName=member\nImage=localhost:5000/busybox\nExec=sleep 1000\nPod=group.pod\nStopTimeout=0\n",
}

// sixConf has nginx listen on IPv6, too.
const sixConf = "server {\n\tlisten 80;\n\tlisten [::]:80;\n\troot /usr/share/nginx/html;\n}\n"

const networkUnits = "proxy app db group-pod member plain six dual shop-pod clerk lone-pod monk open"

// neighbour gives the machine another one as its neighbour, 192.0.2.2 and fd10::2, on a cable of
// its own. The machine is 192.0.2.1 and fd10::1.
const neighbour = `ip netns add neighbour
ip link add cable type veth peer name cable netns neighbour
ip address add 192.0.2.1/24 dev cable; ip address add fd10::1/64 dev cable nodad; ip link set cable up
ip -n neighbour address add 192.0.2.2/24 dev cable; ip -n neighbour address add fd10::2/64 dev cable nodad; ip -n neighbour link set cable up
ip -6 route add default via fd10::2 dev cable`

// seen has the neighbour ask at a port, over both families, and waits for its addresses in the log,
// as nginx and httpd write them.
func (l *Lab) seen(user, container, port string) {
	l.t.Helper()
	for address, client := range map[string]string{"192.0.2.1": "192.0.2.2", "[fd10::1]": "fd10::2"} {
		l.Eventually("root", "ip netns exec neighbour curl -gs -m 5 -o /dev/null http://"+address+":"+port+"/client", time.Minute)
		l.Eventually(user, "podunit logs "+container+" 2>&1 | grep -E '^"+client+" |[:[]"+client+"\\]:'", time.Minute)
	}
}

// TestLabNetworks runs a set of services on named networks, as alice, through faults and a reboot.
func TestLabNetworks(t *testing.T) {
	lab := boot(t, labtest.Options{})
	lab.MustRun("root", neighbour)
	before := lab.settled()
	for name, text := range networkFiles {
		lab.WriteFile("alice", ".config/containers/systemd/"+name, text)
	}
	lab.WriteFile("alice", "six.conf", sixConf)
	lab.MustRun("alice", "podunit check && systemctl --user daemon-reload && systemctl --user start "+networkUnits)
	resolve := func(l *Lab, from, name, want string) {
		l.t.Helper()
		l.Eventually("alice", "podunit exec "+from+" nslookup "+name+" 2>/dev/null | grep -w 'Address: "+want+"'", time.Minute)
	}
	all := func(l *Lab) {
		l.t.Helper()
		since := time.Now()
		resolve(l, "member", "app", "10.89.9.77")
		resolve(l, "proxy", "theapp", "10.89.9.77")
		resolve(l, "app", "proxy", `10\.89\.9\..*`)
		resolve(l, "app", "group", `10\.89\.9\..*`)
		resolve(l, "app", "db", `10\..*`)
		took := time.Since(since)
		load, _ := l.Busy()
		l.t.Logf("all names after %.1f s, at a load of %.0f", took.Seconds(), load)
		if most := max(5*time.Second, 10*l.Promptly()); took > most {
			l.t.Errorf("all names after %v, and not within %v", took, most)
		}
		l.Eventually("alice", "podunit exec app wget -qO- http://proxy | grep -qi nginx", time.Minute)
		// The machine itself is reached only through pasta.
		l.Eventually("alice", "podunit exec app wget -qO- -T 10 http://host.containers.internal:8081/ | grep -qi nginx", time.Minute)
	}
	t.Run("names", func(t *testing.T) { all(lab.on(t)) })
	t.Run("unshare", func(t *testing.T) {
		l := lab.on(t)
		if n := l.MustRun("alice", "podunit unshare --rootless-netns ip -o address | grep -c ' 10.89.9.1/24 '"); n != "1" {
			t.Errorf("%s times the gateway of the network", n)
		}
		if _, stderr, code := l.Run("root", "podunit unshare --rootless-netns true"); code != 125 || !strings.Contains(stderr, "without root") {
			t.Errorf("as root: %d, %s", code, stderr)
		}
	})
	t.Run("internal", func(t *testing.T) {
		l := lab.on(t)
		if routes := l.MustRun("alice", "podunit exec db cat /proc/net/route"); strings.Contains(routes, "eth0\t00000000\t") {
			t.Errorf("the database has a way out:\n%s", routes)
		}
		if out, _, code := l.Run("alice", "podunit exec db sh -c 'getent hosts proxy'"); code == 0 {
			t.Errorf("the database knows a name of another network: %s", out)
		}
	})
	t.Run("a route that is lost and comes back", func(t *testing.T) {
		l := lab.on(t)
		l.MustRun("root", `ip -n neighbour address add 203.0.113.9/32 dev lo; ip -n neighbour link set lo up
ip netns exec neighbour python3 -m http.server -b 203.0.113.9 9000 -d /etc/podunit-lab >/dev/null 2>&1 &
{ ip route show default; ip -6 route show default | sed 's/^/-6 /'; } >/run/defaults; ip route replace default via 192.0.2.2`)
		reach := func(names ...string) {
			for _, name := range names {
				l.Eventually("alice", "podunit exec "+name+" wget -qO- -T 5 http://203.0.113.9:9000/ | grep listing", time.Minute)
			}
		}
		reach("app", "plain")
		l.MustRun("root", "ip route delete default; ip -6 route delete default; ! ip route get 203.0.113.9")
		l.MustRun("alice", "for c in app plain; do ! podunit exec $c wget -qO- -T 2 http://203.0.113.9:9000/ || exit; done; podunit run -d --name late --network front localhost:5000/busybox sleep 1000; podunit run -d --name lorn localhost:5000/busybox sleep 1000")
		l.MustRun("root", "ip route add default via 192.0.2.2")
		reach("app", "plain", "late", "lorn")
		l.MustRun("alice", "podunit rm -f -t 0 late lorn")
		l.MustRun("root", "ip route delete default; while read -r route; do ip $([[ $route = -6* ]] && echo -6) route add ${route#-6 }; done </run/defaults; kill $(ip netns pids neighbour)")
	})
	t.Run("client address", func(t *testing.T) {
		l := lab.on(t)
		address := l.MustRun("root", "ip -4 -o address show host0 | awk '{sub(\"/.*\", \"\", $4); print $4}'")
		peer := l.MustRun("root", "ip route show default | awk '{print $3}'")
		l.seen("alice", "plain", "8082")
		l.seen("alice", "six", "8083")
		l.seen("alice", "dual", "8084")
		l.seen("alice", "clerk", "8085") // of a pod on a named network, and of one on none
		l.seen("alice", "monk", "8086")
		l.seen("alice", "open", "8087") // on the machine's network
		// A passt that has pesto needs no pasta for that, also once it was stopped and has another
		// address.
		alone := "id=$(podunit inspect -f '{{.Id}}' dual) && { ! command -v pesto >/dev/null || ! pgrep -u alice -af pasta | grep -F $id; }"
		l.MustRun("alice", alone+" && systemctl --user restart dual && "+alone)
		l.seen("alice", "dual", "8084")
		// The other end of the lab's cable is another machine's network namespace.
		if out, err := exec.Command("curl", "-sf", "-m", "60", "http://"+strings.TrimSpace(address)+":8081/client").CombinedOutput(); err != nil && !strings.Contains(err.Error(), "22") {
			t.Fatalf("%v: %s", err, out)
		}
		l.Eventually("alice", "podunit logs proxy 2>&1 | grep '^"+strings.TrimSpace(peer)+" .*/client'", time.Minute)
	})
	t.Run("sockets", func(t *testing.T) {
		l := lab.on(t)
		// A container of its own, and one in a pod, on the named network of each.
		for name, network := range map[string]string{"taker": "Network=front.network", "podtaker": "Pod=group.pod"} {
			l.WriteFile("alice", ".config/containers/systemd/"+name+".container", "[Container]\nContainerName="+name+"\nImage=localhost:5000/busybox\n"+network+
				"\nExec=sh -c 'echo $$LISTEN_FDS $$LISTEN_FDNAMES $$((LISTEN_PID == $$$$)); readlink /proc/self/fd/3; readlink /proc/self/fd/4; sleep 1000'\nStopTimeout=0\n")
			l.WriteFile("alice", ".config/systemd/user/"+name+".socket", "[Socket]\nListenStream=%t/"+name+"\nListenDatagram=%t/"+name+"-two\nFileDescriptorName=web\n")
			l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start "+name+".socket && { curl -s -m 1 --unix-socket $XDG_RUNTIME_DIR/"+name+" http://x/; true; }")
			l.Eventually("alice", "podunit logs "+name+" 2>&1 | tr '\\n' ' ' | grep -E '2 web:web 1 socket:.* socket:'", time.Minute)
			l.MustRun("alice", "systemctl --user stop "+name+".socket "+name+" && rm .config/systemd/user/"+name+".socket .config/containers/systemd/"+name+".container")
		}
		got := l.MustRun("alice", "exec 6<<<hello && podunit run --rm --network front --preserve-fd 6 localhost:5000/busybox sh -c 'cat <&6; readlink /proc/self/fd/5'")
		if strings.TrimSpace(got) != "hello\n/dev/null" {
			t.Errorf("a descriptor of the shell: %q", got)
		}
	})
	t.Run("faults", func(t *testing.T) {
		l := lab.on(t)
		pid := l.MustRun("alice", "podunit inspect -f '{{.State.Pid}}' app db")
		for _, kill := range []string{
			"kill -9 $(cat $XDG_RUNTIME_DIR/podunit/networks/netns/pasta.pid)",
			// It may still be starting again after the first fault. It comes back as another
			// process of the unit.
			"until p=$(pgrep -u alice -x aardvark-dns); do sleep 0.1; done; kill -9 $p; " +
				"until n=$(pgrep -u alice -x aardvark-dns) && [ $n != $p ] && grep podunit-netns.service /proc/$n/cgroup; do sleep 0.1; done",
			"kill -9 $(systemctl --user show -P MainPID podunit-netns)",
			"systemctl --user restart podunit-netns",
		} {
			l.MustRun("alice", kill)
			all(l)
		}
		// Its ports came back, too.
		for address, path := range map[string]string{"192.0.2.1": "/four", "[fd10::1]": "/six"} {
			l.Eventually("root", "ip netns exec neighbour curl -gs -m 5 -o /dev/null http://"+address+":8084"+path, time.Minute)
			l.Eventually("alice", "podunit logs dual 2>&1 | grep -w "+path, time.Minute)
		}
		l.MustRun("alice", "systemctl --user restart dual")
		l.seen("alice", "dual", "8084")
		if now := l.MustRun("alice", "podunit inspect -f '{{.State.Pid}}' app db"); now != pid {
			t.Errorf("containers were restarted: %s, before %s", now, pid)
		}
		// One that is killed comes back with another address, under its name.
		l.MustRun("alice", "kill -9 $(podunit inspect -f '{{.State.Pid}}' db)")
		l.Eventually("alice", "a=$(podunit inspect db | jq -r '.[0].NetworkSettings.Networks[].IPAddress') && podunit exec app nslookup db 2>/dev/null | grep -w \"Address: $a\"", time.Minute)
		all(l)
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
	t.Run("many", func(t *testing.T) { manyOnNetworks(lab.on(t)) })
	t.Run("another user", func(t *testing.T) {
		l := lab.on(t)
		// The same names, subnets and addresses.
		l.MustRun("bob", "podunit network create --subnet 10.89.9.0/24 front && podunit run -d --name app --network front:ip=10.89.9.77 localhost:5000/busybox httpd -f -p 80 && podunit run -d --name proxy --network front localhost:5000/busybox sleep 1000")
		l.Eventually("bob", "podunit exec proxy wget -qO- http://app/ 2>&1 | grep 404", time.Minute)
		if out, _, code := l.Run("alice", "podunit exec member wget -qO- -T 2 http://app/ 2>&1 | grep 404"); code == 0 {
			t.Errorf("alice reaches bob's application: %s", out)
		}
		l.MustRun("bob", "podunit rm -a -f -t 0 && podunit network rm front && podunit rmi -a -f")
	})
	t.Run("power cuts", func(t *testing.T) {
		for cut := range labtest.Rounds(t, "PODUNIT_LAB_CUTS", 2) {
			l := lab.on(t)
			l.MustRun("alice", "systemctl --user stop "+networkUnits)
			if cut%2 == 1 {
				// The networks themselves are made anew, too.
				l.MustRun("alice", "systemctl --user stop front-network inner-network && podunit network rm front inner")
			}
			l.MustRun("alice", "systemctl --user start --no-block "+networkUnits)
			// Each time a little later.
			l.Eventually("alice", fmt.Sprintf("(($(ls $XDG_RUNTIME_DIR/podunit/networks/connected | wc -l) > %d))", cut%4), time.Minute)
			l.PowerCut()
			l.Boot()
			l.MustRun("root", neighbour)
			l.Active("alice", "proxy", "app", "db", "group-pod", "member")
			all(l)
		}
	})
	t.Run("reboot", func(t *testing.T) {
		l := lab.on(t)
		l.Reboot()
		l.MustRun("root", neighbour)
		l.Active("alice", "proxy", "app", "db", "group-pod", "member")
		all(l)
	})
	t.Run("nothing is left", func(t *testing.T) {
		l := lab.on(t)
		// The pods of units that no boot starts were there when the power was cut.
		l.MustRun("alice", "systemctl --user stop "+networkUnits+" front-network inner-network dual-network && podunit network rm front inner dual && podunit rmi -a -f && rm -r .config/containers/systemd && systemctl --user daemon-reload")
		l.Eventually("alice", "! systemctl --user is-active podunit-netns", time.Minute)
		l.Gone("root", "ls -A /run/user/1000/podunit/networks/connected; pgrep -a -x 'pasta|pasta.avx2|aardvark-dns|podunit-infra|podunit-netns'; ip -o link show type bridge")
		for _, line := range added(before, l.settled()) {
			if strings.HasPrefix(line, "process") || strings.HasPrefix(line, "mount") || strings.HasPrefix(line, "a network namespace") {
				t.Errorf("left over: %s", line)
			}
		}
	})
	t.Run("a namespace that cannot be made", func(t *testing.T) {
		l := lab.on(t)
		l.MustRun("root", "mkdir /root/p; mv /usr/bin/pas{st,ta}{,.avx2} /root/p")
		_, stderr, code := l.Run("alice", "podunit network create n && podunit run --rm --network n localhost:5000/busybox true")
		if code != 125 || !strings.Contains(stderr, "the network needs pasta") {
			t.Errorf("status %d, %s", code, stderr)
		}
		// Nobody runs who needs it, so it is not tried again.
		if got := l.MustRun("alice", "systemctl --user show -P NRestarts podunit-netns; systemctl --user is-failed podunit-netns"); got != "0\nfailed" {
			t.Errorf("the unit: %s", got)
		}
		l.MustRun("root", "mv /root/p/* /usr/bin; rmdir /root/p")
		l.MustRun("alice", "podunit run --rm --network n localhost:5000/busybox true && podunit network rm n")
	})
	t.Run("a name server on loopback", func(t *testing.T) {
		// As systemd-resolved has it: resolv.conf names 127.0.0.53, and who asks elsewhere gets
		// nothing.
		l := lab.on(t)
		l.WriteFile("root", "dns.py", strings.Replace(answerer, "0.0.0.0", "127.0.0.53", 1))
		l.MustRun("root", `mkdir -p /run/systemd/resolve; printf 'nameserver 192.0.2.250\n' >/run/systemd/resolve/resolv.conf
printf 'nameserver 127.0.0.53\noptions edns0 trust-ad\n' >/run/systemd/resolve/stub-resolv.conf
mount --bind /run/systemd/resolve/stub-resolv.conf $(readlink -f /etc/resolv.conf)
python3 dns.py >/dev/null 2>&1 & echo $! >/run/dns.pid`)
		for _, user := range []string{"alice", "root"} {
			for _, network := range []string{"pasta", "named", "host"} {
				l.Eventually(user, "podunit network create --ignore named >/dev/null; podunit run --rm --network "+network+" localhost:5000/busybox nslookup -type=a some.where.example. | grep 203.0.113.5", time.Minute)
			}
			l.MustRun(user, "podunit network rm named")
		}
		l.MustRun("root", "kill $(cat /run/dns.pid); umount $(readlink -f /etc/resolv.conf)")
	})
}

// manyOnNetworks starts 40 containers on four networks in one transaction. Each finds all of its
// own network by name, and nobody of another.
func manyOnNetworks(l *Lab) {
	l.t.Helper()
	const networks, each = 4, 10
	var units, stop []string
	for n := range networks {
		l.WriteFile("alice", fmt.Sprintf(".config/containers/systemd/m%d.network", n), fmt.Sprintf("[Network]\nNetworkName=m%d\n", n))
		stop = append(stop, fmt.Sprintf("m%d-network", n))
		for c := range each {
			name := fmt.Sprintf("m%dc%d", n, c)
			l.WriteFile("alice", ".config/containers/systemd/"+name+".container",
				fmt.Sprintf("[Container]\nContainerName=%s\nImage=localhost:5000/busybox\nExec=sleep 1000\nNetwork=m%d.network\nStopTimeout=0\n", name, n))
			units = append(units, name)
		}
	}
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start "+strings.Join(units, " "))
	for n := range networks {
		for c := range each {
			script := fmt.Sprintf("for c in 0 1 2 3 4 5 6 7 8 9; do nslookup m%dc$c 2>&1 | grep -q ^Name: || echo m%dc$c; done; nslookup m%dc0 2>&1 | grep ^Name:", n, n, (n+1)%networks)
			l.Gone("alice", fmt.Sprintf("podunit exec m%dc%d sh -c '%s'", n, c, script)) // what it doesn't find, or shouldn't
		}
	}
	l.MustRun("alice", "systemctl --user stop "+strings.Join(append(units, stop...), " ")+" && rm .config/containers/systemd/m[0-9]* && { podunit network rm m0 m1 m2 m3 || { podunit ps -a; journalctl --user -p warning -n 50; exit 1; }; } && systemctl --user daemon-reload")
}
