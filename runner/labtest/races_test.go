// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/machine"
)

// A contest is a script of what happens at once, round by round: it ends with status 0, and prints
// nothing of what must not be. Where once is the file of what chance must have brought about at
// least once, the rounds go on until it is not empty, 30 times as many at most.
type contest struct {
	name, begin, round, once, end string
	// stranger is what a container, named a, does in a volume that it shares, again and again.
	stranger string
	root     bool // root plays it, too, with a third of the rounds
}

// script plays the contest for that many rounds, in a directory of its own.
func (c contest) script(rounds int) string {
	begin := c.begin
	if c.stranger != "" {
		begin = target + "\npodunit run -d --rm --name a -v shared:/v " + image + " sh -c 'cd /v; " + c.stranger + "' >/dev/null\nuntil podunit exec a test -e /v; do sleep 0.1; done"
	}
	return c.rounds(begin, rounds) + "\n" + c.end
}

// rounds plays them.
func (c contest) rounds(begin string, rounds int) string {
	script := "mkdir -p ~/race; cd ~/race; rm -f *; : >said; : >rm\n" + begin + "\nfor i in $(seq " + strconv.Itoa(rounds) + "); do\n" + c.round + "\ndone\n"
	if c.once != "" {
		script += "until [ -s " + c.once + " ]; do\n[ $((i += 1)) -le " + strconv.Itoa(30*rounds) + " ] || { echo it never came about; exit 1; }\n" + c.round + "\ndone\n"
	}
	return script
}

// target makes a directory of the user's, and notes what it is like.
const target = `mkdir -p ~/target; echo mine >~/target/file; stat -c '%u %g %Y %n' ~/target ~/target/* >before`

// swaps has a directory be a link to one of the user's on the machine every other moment.
const swaps = `mkdir -p real/sub; echo >real/file; while :; do mv real d; mv d real; ln -s /home/alice/target d; rm d; done`

// untouched tells what has become of the user's directory.
const untouched = `podunit rm -f -t 0 a >/dev/null; stat -c '%u %g %Y %n' ~/target ~/target/* | cmp -s before - && [ $(cat ~/target/file) = mine ] || { echo "the target:"; ls -lan ~/target; exit 1; }; podunit volume rm -f shared`

var contests = []contest{
	{
		name: "a volume that is used and removed",
		round: `podunit volume prune -f >/dev/null 2>>said & podunit volume rm raced >/dev/null 2>>rm & podunit volume prune -f >/dev/null 2>>said &
			[ "$(podunit run --rm --network none -v raced:/data ` + image + ` sh -c 'echo it is here >/data/f; cat /data/f' 2>>said)" = "it is here" ] || { echo "round $i"; cat said; exit 1; }; wait`,
		end: `if grep -v -e 'in use' -e 'no such volume' -e busy -e 'hint: ' -e 'although they had names' rm said; then exit 1; fi`,
	},
	{
		name:  "containers that replace each other",
		root:  true,
		round: `for n in $(seq $((i == 1 ? 20 : 4))); do podunit run -d --replace --network none --name r --stop-signal KILL ` + image + ` sleep 1000 >/dev/null 2>>said & done; wait; [ $(podunit ps -q --filter name=r | wc -l) = 1 ] || { echo "round $i"; podunit ps -a; cat said; exit 1; }`,
		end:   `podunit rm -f -t 0 r >/dev/null; [ -z "$(podunit ps -aq)" ] && if grep -e 'exists already' -e 'in use' -e panic said; then exit 1; fi`,
	},
	{
		name: "prunes beside starts",
		round: `podunit create --network none --name old ` + image + ` >/dev/null
			podunit container prune -f >/dev/null 2>>said & podunit system prune -f >/dev/null 2>>said & podunit image prune -f >/dev/null 2>>said & podunit rm -f -i old >/dev/null 2>>said &
			[ "$(podunit run --rm --network none ` + image + ` echo runs 2>>said)" = runs ] || { echo "round $i"; cat said; exit 1; }; wait; if podunit container exists old; then podunit rm old; fi`,
		end: `if grep . said; then exit 1; fi`,
	},
	{
		name:  "pulls beside removals",
		begin: `s=$(podunit info -f '{{.Store.GraphRoot}}'); layers() { cat $s/overlay-layers/{,volatile-}layers.json 2>/dev/null | jq -s 'add | length'; }; before=$(layers)`,
		round: `for n in 1 2 3; do podunit pull -q localhost:5000/layers >/dev/null 2>>said || echo "round $i: pull $n: $?" >>said & done
			podunit rmi -f -i localhost:5000/layers >/dev/null 2>>said & podunit image prune -f >/dev/null 2>>said & (timeout -s KILL 0.$((RANDOM % 5 + 1)) podunit pull -q localhost:5000/layers >/dev/null 2>&1; true) & wait
			podunit run --rm --network none localhost:5000/layers >/dev/null 2>>said || { echo "round $i"; cat said; exit 1; }; podunit rmi -f localhost:5000/layers >/dev/null 2>>said`,
		end: `podunit image prune -f >/dev/null; [ $(layers) = $before ] || { echo "$before layers before, $(layers) after"; exit 1; }; if grep -v 'interrupted pulls had left' said; then exit 1; fi`,
	},
	{
		name: "a volume that is filled beside a stranger",
		root: true,
		// The volume is empty every other moment, and then it is filled.
		stranger: `while :; do ln -s /home/alice/target nginx; rm -f nginx; done 2>/dev/null`,
		round:    `podunit run --rm --network none -v shared:/etc localhost:5000/nginx true 2>>said; podunit exec a sh -c '[ -e /v/nginx/nginx.conf ] && echo; rm -rf /v/*' >>filled 2>/dev/null`,
		once:     "filled",
		end:      untouched,
	},
	{
		name:     "a volume that is given away beside a stranger",
		root:     true,
		stranger: swaps,
		round:    `podunit run --rm --network none -v shared:/v:U --user $((i + 1000)) ` + image + ` true 2>>said; true`,
		end:      untouched,
	},
	{
		name:     "copies beside a stranger",
		root:     true,
		stranger: swaps,
		round:    `echo theirs >file; podunit cp file a:/v/d/file 2>/dev/null; podunit cp file a:/v/d 2>/dev/null; podunit cp a:/v/d/file copy 2>/dev/null; if grep -s mine copy; then exit 1; fi; rm -f copy`,
		end:      untouched,
	},
}

// TestLabRaces has happen at once what must not disturb each other: ten rounds, or
// PODUNIT_RACE_ROUNDS.
func TestLabRaces(t *testing.T) {
	rounds := labtest.Rounds(t, "PODUNIT_RACE_ROUNDS", 10)
	l := boot(t, labtest.Options{})
	type game struct {
		contest
		user   string
		rounds int
	}
	var games []game
	for _, c := range contests {
		games = append(games, game{c, "alice", rounds})
		if c.root {
			games = append(games, game{c, "root", (rounds + 2) / 3})
		}
	}
	for _, user := range []string{"alice", "root"} {
		l.MustRun(user, works+"; podunit pull -q localhost:5000/nginx")
	}
	for _, r := range games {
		t.Run(r.user+"/"+r.name, func(t *testing.T) {
			l, rounds := l.on(t), r.rounds
			limit := 2*time.Minute + time.Duration(rounds)*30*time.Second
			if r.once != "" {
				limit += time.Duration(rounds) * time.Minute // for 30 times as many, of which each is short
			}
			stdout, stderr, code := l.Command(machine.Command{User: r.user, Args: []string{homeOf(r.user, r.script(rounds))}, Timeout: limit})
			if code != 0 || strings.Contains(stderr, "panic") {
				t.Errorf("status %d\n%s%s", code, stdout, stderr)
				l.Run(r.user, "podunit rm -f -a -t 0; podunit volume rm -f -a")
			}
		})
	}
}

// homeOf is a script of alice's for another user.
func homeOf(user, script string) string {
	if user == "root" {
		return strings.ReplaceAll(script, "/home/alice", "/root")
	}
	return script
}
