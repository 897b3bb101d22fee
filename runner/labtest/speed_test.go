// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/machine"
)

// race makes six units, of podunit and of Podman with each runtime, with and without a published
// port, then starts and stops them by turns and prints a line for each: the unit, then what its
// start and its stop took in microseconds.
const race = `set -e
image=localhost:5000/busybox:latest
quadlets=~/.config/containers/systemd units=~/.config/systemd/user peers=~/peers
mkdir -p $quadlets $units $peers
# The lab has no controller for it.
printf '[containers]\npids_limit=0\n' >~/.config/containers/containers.conf
podunit pull -q $image >/dev/null
port=18100
for net in none port; do
	for who in podunit runc crun; do
		port=$((port + 1))
		dir=$peers
		[ $who != podunit ] || dir=$quadlets
		{
			echo '[Unit]'; echo StartLimitIntervalSec=0
			echo '[Container]'; echo Image=$image; echo Exec=sleep infinity; echo StopSignal=KILL
			if [ $net = none ]; then echo Network=none; else echo PublishPort=127.0.0.1:$port:80; fi
			[ $who = podunit ] || echo GlobalArgs=--runtime=$who
			echo '[Quadlet]'; echo DefaultDependencies=false
		} >$dir/$who-$net.container
	done
done
QUADLET_UNIT_DIRS=$peers /usr/libexec/podman/quadlet -user -no-kmsg-log $units
systemctl --user daemon-reload
timed() {
	local a=$EPOCHREALTIME
	systemctl --user $1 $2
	local b=$EPOCHREALTIME
	echo -n " $(( ${b/./} - ${a/./} ))"
	sleep 0.1
}
for round in $(seq ROUNDS); do
	for net in none port; do
		for who in $(shuf -e podunit runc crun); do
			echo -n $who-$net
			timed start $who-$net
			timed stop $who-$net
			echo
		done
	done
done`

// TestLabSpeed compares what a start and a stop take with the peer, whose programs do the same
// beside it. The numbers are in the log; judged is only what holds on a machine that is not idle
// either. What its host takes away leaves no trace in the load, so ours is slower if it loses three
// races.
func TestLabSpeed(t *testing.T) {
	l := boot(t, labtest.Options{})
	var lost []string
	for range 3 {
		if lost = l.race(t); len(lost) == 0 {
			break
		}
		t.Logf("slower than two thirds of Podman with runc, or than Podman with crun: %s", strings.Join(lost, "; "))
	}
	if len(lost) > 0 {
		t.Errorf("slower, three times: %s", strings.Join(lost, "; "))
	}
	// A main process that is not its child is one whose end it may miss.
	if aliens := l.MustRun("alice", "journalctl --user -o cat --no-pager | grep -c 'which is not our child' || true"); aliens != "0" {
		t.Errorf("%s of the containers were not the manager's children", aliens)
	}
}

// race tells where we are slower than we ought to be.
func (l *Lab) race(t *testing.T) (lost []string) {
	const rounds = 10
	out := l.MustCommand(machine.Command{User: "alice", Timeout: 20 * time.Minute, Args: []string{strings.Replace(race, "ROUNDS", fmt.Sprint(rounds), 1)}})
	load, busy := l.Busy()
	took := map[string][]int{}
	for line := range strings.SplitSeq(out, "\n") {
		var unit string
		var start, stop int
		if _, err := fmt.Sscan(line, &unit, &start, &stop); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		took["start "+unit] = append(took["start "+unit], start)
		took["stop "+unit] = append(took["stop "+unit], stop)
	}
	median := func(what string) int {
		s := took[what]
		if len(s) != rounds {
			t.Fatalf("%s: %d times, want %d", what, len(s), rounds)
		}
		slices.Sort(s)
		return (s[(rounds-1)/2] + s[rounds/2]) / 2
	}
	for _, net := range []string{"none", "port"} {
		for _, act := range []string{"start", "stop"} {
			ours, runc, crun := median(act+" podunit-"+net), median(act+" runc-"+net), median(act+" crun-"+net)
			t.Logf("%s, %s: podunit %.1f ms; Podman with runc %.1f (%.2f), with crun %.1f (%.2f)", act, net,
				float64(ours)/1000, float64(runc)/1000, float64(ours)/float64(runc), float64(crun)/1000, float64(ours)/float64(crun))
			if busy {
				t.Logf("not judged, the machine has other work (load %.1f)", load)
			} else if 3*ours > 2*runc || ours > crun {
				// The aim is half of Podman's time with runc; ten rounds tell it no better than this.
				lost = append(lost, act+", "+net)
			}
		}
	}
	return lost
}
