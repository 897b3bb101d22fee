// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// keyCases are keys and flags that no other test looks at by their effect, as a script and what it prints. S is the user's
// systemctl, D the directory of unit files.
var keyCases = []struct{ name, script, want string }{
	{"an extended map of IDs", `touch ~/mine; [ $(id -u) = 0 ] && base="--uidmap 0:200000:1000"; podunit run --rm --network none $base --uidmap +5:@$(id -u):1 -v ~/mine:/mine $I stat -c %u /mine`, "5"},
	{"a healthy one is waited for", `podunit run -d --name hw --network none --stop-signal KILL --health-cmd 'test -e /ok' --health-interval 1s $I sh -c 'sleep 1; touch /ok; exec sleep 100' >/dev/null
		podunit wait --condition=healthy hw >/dev/null; podunit inspect -f '{{.State.Health.Status}}' hw; podunit rm -f hw >/dev/null`, "healthy"},
	{"a check at the start that takes too long", `podunit run -d --name hs --network none --stop-signal KILL --health-cmd true --health-startup-cmd 'sleep 99' --health-startup-timeout 1s --health-startup-interval 1s $I sleep 100 >/dev/null
		for i in $(seq 60); do sleep 1; podunit inspect -f '{{range .State.Health.Log}}{{.ExitCode}}{{"\n"}}{{end}}' hs | grep -x -m 1 -- -1 && break; done; podunit rm -f hs >/dev/null`, "-1"},
	{"a credential that is set", `printf '[Container]\nImage=%s\nNetwork=none\nStopSignal=KILL\nContainerName=sc\nExec=sleep 1000\nSecret=set,type=credential\n[Service]\nSetCredential=set:given\n' $I >$D/sc.container
		$S daemon-reload; $S start sc; podunit exec sc sh -c 'cd $CREDENTIALS_DIRECTORY; ls; cat set'; $S stop sc; $S reset-failed sc; rm $D/sc.container; $S daemon-reload`, "set\ngiven"},
	{"a mirror, and a registry that is blocked", `export CONTAINERS_REGISTRIES_CONF=$(mktemp); printf '[[registry]]\nlocation="mirrored.test/lib"\n[[registry.mirror]]\nlocation="localhost:5000"\ninsecure=true\n[[registry]]\nlocation="blocked.test"\nblocked=true\n' >$CONTAINERS_REGISTRIES_CONF
		podunit pull -q mirrored.test/lib/busybox >/dev/null && podunit run --rm --network none --pull never mirrored.test/lib/busybox echo mirrored; podunit rmi mirrored.test/lib/busybox >/dev/null
		podunit pull -q blocked.test/x 2>&1 | grep -o 'registry blocked.test is blocked'; rm $CONTAINERS_REGISTRIES_CONF`, "mirrored\nregistry blocked.test is blocked"},
	{"signatures", `cd $(mktemp -d); C=~/.config/containers; mkdir -p $C/registries.d; printf 'docker:\n  localhost:5000:\n    use-sigstore-attachments: true\n' >$C/registries.d/lab.yaml; u=$(id -un)
		printf secret >pass; for k in key other; do skopeo generate-sigstore-key --output-prefix $k --passphrase-file pass >/dev/null; done
		push() { podunit push -q --tls-verify=false "$@" >/dev/null; }; sign() { push --sign-by-sigstore-private-key $1.private --sign-passphrase-file pass $I localhost:5000/$u-$2; }
		sign key good; sign other bad; push $I localhost:5000/$u-none
		printf '{"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker":{"localhost:5000":[{"type":"sigstoreSigned","keyPath":"%s/key.pub","signedIdentity":{"type":"matchRepository"}}]}}}' $PWD >$C/policy.json
		for t in good bad none; do podunit pull -q --tls-verify=false localhost:5000/$u-$t >/dev/null 2>&1; echo $t $?; done; rm $C/policy.json $C/registries.d/lab.yaml; podunit rmi localhost:5000/$u-good >/dev/null`, "good 0\nbad 125\nnone 125"},
	{"a volume of an image's files", `podunit volume create --driver image --opt image=$I vi >/dev/null; podunit run --rm --network none -v vi:/v $I sh -c 'test -x /v/bin/sh && echo there; touch /v/x 2>/dev/null || echo not written'; podunit volume rm vi >/dev/null`, "there"},
	{"ramfs", `podunit run --rm --network none --mount type=ramfs,dst=/r $I sh -c "grep ' /r ' /proc/mounts | cut -d' ' -f3"`, "ramfs"},
	{"an option of the log that nobody knows", `podunit run --rm --network none --log-opt foo=bar $I echo fine`, "~fine"},
	{"policies of pulls", `for p in missing always newer never; do podunit run --rm --network none --pull=$p $I echo $p; done; podunit run --rm --pull=never localhost:5000/redis:2 true 2>/dev/null; echo $?`, "missing\nalways\nnewer\nnever\n125"},
	{"volumes of an image", `podunit create --name iv $I >/dev/null; podunit commit -q -c 'VOLUME /data' iv localhost/iv >/dev/null; podunit rm iv >/dev/null
		for k in anonymous tmpfs ignore; do podunit run --rm --network none --image-volume $k localhost/iv sh -c "echo $k \$(grep -c ' /data ' /proc/mounts) \$(grep -c ' /data tmpfs' /proc/mounts)"; done; podunit rmi localhost/iv >/dev/null`, "anonymous 1 0\ntmpfs 1 1\nignore 0 0"},
	{"without a label", `podunit run --rm --network none --security-opt label=disable $I echo fine`, "fine"},
	{"mappings with a mode", `podunit run --rm --network none --userns private --uidmap 0:1:100 --gidmap 0:1:100 $I sh -c 'set -- $(cat /proc/self/uid_map); echo $1 $3'`, "0 100"},
}

// ofRoot are those that need the system's manager.
var ofRoot = []struct{ name, script, want string }{
	{"credentials that are imported and encrypted", `mkdir -p /etc/credstore; printf imported >/etc/credstore/im.one; printf sealed | systemd-creds encrypt --with-key=host --name=enc - /etc/enc.cred 2>/dev/null
		printf '[Container]\nImage=%s\nNetwork=none\nStopSignal=KILL\nContainerName=ic\nExec=sleep 1000\nSecret=im.one,type=credential\nSecret=enc,type=credential\n[Service]\nImportCredential=im.*\nLoadCredentialEncrypted=enc:/etc/enc.cred\n' $I >$D/ic.container
		$S daemon-reload; $S start ic; podunit exec ic sh -c 'cd $CREDENTIALS_DIRECTORY; ls; cat enc im.one'; $S stop ic; $S reset-failed ic; rm $D/ic.container /etc/credstore/im.one /etc/enc.cred; $S daemon-reload`, "enc\nim.one\nsealedimported"},
}

// TestKeys looks at keys and flags from inside a container, as a user and as root. make test has no time for it.
func TestKeys(t *testing.T) {
	l := boot(t, labtest.Options{})
	for _, w := range []struct{ user, manager, dir string }{{"alice", "systemctl --user", "~/.config/containers/systemd"}, {"root", "systemctl", "/etc/containers/systemd"}} {
		l.MustRun(w.user, "podunit pull -q "+image)
		cases := keyCases
		if w.user == "root" {
			cases = slices.Concat(keyCases, ofRoot)
		}
		for _, c := range cases {
			t.Run(w.user+"/"+c.name, func(t *testing.T) {
				out, _, _ := l.on(t).Run(w.user, "exec 2>&1; I="+image+"; S='"+w.manager+"'; D="+w.dir+"; mkdir -p $D\n"+c.script)
				got := strings.TrimSpace(out)
				if part, some := strings.CutPrefix(c.want, "~"); some && !strings.Contains(got, part) || !some && got != c.want {
					t.Errorf("%s\ngave\n%s\nand not\n%s", c.script, got, c.want)
				}
			})
		}
	}
}
