// SPDX-License-Identifier: Apache-2.0

//go:build lab

package vm

import (
	"fmt"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/machine"
)

// TestVMLife is what happens to a machine and its users: logins, ends of sessions, clocks, disks,
// sleep.
func TestVMLife(t *testing.T) {
	l := boot(t, labtest.Options{}, "alice", "root")
	for _, part := range []struct {
		name string
		test func(*testing.T, *labtest.Lab)
	}{
		{"login and logout", logout},
		{"terminate-user", terminate},
		{"a clock that jumps", clock},
		{"a disk that is full", full},
		{"a quota that is used up", quota},
		{"suspend", suspend},
		{"a read-only root", readOnly},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, l.For(t)) })
	}
}

// stay declares a unit of a user that starts with the user's manager.
func stay(l *labtest.Lab, user string) {
	l.WriteFile(user, ".config/containers/systemd/stay.container",
		"[Container]\nImage="+image+"\nNetwork=none\nExec=sleep infinity\nStopTimeout=1\n[Service]\nTimeoutStartSec=900\n[Install]\nWantedBy=default.target\n")
}

// logout: the containers of a user who does not linger end with the last session, and start with
// the next one.
func logout(t *testing.T, l *labtest.Lab) {
	stay(l, "dave")
	const login = "systemd-run --quiet --unit=login-dave --property=PAMName=login --property=User=dave --service-type=exec sleep infinity"
	for range 2 {
		l.MustRun("root", login)
		l.Eventually("dave", "systemctl --user is-active stay && podunit exec systemd-stay true", patience)
		l.MustRun("root", "systemctl stop login-dave")
		// The scope of the commands that the lab runs as dave is none of a login.
		l.Gone("root", `systemctl is-active user@1003.service | grep -v inactive
			find /sys/fs/cgroup/user.slice/user-1003.slice -name 'lab-*' -prune -o -name cgroup.procs -exec cat {} +; pgrep -U $(seq -s , 300000 300100)`)
	}
	l.NothingLeft("dave", time.Minute)
}

// terminate: loginctl terminate-user ends what a lingering user has, and leaves nothing; a new
// manager starts it all again.
func terminate(t *testing.T, l *labtest.Lab) {
	stay(l, "alice")
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start stay && podunit run -d --restart always --network none --name hand "+image+" sleep 999")
	before := l.MustRun("root", "systemctl show -P MainPID user@1000")
	l.MustRun("root", "loginctl terminate-user alice")
	l.Eventually("root", `[ "$(systemctl show -P MainPID user@1000)" != `+before+` ]`, patience)
	l.MustRun("root", "systemctl start user@1000.service")
	l.Eventually("alice", "systemctl --user is-active stay && podunit exec systemd-stay true && podunit exec hand true", patience)
	l.MustRun("alice", "podunit rm -f -t 0 hand")
	l.NothingLeft("alice", time.Minute)
}

// clock: a day back and a day on, timers of health checks go on, and nothing restarts.
func clock(t *testing.T, l *labtest.Lab) {
	l.MustRun("alice", "podunit run -d --network none --name ticks --health-cmd 'echo x >>/checks' --health-interval 1s "+image+" sleep infinity")
	before := l.MustRun("alice", "podunit inspect -f '{{.State.Pid}}' ticks")
	l.Eventually("alice", "podunit exec ticks test -s /checks", patience)
	const day = 24 * 60 * 60
	for _, jump := range []int{-day, 2 * day, -day} {
		l.MustRun("root", fmt.Sprintf(`date --set "@$(($(date +%%s) + %d))"`, jump))
		count := l.MustRun("alice", "podunit exec ticks sh -c 'wc -l </checks'")
		l.Eventually("alice", "[ $(podunit exec ticks sh -c 'wc -l </checks') -ge $(("+count+" + 3)) ]", patience)
		l.Eventually("alice", "podunit ps --format '{{.Names}} {{.Status}}' | grep '^ticks Up .*(healthy)'", patience)
		l.MustRun("alice", "podunit run --rm --network none "+image+" true")
	}
	if after := l.MustRun("alice", "podunit inspect -f '{{.State.Pid}}' ticks"); after != before {
		t.Errorf("the container has process %s, had %s", after, before)
	}
	l.MustRun("alice", "podunit rm -f -t 0 ticks")
}

// full: a pull into a disk without room says so and leaves nothing, and what there is goes on.
func full(t *testing.T, l *labtest.Lab) {
	const store = "~bob/.local/share/containers"
	t.Cleanup(func() { l.Run("root", "umount -l "+store) }) // the next part has another disk there
	l.MustRun("root", "truncate --size 40M /var/small && mkfs.ext4 -q /var/small && runuser -u bob -- mkdir -p "+store+" && mount -o loop /var/small "+store+" && chown bob:bob "+store)
	l.MustRun("bob", "podunit pull -q "+image+" && podunit run -d --network none --name stays "+image+" sleep infinity")
	used := l.MustRun("bob", "df --output=used "+store+" | tail -n 1")
	t.Log("used", used)
	play(t, l.For(t), []step{
		{name: "a pull", user: "bob", script: "podunit pull -q localhost:5000/big; echo $?", want: "~no space left on the disk of /home/bob/.local/share/containers/storage"},
		{name: "what there is", user: "bob", script: "podunit exec stays echo runs; " + run + "$I echo starts; podunit images -q | wc -l", want: "runs\nstarts\n1"},
		{name: "no room at all", user: "bob", script: "dd if=/dev/zero of=" + store + "/fill bs=64k 2>/dev/null; " + run + "$I true; echo $?; podunit exec stays echo runs", want: "~runs"},
		{name: "room again", user: "bob", script: "rm " + store + "/fill; " + run + "$I echo starts; podunit rm -f -t 0 stays; podunit ps -a -q", want: "starts\nstays"},
	})
	l.NothingLeft("bob", time.Minute)
}

// quota: a container that uses up what its user may have on a disk with room for others is told of by
// its list, stopped and removed at once, and the next one starts.
func quota(t *testing.T, l *labtest.Lab) {
	const store = "~bob/.local/share/containers"
	t.Cleanup(func() { l.Run("root", "umount -l "+store) })
	// The call is quotactl(2)'s Q_SETQUOTA of a user, with limits of blocks and of inodes; 179 is its
	// number on x86-64, which the machine is.
	l.MustRun("root", `truncate --size 200M /var/limited && mkfs.ext4 -q -O quota -E quotatype=usrquota /var/limited && runuser -u bob -- mkdir -p `+store+` && mount -o loop,usrquota /var/limited `+store+` && chown bob:bob `+store+`
perl -e 'my ($d, $limits) = ($ARGV[0], pack("Q8 L x4", 40960, 0, 0, 0, 0, 0, 0, 0, 5)); syscall(179, 0x80000800, $d, 0 + $ARGV[1], $limits) == 0 or die $!' "$(findmnt -no SOURCE `+store+`)" $(id -u bob)`)
	l.MustRun("bob", "podunit pull -q "+image+" && podunit run -d --network none --name fills --stop-signal KILL "+image+" sh -c 'dd if=/dev/zero of=/fill bs=4k; dd if=/dev/zero of=/fill2 bs=1; touch /full; echo ended; sleep infinity'")
	l.Eventually("bob", "podunit logs fills | grep -x ended", patience)
	play(t, l.For(t), []step{
		{name: "the quota is used up, and not the disk", user: "bob", script: "podunit logs fills 2>&1 | grep -q 'quota exceeded' && echo used up; [ $(df --output=avail " + store + " | tail -1) -gt 100000 ] && echo room", want: "used up\nroom"},
		{name: "a pull", user: "bob", script: "podunit pull -q localhost:5000/big; echo $?", want: "~no space left on the disk of /home/bob/.local/share/containers/storage"},
		{name: "what there is", user: "bob", script: "podunit ps --format '{{.Names}}'; podunit exec fills echo runs", want: "fills\nruns"},
		{name: "its end", user: "bob", script: "podunit stop -t 0 fills && podunit rm fills && podunit ps -aq; " + run + "$I echo starts", want: "fills\nfills\nstarts"},
	})
	l.NothingLeft("bob", time.Minute)
}

// readOnly: when every file system has become read-only, as after an error of a disk, what runs goes
// on, podunit says what is wrong, and the manager can still stop it. The next boot is as always.
func readOnly(t *testing.T, l *labtest.Lab) {
	l.MustRun("alice", "podunit run -d --network none --name ro "+image+" sleep infinity")
	pid := l.MustRun("alice", "podunit inspect -f '{{.State.Pid}}' ro")
	l.MustRun("root", "sync; echo u >/proc/sysrq-trigger")
	l.Eventually("root", "grep ' / ext4 ro' /proc/mounts", patience)
	const refusal = "podunit: error: containers storage /home/alice/.local/share/containers/storage/storage.lock: read-only file system\n" +
		"  hint: the file system is read-only; put the storage elsewhere with graphroot in ~/.config/containers/storage.conf\n125"
	play(t, l, []step{
		{name: "it goes on", user: "alice", script: "$S is-active ro; kill -0 " + pid + " && echo runs", want: "active\nruns"},
		{name: "asked", user: "alice", script: "podunit ps; echo $?", want: refusal},
		{name: "a start", user: "alice", script: run + "$I true; echo $?", want: refusal},
		{name: "a stop", user: "alice", script: "$S stop ro; kill -0 " + pid + " 2>/dev/null || echo ended", want: "ended"},
	})
	// A file system with inodes to be freed does not become writable again.
	l.PowerCut()
	l.Boot()
	l.Eventually("alice", "podunit rm -f -t 0 ro && podunit run --rm --network none "+image+" true", patience)
	l.NothingLeft("alice", time.Minute)
}

// suspend: after a sleep of the machine the containers and their checks go on.
func suspend(t *testing.T, l *labtest.Lab) {
	l.MustRun("alice", "podunit run -d --network none --name naps --health-cmd 'echo x >>/checks' --health-interval 1s "+image+" sleep infinity")
	before := l.MustRun("alice", "podunit inspect -f '{{.State.Pid}}' naps")
	l.Eventually("alice", "podunit exec naps test -s /checks", patience)
	// The clock of the hardware wakes it.
	t.Log(l.MustCommand(machine.Command{User: "root", Timeout: patience,
		Args: []string{"cat /sys/power/state; rtcwake -m $(grep -ow mem /sys/power/state || echo freeze) -s 20 && journalctl -k -b --no-pager -g 'PM: suspend'"}}))
	count := l.MustRun("alice", "podunit exec naps sh -c 'wc -l </checks'")
	l.Eventually("alice", "[ $(podunit exec naps sh -c 'wc -l </checks') -ge $(("+count+" + 3)) ]", patience)
	if after := l.MustRun("alice", "podunit inspect -f '{{.State.Pid}}' naps"); after != before {
		t.Errorf("the container has process %s, had %s", after, before)
	}
	l.MustRun("alice", "podunit rm -f -t 0 naps")
}
