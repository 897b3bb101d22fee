// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// rootNetworkFiles are the same set of services for root, with what only root's networks can do.
var rootNetworkFiles = map[string]string{
	"front.network":     "[Network]\nNetworkName=front\nSubnet=10.89.9.0/24\nSubnet=fd89::/64\nOptions=mtu=1400\nOptions=metric=77\n",
	"inner.network":     "[Network]\nNetworkName=inner\nInternal=true\n",
	"alone.network":     "[Network]\nNetworkName=alone\nOptions=isolate=true\n",
	"apart.network":     "[Network]\nNetworkName=apart\nOptions=isolate=true\nOptions=no_default_route=true\n",
	"lan.network":       "[Network]\nNetworkName=lan\nDriver=macvlan\nOptions=parent=port\nOptions=mode=bridge\nOptions=mtu=1300\nSubnet=198.51.100.0/24\nIPRange=198.51.100.32/28\nSubnet=fd98::/64\n",
	"flat.network":      "[Network]\nNetworkName=flat\nDriver=ipvlan\nOptions=parent=port\nSubnet=198.51.100.0/24\nIPRange=198.51.100.64/28\n",
	"proxy.container":   "[Container]\nContainerName=proxy\nImage=localhost:5000/busybox\nExec=httpd -f -vv -p 80\nNetwork=front.network:host_interface_name=outside,interface_name=inside\nPublishPort=8081:80\nPublishPort=9999:99/sctp\nIP=10.89.9.70\nIP6=fd89::70\nStopTimeout=0\n[Install]\nWantedBy=multi-user.target\n",
	"default.container": "[Container]\nContainerName=default\nImage=localhost:5000/busybox\nExec=httpd -f -vv -p 80\nPublishPort=8082:80\nStopTimeout=0\n",
	"app.container":     "[Container]\nContainerName=app\nImage=localhost:5000/busybox\nExec=httpd -f -p 80\nNetwork=front.network\nNetwork=inner.network\nNetworkAlias=theapp\nStopTimeout=0\n[Install]\nWantedBy=multi-user.target\n",
	"db.container":      "[Container]\nContainerName=db\nImage=localhost:5000/busybox\nExec=httpd -f -p 80\nNetwork=inner.network\nStopTimeout=0\n[Service]\nRestart=always\nRestartSec=0\n[Install]\nWantedBy=multi-user.target\n",
	"hermit.container":  "[Container]\nContainerName=hermit\nImage=localhost:5000/busybox\nExec=httpd -f -p 80\nNetwork=alone.network\nStopTimeout=0\n",
	"nun.container":     "[Container]\nContainerName=nun\nImage=localhost:5000/busybox\nExec=sleep 1000\nNetwork=apart.network\nStopTimeout=0\n",
	"shop.pod":          "[Pod]\nPodName=shop\nNetwork=front.network\nPublishPort=8083:80\n",
	"clerk.container":   "[Container]\nContainerName=clerk\nImage=localhost:5000/nginx\nVolume=%h/six.conf:/etc/nginx/conf.d/default.conf:ro\nPod=shop.pod\n",
	"open.container":    "[Container]\nContainerName=open\nImage=localhost:5000/busybox\nExec=httpd -f -vv -p 8084\nNetwork=host\nStopTimeout=0\n",
	"taker.container":   "[Container]\nContainerName=taker\nImage=localhost:5000/busybox\nExec=python3 /taker.py\nNetwork=none\nVolume=/usr:/usr:ro\nVolume=/root/taker.py:/taker.py:ro\nStopSignal=KILL\n",
	"near.container":    "[Container]\nContainerName=near\nImage=localhost:5000/busybox\nExec=httpd -f -vv -p 80\nNetwork=lan.network:ip=198.51.100.40,ip6=fd98::40\nStopTimeout=0\n",
	"even.container":    "[Container]\nContainerName=even\nImage=localhost:5000/busybox\nExec=httpd -f -vv -p 80\nNetwork=flat.network:ip=198.51.100.70\nStopTimeout=0\n",
}

const rootNetworkUnits = "proxy default app db hermit nun shop-pod clerk open"

// taker answers on the socket that the manager hands on, and says who asked.
const taker = `import http.server, socket
class Server(http.server.HTTPServer):
    def __init__(self):
        super().__init__(None, http.server.SimpleHTTPRequestHandler, False)
        self.socket.close()
        self.socket = socket.socket(fileno=3)
    def verify_request(self, request, client):
        print("[%s]:" % client[0], flush=True)
        return True
Server().serve_forever()
`

// holdLock holds the lock of root's networks, as podunit and Podman do: with the record lock of an
// open file (F_OFD_SETLKW). Source: fcntl(2).
const holdLock = `import fcntl, signal, struct
f = open("/run/lock/netavark.lock", "a")
fcntl.fcntl(f, 38, struct.pack("hhxxxxqqixxxx", fcntl.F_WRLCK, 0, 0, 0, 0))
open("held", "w")
signal.pause()
`

// rootNetworksOf are the files for a release: what Debian 12's netavark lacks, it refuses, which
// TestLabNetworkOptions looks at.
func rootNetworksOf(release string) map[string]string {
	files := maps.Clone(rootNetworkFiles)
	if release == "bookworm" {
		files["apart.network"] = strings.Replace(files["apart.network"], "Options=no_default_route=true\n", "", 1)
		files["proxy.container"] = strings.Replace(files["proxy.container"], "host_interface_name=outside,", "", 1)
	}
	return files
}

// TestLabNetworksOfRoot runs a set of services on all kinds of root's networks, through faults and
// a power cut.
func TestLabNetworksOfRoot(t *testing.T) {
	lab := boot(t, labtest.Options{})
	// port is a device of the machine that leads to another one, 198.51.100.1, over a cable.
	const port = "ip link add port type veth peer name wall; ip address add 198.51.100.1/24 dev wall; ip address add fd98::1/64 dev wall nodad; ip link set wall up; ip link set port up"
	lab.MustRun("root", neighbour+"\n"+port)
	// What nobody uses any more may not be there: links, rules, addresses of names, processes.
	const traces = `ip -o link show | sed -E 's/^[0-9]*: //; s/@.*//; s/:.*//' | sort; nft list ruleset | grep -c nv_; ls -A /run/containers/networks/aardvark-dns 2>/dev/null; ls -A /run/podunit/networks/connected 2>/dev/null; find /run/containers/networks/firewall/{networks,ports} -type f 2>/dev/null; pgrep -lx 'aardvark-dns|podunit-infra|pasta.*'; true`
	before := lab.MustRun("root", traces)
	for name, text := range rootNetworksOf(labtest.Release()) {
		lab.WriteFile("root", "/etc/containers/systemd/"+name, text)
	}
	units := rootNetworkUnits
	var lacking []string // units that want what this kernel has not
	for kind, unit := range map[string]string{"macvlan": "near", "ipvlan": "even"} {
		if _, stderr, code := lab.Run("root", "ip link add probe link port type "+kind+" && ip link delete probe"); code == 0 {
			units += " " + unit
		} else {
			t.Logf("this kernel has no %s: %s", kind, stderr)
			lacking = append(lacking, unit)
		}
	}
	lab.WriteFile("root", "six.conf", sixConf)
	lab.MustRun("root", "systemctl daemon-reload && systemctl start "+units)
	gets := func(l *Lab, from, url string) {
		l.t.Helper()
		l.Eventually("root", "podunit exec "+from+" wget -qO- -T 5 http://"+url+"/ 2>&1 | grep 404", time.Minute)
	}
	all := func(l *Lab) {
		l.t.Helper()
		for from, names := range map[string][]string{"proxy": {"app", "theapp"}, "app": {"proxy", "db"}, "db": {"app"}} {
			for _, name := range names {
				gets(l, from, name)
			}
		}
	}
	never := func(l *Lab, from, url string) {
		l.t.Helper()
		if out, _, code := l.Run("root", "podunit exec "+from+" wget -qO- -T 2 http://"+url+"/ 2>&1 | grep 404"); code == 0 {
			l.t.Errorf("%s reaches %s: %s", from, url, out)
		}
	}
	address := func(l *Lab, name string) string {
		l.t.Helper()
		return l.MustRun("root", "podunit inspect "+name+" | jq -j '.[0].NetworkSettings.Networks[].IPAddress'")
	}
	t.Run("names", func(t *testing.T) { all(lab.on(t)) })
	t.Run("client address", func(t *testing.T) {
		l := lab.on(t)
		l.seen("root", "proxy", "8081")
		l.seen("root", "default", "8082")
		l.seen("root", "clerk", "8083") // of a pod
		l.seen("root", "open", "8084")  // on the machine's network
		// On no network, with a socket that the manager has bound.
		l.WriteFile("root", "taker.py", taker)
		l.WriteFile("root", "/etc/systemd/system/taker.socket", "[Socket]\nListenStream=8085\n")
		l.MustRun("root", "systemctl daemon-reload && systemctl start taker.socket")
		l.seen("root", "taker", "8085")
		l.MustRun("root", "systemctl stop taker.socket taker && rm /etc/systemd/system/taker.socket && systemctl daemon-reload")
	})
	t.Run("apart", func(t *testing.T) {
		l := lab.on(t)
		never(l, "nun", address(l, "hermit"))
		never(l, "db", "192.0.2.1:8082")
		never(l, "db", "10.89.9.70")
		gets(l, "proxy", address(l, "hermit"))
	})
	t.Run("options", func(t *testing.T) {
		l := lab.on(t)
		wants := map[string]string{
			"podunit exec proxy cat /sys/class/net/inside/mtu":                                 "1400",
			"podunit exec proxy ip route show default | grep -o 'metric 77'":                   "metric 77",
			"podunit exec proxy ip address show inside | grep -cE '10.89.9.70/24|fd89::70/64'": "2",
			"podunit exec nun ip route | grep -c default || true":                              "0",
			"ip -o link show outside | grep -o 'master podman[0-9]*' | sed 's/[0-9]*$//'":      "master podman",
			"nft list ruleset | grep -c 'sctp dport 9999 dnat ip to 10.89.9.70:99'":            "1",
		}
		if labtest.Release() == "bookworm" {
			wants = map[string]string{
				"podunit exec proxy cat /sys/class/net/inside/mtu":                                   "1400",
				"podunit exec proxy ip address show inside | grep -cE '10.89.9.70/24|fd89::70/64'":   "2",
				"iptables-save | grep -c 'sctp --dport 9999 -j DNAT --to-destination 10.89.9.70:99'": "1",
			}
		}
		for script, want := range wants {
			if got := l.MustRun("root", script); strings.TrimSpace(got) != want {
				t.Errorf("%s: %q, want %s", script, got, want)
			}
		}
	})
	t.Run("what the kernel lacks", func(t *testing.T) {
		l := lab.on(t)
		for _, unit := range lacking {
			if _, _, code := l.Run("root", "systemctl start "+unit); code == 0 {
				t.Errorf("%s is up", unit)
			}
			l.Eventually("root", "journalctl -b -o cat | grep -E 'kernel lacks what the network is made of|needs netavark 1.5, and 1.4 is installed'", time.Minute)
			l.Run("root", "systemctl reset-failed "+unit) // it may not have come to a start
		}
	})
	t.Run("as Podman has it", func(t *testing.T) {
		l := lab.on(t)
		l.WriteFile("root", "/etc/containers/containers.conf.d/net.conf", "[containers]\nnetns = \"bridge\"\n")
		l.MustRun("root", "podunit run --rm localhost:5000/busybox ip address show eth0 | grep 10.88.")
		l.MustRun("root", "rm /etc/containers/containers.conf.d/net.conf")
	})
	t.Run("a network with Podman's", func(t *testing.T) {
		if labtest.Release() == "bookworm" {
			return // Podman may have networks of its own there
		}
		l := lab.on(t)
		l.MustRun("root", "podunit network create --subnet 10.89.77.0/24 shared")
		const rules, notes = "nft list ruleset | grep -F 10.89.77.0/24", "grep -lF 10.89.77. /run/containers/networks/firewall/ports/* 2>/dev/null | wc -l"
		for _, k := range []struct{ first, second string }{{"podunit", "podman"}, {"podman", "podunit"}} {
			for _, program := range []string{k.first, k.second} {
				l.MustRun("root", program+" run -d --pids-limit 0 --name of-"+program+" --network shared localhost:5000/busybox sleep infinity")
			}
			before := l.MustRun("root", rules)
			l.MustRun("root", k.first+" rm -f -t 0 of-"+k.first)
			if now := l.MustRun("root", rules); now != before {
				t.Errorf("%s has left, and the rules of the network are\n%s, before\n%s", k.first, now, before)
			}
			if n := l.MustRun("root", notes); strings.TrimSpace(n) != "1" {
				t.Errorf("%s has left, and netavark has notes of %s", k.first, n)
			}
			l.MustRun("root", k.second+" exec of-"+k.second+" nslookup of-"+k.second)
			l.MustRun("root", "! "+k.second+" exec of-"+k.second+" nslookup of-"+k.first)
			l.MustRun("root", k.second+" rm -f -t 0 of-"+k.second+" && ! "+rules+" && [ $("+notes+") = 0 ]")
		}
		l.MustRun("root", "podunit network rm shared")
	})
	t.Run("devices of the machine", func(t *testing.T) {
		l := lab.on(t)
		for container, address := range map[string]string{"near": "198.51.100.40", "even": "198.51.100.70"} {
			if !strings.Contains(units, container) {
				continue
			}
			l.MustRun("root", "podunit exec "+container+" ip -4 address show eth0 | grep "+address+"/24")
			l.Eventually("root", "curl -s -m 5 -o /dev/null http://"+address+"/ && podunit logs "+container+" 2>&1 | grep -F '198.51.100.1]:'", time.Minute)
		}
		if !strings.Contains(units, "near") {
			return
		}
		l.MustRun("root", "podunit exec near ip link show eth0 | grep 'mtu 1300'")
		l.Eventually("root", "curl -gs -m 5 -o /dev/null http://[fd98::40]/ && podunit logs near 2>&1 | grep -F 'fd98::1]:'", time.Minute)
		if labtest.Release() == "bookworm" {
			if _, stderr, code := l.Run("root", "podunit network create -d macvlan -o parent=port leased"); code == 0 || !strings.Contains(stderr, "ipam driver dhcp needs netavark 1.6, and 1.4 is installed") {
				t.Errorf("status %d: %s", code, stderr)
			}
			return
		}
		l.MustRun("root", "podunit network create -d macvlan -o parent=port leased")
		if _, stderr, code := l.Run("root", "podunit run --rm --network leased localhost:5000/busybox true"); code == 0 || !strings.Contains(stderr, "ipam driver dhcp needs netavark's DHCP client") || !strings.Contains(stderr, "netavark-dhcp-proxy.socket") {
			t.Errorf("status %d: %s", code, stderr)
		}
		l.WriteFile("root", "udhcpd.conf", "start 198.51.100.200\nend 198.51.100.220\ninterface wall\noption subnet 255.255.255.0\noption router 198.51.100.1\nlease_file /leases\npidfile /pid\n")
		l.MustRun("root", "systemctl unmask netavark-dhcp-proxy.socket netavark-dhcp-proxy.service && systemctl start netavark-dhcp-proxy.socket && podunit run -d --name dhcpd --network host --cap-add NET_RAW,NET_ADMIN -v /root/udhcpd.conf:/udhcpd.conf:ro localhost:5000/busybox sh -c 'touch /leases; exec udhcpd -f /udhcpd.conf'")
		l.Eventually("root", "podunit run --rm --network leased localhost:5000/busybox ip address show eth0 | grep -E '198\\.51\\.100\\.2[0-9]{2}/24'", 2*time.Minute)
		l.MustRun("root", "podunit rm -f -t 0 dhcpd && podunit network rm leased && systemctl stop netavark-dhcp-proxy.socket netavark-dhcp-proxy.service")
	})
	t.Run("update", func(t *testing.T) {
		l := lab.on(t)
		l.MustRun("root", "podunit network update front --dns-add 192.0.2.2")
		reader := "podman"
		if labtest.Release() == "bookworm" {
			reader = "podunit" // Debian 12's Podman does not know of them
		}
		l.MustRun("root", "grep 192.0.2.2 /run/containers/networks/aardvark-dns/front && "+reader+" network inspect front | grep 192.0.2.2")
		gets(l, "proxy", "app")
		if labtest.Release() == "bookworm" {
			if _, stderr, code := l.Run("root", "podunit network update front --dns-drop 192.0.2.2"); code != 125 || !strings.Contains(stderr, "while the network is in use, needs netavark 1.14, and 1.4 is installed") {
				t.Errorf("status %d: %s", code, stderr)
			}
			return
		}
		l.MustRun("root", "podunit network update front --dns-drop 192.0.2.2 && ! grep 192.0.2.2 /run/containers/networks/aardvark-dns/front")
	})
	t.Run("faults", func(t *testing.T) {
		l := lab.on(t)
		pid := l.MustRun("root", "podunit inspect -f '{{.State.Pid}}' proxy app")
		l.MustRun("root", "kill -9 $(systemctl show -P MainPID podunit-dns)")
		all(l)
		l.MustRun("root", "nft flush ruleset && podunit network reload -a")
		all(l)
		l.seen("root", "proxy", "8081")
		l.MustRun("root", "kill -9 $(podunit inspect -f '{{.State.Pid}}' db)")
		l.Eventually("root", "a=$(podunit inspect db | jq -r '.[0].NetworkSettings.Networks[].IPAddress') && podunit exec app nslookup db 2>/dev/null | grep -w \"Address: $a\"", time.Minute)
		all(l)
		if now := l.MustRun("root", "podunit inspect -f '{{.State.Pid}}' proxy app"); now != pid {
			t.Errorf("containers were restarted: %s, before %s", now, pid)
		}
		if _, stderr, code := l.Run("root", "podunit network rm front"); code != 2 || !strings.Contains(stderr, `"front" has associated containers with it`) {
			t.Errorf("a network in use: status %d, %s", code, stderr)
		}
		if ours, theirs := l.MustRun("root", "podunit network ls"), l.MustRun("root", "podman network ls"); ours != theirs {
			t.Errorf("podunit lists\n%sand podman\n%s", ours, theirs)
		}
	})
	t.Run("stops at once", func(t *testing.T) {
		// The lock of the networks is held until the kernel has removed all links, with the
		// processes.
		l := lab.on(t)
		l.WriteFile("root", "/root/hold.py", holdLock)
		for range 4 {
			l.MustRun("root", "systemctl start proxy app shop-pod")
			l.seen("root", "proxy", "8081")
			l.MustRun("root", `since=$(date +%s.%N) bridge=$(podunit network inspect -f '{{.NetworkInterface}}' front)
rm -f held; python3 hold.py & until [ -e held ]; do sleep 0.1; done
systemctl stop --no-block proxy app shop-pod
for i in $(seq 600); do [ -n "$(ip -o link show master $bridge)" ] || break; sleep 0.1; done
left=$(ip -o link show master $bridge)
kill $!
systemctl stop proxy app shop-pod
left+=$(journalctl -b --since "@$since" | grep -i netavark; nft list ruleset | grep -e _10_89_9_ -e fd89 -e 808[13]; ip -o link | grep -e " $bridge:" -e ' x\?pu[^ ]*-[0-9]')
[ -z "$left" ] || { echo "$left"; false; }`)
		}
		// A rule of whom podunit does not know leads to the network's ports: the others leave all
		// the same.
		l.MustRun("root", `systemctl start proxy && chain=$(nft list ruleset | grep -o 'nv_[^ ]*_10_89_9_0_nm24_dnat' | head -n 1)
[ -z "$chain" ] || nft add rule inet netavark NETAVARK-HOSTPORT-DNAT tcp dport 9997 jump $chain
systemctl stop proxy && systemctl start proxy`)
		l.seen("root", "proxy", "8081")
		l.MustRun("root", `handle=$(nft -a list ruleset | grep 'dport 9997' | grep -o '[0-9]*$'); [ -z "$handle" ] || nft delete rule inet netavark NETAVARK-HOSTPORT-DNAT handle $handle
systemctl start proxy app shop-pod clerk`)
		all(l)
	})
	t.Run("power cut", func(t *testing.T) {
		l := lab.on(t)
		l.WriteFile("root", "/etc/containers/systemd/cellar.network", "[Network]\nNetworkName=cellar\n")
		l.WriteFile("root", "/etc/containers/systemd/cellar.pod", "[Pod]\nPodName=cellar\nNetwork=cellar.network\n")
		l.MustRun("root", "systemctl daemon-reload && systemctl start cellar-pod")
		if _, stderr, code := l.Run("root", "podunit network rm cellar"); code != 2 || !strings.Contains(stderr, "on it: pod cellar") {
			t.Errorf("a pod's network: status %d, %s", code, stderr)
		}
		l.MustRun("root", "systemctl stop "+units+" && systemctl start --no-block "+units)
		l.Eventually("root", "(($(ls /run/podunit/networks/connected | wc -l) > 1))", time.Minute)
		l.PowerCut()
		l.Boot()
		l.MustRun("root", neighbour+"\n"+port)
		// No boot starts the pod, so nothing is on its network any more.
		l.MustRun("root", "podunit network rm cellar && ! podunit pod exists cellar && rm /etc/containers/systemd/cellar.* && systemctl daemon-reload")
		l.Active("root", "proxy", "app", "db")
		all(l)
		l.MustRun("root", "systemctl start "+units)
		l.seen("root", "proxy", "8081")
	})
	t.Run("nothing is left", func(t *testing.T) {
		l := lab.on(t)
		l.MustRun("root", "systemctl stop "+units)
		l.Eventually("root", "! systemctl is-active podunit-dns", time.Minute)
		l.Gone("root", "diff <(cat <<'END'\n"+strings.TrimSuffix(before, "\n")+"\nEND\n) <("+traces+")")
	})
}
