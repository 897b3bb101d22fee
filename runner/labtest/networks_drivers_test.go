// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

// wall makes another machine, 198.51.100.1 and fd98::1, at a cable whose end here is the device port.
// Of its functions, link tells what the first device of a container is, gets whom a container
// reaches, and asked whom it is asked by.
const wall = `ip netns add wall; ip link add port type veth peer name wall netns wall; ip link set port up
ip -n wall address add 198.51.100.1/24 dev wall; ip -n wall address add fd98::1/64 dev wall nodad; ip -n wall link set wall up
link() { nsenter -t $($P inspect -f '{{.State.Pid}}' $1) -n ip -d -j link show eth0 | jq -r '.[0] | [.linkinfo.info_kind, .linkinfo.info_data.mode, .mtu] | join(" ")'; }
gets() { for i in 1 2 3; do $P exec $1 wget -qO- -T 2 http://$2/ 2>&1 | grep -q 404 && { echo $1 reaches $2; return; }; done; echo $1 does not reach $2; }
asked() { for i in $(seq 60); do ip netns exec wall curl -gs -m 5 -o /dev/null http://$2/; $P logs $1 2>&1 | grep -qF "$3]:" && { echo $1 sees $3; return; }; sleep 0.2; done; echo $1 never sees $3; }
serve() { n=$1; shift; $P run -d --name $n "$@" $I httpd -f -vv -p 80 >/dev/null; answers $n 80; }
lan="-d macvlan -o parent=port --subnet 198.51.100.0/24 --gateway 198.51.100.1 --ip-range 198.51.100.32/28"
`

// unwall removes what wall has made.
const unwall = "; ip netns delete wall; until ! ip link show port >/dev/null 2>&1; do sleep 0.1; done"

// modeOfMacvlan has two containers on a macvlan in a mode, and tells whom they reach.
func modeOfMacvlan(mode string) string {
	return wall + "$P network create $lan --subnet fd98::/64 --gateway fd98::1 -o mode=" + mode + " lan; serve a --network lan:ip=198.51.100.40,ip6=fd98::40; serve b --network lan; link a; gets b 198.51.100.40; asked a 198.51.100.40 198.51.100.1; asked a [fd98::40] fd98::1; $P rm -f -t 0 a b | sort; $P network rm lan" + unwall
}

// driverOptions are cases as networkOptions are: drivers, and what else those have not.
var driverOptions = []networkOption{
	{name: "macvlan", user: "root", script: modeOfMacvlan("bridge"), want: "lan\nmacvlan bridge 1500\nb reaches 198.51.100.40\na sees 198.51.100.1\na sees fd98::1\na\nb\nlan"},
	{name: "macvlan, mode private", user: "root", script: modeOfMacvlan("private"), want: "lan\nmacvlan private 1500\nb does not reach 198.51.100.40\na sees 198.51.100.1\na sees fd98::1\na\nb\nlan"},
	// The other machine is no switch that sends back what is for its neighbours.
	{name: "macvlan, mode vepa", user: "root", script: modeOfMacvlan("vepa"), want: "lan\nmacvlan vepa 1500\nb does not reach 198.51.100.40\na sees 198.51.100.1\na sees fd98::1\na\nb\nlan"},
	{name: "macvlan, mode passthru, which has the device for itself", user: "root", script: wall + "$P network create $lan -o mode=passthru lan; serve a --network lan:ip=198.51.100.40; link a; $P exec a cat /sys/class/net/eth0/address | cmp - /sys/class/net/port/address; $P run --rm --network lan $I true >/dev/null 2>&1; echo $?; asked a 198.51.100.40 198.51.100.1; $P rm -f -t 0 a; $P network rm lan" + unwall,
		want: "lan\nmacvlan passthru 1500\n125\na sees 198.51.100.1\na\nlan"},
	{name: "macvlan: mtu, metric", user: "root", script: wall + "$P network create $lan -o mtu=1300 -o metric=66 lan; serve a --network lan; link a; $P exec a ip route; $P rm -f -t 0 a; $P network rm lan" + unwall,
		want: "lan\nmacvlan bridge 1300\ndefault via 198.51.100.1 dev eth0  metric 66\n198.51.100.0/24 dev eth0 scope link  src 198.51.100.32\na\nlan"},
	{name: "macvlan: bclim", user: "root", since: "1.7", script: wall + "$P network create $lan -o bclim=-1 lan; serve a --network lan; nsenter -t $($P inspect -f '{{.State.Pid}}' a) -n ip -d link show eth0 | grep -o 'bclim -1'; $P rm -f -t 0 a; $P network rm lan" + unwall,
		want: "lan\nbclim -1\na\nlan"},
	{name: "macvlan: no default route", user: "root", since: "1.7", script: wall + "$P network create $lan -o no_default_route=1 --route 10.99.0.0/24,198.51.100.1 lan; $P run --rm --network lan $I ip route; $P network rm lan" + unwall,
		want: "lan\n10.99.0.0/24 via 198.51.100.1 dev eth0  metric 100\n198.51.100.0/24 dev eth0 scope link  src 198.51.100.32\nlan"},
	{name: "macvlan: internal", user: "root", script: wall + "$P network create $lan --internal lan; $P run --rm --network lan $I ip route; $P network rm lan" + unwall,
		want: "lan\n198.51.100.0/24 dev eth0 scope link  src 198.51.100.32\nlan"},
	{name: "macvlan of the device with the default route", user: "root", script: wall + "$P network create -d macvlan --subnet 10.93.0.0/24 lan; serve a --network lan; nsenter -t $($P inspect -f '{{.State.Pid}}' a) -n cat /proc/net/dev >/dev/null; $P exec a cat /sys/class/net/eth0/iflink | cmp - /sys/class/net/$(ip -j route show default | jq -r '.[0].dev')/ifindex; link a; $P rm -f -t 0 a; $P network rm lan" + unwall,
		want: "lan\nmacvlan bridge 1500\na\nlan"},
	{name: "a user's macvlan", user: "alice", script: "$P network create -d macvlan --subnet 10.93.0.0/24 lan; echo $?", want: "~driver macvlan: only root can connect containers to a device of the host\n125"},
	{name: "Docker's names of options", script: "$P network create -o com.docker.network.bridge.name=dockered -o com.docker.network.driver.mtu=1370 dock; $P run -d --name a --network dock $I sleep 1000 >/dev/null; $P exec a cat /sys/class/net/eth0/mtu; $N ip -o link show type bridge | grep -o dockered; $P rm -f -t 0 a; $P network rm dock",
		want: "dock\n1370\ndockered\na\ndock"},
	{name: "each subnet its gateway and range", script: "$P network create --subnet 10.94.0.0/24 --gateway 10.94.0.9 --ip-range 10.94.0.128/25 --subnet fd94::/64 --gateway fd94::9 --ip-range fd94::100-fd94::1ff two; " +
		"$P run --rm --network two $I sh -c 'ip -o addr show eth0 | grep -oE \"10.94.0.128/24|fd94::100/64\"; ip route | grep ^default; ip -6 route | grep ^default | sed \"s/ *metric.*//\"'; $P network rm two",
		want: "two\n10.94.0.128/24\nfd94::100/64\ndefault via 10.94.0.9 dev eth0  metric 100\ndefault via fd94::9 dev eth0\ntwo"},
	{name: "the metric decides which network leads out", script: "$P network create --subnet 10.94.1.0/24 -o metric=200 far; $P network create --subnet 10.94.2.0/24 -o metric=50 close; $P run --rm --network far --network close $I ip route get 203.0.113.9 | grep -o 'via 10.94.2.1 dev eth1'; $P network rm far close",
		want: "far\nclose\nvia 10.94.2.1 dev eth1\nfar\nclose"},
	{name: "isolate=false is not isolated", script: "$P network create -o isolate=false one; $P network create two; $P run -d --name open --network one $I httpd -f -p 80 >/dev/null; answers open 80; a=$($P inspect open | jq -r '.[0].NetworkSettings.Networks.one.IPAddress'); $P run --rm --network two $I wget -qO- -T 5 http://$a/ 2>&1 | grep -o 404; $P rm -f -t 0 open; $P network rm one two",
		want: "one\ntwo\n404\nopen\none\ntwo"},
	{name: "one that is there already is left as it is", script: "$P network create --subnet 10.94.3.0/24 kept; $P network create --ignore --subnet 10.94.4.0/24 kept; $P run --rm --network kept $I ip -4 -o addr show eth0 | grep -o 10.94.3.2/24; $P network rm kept",
		want: "kept\nkept\n10.94.3.2/24\nkept"},
	{name: "several in one flag", script: "$P network create --subnet 10.94.5.0/24 one; $P network create --subnet 10.94.6.0/24 two; $P run --rm --network one,two $I sh -c 'ip -4 -o addr show eth0 | grep -o 10.94.5.2/24; ip -4 -o addr show eth1 | grep -o 10.94.6.2/24'; $P network rm one two",
		want: "one\ntwo\n10.94.5.2/24\n10.94.6.2/24\none\ntwo"},
	{name: "connect with an IPv6 address, and disconnect of who is not there", script: "$P network create --subnet 10.94.7.0/24 --subnet fd94:7::/64 late; $P run -d --name app --network podman $I sleep 1000 >/dev/null; $P network connect --ip6 fd94:7::55 late app; $P exec app ip -6 -o addr show eth1 | grep -o fd94:7::55/64; $P network disconnect -f late nosuch; echo $?; $P network disconnect late nosuch 2>/dev/null; echo $?; $P rm -f -t 0 app; $P network rm late",
		want: "late\nfd94:7::55/64\n0\n125\napp\nlate"},
	{name: "connect while it is stopped", script: "$P network create --subnet 10.94.8.0/24 late; $P create --name app --network podman $I sleep 1000 >/dev/null; $P network connect --ip 10.94.8.8 late app; $P start app; $P exec app ip -4 -o addr show eth1 | grep -o 10.94.8.8/24; $P stop -t 0 app; $P network disconnect late app; $P start app; $P exec app ls /sys/class/net | grep -c eth; $P rm -f -t 0 app; $P network rm late",
		want: "late\napp\n10.94.8.8/24\napp\napp\n1\napp\nlate"},
	{name: "the server is another one at once", script: "$P network create --subnet 10.94.9.0/24 asks; printf %s \"$ANSWERER\" >~/dns.py; $P run -d --name dnsd --network asks:ip=10.94.9.53 -v /usr:/usr:ro -v ~/dns.py:/dns.py:ro --stop-signal KILL $I python3 /dns.py >/dev/null; $P run -d --name app --network asks $I sleep 1000 >/dev/null; $P network update asks --dns-add 10.94.9.53 >/dev/null; " +
		"$P exec app sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do nslookup -type=a some.where.example. | grep -m 1 203.0.113.5 && break; sleep 1; done'; $P rm -f -t 0 app dnsd; $P network rm asks",
		want: "asks\nAddress: 203.0.113.5\napp\ndnsd\nasks"},
	{name: "filters of ls and prune", script: "$P network create --label a=b --label c one; $P network create two; $P run -d --name app --network two $I sleep 1000 >/dev/null; ls() { $P network ls --format '{{.Name}}' \"$@\" | sort | xargs echo \"$*:\"; }; " +
		"ls --filter id=$($P network inspect -f '{{.ID}}' one | cut -c 1-20) | sed 's/.*://'; ls --filter driver=bridge; ls --filter label=a; ls --filter label=c= ; ls --filter label!=a=b; ls --filter dangling=true; ls --filter dangling=false; ls --filter until=2020-01-01T00:00:00; ls --filter name=one --filter name=two; ls -n --filter name=one; " +
		"$P network prune -f --filter label!=c; $P network prune -f --filter until=2020-01-01T00:00:00; $P network prune -f --filter label=a=b; $P rm -f -t 0 app; $P network rm two",
		want: "one\ntwo\n one\n--filter driver=bridge: one podman two\n--filter label=a: one\n--filter label=c=: one\n--filter label!=a=b: podman two\n--filter dangling=true: one\n--filter dangling=false: podman two\n--filter until=2020-01-01T00:00:00:\n--filter name=one --filter name=two: one two\n-n --filter name=one: one\none\napp\ntwo"},
	{name: "more keys of a .network file", script: "mkdir -p $D; printf '[Network]\\nNetworkName=quad\\nInternal=true\\nIPv6=true\\nDriver=bridge\\nInterfaceName=quadbr\\nPodmanArgs=--subnet 10.94.10.0/24\\n' >$D/quad.network; printf '[Network]\\nIPAMDriver=none\\n' >$D/bare.network; printf '[Container]\\nContainerName=inquad\\nImage=%s\\nExec=sleep 1000\\nNetwork=quad.network:ip=10.94.10.10,mac=0e:00:00:00:00:10\\nNetwork=bare.network\\nNetworkAlias=aka\\nStopTimeout=0\\n' $I >$D/inquad.container; $S daemon-reload; $S start inquad; " +
		"$P exec inquad sh -c 'ip -4 -o addr show eth0 | grep -o 10.94.10.10/24; ip -6 -o addr show eth0 | grep -c \"inet6 fd\"; cat /sys/class/net/eth0/address; ip route | grep -c ^default; ip -4 -o addr show eth1; nslookup aka | grep -c 10.94.10.10; cat /sys/class/net/eth1/operstate'; $N ip -o link show type bridge | grep -o quadbr; $S stop quad-network bare-network; $P network rm quad systemd-bare; rm $D/quad.network $D/bare.network $D/inquad.container; $S daemon-reload",
		want: "10.94.10.10/24\n1\n0e:00:00:00:00:10\n0\n1\nup\nquadbr\nquad\nsystemd-bare"},
	{name: "reload of the latest", user: "root", script: "$P network create --subnet 10.94.11.0/24 one; $P run -d --name app --network one $I httpd -f -p 80 >/dev/null; answers app 80; nsenter -t $($P inspect -f '{{.State.Pid}}' app) -n ip link delete eth0; $P network reload -l >/dev/null; $P exec app ip -4 -o addr show eth0 | grep -o 10.94.11.2/24; $P run --rm --network one $I wget -qO- -T 5 http://app/ 2>&1 | grep -o 404; $P rm -f -t 0 app; $P network rm one",
		want: "one\n10.94.11.2/24\n404\napp\none"},
	{name: "no driver's network is left", script: "$P network ls -q --format '{{.Name}}'", want: "podman"},
}
