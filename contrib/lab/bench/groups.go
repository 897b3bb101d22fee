// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"strings"
)

// Groups are all that make bench measures. A later one may use what an earlier one has left in the
// lab, but none needs it: each can run alone.
func Groups() []Group {
	return []Group{generator(), start(), stop(), many(), boot(), memory(), idle(), logs(), pull(), archives(), verbs(), stats(), update(), network(), throughput(), soak()}
}

// Podman with each of its runtimes.
const (
	withRunc = "podman+runc"
	withCrun = "podman+crun"
)

// runtimes are the OCI runtimes that Podman is measured with, in units of their names.
var runtimes = []struct{ name, short string }{{withRunc, "runc"}, {withCrun, "crun"}}

const image = "localhost:5000/busybox:latest"

// ends is a command that ends at the stop signal, as the first process of a container.
const ends = `sh -c 'trap "exit 0" TERM; sleep infinity & wait'`

// common is what each set-up of alice's begins with. A file is written for podunit, and with
// Podman's generator for each of its runtimes: write KIND TEXT has @ for what tells them apart.
const common = `set -e
image=` + image + `
quadlets=~/.config/containers/systemd units=~/.config/systemd/user
mkdir -p $quadlets $units ~/peers
# The lab has no controller for it.
printf '[containers]\npids_limit=0\n' >~/.config/containers/containers.conf
podunit image exists $image || podunit pull -q $image >/dev/null
# write NAME KIND: standard input becomes NAME-podunit.KIND and its twins. @ is the contender, %PORT a free port of each.
port=18000
write() {
	local text who dir; text=$(cat)
	for who in podunit runc crun; do
		dir=~/peers; [ $who != podunit ] || dir=$quadlets
		port=$((port + 1))
		printf '[Unit]\nStartLimitIntervalSec=0\n%s\n' "$text" | sed "s/%PORT/$port/; s/@/$who/g" >$dir/$1-$who.$2
		[ $who = podunit ] || printf '[%s]\nGlobalArgs=--runtime=%s\n[Quadlet]\nDefaultDependencies=false\n' "${2^}" $who >>$dir/$1-$who.$2
		[ $who != podunit ] || printf '[Quadlet]\nDefaultDependencies=false\n' >>$dir/$1-$who.$2
	done
}
convert() {
	QUADLET_UNIT_DIRS=~/peers /usr/libexec/podman/quadlet -user -no-kmsg-log $units
	systemctl --user daemon-reload
}
`

// kinds are the units of one start or stop each: what its name begins with, what systemctl starts,
// and the file.
var kinds = []struct{ name, title, suffix, script string }{
	{"none", "no network", "", container("Network=none")},
	{"port", "published port", "", container("PublishPort=127.0.0.1:%PORT:80")},
	{"network", "named network", "", "podunit network exists bench || podunit network create bench >/dev/null\n" + container("Network=bench")},
	{"keepid", "keep-id", "", container("Network=none\nUserNS=keep-id")},
	{"health", "health check", "", container("Network=none\nHealthCmd=true\nHealthInterval=10s")},
	{"three", "pod of three", "-pod", `write three pod <<'END'
[Pod]
PodName=three-@
PublishPort=127.0.0.1:%PORT:80
END
for i in 1 2 3; do sed "s/^ContainerName=.*/&-$i/" <<'END' | write three$i container; done
[Container]
Image=` + image + `
Exec=` + ends + `
ContainerName=three-@
Pod=three-@.pod
END
`},
	{"kube", ".kube of three", "", `for who in podunit runc crun; do cat >~/three-$who.yaml <<END
apiVersion: v1
kind: Pod
metadata: {name: kube-$who}
spec:
  containers:
  - {name: a, image: "` + image + `", command: [sh, -c, 'trap "exit 0" TERM; sleep infinity & wait']}
  - {name: b, image: "` + image + `", command: [sh, -c, 'trap "exit 0" TERM; sleep infinity & wait']}
  - {name: c, image: "` + image + `", command: [sh, -c, 'trap "exit 0" TERM; sleep infinity & wait']}
END
done
write kube kube <<'END'
[Kube]
Yaml=%h/three-@.yaml
END
`},
}

// container is a script that writes a .container file of a kind, whose name it takes from the
// variable kind.
func container(keys string) string {
	return "write $kind container <<'END'\n[Container]\nImage=" + image + "\nExec=" + ends + "\n" + keys + "\nEND\n"
}

// lifeSetup writes the units of all kinds.
func lifeSetup() string {
	var b strings.Builder
	b.WriteString(common)
	for _, k := range kinds {
		fmt.Fprintf(&b, "kind=%s\n%s", k.name, k.script)
	}
	b.WriteString(`convert
# The floor: what a manager and runc alone take.
mkdir -p ~/floor/rootfs
[ -e ~/floor/rootfs/bin ] || { c=$(podunit create $image); podunit export $c | tar -x -C ~/floor/rootfs; podunit rm $c >/dev/null; }
rm -f ~/floor/config.json
runc spec --rootless -b ~/floor
jq '.process.terminal = false | .process.args = ["sh", "-c", "trap \"exit 0\" TERM; sleep infinity & wait"]' ~/floor/config.json >~/floor/c && mv ~/floor/c ~/floor/config.json
cat >$units/floor.service <<'END'
[Unit]
StartLimitIntervalSec=0
[Service]
Type=forking
PIDFile=%t/floor.pid
ExecStart=/usr/bin/runc run --detach --pid-file %t/floor.pid --bundle %h/floor floor
ExecStopPost=/usr/bin/runc delete --force floor
END
systemctl --user daemon-reload
`)
	return b.String()
}

// life has contenders start or stop a unit of each kind.
func life(title, run string, of func(who, unit string) Contender, targets func(kind string) map[string]float64) Group {
	g := Group{Name: run, Title: title, Setup: lifeSetup()}
	for _, k := range kinds {
		c := Case{Name: k.title, Unit: "ms", Targets: targets(k.name)}
		c.Contenders = append(c.Contenders, of(Ours, k.name+"-podunit"+k.suffix))
		for _, r := range runtimes {
			c.Contenders = append(c.Contenders, of(r.name, k.name+"-"+r.short+k.suffix))
		}
		if k.name == "none" {
			c.Contenders = append(c.Contenders, of("bare runc", "floor"))
		}
		g.Cases = append(g.Cases, c)
	}
	return g
}

func start() Group {
	return life("one unit starts", "start", func(who, unit string) Contender {
		return Contender{Name: who, Run: "systemctl --user start " + unit, After: "systemctl --user stop " + unit + "; sleep 0.2"}
	}, func(kind string) map[string]float64 {
		aims := map[string]float64{withRunc: 0.4, withCrun: 0.65}
		if kind == "none" {
			aims["bare runc"] = 1.5
		}
		return aims
	})
}

func stop() Group {
	return life("one unit stops, whose program ends at TERM", "stop", func(who, unit string) Contender {
		return Contender{Name: who, Prepare: "systemctl --user start " + unit + "; sleep 0.2", Run: "systemctl --user stop " + unit, After: "sleep 0.2"}
	}, func(string) map[string]float64 { return map[string]float64{withRunc: 0.3} })
}

// many starts and stops units in one transaction.
func many() Group {
	g := Group{Name: "many", Title: "units in one transaction", Setup: common + `for i in $(seq 100); do kind=many$i; ` + container("Network=none") + "\ndone\nconvert\n"}
	for _, n := range []int{30, 100} {
		all := func(short string) string { return fmt.Sprintf("$(printf 'many%%d-%s ' $(seq %d))", short, n) }
		starts := Case{Name: fmt.Sprintf("start of %d", n), Unit: "ms", Share: 3 / float64(n), Targets: map[string]float64{withRunc: 0.4, withCrun: 0.5}}
		stops := Case{Name: fmt.Sprintf("stop of %d", n), Unit: "ms", Share: 3 / float64(n), Targets: map[string]float64{withRunc: 0.25}}
		for _, who := range []struct{ name, short string }{{Ours, "podunit"}, runtimes[0], runtimes[1]} {
			start, stop := "systemctl --user start "+all(who.short), "systemctl --user stop "+all(who.short)
			starts.Contenders = append(starts.Contenders, Contender{Name: who.name, Run: start, After: stop})
			stops.Contenders = append(stops.Contenders, Contender{Name: who.name, Prepare: start, Run: stop})
		}
		g.Cases = append(g.Cases, starts, stops)
	}
	return g
}

// generator converts files, without a manager and at its reload.
func generator() Group {
	g := Group{Name: "generator", Title: "unit files become units", Setup: `set -e
for n in 1 100 1000 5000; do
	mkdir -p ~/files/$n
	[ -e ~/files/$n/u$n.container ] && continue
	for i in $(seq $n); do printf '[Unit]\nDescription=Number %d\n[Container]\nImage=docker.io/library/nginx:1\nPublishPort=%d:80\nVolume=%%h/www:/www:ro\nEnvironment=A=b C=d\nLabel=x=y\n[Service]\nRestart=always\n[Install]\nWantedBy=default.target\n' $i $((2000 + i)) >~/files/$n/u$i.container; done
done
`}
	for _, n := range []int{1, 100, 1000, 5000} {
		by := func(program string) string {
			return fmt.Sprintf("QUADLET_UNIT_DIRS=~/files/%d %s -user -no-kmsg-log $XDG_RUNTIME_DIR/generated", n, program)
		}
		aim := 1.0
		if n == 1000 {
			aim = 0.25
		}
		g.Cases = append(g.Cases, Case{Name: fmt.Sprintf("%d files", n), Unit: "ms", Targets: map[string]float64{"podman": aim}, Contenders: []Contender{
			{Name: Ours, Prepare: "rm -rf $XDG_RUNTIME_DIR/generated; mkdir $XDG_RUNTIME_DIR/generated", Run: by("/usr/lib/systemd/user-generators/podunit-user-generator")},
			{Name: "podman", Prepare: "rm -rf $XDG_RUNTIME_DIR/generated; mkdir $XDG_RUNTIME_DIR/generated", Run: by("/usr/libexec/podman/quadlet")},
		}})
	}
	for _, n := range []int{1, 100, 1000} {
		g.Cases = append(g.Cases, reload(n))
	}
	return g
}

// systemctl is the command with which root acts on alice's units.
const systemctl = "runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/$(id -u alice) systemctl --user"

// pssScript makes a command for root, bench-pss.
const pssScript = `
cat >/usr/local/bin/bench-pss <<'END'
#!/bin/bash
# Kilobytes of all processes of alice that serve containers and are none.
sum=0
for p in $(pgrep -u alice,100000 .); do
	read -r comm </proc/$p/comm || continue
	case $comm in pasta*|passt*|conmon*|podunit*|aardvark*|rootlessport*|podman*|catatonit*|infra*|exe) ;; *) continue;; esac
	while read -r key value _; do [ $key != Pss: ] || sum=$((sum + value)); done </proc/$p/smaps_rollup
done 2>/dev/null
echo $sum
END
chmod +x /usr/local/bin/bench-pss
`

// memory is what stays beside containers, in MB. Pages that processes share are divided among them
// (PSS).
func memory() Group {
	g := Group{Name: "memory", Title: "helpers of running containers", Setup: lifeSetup() + "for i in $(seq 100); do kind=many$i; " + container("Network=none") + "\ndone\nconvert\n", Root: pssScript}
	add := func(title string, share float64, units func(short string) string, targets map[string]float64) {
		c := Case{Name: title, Unit: "MB", Share: share, Targets: targets}
		for _, who := range []struct{ name, short string }{{Ours, "podunit"}, runtimes[0]} {
			c.Contenders = append(c.Contenders, Contender{
				Name: who.name, User: "root",
				Run:   "before=$(bench-pss); " + systemctl + " start " + units(who.short) + "; sleep 2; echo \"$(bench-pss) $before\" | awk '{ printf \"%.3f\", ($1 - $2) / 1024 }'",
				After: systemctl + " stop " + units(who.short),
			})
		}
		g.Cases = append(g.Cases, c)
	}
	for _, k := range kinds {
		if k.name == "none" || k.name == "port" || k.name == "network" || k.name == "three" {
			add(k.title, 0.1, func(short string) string { return k.name + "-" + short + k.suffix }, nil)
		}
	}
	add("100 containers, no network", 0.03, func(short string) string { return "$(printf 'many%d-" + short + " ' $(seq 100))" }, nil)
	return g
}

// idle is the time that containers take in a minute in which they do nothing, in ms of a processor.
// It includes that of alice's manager.
func idle() Group {
	g := Group{Name: "idle", Title: "50 containers that do nothing for a minute", Setup: common + "for i in $(seq 50); do kind=many$i; " + container("Network=none") + "\nkind=checked$i; " +
		container("Network=none\nHealthCmd=true\nHealthInterval=10s") + "\ndone\nconvert\n"}
	for _, k := range []struct {
		name, title string
		aim         map[string]float64
	}{{"many", "without checks", nil}, {"checked", "a check every 10 s", map[string]float64{withRunc: 0.34}}} {
		c := Case{Name: k.title, Unit: "ms of CPU", Share: 0.03, Targets: k.aim}
		for _, who := range []struct{ name, short string }{{Ours, "podunit"}, runtimes[0]} {
			units := fmt.Sprintf("$(printf '%s%%d-%s ' $(seq 50))", k.name, who.short)
			c.Contenders = append(c.Contenders, Contender{
				Name: who.name, User: "root",
				Prepare: systemctl + " start " + units + "; sleep 15",
				Run: `used() { awk '/^usage_usec/ { print $2 }' /sys/fs/cgroup/user.slice/user-$(id -u alice).slice/cpu.stat; }
before=$(used); sleep 60; echo "$(used) $before" | awk '{ printf "%.1f", ($1 - $2) / 1000 }'`,
				After: systemctl + " stop " + units,
			})
		}
		g.Cases = append(g.Cases, c)
	}
	return g
}

// logs writes 20 MB in lines of 100 bytes and reads them.
func logs() Group {
	lines := "sh -c 'yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789 | head -c 20000000'"
	g := Group{Name: "logs", Title: "20 MB in 200,000 lines", Setup: common + `for who in podunit podman; do
	flags=; [ $who = podunit ] || flags=--log-driver=journald
	$who rm -f -i read-$who >/dev/null
	$who run -d $flags --name read-$who $image ` + lines + ` >/dev/null && $who wait read-$who >/dev/null
done
`}
	for title, run := range map[string]func(who, flags string) Contender{
		"from the container to the journal": func(who, flags string) Contender {
			return Contender{Run: fmt.Sprintf("%s run -d %s --network none --name write-%s %s %s >/dev/null && %s wait write-%s", who, flags, who, image, lines, who, who), After: who + " rm -f -i write-" + who}
		},
		"read with logs": func(who, _ string) Contender {
			return Contender{Run: fmt.Sprintf("%s logs read-%s 2>&1 | tail -n 1", who, who)}
		},
	} {
		aim := 1.0
		if title == "read with logs" {
			aim = 0.5
		}
		ours, theirs := run("podunit", ""), run("podman", "--log-driver=journald")
		ours.Name, theirs.Name = Ours, "podman"
		g.Cases = append(g.Cases, Case{Name: title, Unit: "ms", Share: 0.2, Contenders: []Contender{ours, theirs}, Targets: map[string]float64{"podman": aim}})
	}
	if g.Cases[0].Name == "read with logs" {
		g.Cases[0], g.Cases[1] = g.Cases[1], g.Cases[0]
	}
	return g
}

// archives writes an image of 500 MB that does not compress to an archive, and reads it.
func archives() Group {
	fill := func(program string) string {
		return "set -e; " + program + " image exists localhost/half:1 && test -s ~/half.tar || { head -c 500000000 /dev/urandom >half; tar -c half | " +
			program + " import -q - localhost/half:1 >/dev/null; rm half; " + program + " save -q -o half.tar localhost/half:1; }"
	}
	g := Group{Name: "archives", Title: "an image of 500 MB", Setup: fill("podunit"), Root: asBob(fill("podman"))}
	for _, k := range []struct{ title, before, run string }{
		{"save to a file", "rm -f ~/out.tar", "save -q -o ~/out.tar localhost/half:1"},
		{"save to stdout", "rm -f ~/out.tar", "save -q localhost/half:1 >~/out.tar"},
		{"load", "P rmi -f -i localhost/half:1 >/dev/null; sync", "load -q -i ~/half.tar >/dev/null"},
	} {
		c := Case{Name: k.title, Unit: "ms", Share: 0.3, Targets: map[string]float64{"podman": 1}}
		for _, who := range []struct{ name, user, program string }{{Ours, "alice", "podunit"}, {"podman", "bob", "podman"}} {
			c.Contenders = append(c.Contenders, Contender{Name: who.name, User: who.user, Prepare: strings.ReplaceAll(k.before, "P ", who.program+" "), Run: who.program + " " + k.run})
		}
		g.Cases = append(g.Cases, c)
	}
	return g
}

// stats is the time of the processors that it takes to look at 100 containers, once and every second.
func stats() Group {
	fill := func(program string) string {
		return fmt.Sprintf(`[ $(%[1]s ps -q --filter name=stat- | wc -l) = 100 ] || {
	%[1]s pull -q %[2]s
	for i in $(seq 100); do %[1]s run -d --replace --network none --name stat-$i %[2]s sleep infinity; done
} >/dev/null 2>&1`, program, image)
	}
	g := Group{Name: "stats", Title: "stats of 100 containers", Setup: fill("podunit"), Root: asBob(fill("podman"))}
	for _, k := range []struct{ title, run string }{
		{"once", "P stats --no-stream"},
		{"every second, for ten", "timeout --preserve-status 10 P stats --interval 1"},
	} {
		c := Case{Name: k.title, Unit: "ms of CPU", Share: 0.3, Targets: map[string]float64{"podman": 0.33}}
		for _, who := range []struct{ name, user, program string }{{Ours, "alice", "podunit"}, {"podman", "bob", "podman"}} {
			run := strings.ReplaceAll(k.run, "P ", who.program+" ")
			c.Contenders = append(c.Contenders, Contender{Name: who.name, User: who.user,
				Run: `TIMEFORMAT='%U %S'; { time ` + run + ` >~/stats.out 2>&1 || :; } 2>&1 | awk '{ printf "%.1f", ($1 + $2) * 1000 }'
[ $(wc -l <~/stats.out) -gt 100 ] || { tail -n 3 ~/stats.out >&2; exit 1; }`})
		}
		g.Cases = append(g.Cases, c)
	}
	return g
}

// asBob is a script of root's that has bob do something, with few limits: the lab has no controller
// for them.
func asBob(script string) string {
	script = "mkdir -p ~/.config/containers; printf \"[containers]\\npids_limit=0\\n\" >~/.config/containers/containers.conf; cd; " + script
	return "runuser -u bob -- env XDG_RUNTIME_DIR=/run/user/$(id -u bob) DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$(id -u bob)/bus bash -lc '" + strings.ReplaceAll(script, "'", `'\''`) + "'"
}

// verbs are what people and scripts call all day. Podman is bob's, so that each sees its own 100
// containers.
func verbs() Group {
	fill := func(program string) string {
		return fmt.Sprintf(`[ $(%[1]s ps -aq | wc -l) -gt 100 ] || {
	%[1]s pull -q %[2]s
	for i in $(seq 50); do %[1]s tag %[2]s localhost/tag$i; done
	for i in $(seq 100); do %[1]s create --network none --name c$i %[2]s sleep infinity; done
	%[1]s run -d --network none --name runs %[2]s sleep infinity
} >/dev/null 2>&1`, program, image)
	}
	g := Group{Name: "verbs", Title: "with 101 containers and 50 images", Setup: fill("podunit"),
		Root: asBob(fill("podman"))}
	for _, verb := range []string{"ps -a", "inspect c50", "images", "exec runs true", "run --rm --network none " + image + " true"} {
		g.Cases = append(g.Cases, Case{Name: strings.Replace(verb, " "+image, "", 1), Unit: "ms", Targets: map[string]float64{"podman": 0.5}, Contenders: []Contender{
			{Name: Ours, Run: "podunit " + verb}, {Name: "podman", User: "bob", Run: "podman " + verb},
		}})
	}
	return g
}

// update asks a registry that takes 50 ms for each answer about many images.
func update() Group {
	const most = 50
	g := Group{Name: "update", Title: "auto-update --dry-run, 50 ms an answer", Root: fmt.Sprintf(`set -e
skopeo copy -q docker://localhost:5000/busybox:1 docker://localhost:5000/update:1 2>/dev/null || skopeo copy docker://localhost:5000/busybox:1 docker://localhost:5000/update:1 >/dev/null
for i in $(seq %d); do skopeo copy docker://localhost:5000/update:1 docker://localhost:5000/u$i:1 >/dev/null; done
systemctl is-active -q slow || systemd-run --quiet --collect --unit slow podunit-lab throttle --delay 50ms
until curl -fsS localhost:5001/v2/ >/dev/null; do sleep 0.1; done`, most)}
	fill := func(program string) string {
		return fmt.Sprintf(`%[1]s pull -q localhost:5000/update:1 >/dev/null
for i in $(seq %[2]d); do %[1]s tag localhost:5000/update:1 localhost:5001/u$i:1; done
units=~/.config/systemd/user; mkdir -p $units`, program, most)
	}
	for _, n := range []int{1, 10, most} {
		g.Cases = append(g.Cases, Case{Name: fmt.Sprintf("%d images", n), Unit: "ms", Share: 0.3, Targets: map[string]float64{"podman": 0.1}, Contenders: []Contender{
			{Name: Ours, Prepare: fill("podunit") + fmt.Sprintf(`
rm -f ~/.config/containers/systemd/update*.container; mkdir -p ~/.config/containers/systemd
for i in $(seq %d); do printf '[Container]\nImage=localhost:5001/u%%d:1\nNetwork=none\nAutoUpdate=registry\nExec=sleep infinity\nStopSignal=KILL\n' $i >~/.config/containers/systemd/update$i.container; done
systemctl --user daemon-reload; systemctl --user start $(printf 'update%%d ' $(seq %d))`, n, n),
				Run: "podunit auto-update --dry-run", After: fmt.Sprintf("systemctl --user stop $(printf 'update%%d ' $(seq %d))", n)},
			{Name: "podman", User: "bob", Prepare: "mkdir -p ~/.config/containers; printf '[containers]\\npids_limit=0\\n' >~/.config/containers/containers.conf\n" + fill("podman") + fmt.Sprintf(`
for i in $(seq %d); do printf '[Service]\nEnvironment=PODMAN_SYSTEMD_UNIT=%%%%n\nType=notify\nNotifyAccess=all\nDelegate=yes\nTimeoutStartSec=300\nExecStart=/usr/bin/podman run --name=update%%d --replace --rm --cgroups=split --network=none --sdnotify=conmon -d --stop-signal KILL --label io.containers.autoupdate=registry localhost:5001/u%%d:1 sleep infinity\nExecStop=/usr/bin/podman rm -f -i update%%d\n' $i $i $i >$units/update$i.service; done
systemctl --user daemon-reload; for i in $(seq %d); do systemctl --user start update$i; done`, n, n),
				Run: "podman auto-update --dry-run", After: fmt.Sprintf("systemctl --user stop $(printf 'update%%d ' $(seq %d))", n)},
		}})
	}
	return g
}

// throughput is that of networks without a name; the group network has the others.
func throughput() Group {
	return Group{Name: "throughput", Title: "through a published port, TCP", Cases: []Case{sent("a user's default network", "alice", "", 18500)}}
}
