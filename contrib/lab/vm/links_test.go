// SPDX-License-Identifier: Apache-2.0

//go:build lab

package vm

import (
	"testing"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// far is another machine, 198.51.100.1 and fd98::1, at a cable of this one, which is 198.51.100.2 and
// fd98::2. It knows the way to networks behind this one, below 10.70 and fd70.
const far = `ip netns add far; ip -n far link set lo up; ip link add port type veth peer name wall netns far
ip address add 198.51.100.2/24 dev port; ip address add fd98::2/64 dev port nodad; ip link set port up
ip -n far address add 198.51.100.1/24 dev wall; ip -n far address add fd98::1/64 dev wall nodad; ip -n far link set wall up
ip -n far route add 10.70.0.0/16 via 198.51.100.2; ip -n far route add fd70::/16 via fd98::2
`

// asking are functions of the scripts below: asks has the other machine ask the web server NAME at
// ADDRESS, and looks for the address that it is to be seen with in the server's log; link tells what
// the first device of a container is.
const asking = `asks() { for i in {1..30}; do
	ip netns exec far curl -gs -m 5 -o /dev/null http://$2/; podunit logs $1 2>&1 | grep -qF "$3]:" && { echo $1 sees $3; return; }; sleep 1
done; echo $1 never sees $3; }
link() { nsenter -t $(podunit inspect -f '{{.State.Pid}}' $1) -n ip -d -j link show eth0 | jq -r '.[0] | [.linkinfo.info_kind, .linkinfo.info_data.mode, .mtu] | join(" ")'; }
serve() { n=$1; shift; podunit run -d --name $n "$@" $I httpd -f -vv -p 80 >/dev/null; }
gets() { podunit exec $1 wget -qO- -T ${3:-5} http://$2/ 2>&1 | grep -q 404 && echo $1 reaches $2 || echo $1 does not reach $2; }
`

// TestVMLinks makes networks of what the lab's containers have no kernel for: ipvlan in its modes,
// VLANs on a bridge, and VRFs. Another machine tells whether they work.
func TestVMLinks(t *testing.T) {
	l := boot(t, labtest.Options{}, "root")
	play(t, l, linkSteps)
}

var linkSteps = []step{
	{name: "the other machine", user: "root", script: far + "until ip netns exec far curl -s -m 1 http://198.51.100.2:1/; [ $? = 7 ]; do sleep 0.1; done"},
	{name: "ipvlan", user: "root", script: asking + "podunit network create -d ipvlan -o parent=port -o mtu=1400 -o metric=77 --subnet 198.51.100.0/24 --gateway 198.51.100.1 --ip-range 198.51.100.64/28 --subnet fd98::/64 --gateway fd98::1 flat; " +
		"serve even --network flat:ip=198.51.100.70,ip6=fd98::70; link even; podunit exec even ip route; podunit exec even cat /sys/class/net/eth0/address | cmp - /sys/class/net/port/address; " +
		"serve odd --network flat; podunit exec odd ip -4 -o addr show eth0 | grep -o 198.51.100.6[4-9]/24; gets odd 198.51.100.70; gets odd [fd98::70]; asks even 198.51.100.70 198.51.100.1; asks even [fd98::70] fd98::1; podunit rm -f -t 0 even odd | sort; podunit network rm flat",
		want: "flat\nipvlan l2 1400\ndefault via 198.51.100.1 dev eth0  metric 77 \n198.51.100.0/24 dev eth0 scope link  src 198.51.100.70 \n198.51.100.64/24\nodd reaches 198.51.100.70\nodd reaches [fd98::70]\neven sees 198.51.100.1\neven sees fd98::1\neven\nodd\nflat"},
	// In l3 the machine routes, and its firewall sees nothing; in l3s it does.
	{name: "ipvlan, mode l3", user: "root", script: asking + guarded + "podunit network create -d ipvlan -o parent=port -o mode=l3 --subnet 10.70.1.0/24 --subnet fd70:1::/64 routed; serve even --network routed:ip=10.70.1.5,ip6=fd70:1::5; link even; " +
		"asks even 10.70.1.5 198.51.100.1; asks even [fd70:1::5] fd98::1; guarded; podunit rm -f -t 0 even; podunit network rm routed",
		want: "routed\nipvlan l3 1500\neven sees 198.51.100.1\neven sees fd98::1\nthe firewall sees nothing\neven\nrouted"},
	{name: "ipvlan, mode l3s", user: "root", script: asking + guarded + "podunit network create -d ipvlan -o parent=port -o mode=l3s --subnet 10.70.1.0/24 --subnet fd70:1::/64 routed; serve even --network routed:ip=10.70.1.5,ip6=fd70:1::5; link even; " +
		"asks even 10.70.1.5 198.51.100.1; asks even [fd70:1::5] fd98::1; guarded; podunit rm -f -t 0 even; podunit network rm routed",
		want: "routed\nipvlan l3s 1500\neven sees 198.51.100.1\neven sees fd98::1\nthe firewall sees it\neven\nrouted"},
	{name: "ipvlan without a way out", user: "root", script: "podunit network create -d ipvlan --interface-name port -o no_default_route=1 --subnet 198.51.100.0/24 --ip-range 198.51.100.64/28 shut; podunit run --rm --network shut $I ip route; podunit network rm shut; " +
		"podunit network create -d ipvlan -o parent=port --internal --subnet 198.51.100.0/24 --ip-range 198.51.100.64/28 inner; podunit run --rm --network inner $I ip route; podunit network rm inner",
		want: "shut\n198.51.100.0/24 dev eth0 scope link  src 198.51.100.64 \nshut\ninner\n198.51.100.0/24 dev eth0 scope link  src 198.51.100.64 \ninner"},
	{name: "a mode of ipvlan that there is not", user: "root", script: "podunit network create -d ipvlan -o parent=port -o mode=l4 --subnet 198.51.100.0/24 other; echo $?", want: "~it is one of l2, l3, l3s\n125"},
	// The other machine has a cable to the bridge, with both VLANs on it. The bridge's own address is
	// in neither.
	{name: "VLANs of a bridge", user: "root", script: asking + "podunit network create -o vlan=7 --disable-dns --interface-name trunk --subnet 10.71.0.0/24 --subnet fd71::/64 seven; podunit network create -o vlan=8 --disable-dns --interface-name trunk --subnet 10.72.0.0/24 eight; " +
		"serve a --network seven:ip=10.71.0.5,ip6=fd71::5; serve b --network seven; serve c --network eight:ip=10.72.0.5; gets b 10.71.0.5; gets b [fd71::5]; gets b 10.72.0.5; " +
		"ip link add t0 type veth peer name t1 netns far; ip link set t0 master trunk up; bridge vlan add vid 7 dev t0; bridge vlan add vid 8 dev t0; ip -n far link set t1 up; ip -n far link add link t1 name seven type vlan id 7; ip -n far link add link t1 name eight type vlan id 8; ip -n far link set seven up; ip -n far link set eight up; " +
		"ip -n far address add 10.71.0.99/24 dev seven; ip -n far address add fd71::99/64 dev seven nodad; asks a 10.71.0.5 10.71.0.99; asks a [fd71::5] fd71::99; ip -n far address flush dev seven; " +
		// With the VLAN of the others it reaches nobody.
		"ip -n far address add 10.71.0.98/24 dev eight; ip netns exec far curl -s -m 5 -o /dev/null http://10.71.0.5/ || echo not from the other VLAN; ip -n far address flush dev eight; ip -n far address add 10.72.0.98/24 dev eight; asks c 10.72.0.5 10.72.0.98; " +
		"ip -n far link del t1; podunit rm -f -t 0 a b c | sort; podunit network rm seven eight; ip link show trunk 2>&1 | grep -c 'does not exist'",
		want: "seven\neight\nb reaches 10.71.0.5\nb reaches [fd71::5]\nb does not reach 10.72.0.5\na sees 10.71.0.99\na sees fd71::99\nnot from the other VLAN\nc sees 10.72.0.98\na\nb\nc\nseven\neight\n1"},
	{name: "a VRF", user: "root", script: asking + "ip link add blue type vrf table 77; ip link set blue up; podunit network create -o vrf=blue --disable-dns --interface-name bluebridge --subnet 10.73.0.0/24 apart; serve a --network apart:ip=10.73.0.5; " +
		"ip -j link show bluebridge | jq -r '.[0].master'; until ip vrf exec blue curl -s -m 5 -o /dev/null http://10.73.0.5/; do sleep 1; done; ip route show 10.73.0.0/24; ip route show 10.73.0.0/24 table 77 | grep -o 'dev bluebridge'; podunit rm -f -t 0 a; podunit network rm apart; ip link delete blue",
		want: "apart\nblue\ndev bluebridge\na\napart"},
	{name: "nothing is left", user: "root", script: "podunit network ls -q --format '{{.Name}}'; ip -o link show | grep -c 'ipvlan\\|trunk\\|bluebridge\\|podman'; ls -A /run/podunit/networks/connected", want: "podman\n0"},
}

// guarded counts in the machine's firewall what goes to 10.70.1.5, and tells whether anything did.
const guarded = `guarded() { nft list table inet probe | grep -q 'packets 0 ' && echo the firewall sees nothing || echo the firewall sees it; nft delete table inet probe; }
nft 'add table inet probe; add chain inet probe in { type filter hook input priority 0; }; add rule inet probe in ip daddr 10.70.1.5 counter'
`
