// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// answerer is a name server that knows one address for all names, 203.0.113.5.
const answerer = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 53))
while True:
    q, who = s.recvfrom(512)
    end = q.index(b"\0", 12) + 5
    four = q[end - 4:end - 2] == b"\0\x01"
    s.sendto(q[:2] + b"\x81\x80\0\x01" + (b"\0\x01" if four else b"\0\0") + b"\0\0\0\0" + q[12:end] + (b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\xcb\0\x71\x05" if four else b""), who)
`

// networkOption is a flag, an option or a key of networks, by what a container sees.
type networkOption struct {
	name, user string // no user: alice and root
	since      string // the version of netavark that it takes, where it is newer than Debian 12's
	script     string
	want       string // what stdout and stderr are, less white space at their ends; ~ begins a part of it
}

// In the scripts P is podunit, I the image, S systemctl of the user, D the directory of Quadlet
// files, N what enters the namespace that has the bridges; answers waits for the web server of a
// container at a port. The name server reads a moment later what has changed. On what Debian 12 has,
// those with since are refused.
var networkOptions = []networkOption{
	{name: "subnets, gateway, range, mtu, metric, device; address, alias and device of the container", script: "$P network create --subnet 10.90.1.0/24 --gateway 10.90.1.9 --ip-range 10.90.1.130-10.90.1.140 --subnet fd90:1::/64 --label a=b -o mtu=1380 -o metric=55 --interface-name wide wide; " +
		"$P run --rm --network wide:mac=0e:00:00:00:00:07,alias=aka,interface_name=lan0 $I sh -c 'ip -4 -o addr show lan0 | grep -o \"10.90.1.1[34]\"; ip -6 -o addr show lan0 | grep -o fd90:1::; cat /sys/class/net/lan0/mtu /sys/class/net/lan0/address; ip route | grep ^default; nslookup aka | grep ^Name | sort -u | sed s/.dns.podman//'",
		want: "wide\n10.90.1.13\nfd90:1::\n1380\n0e:00:00:00:00:07\ndefault via 10.90.1.9 dev lan0  metric 55\nName:\taka"},
	{name: "ip, ip6 and mac of one network", script: "$P run --rm --network wide --ip 10.90.1.77 --ip6 fd90:1::77 --mac-address 0e:00:00:00:00:08 --network-alias other $I sh -c 'ip -o addr show eth0 | grep -cE \"10.90.1.77/24|fd90:1::77/64\"; cat /sys/class/net/eth0/address; nslookup other | grep -c 10.90.1.77'",
		want: "2\n0e:00:00:00:00:08\n1"},
	{name: "ls, exists and inspect", script: "$P network ls --filter label=a=b --format '{{.Name}} {{.Driver}}'; $P network exists wide; echo $?; $P network exists nosuch; echo $?; $P network inspect wide | jq -c '.[0] | [.subnets[].subnet, .subnets[0].gateway, .subnets[0].lease_range.start_ip, .labels.a, .options.mtu, .network_interface]'",
		want: "wide bridge\n0\n1\n[\"10.90.1.0/24\",\"fd90:1::/64\",\"10.90.1.9\",\"10.90.1.130\",\"b\",\"1380\",\"wide\"]"},
	{name: "no names", script: "$P network create --disable-dns mute; $P run -d --name quiet --network mute $I sleep 1000 >/dev/null; $P run --rm --network mute $I sh -c 'ip -4 -o addr show eth0 | grep -c inet; grep -c nameserver.10.89 /etc/resolv.conf'; $P rm -f -t 0 quiet; $P network rm mute",
		want: "mute\n1\n0\nquiet\nmute"},
	{name: "whom the name server asks, for a network and for a container", script: "$P network create --subnet 10.90.2.0/24 --dns 10.90.2.53 asks; $P network create --subnet 10.90.4.0/24 plain; printf %s \"$ANSWERER\" >~/dns.py; $P run -d --name dnsd --network asks:ip=10.90.2.53 --network plain:ip=10.90.4.53 -v /usr:/usr:ro -v ~/dns.py:/dns.py:ro --stop-signal KILL $I python3 /dns.py >/dev/null; " +
		"look() { $P run --rm \"$@\" $I sh -c 'for i in $(seq 300); do nslookup -type=a some.where.example. | grep -m 1 203.0.113.5 && break; sleep 0.2; done'; }; look --network asks; look --network plain --dns 10.90.4.53; $P network update asks --dns-drop 10.90.2.53 --dns-add 10.90.4.53 >/dev/null; look --network asks --network plain; $P rm -f -t 0 dnsd; $P network rm asks plain",
		want: "asks\nplain\nAddress: 203.0.113.5\nAddress: 203.0.113.5\nAddress: 203.0.113.5\ndnsd\nasks\nplain"},
	{name: "isolated from another", script: "$P network create -o isolate=true one; $P network create -o isolate=true two; $P run -d --name hermit --network one $I httpd -f -p 80 >/dev/null; answers hermit 80; a=$($P inspect hermit | jq -r '.[0].NetworkSettings.Networks.one.IPAddress'); " +
		"$P run --rm --network one $I wget -qO- -T 5 http://$a/ 2>&1 | grep -o 404; $P run --rm --network two $I wget -qO- -T 2 http://$a/ 2>&1 | grep -o 404; $P rm -f -t 0 hermit; $P network rm one two",
		want: "one\ntwo\n404\nhermit\none\ntwo"},
	{name: "isolated from all", since: "1.7", script: "$P network create -o isolate=strict alone; $P run -d --name hermit --network alone $I httpd -f -p 80 >/dev/null; answers hermit 80; a=$($P inspect hermit | jq -r '.[0].NetworkSettings.Networks.alone.IPAddress'); $P run --rm --network alone $I wget -qO- -T 5 http://$a/ 2>&1 | grep -o 404; $P run --rm --network wide $I wget -qO- -T 2 http://$a/ 2>&1 | grep -o 404; $P rm -f -t 0 hermit; $P network rm alone",
		want: "alone\n404\nhermit\nalone"},
	{name: "internal", script: "$P network create --internal shut; $P run --rm --network shut $I ip route | grep ^default; $P network rm shut", want: "shut\nshut"},
	{name: "no default route", since: "1.7", script: "$P network create --subnet 10.90.5.0/24 -o no_default_route=true flat; $P run --rm --network flat $I ip route; $P network rm flat",
		want: "flat\n10.90.5.0/24 dev eth0 scope link  src 10.90.5.2\nflat"},
	{name: "a route", since: "1.7", script: "$P network create --subnet 10.90.6.0/24 --route 10.99.0.0/24,10.90.6.7,9 routed; $P run --rm --network routed $I ip route show 10.99.0.0/24; $P network rm routed",
		want: "routed\n10.99.0.0/24 via 10.90.6.7 dev eth0  metric 9\nrouted"},
	{name: "no addresses", script: "$P network create --ipam-driver none bare; $P run --rm --network bare $I sh -c 'cat /sys/class/net/eth0/operstate; ip -4 -o addr show eth0'; $P network rm bare", want: "bare\nup\nbare"},
	{name: "IPv6 only by a flag", script: "$P network create --ipv6 both; $P run --rm --network both $I sh -c 'ip -o -6 addr show eth0 | grep -c \"inet6 fd\"; ip -o -4 addr show eth0 | grep -c inet'; $P network rm both", want: "both\n1\n1\nboth"},
	{name: "connect and disconnect", script: "$P network create --subnet 10.90.3.0/24 late; $P run -d --name peer --network late $I sleep 1000 >/dev/null; $P run -d --name app --network wide $I sleep 1000 >/dev/null; " +
		"$P network connect --ip 10.90.3.33 --mac-address 0e:00:00:00:00:09 --alias nick late app; $P exec app sh -c 'ip -4 -o addr show eth1 | grep -o 10.90.3.33/24; cat /sys/class/net/eth1/address; grep -c 10.90.3.1 /etc/resolv.conf; grep -c 10.90.3.33 /etc/hosts; until n=$(nslookup peer. | grep -c ^Name); do sleep 0.1; done; echo $n'; until n=$($P exec peer nslookup nick | grep -c '10.90.3.33$'); do sleep 0.1; done; echo $n; " +
		"$P network disconnect late app; $P exec app sh -c 'ls -d /sys/class/net/eth1 2>/dev/null; grep -c 10.90.3 /etc/resolv.conf /etc/hosts; ip -4 -o addr show eth0 | grep -c 10.90.1'; while n=$($P exec peer nslookup nick | grep -c 10.90.3.33); do sleep 0.1; done; echo $n",
		want: "late\n10.90.3.33/24\n0e:00:00:00:00:09\n1\n1\n1\n1\n/etc/resolv.conf:0\n/etc/hosts:0\n1\n0"},
	{name: "one that is in use, and by force", script: "$P network rm late 2>/dev/null; echo $?; $P network prune -f | sort; $P network rm -f -t 0 late; $P ps -a --format '{{.Names}}'; $P rm -f -t 0 app", want: "2\nlate\napp\napp"},
	{name: "what nobody uses", script: "$P network create --label x=y spare; $P run -d --name app --network wide $I sleep 1000 >/dev/null; $P network prune -f; $P rm -f -t 0 app; $P network ls -q --filter name='^(wide|spare)$' --format '{{.Name}}'", want: "spare\nspare\napp\nwide"},
	{name: "keys of a .network file", script: "mkdir -p $D; printf '[Network]\\nNetworkName=quad\\nSubnet=10.90.7.0/24\\nGateway=10.90.7.5\\nIPRange=10.90.7.64/28\\nLabel=k=v\\nDisableDNS=true\\nOptions=mtu=1390\\nNetworkDeleteOnStop=true\\n' >$D/quad.network; printf '[Container]\\nContainerName=inquad\\nImage=%s\\nExec=sleep 1000\\nNetwork=quad.network\\nStopTimeout=0\\n' $I >$D/inquad.container; $S daemon-reload; $S start inquad; " +
		"$P exec inquad sh -c 'ip -4 -o addr show eth0 | grep -o 10.90.7.64/24; cat /sys/class/net/eth0/mtu; ip route | grep ^default; grep -c 10.90.7.5 /etc/resolv.conf'; $P network inspect quad | jq -r '.[0].labels.k'; $S stop quad-network; $P network exists quad; echo $?; rm $D/*quad*; $S daemon-reload",
		want: "10.90.7.64/24\n1390\ndefault via 10.90.7.5 dev eth0  metric 100\n0\nv\n1"},
	{name: "slirp4netns", user: "alice", script: "$P run --rm --network slirp4netns:mtu=1300,cidr=10.77.0.0/24 $I sh -c 'cat /sys/class/net/[!l]*/mtu; ip -4 -o addr | grep -o 10.77.0.100' 2>/dev/null", want: "1300\n10.77.0.100"},
	{name: "options of pasta", user: "alice", script: "$P run --rm --network pasta:--mtu,1400,--ipv4-only,--address,10.66.0.2 $I sh -c 'cat /sys/class/net/[!l]*/mtu; ip -4 -o addr | grep -o 10.66.0.2; ip -6 -o addr | grep -c global'", want: "1400\n10.66.0.2\n0"},
	{name: "the default network by its mode", script: "$P run --rm --network bridge:ip=10.88.0.99 $I sh -c 'ip -4 -o addr show eth0 | grep -o 10.88.0.99/16'", want: "10.88.0.99/16"},
	{name: "that of a path", user: "root", script: "ip netns add alien; ip -n alien link add odd type bridge; $P run --rm --network ns:/run/netns/alien $I ls /sys/class/net; ip netns delete alien", want: "~odd"},
	{name: "that of a container, in files", script: "printf '[Container]\\nContainerName=vpn\\nImage=%s\\nExec=httpd -f -p 81\\nNetwork=wide:ip=10.90.1.81\\nStopTimeout=0\\n' $I >$D/vpn.container; printf '[Container]\\nContainerName=rider\\nImage=%s\\nExec=sleep 1000\\nNetwork=vpn.container\\nStopTimeout=0\\n' $I >$D/rider.container; $S daemon-reload; $S start rider; answers vpn 81; " +
		"$P exec rider sh -c 'ip -4 -o addr show eth0 | grep -o 10.90.1.81; wget -qO- http://127.0.0.1:81/ 2>&1 | grep -o 404'; $S stop vpn rider; rm $D/vpn.container $D/rider.container; $S daemon-reload", want: "10.90.1.81\n404"},
	{name: "a bridge that somebody else has made", user: "root", since: "1.14", script: "ip link add own type bridge; ip address add 10.90.8.1/24 dev own; ip link set own up; $P network create -o mode=unmanaged --interface-name own --subnet 10.90.8.0/24 theirs; $P run --rm --network theirs $I wget -qO- -T 5 http://10.90.8.1:9/ 2>&1 | grep -c refused; ip -o link show own | wc -l; $P network rm theirs; ip link delete own", want: "theirs\n1\n1\ntheirs"},
	{name: "a VLAN of a bridge, or a kernel without", user: "root", since: "1.14", script: "$P network create -o vlan=7 --interface-name tagged --subnet 10.90.9.0/24 seven; run() { $P run --rm --name v --network seven:host_interface_name=vport $I sleep ${1:-0}; }; " +
		"if ip link add probe type bridge vlan_filtering 1 2>/dev/null; then ip link delete probe; run 1000 & until bridge -j vlan show dev vport 2>/dev/null | jq -c '[.[].vlans[] | select(.vlan == 7).flags[]]' | grep -q PVID; do kill -0 $! || break; sleep 0.1; done; $P rm -f -t 0 v >/dev/null; wait; else run 2>&1 | grep -q 'the kernel lacks what the network is made of' || echo no error; fi; $P network rm seven",
		want: "seven\nseven"},
	{name: "names are served once, also after a reload", user: "root", script: "$P run -d --name app --network wide $I httpd -f -p 80 >/dev/null; answers app 80; $P network reload app >/dev/null; $P network reload -a >/dev/null; sort /run/containers/networks/aardvark-dns/wide | uniq -d; $P run --rm --network wide $I sh -c 'until n=$(nslookup -type=a app | grep -c \"^Address: \\|^Address:.*10.90.1.13[0-9]$\"); do sleep 0.1; done; echo $n; wget -qO- -T 5 http://app/ 2>&1 | grep -o 404'; $P rm -f -t 0 app", want: "1\n404\napp"},
	{name: "SCTP", user: "alice", script: "$P run --rm --network wide -p 9998:99/sctp $I true; echo $?", want: "~pasta can't forward protocol: sctp"},
	{name: "a low port", user: "alice", script: "$P run --rm -p 80:80 $I true; echo $?", want: "~net.ipv4.ip_unprivileged_port_start"},
	{name: "nothing is left", script: "$P network rm wide; $P network ls -q --format '{{.Name}}'", want: "wide\npodman"},
}

// TestLabNetworkOptions looks at each option of networks from inside a container.
func TestLabNetworkOptions(t *testing.T) {
	l := boot(t, labtest.Options{})
	for _, user := range []string{"alice", "root"} {
		l.MustRun(user, "podunit pull -q "+image)
		for _, c := range slices.Concat(networkOptions, driverOptions) {
			if c.user != "" && c.user != user {
				continue
			}
			t.Run(user+"/"+c.name, func(t *testing.T) {
				env := "answers() { for i in $(seq 300); do $P exec $1 wget -qO- -T 5 http://127.0.0.1:$2/ 2>&1 | grep -q 404 && return; $P container exists $1 || break; sleep 0.1; done; echo $1 does not answer; }; exec 2>&1; P=podunit; I=" + image + "; S='systemctl --user'; D=$HOME/.config/containers/systemd; N='podunit unshare --rootless-netns'; ANSWERER='" + answerer + "'\n"
				if user == "root" {
					env = strings.NewReplacer("$HOME/.config", "/etc", "systemctl --user", "systemctl", "N='podunit unshare --rootless-netns'", "N=").Replace(env)
				}
				want := c.want
				if c.since != "" && labtest.Release() == "bookworm" {
					want = "~needs netavark " + c.since + ", and 1.4 is installed"
				}
				start := time.Now()
				out, _, _ := l.on(t).Run(user, env+c.script)
				got := strings.ReplaceAll(strings.TrimSpace(out), " \n", "\n")
				if part, some := strings.CutPrefix(want, "~"); some && !strings.Contains(got, part) || !some && got != want {
					t.Errorf("%s\ngave\n%s\nand not\n%s", c.script, got, want)
				}
				t.Logf("%.1f s", time.Since(start).Seconds())
			})
		}
	}
}
