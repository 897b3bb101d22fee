// SPDX-License-Identifier: Apache-2.0

package bench

import "fmt"

// reload is a manager's daemon-reload with n unit files, all else alike: each contender's generator
// takes its turn as the only one for users.
func reload(n int) Case {
	c := Case{Name: fmt.Sprintf("daemon-reload, %d files", n), Unit: "ms", Targets: map[string]float64{"podman": 1}}
	files := "~alice/.config/containers/systemd/reloaded"
	for _, who := range []struct{ name, masked, generator string }{
		{Ours, "podman", "/usr/lib/systemd/user-generators/podunit-user-generator"},
		{"podman", "podunit", "/usr/libexec/podman/quadlet"},
	} {
		c.Contenders = append(c.Contenders, Contender{
			Name: who.name, User: "root",
			Prepare: fmt.Sprintf(`cd /etc/systemd/user-generators
ln -sfn /dev/null %s-user-generator; ln -sfn %s %s-user-generator
mkdir -p ~alice/.config/containers/systemd; ln -sfn ~alice/files/%d %s`, who.masked, who.generator, who.name, n, files),
			Run: systemctl + " daemon-reload",
			// The lab has Podman's masked and podunit's where it was installed.
			After: fmt.Sprintf(`[ "$(%[1]s show -P LoadState u%[2]d)" = loaded ]
cd /etc/systemd/user-generators; ln -sfn /dev/null podman-user-generator; rm podunit-user-generator
rm %[3]s; %[1]s daemon-reload`, systemctl, n, files),
		})
	}
	return c
}

// boot starts a lingering user's manager that has nothing but the disk, as a boot does: 20 units
// that default.target wants.
func boot() Group {
	const n = 20
	g := Group{Name: "boot", Title: "a user's manager starts, until 20 units are active", Setup: common + fmt.Sprintf(`for i in $(seq %d); do kind=boot$i
`, n) + container("Network=none\n[Install]\nWantedBy=default.target") + `
done
mkdir -p ~/boot
rm -rf ~/boot/*; mkdir ~/boot/podunit ~/boot/runc ~/boot/crun
mv $quadlets/boot*-podunit.container ~/boot/podunit
for who in runc crun; do mkdir ~/boot/files; mv ~/peers/boot*-$who.container ~/boot/files
	QUADLET_UNIT_DIRS=~/boot/files /usr/libexec/podman/quadlet -user -no-kmsg-log ~/boot/$who; rm -r ~/boot/files
done
`}
	c := Case{Name: fmt.Sprintf("%d units", n), Unit: "ms", Share: 0.2, Targets: map[string]float64{withRunc: 0.5}}
	for _, who := range []struct{ name, short, place string }{
		{Ours, "podunit", "containers/systemd"}, {withRunc, "runc", "systemd/user"}, {withCrun, "crun", "systemd/user"},
	} {
		// The units of other groups stay where they are: the same for each contender.
		c.Contenders = append(c.Contenders, Contender{
			Name: who.name, User: "root",
			Prepare: fmt.Sprintf(`cd ~alice/.config; cp -a ~alice/boot/%s/. %s/
uid=$(id -u alice); systemctl stop user@$uid; systemctl stop user-runtime-dir@$uid; [ ! -e /run/user/$uid/containers ]`, who.short, who.place),
			Run: "systemctl start user@$(id -u alice); " + systemctl + " is-system-running --wait || :",
			After: fmt.Sprintf(`[ $(%[1]s list-units --state=active 'boot*-%[2]s.service' | grep -c '^ *boot') = %[3]d ]
%[1]s stop 'boot*-%[2]s.service'; cd ~alice/.config/%[4]s; rm -rf boot*-%[2]s.*; rm -f default.target.wants/boot*-%[2]s.service; %[1]s daemon-reload`, systemctl, who.short, n, who.place),
		})
	}
	g.Cases = []Case{c}
	return g
}

// soak starts and stops ten units 2,000 times in all, and makes as many health checks as a day has
// at one every 30 s. The number is what is there afterwards in percent of what was there before:
// 100 where nothing grows.
func soak() Group {
	const units, cycles, checks = 10, 200, 2880
	g := Group{Name: "soak", Title: "2,000 starts and stops, a day of health checks: what is left, in percent", Setup: common + fmt.Sprintf("for i in $(seq %d); do kind=soak$i\n", units) +
		container("Network=none\nVolume=soak-@:/data\nHealthCmd=true\nHealthInterval=disable") + "\ndone\nconvert\n", Root: `cat >/usr/local/bin/bench-things <<'END'
#!/bin/bash
# What there is of alice's: files in her storage, her run directory and the shared places, units, cgroups, processes, their
# descriptors, and keys of the kernel's.
uid=$(id -u alice)
cd /
{
	find ~alice/.local/share/containers /run/user/$uid /tmp /var/tmp /dev/shm -xdev
	find /sys/fs/cgroup/user.slice/user-$uid.slice -type d
	` + systemctl + ` list-units --all --plain --no-legend
	for p in $(pgrep -u alice,100000 .); do echo $p; ls /proc/$p/fd; done
} 2>/dev/null | wc -l
END
chmod +x /usr/local/bin/bench-things
`}
	add := func(title, work string) {
		c := Case{Name: title, Unit: "% of before", Share: 0.01}
		for _, who := range []struct{ name, short string }{{Ours, "podunit"}, {"podman", "runc"}} {
			all := fmt.Sprintf("$(printf 'soak%%d-%s ' $(seq %d))", who.short, units)
			c.Contenders = append(c.Contenders, Contender{
				Name: who.name, User: "root",
				// What is made once, and kept, is made before.
				Prepare: fmt.Sprintf("%[1]s start %[2]s; %[1]s restart %[2]s; sleep 5", systemctl, all),
				Run: fmt.Sprintf(`before=$(bench-things)
as() { runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/$(id -u alice) "$@"; }
%s
sleep 5
echo "$(bench-things) $before" | awk '{ printf "%%.2f", 100 * $1 / $2 }'`, fmt.Sprintf(work, systemctl, all, who.name, who.short)),
				After: systemctl + " stop " + all,
			})
		}
		g.Cases = append(g.Cases, c)
	}
	add("starts and stops", fmt.Sprintf("for i in $(seq %d); do %%[1]s stop %%[2]s; %%[1]s start %%[2]s; done >/dev/null", cycles))
	add("health checks", fmt.Sprintf("for i in $(seq %d); do as %%[3]s healthcheck run soak1-%%[4]s; done >/dev/null", checks))
	return g
}
