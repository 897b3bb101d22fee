// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// TestLabBehaviour compares what people see of a container's life with what podman shows them, as a
// user and as root.
func TestLabBehaviour(t *testing.T) {
	l := boot(t, labtest.Options{})
	for _, user := range []string{"alice", "root"} {
		l.MustRun(user, "podunit pull -q "+image)
	}
	const run = "podunit run --network none "
	const detach = run + "-d "
	// logged waits until a container has logged so many lines: journald may be behind.
	const logged = "logged() { for i in $(seq 600); do [ $(podunit logs $1 2>&1 | grep -c .) -ge $2 ] && return; sleep 0.1; done; }\n"
	for _, c := range []struct {
		name, script string
		want         string // what stdout and stderr are, less white space at their ends; ~ begins a part of it
	}{
		// A start that fails, and the one after it.
		{"the corrected command at once after a failure", "for i in 1 2 3; do " + detach + "--restart=unless-stopped --name qb -v /nosuch:/x $I sleep 99 > /dev/null 2>&1; echo $?; " +
			detach + "--restart=unless-stopped --name qb $I sleep 99 > /dev/null; echo $?; podunit rm -f -t 0 qb; done", "125\n0\nqb\n125\n0\nqb\n125\n0\nqb"},
		{"and its unit", "$S list-units --all 'qb*' --no-legend", ""},
		// restart of what has ended.
		{"restart of one that has ended", detach + "--name re $I sh -c 'echo run' > /dev/null; until [ \"$(podunit inspect -f '{{.State.Status}}' re)" + "\" = exited ]; do sleep 0.1; done; " +
			"podunit restart re; until [ $(podunit logs re | grep -c run) = 2 ]; do sleep 0.1; done; podunit rm -f re", "re\nre"},
		{"restart of one made with --rm", detach + "--rm --name ro -v /data $I sh -c 'echo run >> /runs; cat /runs; exec sleep 99' > /dev/null; id=$(podunit inspect -f '{{.Id}}' ro); podunit restart -t 0 ro; [ $(podunit inspect -f '{{.Id}}' ro) = $id ] && echo same; " +
			"logged ro 3; podunit rename ro rp; podunit restart -t 0 rp; logged rp 6; podunit exec rp cat /runs; podunit stop -t 0 rp; podunit container exists rp || echo gone; podunit volume ls -q | wc -l", "ro\nsame\nrp\nrun\nrun\nrun\nrp\ngone\n0"},
		{"restart of one made with --rm, whose pod does not start again", "podunit pod create --network none --name rq > /dev/null; podunit run -d --rm --stop-timeout 0 --pod rq --name rr $I sleep 99 > /dev/null; d=$XDG_RUNTIME_DIR/systemd/user; [ $(id -u) = 0 ] && d=/run/systemd/system; d=$d/rq-pod.service.d; " +
			"mkdir -p $d; printf '[Service]\nExecStartPre=/bin/false\n' > $d/fails.conf; $S daemon-reload; podunit pod restart rq 2> /dev/null || echo fails; podunit container exists rr || echo gone; rm -r $d; $S daemon-reload; podunit pod rm -f -t 0 rq > /dev/null", "fails\ngone"},
		{"restart of one that has failed", detach + "--name rf $I sh -c 'sleep 0.2; exit 3' > /dev/null; until $S is-failed -q rf; do sleep 0.1; done; podunit restart rf; podunit rm -f -t 0 rf", "rf\nrf"},
		{"restart of one that has failed and was renamed", detach + "--name rb $I sh -c 'test -e /again && exec sleep 99; touch /again; sleep 0.2; exit 3' > /dev/null; until $S is-failed -q rb; do sleep 0.1; done; " +
			"podunit rename rb ra; " + detach + "--name rb $I sleep 99 > /dev/null; pid=$(podunit inspect -f '{{.State.Pid}}' rb); podunit restart ra; $S is-active rb ra; " +
			"[ $(podunit inspect -f '{{.State.Pid}}' rb) = $pid ] && echo same; podunit rm -f -t 0 ra; podunit rm -f -t 0 rb", "ra\nactive\nactive\nsame\nra\nrb"},
		{"rename of one whose unit ends", detach + "--name rk $I sleep 99 > /dev/null; podunit kill rk > /dev/null; timeout 10 podunit rename rk rl; echo $?; podunit rm -f -t 0 rl", "0\nrl"},
		{"removal of one whose old name another has", detach + "--name pa $I sleep 99 > /dev/null; podunit rename pa pb; podunit stop -t 0 pb; " + detach + "--name pa $I sleep 99 > /dev/null; pid=$(podunit inspect -f '{{.State.Pid}}' pa); " +
			"podunit stop -t 0 pb; podunit rm pb; sleep 0.5; [ $(podunit inspect -f '{{.State.Pid}}' pa) = $pid ] && echo same; podunit rm -f -t 0 pa", "pb\npb\npb\nsame\npa"},
		{"restart of one whose old name another has", "start() { podunit stop -t 0 pb; " + detach + "--name pa $I sleep 99; } > /dev/null; " + detach + "--name pa $I sleep 99 > /dev/null; podunit rename pa pb; start; pid=$(podunit inspect -f '{{.State.Pid}}' pa); " +
			"podunit restart -t 0 pb; podunit inspect -f '{{.State.Status}}' pa pb; $S is-active pa pb; podunit stop -t 0 pb; podunit start pb; [ $(podunit inspect -f '{{.State.Pid}}' pa) = $pid ] && echo same; podunit rm -f -t 0 pa; podunit rm -f -t 0 pb",
			"pb\nrunning\nrunning\nactive\nactive\npb\npb\nsame\npa\npb"},
		{"the old name of one that runs", detach + "--name pa $I sleep 99 > /dev/null; podunit rename pa pb; " + detach + "--name pa $I sleep 99 2>&1 | tail -n 1; podunit restart -t 0 pb; " + detach + "--name pa $I sleep 99 > /dev/null; $S is-active pa pb; podunit rm -f -t 0 pa; podunit rm -f -t 0 pb",
			"hint: podunit restart pb, and it gets pb.service\npb\nactive\nactive\npa\npb"},
		{"restart of one in a pod that was renamed", "podunit pod create --exit-policy stop mp > /dev/null; podunit run -d --pod mp --name ma $I sleep 99 > /dev/null; infra() { $S show -P MainPID mp-pod.service; }; pid=$(infra); podunit rename ma mb; podunit restart -t 0 mb; $S is-active ma; [ $(infra) = $pid ] && echo same; podunit pod rm -f -t 0 mp > /dev/null; $S is-failed ma mp-pod",
			"mb\nactive\nsame\ninactive\ninactive"},
		{"a peer that is renamed", detach + "--name rp --hostname peerhost $I sleep 99 > /dev/null; " + detach + "--name rq --uts container:rp $I sleep 99 > /dev/null; podunit rename rp rr; " +
			"podunit rm -f rr 2>&1 | grep -c 'its namespaces are used by rq'; podunit restart -t 0 rq; podunit exec rq hostname; podunit inspect -f '{{len .Dependencies}}' rq; podunit rm -f -t 0 rq > /dev/null; podunit rm -f -t 0 rr", "1\nrq\npeerhost\n1\nrr"},
		{"a pod in the network of a container", detach + "--name vp $I sleep 99 > /dev/null; podunit pod create --network container:vp pj > /dev/null; podunit run -d --pod pj --name mj $I sleep 99 > /dev/null; " +
			"[ $(podunit exec vp readlink /proc/self/ns/net) = $(podunit exec mj readlink /proc/self/ns/net) ] && echo same; podunit pod stop -t 0 pj > /dev/null; podunit stop -t 0 vp > /dev/null; podunit pod start pj 2>&1 | grep -c 'container:vp: container is not running'; podunit pod rm -f -t 0 pj > /dev/null; podunit rm vp", "same\n1\nvp"},
		{"restarts by hand use up no tries", detach + "--restart on-failure:1 --name rh $I sh -c 'echo run; sleep 99' > /dev/null; runs() { until [ $(podunit logs rh | grep -c run) = $1 ]; do sleep 0.1; done; }; runs 1; " +
			"for i in 2 3 4 5 6 7 8; do podunit restart -t 0 rh; runs $i; done | uniq -c | sed 's/^ *//'; podunit kill rh > /dev/null; runs 9; podunit rm -f -t 0 rh", "7 rh\nrh"},
		{"what the shell is offered", detach + "--name co1 $I sleep 99 > /dev/null; podunit create --network none --name co2 $I true > /dev/null; for v in start stop; do podunit __completeNoDesc $v co 2> /dev/null | grep co; done; podunit rm -f -t 0 co1 co2 > /dev/null", "co2\nco1"},
		// What attached containers write.
		{"the log of an attached one", run + "--name at $I sh -c 'echo out; echo err >&2' 2>&1 | sort; logged at 2; podunit logs at 2>&1 | sort; podunit start -a at > /dev/null 2>&1; logged at 4; podunit logs at 2>/dev/null; podunit rm at", "err\nout\nerr\nout\nout\nout\nat"},
		{"whose reader goes away", run + "--name yes $I yes 2> /dev/null | head -n 1; podunit inspect -f '{{.State.Status}}' yes; podunit rm yes", "y\nexited\nyes"},
		{"a terminal for who has none", run + "--rm -t $I sh -c 'test -t 1 && echo yes' < /dev/null | tr -d '\\r'", "yes"},
		{"and in exec", detach + "--name ex $I sleep 99 > /dev/null; podunit exec -t ex sh -c 'test -t 0 && echo yes' < /dev/null | tr -d '\\r'; echo word | podunit exec -i -t ex sh -c 'read x; echo got $x' | tr -d '\\r' | grep got; podunit rm -f -t 0 ex > /dev/null", "yes\ngot word"},
		{"exec -d of a bad command", detach + "--name ex $I sleep 99 > /dev/null; podunit exec -d ex nosuch > /dev/null 2>&1; echo $?; podunit exec ex nosuch > /dev/null 2>&1; echo $?; podunit rm -f -t 0 ex", "125\n127\nex"},
		{"following until a time", detach + "--name lf $I sh -c 'while sleep 0.2; do echo tick; done' > /dev/null; logged lf 1; podunit logs --until 2s -f lf | grep -c tick | grep -vx 0 > /dev/null && echo followed; podunit rm -f -t 0 lf", "followed\nlf"},
		{"a file for the ID of one that is gone", detach + "--cidfile ~/cid --name ca $I sleep 99 > /dev/null; " + detach + "--cidfile ~/cid $I sleep 99 2>&1 | grep -c 'the file exists'; podunit rm -f -t 0 --cidfile ~/cid > /dev/null; " +
			detach + "--cidfile ~/cid --name cb $I sleep 99 > /dev/null; " + detach + "--replace --cidfile ~/cid --name cb $I sleep 99 > /dev/null; [ $(podunit inspect -f '{{.Id}}' cb) = $(cat ~/cid) ] && echo same; podunit rm -f -t 0 cb; rm ~/cid", "1\nsame\ncb"},
		{"a generated unit that is restarted", detach + "--name gs --stop-signal KILL $I sleep 99 > /dev/null; cd $(mktemp -d); podunit generate systemd --new --name --files gs > /dev/null; podunit rm -f -t 0 gs > /dev/null; " +
			"d=/etc/systemd/system; [ $USER = root ] || d=~/.config/systemd/user; mkdir -p $d; cp *.service $d; u=$(basename *.service); $S daemon-reload; $S restart $u && $S restart $u && $S is-active $u; $S stop $u; rm $d/$u; $S daemon-reload", "active"},
		// Names and statuses.
		{"what is given is printed", detach + "--name gv $I sleep 99 > /dev/null; id=$(podunit inspect -f '{{.Id}}' gv); [ $(podunit stop -t 0 ${id:0:8}) = ${id:0:8} ] && [ $(podunit start ${id:0:9}) = ${id:0:9} ] && " +
			"[ $(podunit kill ${id:0:10}) = ${id:0:10} ] && [ $(podunit rm -f -a) = $id ] && echo same", "same"},
		{"a pod's name", "id=$(podunit pod create --name gp); [ $(podunit pod rm ${id:0:8}) = ${id:0:8} ] && echo same", "same"},
		{"statuses of rm", detach + "--name st $I sleep 99 > /dev/null; podunit rm st > /dev/null 2>&1; echo $?; podunit rm -f -t 0 st > /dev/null; podunit rm st > /dev/null 2>&1; echo $?; podunit pod rm nosuch > /dev/null 2>&1; echo $?; podunit rmi -f nosuch; echo $?",
			"2\n1\n1\n0"},
		{"a root without a command", "mkdir -p $HOME/root; " + run + "--rootfs $HOME/root > /dev/null 2>&1; echo $?", "127"},
		{"a file for the ID that is there", "echo mine > /tmp/id-$USER; " + run + "--cidfile /tmp/id-$USER --name ci $I true > /dev/null 2>&1; echo $?; podunit ps -a -q | wc -l; rm /tmp/id-$USER", "125\n0"},
		// The end.
		{"one that does not hear its stop signal", detach + "--name de $I sleep 99 > /dev/null; podunit stop -t 1 de; podunit inspect -f '{{.State.StoppedByUser}}' de; podunit rm de",
			"podunit: warning: container de did not end within 1s of SIGTERM, and gets SIGKILL\nde\ntrue\nde"},
		{"its state meanwhile", detach + "--name sg $I sh -c 'trap \"while ! test -e /go; do sleep 0.1; done; exit\" TERM; while :; do sleep 0.1; done' > /dev/null; podunit stop -t 60 sg > /dev/null & " +
			"until [ \"$(podunit ps --format '{{.State}}')\" = stopping ]; do sleep 0.1; done; podunit exec sg touch /go; wait; podunit ps -a --format '{{.State}}'; podunit rm sg", "exited\nsg"},
		// Pods.
		{"a pod of which all has ended", "podunit pod create --network none --name pe > /dev/null; podunit create --pod pe --name pc $I true > /dev/null; podunit pod rm pe; podunit ps -a -q | wc -l", "pe\n0"},
		{"a pod that runs", "podunit pod create --network none --name pr > /dev/null; podunit run -d --pod pr --name prc $I sleep 99 > /dev/null; podunit pod rm pr > /dev/null 2>&1; echo $?; podunit stop -t 0 prc > /dev/null; podunit pod rm pr", "2\npr"},
		{"restarts of a pod's containers", "podunit pod create --network none --restart on-failure:2 --name ri > /dev/null; podunit create --pod ri --name ric $I true > /dev/null; " +
			"podunit inspect -f '{{.HostConfig.RestartPolicy.Name}}' ric; podunit ps -a --filter restart-policy=on-failure --format '{{.Names}}'; podunit pod ps --filter restart-policy=on-failure -q | wc -l; podunit pod rm ri", "on-failure\nric\n1\nri"},
		// What is shown.
		{"fields that scripts read", detach + "--name fi --label a=b $I sleep 99 > /dev/null; podunit inspect -f '{{.State.ConmonPid}} {{.HostConfig.IpcMode}} {{.HostConfig.PidMode}} {{len .NetworkSettings.Networks}}' fi; " +
			"podunit ps --format '{{.Networks}} {{.Label \"a\"}}'; podunit ps -q --filter 'name=^/fi$' --filter 'id=^[0-9a-f]' | wc -l; podunit rm -f -t 0 fi", "0 shareable private 1\nnone b\n1\nfi"},
		{"the machine", "podunit info -f '{{.Host.OCIRuntime.Name}} {{.Host.RemoteSocket.Exists}} {{.Host.Security.SECCOMPEnabled}} {{if .Host.Pasta.Executable}}pasta{{end}} {{if .Host.NetworkBackend}}network{{end}}'", "runc false true pasta network"},
		{"the first port for it", "[ $(podunit info -f '{{.Host.FirstPort}}') = $([ $(id -u) = 0 ] && echo 1 || cat /proc/sys/net/ipv4/ip_unprivileged_port_start) ] && echo told", "told"},
		{"who lingers, whatever the environment says", "lingers() { podunit info -f '{{.Systemd.Linger}}'; }; for u in $USER nobody; do echo $(USER=$u lingers) $([ -e /var/lib/systemd/linger/$(id -un) ] && echo true || echo false); done | sed 's/true true/same/; s/false false/same/'", "same\nsame"},
		{"volumes that would go", "podunit volume create --label x=y keep > /dev/null; echo n | podunit volume prune; echo; podunit volume ls -q --filter 'name=k.+p'; podunit volume rm keep", "~  keep\nAre you sure"},
		{"an image by its digest", "d=$(podunit image inspect -f '{{.Digest}}' $I); podunit pull -q localhost:5000/busybox@$d > /dev/null; podunit images --format '{{.Repository}}:{{.Tag}}' | grep busybox", "localhost:5000/busybox:latest"},
		{"a service's name", "mkdir -p $D; printf '[Container]\\nImage=%s\\nNetwork=none\\nExec=sh -c \"echo hi; exec sleep 99\"\\n' $I > $D/web.container; $S daemon-reload; $S start web; " +
			"podunit exec web echo in; podunit inspect -f '{{.Name}}' web; logged web 1; podunit logs web; podunit stop -t 0 web; rm $D/web.container; $S daemon-reload", "in\nsystemd-web\nhi\nweb"},
		{"a pod whose containers fail", "mkdir -p $D; printf '[Pod]\\nPodName=media\\nNetwork=none\\n' > $D/media.pod; printf '[Container]\\nImage=%s\\nPod=media.pod\\nVolume=/nosuch/dir:/x\\n[Service]\\nRestart=always\\n' $I > $D/qb.container; " +
			"$S daemon-reload; $S start media-pod; echo $?; until $S status media-pod 2>&1 | grep -q /nosuch/dir; do sleep 0.2; done; $S status media-pod | grep -c 'podunit: qb.service: .*/nosuch/dir'; $S stop media-pod; rm $D/qb.container $D/media.pod; $S daemon-reload; $S reset-failed", "0\n1"},
	} {
		for _, user := range []string{"alice", "root"} {
			t.Run(c.name+"/"+user, func(t *testing.T) {
				env := "exec 2>&1; I=" + image + "; S='systemctl --user'; D=$HOME/.config/containers/systemd\n"
				if user == "root" {
					env = "exec 2>&1; I=" + image + "; S=systemctl; D=/etc/containers/systemd\n"
				}
				out, _, _ := l.on(t).Run(user, "timeout 110 bash <<'SCRIPT'\n"+env+logged+c.script+"\nSCRIPT\n")
				got := strings.TrimSpace(out)
				if part, some := strings.CutPrefix(c.want, "~"); some && !strings.Contains(got, part) || !some && got != c.want {
					t.Errorf("%s\ngave\n%s\nand not\n%s", c.script, got, c.want)
				}
			})
		}
	}
	t.Run("a port that is taken", func(t *testing.T) {
		l := l.on(t)
		l.MustRun("alice", "podunit run -d --name pt -p 8123:80 "+image+" sleep 99")
		for _, how := range []string{"", "-d "} {
			if _, stderr, code := l.Run("alice", "podunit run "+how+"--name pu -p 8123:80 "+image+" true"); code != 126 {
				t.Errorf("%q: status %d\n%s", how, code, stderr)
			}
		}
		l.MustRun("alice", "podunit rm -f -t 0 pt")
	})
	t.Run("keys that confine a service", func(t *testing.T) {
		l := l.on(t)
		for name, c := range map[string]struct{ key, want string }{
			"privileges": {"NoNewPrivileges=yes", "NoNewPrivileges= or a key that implies it"},
			"tmp":        {"PrivateTmp=yes", ""},
			"home":       {"ProtectHome=read-only", ""},
			"calls":      {"SystemCallFilter=@system-service", "SystemCallFilter="},
		} {
			file := ".config/containers/systemd/" + name + ".container"
			l.WriteFile("alice", file, "[Container]\nImage="+image+"\nExec=echo hi\n[Service]\nType=oneshot\n"+c.key+"\n")
			l.MustRun("alice", "systemctl --user daemon-reload; ! systemctl --user start "+name+" 2>/dev/null")
			l.Eventually("alice", "log=$(journalctl --user -o cat -u "+name+"); echo \"$log\"; echo \"$log\" | grep -q 'hint: the .Service. section has "+c.want+"'", time.Minute)
			l.MustRun("alice", "rm "+file+"; systemctl --user daemon-reload; systemctl --user reset-failed")
		}
	})
	t.Run("after a boot", func(t *testing.T) {
		l := l.on(t)
		for _, user := range []string{"alice", "root"} {
			l.MustRun(user, "podunit run -d --network none --name ra --restart always "+image+" sleep 1000; podunit run -d --network none --name ru --restart unless-stopped "+image+" sleep 1000; "+
				"podunit run -d --network none --name rs --restart unless-stopped "+image+" sleep 1000; podunit run -d --network none --name rn "+image+" sleep 1000; podunit stop -t 0 rs")
		}
		l.Reboot()
		for _, user := range []string{"alice", "root"} {
			l.Eventually(user, "names=$(echo $(podunit ps --format '{{.Names}}' | sort)); echo $names; [ \"$names\" = 'ra ru' ]", 2*time.Minute)
			l.MustRun(user, "podunit rm -f -a -t 0")
		}
	})
}
