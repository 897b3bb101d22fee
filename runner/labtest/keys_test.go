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

// keyCases are keys and flags that no other test looks at by their effect, as a script and what it
// prints. S is the user's systemctl, D the directory of unit files.
var keyCases = []struct{ name, script, want string }{
	{"an extended map of IDs", `touch ~/mine; [ $(id -u) = 0 ] && base="--uidmap 0:200000:1000"; podunit run --rm --network none $base --uidmap +5:@$(id -u):1 -v ~/mine:/mine $I stat -c %u /mine`, "5"},
	{"a healthy one is waited for", `podunit run -d --name hw --network none --stop-signal KILL --health-cmd 'test -e /ok' --health-interval 1s $I sh -c 'sleep 1; touch /ok; exec sleep 100' >/dev/null
		podunit wait --condition=healthy hw >/dev/null; podunit inspect -f '{{.State.Health.Status}}' hw; podunit rm -f hw >/dev/null`, "healthy"},
	{"a check at the start that takes too long", `podunit run -d --name hs --network none --stop-signal KILL --health-cmd true --health-startup-cmd 'sleep 99' --health-startup-timeout 1s --health-startup-interval 1s $I sleep 100 >/dev/null
		for i in $(seq 600); do sleep 0.1; podunit inspect -f '{{range .State.Health.Log}}{{.ExitCode}}{{"\n"}}{{end}}' hs | grep -x -m 1 -- -1 && break; done; podunit rm -f hs >/dev/null`, "-1"},
	{"events of checks, and none", `F=~/.config/containers/containers.conf; mkdir -p ~/.config/containers; for k in true false; do printf '[engine]\nhealthcheck_events='$k'\n' >$F; podunit run -d --name he$k --network none --stop-signal KILL --health-interval disable --health-cmd true $I sleep 1000 >/dev/null; podunit healthcheck run he$k; podunit rm -f he$k >/dev/null
		seen() { podunit events --stream=false --since 10m --filter container=he$k --filter event=$1; }; until seen remove | grep -q remove; do sleep 0.1; done; seen health_status | wc -l; done; rm $F`, "1\n0"},
	{"a credential that is set", `printf '[Container]\nImage=%s\nNetwork=none\nStopSignal=KILL\nContainerName=sc\nExec=sleep 1000\nSecret=set,type=credential\n[Service]\nSetCredential=set:given\n' $I >$D/sc.container
		$S daemon-reload; $S start sc; podunit exec sc sh -c 'cd $CREDENTIALS_DIRECTORY; ls; cat set'; $S stop sc; $S reset-failed sc; rm $D/sc.container; $S daemon-reload`, "set\ngiven"},
	{"a mirror, and a registry that is blocked", `export CONTAINERS_REGISTRIES_CONF=$(mktemp); printf '[[registry]]\nlocation="mirrored.test/lib"\n[[registry.mirror]]\nlocation="localhost:5000"\ninsecure=true\n[[registry]]\nlocation="blocked.test"\nblocked=true\n' >$CONTAINERS_REGISTRIES_CONF
		podunit pull -q mirrored.test/lib/busybox >/dev/null && podunit run --rm --network none --pull never mirrored.test/lib/busybox echo mirrored; podunit rmi mirrored.test/lib/busybox >/dev/null
		podunit pull -q blocked.test/x 2>&1 | grep -o 'registry blocked.test is blocked'; rm $CONTAINERS_REGISTRIES_CONF`, "mirrored\nregistry blocked.test is blocked"},
	{"signatures", `cd $(mktemp -d); C=~/.config/containers; mkdir -p $C/registries.d; printf 'docker:\n  localhost:5000:\n    use-sigstore-attachments: true\n' >$C/registries.d/lab.yaml; u=$(id -un)
		printf secret >pass; for k in key other; do skopeo generate-sigstore-key --output-prefix $k --passphrase-file pass >/dev/null; done
		push() { podunit push -q --tls-verify=false "$@" >/dev/null; }; digest() { skopeo inspect --tls-verify=false --format '{{.Digest}}' docker://localhost:5000/$u-$1 | tr : -; }; sign() { push --sign-by-sigstore-private-key $1.private --sign-passphrase-file pass $I localhost:5000/$u-$2; }
		sign key good; sign other bad; push $I localhost:5000/$u-none
		podunit pull -q localhost:5000/layers >/dev/null; push localhost:5000/layers localhost:5000/$u-changed; skopeo copy -q --src-tls-verify=false --dest-tls-verify=false docker://localhost:5000/$u-good:$(digest good).sig docker://localhost:5000/$u-changed:$(digest changed).sig
		printf '{"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker":{"localhost:5000":[{"type":"sigstoreSigned","keyPath":"%s/key.pub","signedIdentity":{"type":"remapIdentity","prefix":"localhost:5000/%s-changed","signedPrefix":"localhost:5000/%s-good"}}]}}}' $PWD $u $u >$C/policy.json
		for t in good bad none changed; do podunit pull -q --policy always --tls-verify=false localhost:5000/$u-$t >/dev/null 2>out; echo $t $?; done; grep -o 'does not match' out; rm $C/policy.json $C/registries.d/lab.yaml; podunit rmi localhost:5000/$u-good >/dev/null`, "good 0\nbad 125\nnone 125\nchanged 125\ndoes not match"},
	{"signatures of GnuPG", `cd $(mktemp -d); C=~/.config/containers; mkdir -p $C/registries.d look; export GNUPGHOME=$PWD/keys; mkdir -m 700 keys; u=$(id -un)
		for k in good other; do gpg --batch --quiet --passphrase '' --quick-generate-key $k@lab default default never 2>/dev/null; done; gpg --export good@lab >good.pub
		printf 'docker:\n  localhost:5000:\n    lookaside: file://%s/look\n' $PWD >$C/registries.d/lab.yaml; copy() { skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "$@"; }
		copy --sign-by good@lab docker://$I docker://localhost:5000/$u-good; copy --sign-by other@lab docker://$I docker://localhost:5000/$u-bad; copy docker://$I docker://localhost:5000/$u-none; copy docker://localhost:5000/layers docker://localhost:5000/$u-changed
		d=look/$u-changed@$(skopeo inspect --tls-verify=false --format '{{.Digest}}' docker://localhost:5000/$u-changed | tr : =); mkdir $d; cp look/$u-good@*/signature-1 $d
		printf '{"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker":{"localhost:5000":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"%s/good.pub","signedIdentity":{"type":"remapIdentity","prefix":"localhost:5000/%s-changed","signedPrefix":"localhost:5000/%s-good"}}]}}}' $PWD $u $u >$C/policy.json
		for t in good bad none changed; do podunit pull -q --policy always --tls-verify=false localhost:5000/$u-$t >/dev/null 2>out; echo $t $?; grep -oE 'Key not found|no signature exists|does not match' out; done; gpgconf --kill all; rm $C/policy.json $C/registries.d/lab.yaml; podunit rmi localhost:5000/$u-good >/dev/null`, "good 0\nbad 125\nKey not found\nnone 125\nno signature exists\nchanged 125\ndoes not match"},
	{"a volume of an image's files", `podunit volume create --driver image --opt image=$I vi >/dev/null; podunit run --rm --network none -v vi:/v $I sh -c 'test -x /v/bin/sh && echo there; touch /v/x 2>/dev/null || echo not written'; podunit volume rm vi >/dev/null`, "there"},
	{"ramfs", `podunit run --rm --network none --mount type=ramfs,dst=/r $I sh -c "grep ' /r ' /proc/mounts | cut -d' ' -f3"`, "ramfs"},
	{"an option of the log that nobody knows", `podunit run --rm --network none --log-opt foo=bar $I echo fine`, "~fine"},
	{"policies of pulls", `for p in missing always newer never; do podunit run --rm --network none --pull=$p $I echo $p; done; podunit run --rm --pull=never localhost:5000/redis:2 true 2>/dev/null; echo $?`, "missing\nalways\nnewer\nnever\n125"},
	{"volumes of an image", `podunit create --name iv $I >/dev/null; podunit commit -q -c 'VOLUME /data' iv localhost/iv >/dev/null; podunit rm iv >/dev/null
		for k in anonymous tmpfs ignore; do podunit run --rm --network none --image-volume $k localhost/iv sh -c "echo $k \$(grep -c ' /data ' /proc/mounts) \$(grep -c ' /data tmpfs' /proc/mounts)"; done; podunit rmi localhost/iv >/dev/null`, "anonymous 1 0\ntmpfs 1 1\nignore 0 0"},
	{"without a label", `podunit run --rm --network none --security-opt label=disable $I echo fine`, "fine"},
	{"mappings with a mode", `podunit run --rm --network none --userns private --uidmap 0:1:100 --gidmap 0:1:100 $I sh -c 'set -- $(cat /proc/self/uid_map); echo $1 $3'`, "0 100"},
}

// ofRegistry are those that need the registry of private: P is an image there, A a file with the
// login for it. Its certificate is of an authority that nobody knows, and nobody is logged in, when
// a case begins.
var ofRegistry = []struct{ name, script, want string }{
	{"a certificate of an unknown authority", `podunit pull -q --creds me:secret $P 2>&1 | grep -oE 'unknown authority|certs.d/localhost:5003/ca.crt' | sort -u; podunit pull -q --tls-verify=false --creds me:secret $P >/dev/null && echo unverified`,
		"certs.d/localhost:5003/ca.crt\nunknown authority\nunverified"},
	{"certs.d", `trust; podunit pull -q --creds me:secret $P >/dev/null && echo trusted`, "trusted"},
	{"another place of certificates", `mkdir -p ~/certs; cp /etc/private/ca.crt ~/certs; podunit pull -q --cert-dir ~/certs --creds me:secret $P >/dev/null && echo trusted`, "trusted"},
	{"no login, and a wrong one", `trust; podunit pull -q $P 2>&1 | grep -o 'denies access'; podunit pull -q --creds me:wrong $P 2>&1 | grep -o 'denies access'`, "denies access\ndenies access"},
	{"REGISTRY_AUTH_FILE", `trust; REGISTRY_AUTH_FILE=$A podunit pull -q $P >/dev/null && echo in`, "in"},
	{"--authfile", `trust; podunit run --rm --network none --pull always --authfile $A $P echo in`, "in"},
	{"login and logout", `trust; echo secret | podunit login -u me --password-stdin localhost:5003; podunit pull -q $P >/dev/null && echo in; podunit logout localhost:5003 >/dev/null; podunit rmi $P >/dev/null; podunit pull -q $P >/dev/null 2>&1 || echo out`, "Login Succeeded!\nin\nout"},
	{"a helper for one registry", `trust; mkdir -p $C; echo '{"credHelpers":{"localhost:5003":"lab"}}' >$C/auth.json; podunit pull -q $P >/dev/null && echo in; cat $H; rm $C/auth.json`, "in\nget localhost:5003"},
	{"a helper for all", `trust; export CONTAINERS_REGISTRIES_CONF=$(mktemp); echo 'credential-helpers = ["lab"]' >$CONTAINERS_REGISTRIES_CONF; podunit pull -q $P >/dev/null && echo in; cat $H; rm $CONTAINERS_REGISTRIES_CONF`, "in\nget localhost:5003"},
	{"a login of Docker's", `trust; mkdir -p ~/.docker; cp $A ~/.docker/config.json; podunit pull -q $P >/dev/null && echo in; rm -r ~/.docker`, "in"},
	{"a helper that is not there", `trust; mkdir -p $C; echo '{"credHelpers":{"localhost:5003":"nosuch"}}' >$C/auth.json; podunit pull $P 2>&1 | grep -o -m 1 docker-credential-nosuch; rm $C/auth.json`, "docker-credential-nosuch"},
	{"AuthFile= of a .image, for a container, and a volume of it", `trust; printf '[Image]\nImage=%s\nAuthFile=%s\n' $P $A >$D/au.image; printf '[Container]\nImage=au.image\nNetwork=none\nStopSignal=KILL\nExec=sleep 1000\nVolume=au.volume:/v\n' >$D/auc.container
		printf '[Volume]\nDriver=image\nImage=au.image\n' >$D/au.volume; $S daemon-reload; $S start auc; podunit exec systemd-auc sh -c 'test -x /v/bin/sh && echo there'; $S stop auc; $S stop au-volume; $S stop au-image; podunit volume rm systemd-au >/dev/null 2>&1; rm $D/au*; $S daemon-reload`, "there"},
	{"--authfile of a .container", `trust; printf '[Container]\nImage=%s\nNetwork=none\nStopSignal=KILL\nExec=sleep 1000\nPodmanArgs=--authfile=%s\n' $P $A >$D/auc.container; $S daemon-reload; $S start auc; $S is-active auc; $S stop auc; rm $D/auc.container; $S daemon-reload`, "active"},
	{"--authfile of a .kube", `trust; printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: auk}\nspec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: "%s", command: [sleep, "1000"]}]}\n' $P >$D/auk.yaml; printf '[Kube]\nYaml=auk.yaml\nPodmanArgs=--authfile=%s\n' $A >$D/auk.kube
		$S daemon-reload; $S start auk; $S is-active auk; $S stop auk; rm $D/auk*; $S daemon-reload`, "active"},
	{"AuthFile= of a .build", `trust; mkdir -p ~/aub; printf 'FROM %s\nENV A=b\n' $P >~/aub/Containerfile; printf '[Build]\nImageTag=localhost/aub\nSetWorkingDirectory=%s\nAuthFile=%s\nNetwork=host\n' ~/aub $A >$D/aub.build; $S daemon-reload; $S start aub-build && podunit run --rm --network none localhost/aub echo built
		$S stop aub-build; podunit rmi localhost/aub >/dev/null; rm -r $D/aub.build ~/aub; $S daemon-reload`, "built"},
	{"a registry that fails at times", `trust; export CONTAINERS_REGISTRIES_CONF=$(mktemp); printf '[[registry]]\nlocation="localhost:5004"\ninsecure=true\n' >$CONTAINERS_REGISTRIES_CONF; podunit-lab throttle --listen 127.0.0.1:5004 --fault busybox=429 >/tmp/said-$(id -un) 2>&1 & t=$!
		until curl -s localhost:5004/v2/ >/dev/null; do sleep 0.1; done; podunit pull -q --retry 2 --retry-delay 1s localhost:5004/busybox >/dev/null 2>&1; echo $?; kill $t; grep -c manifests /tmp/said-$(id -un); rm $CONTAINERS_REGISTRIES_CONF /tmp/said-$(id -un)`, "125\n5"},
}

// registryShell is what scripts of ofRegistry begin with: trust has the registry's authority known,
// and all that is left of another case goes.
const registryShell = `P=localhost:5003/busybox:1; A=/etc/private/$(id -un).json; C=~/.config/containers; H=~/asked
	K=$C/certs.d/localhost:5003; [ $(id -u) = 0 ] && K=/etc/containers/certs.d/localhost:5003; trust() { mkdir -p $K; cp /etc/private/ca.crt $K; }; rm -rf $K $H ~/certs; podunit rmi -f $P >/dev/null 2>&1
`

// private starts a registry at port 5003 that wants a login and has a certificate of an authority
// of its own, and installs a helper that knows the login.
func private(l *Lab) {
	l.WriteFile("root", "/etc/private/private.yml", `version: 0.1
storage: {filesystem: {rootdirectory: /root/private}}
http: {addr: "127.0.0.1:5003", tls: {certificate: /etc/private/tls.crt, key: /etc/private/tls.key}}
auth: {htpasswd: {realm: lab, path: /etc/private/htpasswd}}
`)
	l.WriteFile("root", "/etc/private/htpasswd", "me:$2a$05$bKMS80IElMzImy7tLePaz.HKfevk5wqOHqzL.EnqHdr.q4RkWi/me\n") // secret
	l.WriteFile("root", "/usr/local/bin/docker-credential-lab", `#!/bin/sh
read server; echo "$1 $server" >>$HOME/asked
[ "$1" = get ] && [ "$server" = localhost:5003 ] && echo '{"ServerURL":"localhost:5003","Username":"me","Secret":"secret"}' || { echo 'credentials not found in native keychain'; exit 1; }
`)
	l.MustRun("root", `chmod 755 /usr/local/bin/docker-credential-lab; cd /etc/private; openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=lab-authority -days 30 2>/dev/null
		openssl req -newkey rsa:2048 -nodes -keyout tls.key -out tls.csr -subj /CN=localhost 2>/dev/null; echo subjectAltName=DNS:localhost >ext
		openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out tls.crt 2>/dev/null
		for u in alice root; do printf '{"auths":{"localhost:5003":{"auth":"%s"}}}' $(printf me:secret | base64) >$u.json; chown $u $u.json; chmod 600 $u.json; done
		systemd-run --quiet --collect --unit private docker-registry serve /etc/private/private.yml`)
	l.Eventually("root", "curl -fsS --cacert /etc/private/ca.crt -u me:secret https://localhost:5003/v2/_catalog", time.Minute)
	l.MustRun("root", "skopeo copy -q --src-tls-verify=false --dest-tls-verify=false --dest-creds me:secret docker://localhost:5000/busybox:latest docker://localhost:5003/busybox:1")
}

// ofUser are those that a user's manager leaves to podunit.
var ofUser = []struct{ name, script, want string }{
	{"credentials of a user's own store", `s=~/.config/credstore; mkdir -p $s; printf imported >$s/im.one; printf '[Container]\nImage=%s\nNetwork=none\nStopSignal=KILL\nContainerName=ic\nUser=5\nExec=sleep 1000\nSecret=im.one,type=credential\n[Service]\nImportCredential=im.*\n' $I >$D/ic.container
		$S daemon-reload; $S start ic; podunit exec ic sh -c 'cd $CREDENTIALS_DIRECTORY; cat im.one; stat -c " %a %u" im.one'; $S stop ic; $S reset-failed ic; rm -r $D/ic.container $s; $S daemon-reload`, "imported 400 5"},
	{"a copy for a user namespace that takes longer than a start may", `mkdir -p $(seq -f 'big/%g' 50); for d in big/*; do for f in $(seq 60); do head -c 300k /dev/urandom >$d/$f; done; done; tar -C big -c . | podunit import -q - localhost/copied >/dev/null; rm -r big
		printf '[Container]\nImage=localhost/copied\nUserNS=keep-id\nNetwork=none\nStopSignal=KILL\nVolume=/usr:/usr:ro\nVolume=/usr/lib:/lib:ro\nVolume=/usr/lib64:/lib64:ro\nExec=/usr/bin/sleep 1000\n[Service]\nTimeoutStartSec=2\n' >$D/co.container; $S daemon-reload; $S start co; $S is-active co
		until journalctl --user -q -o cat -t co | grep -q 'copying localhost/copied'; do sleep 0.1; done; journalctl --user -q -o cat -t co | grep -c 'copying localhost/copied:latest for its user namespace, once'; $S restart co; $S is-active co; $S stop co; $S reset-failed co; rm $D/co.container; $S daemon-reload; podunit rmi localhost/copied >/dev/null`, "active\n1\nactive"},
}

// ofRoot are those that need the system's manager.
var ofRoot = []struct{ name, script, want string }{
	{"credentials that are imported and encrypted", `mkdir -p /etc/credstore; printf imported >/etc/credstore/im.one; printf sealed | systemd-creds encrypt --with-key=host --name=enc - /etc/enc.cred 2>/dev/null
		printf '[Container]\nImage=%s\nNetwork=none\nStopSignal=KILL\nContainerName=ic\nExec=sleep 1000\nSecret=im.one,type=credential\nSecret=enc,type=credential\n[Service]\nImportCredential=im.*\nLoadCredentialEncrypted=enc:/etc/enc.cred\n' $I >$D/ic.container
		$S daemon-reload; $S start ic; podunit exec ic sh -c 'cd $CREDENTIALS_DIRECTORY; ls; cat enc im.one'; $S stop ic; $S reset-failed ic; rm $D/ic.container /etc/credstore/im.one /etc/enc.cred; $S daemon-reload`, "enc\nim.one\nsealedimported"},
}

// TestKeys looks at keys and flags from inside a container, as a user and as root. make test has no
// time for it.
func TestKeys(t *testing.T) {
	l := boot(t, labtest.Options{})
	private(l)
	for _, w := range []struct{ user, manager, dir string }{{"alice", "systemctl --user", "~/.config/containers/systemd"}, {"root", "systemctl", "/etc/containers/systemd"}} {
		l.MustRun(w.user, "podunit pull -q "+image)
		cases := slices.Concat(keyCases, ofUser)
		if w.user == "root" {
			cases = slices.Concat(keyCases, ofRoot)
		}
		for _, c := range ofRegistry {
			c.script = registryShell + c.script
			cases = append(cases, c)
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
