// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/machine"
)

// A cutCase is a verb that is killed before each of its writes: see contrib/lab/cut. All are
// scripts of a user's, in a directory that has tree.tar, layers.tar (the image
// localhost:5000/layers) and q.container.
type cutCase struct {
	name   string
	before string // makes what the verb needs
	verb   string // one command of podunit
	// of, in unitCases, are words of the verb that is killed, which units execute because of verb.
	of string
	// only is the user whose units do that, if it is not both.
	only string
	// within is how many seconds longer than without a kill it may take until it is done, in
	// unitCases; 0 is no limit.
	within int
	done   string // succeeds where the verb has done what it does
	undo   string // removes what it has made
	// keeps succeeds before the verb, after it, and whenever it was killed: what must never be lost.
	keeps string
}

// No ID begins with the names xc and xd: the storage would take a layer for the container.
const (
	hasC  = "podunit container exists xc"
	makeC = "podunit volume create cv; podunit create --name xc -v cv:/data " + image + " sleep 1000"
	noC   = "podunit rm -f -t 0 xc; podunit volume rm cv"
	runC  = "podunit run -d --name xc --stop-signal KILL " + image + " sleep 1000"
	endC  = "podunit rm -f -t 0 xc"
	load  = "podunit load -q -i layers.tar"
	its   = "localhost:5000/layers:latest"
	// theirs is an artifact of the registry's.
	theirs = "localhost:5000/theirs:1"
	// halfPulled leaves the blobs of the image that a killed pull had received.
	halfPulled = "skopeo copy -q --src-tls-verify=false docker://" + its + " dir:half; b=~/.local/share/containers/storage/tmp/podunit-1000/blobs; mkdir -p $b; " +
		"for f in half/????????????????*; do mv $f $b/sha256:${f#half/}.Unverified; done; rm -r half"
)

// A pod with a container, which is young or not, and an image with updates.
const (
	makeP  = "podunit pod create --name cp; podunit create --pod cp --name xc --stop-signal KILL " + image + " sleep 1000"
	hasP   = "podunit pod exists cp && " + hasC
	endP   = "podunit pod rm -f -t 0 cp"
	stateP = "[ \"$(podunit pod inspect -f '{{.State}}' cp)\" = "
	began  = "podunit inspect -f '{{.State.StartedAt.UnixNano}}' xc"
	cu     = "localhost:5000/cu:1"
	// updateC has a container of an old image.
	updateC = "skopeo copy -q docker://localhost:5000/busybox:1 docker://" + cu + "; podunit run -d --name xc --stop-signal KILL --network none -v cv:/data --label io.containers.autoupdate=registry " + cu + " sleep 1000; podunit exec xc touch /data/file; skopeo copy -q docker://localhost:5000/busybox:2 docker://" + cu
	// Without the container there is the note of its renewal, which the next update completes.
	keepsUpdate = "{ " + hasC + " || grep -q '\"Name\":\"xc\"' $(podunit info -f '{{.Store.GraphRoot}}')/podunit/renewals/*.json; } && podunit volume export cv | tar -t file"
)

// What is sent to a registry stays there, so it is sent again. A list has one image. A service runs.
const (
	pushC     = "podunit push -q " + image + " localhost:5000/pushed:1"
	pushA     = "podunit artifact push -q localhost:5000/ca:2"
	pushL     = "podunit manifest push -q --all cl localhost:5000/list:1"
	listOfOne = "podunit manifest create cl; podunit manifest add --arch arm64 cl " + image
	theOne    = "$(podunit manifest inspect cl | jq -r '.manifests[0].digest')"
	runQ      = "podunit quadlet install q.container; systemctl --user start q"
	endQ      = "systemctl --user stop q; podunit quadlet rm q.container"
)

// twice is a check of a container that runs, and of its next start.
func twice(check string) string { return check + " && podunit restart -t 0 xc && " + check }

var cutCases = []cutCase{
	{name: "secret create", verb: "podunit secret create cs tree.tar", done: "podunit secret inspect --showsecret cs >/dev/null", undo: "podunit secret rm cs"},
	{name: "secret create --replace", before: "echo old | podunit secret create cs -", verb: "podunit secret create --replace cs new",
		keeps: "podunit secret inspect --showsecret -f '{{.SecretData}}' cs | grep -e old -e new", done: "podunit secret inspect --showsecret -f '{{.SecretData}}' cs | grep new", undo: "podunit secret rm cs"},
	{name: "secret rm", before: "podunit secret create cs new", verb: "podunit secret rm cs", done: "! podunit secret exists cs"},
	{name: "volume create", verb: "podunit volume create cv", done: "podunit volume inspect cv", undo: "podunit volume rm cv"},
	{name: "volume rm", before: "podunit volume create cv; podunit volume import cv tree.tar", verb: "podunit volume rm cv", done: "! podunit volume exists cv"},
	{name: "volume prune", before: "podunit volume create cv; podunit volume create cv2", verb: "podunit volume prune -f", done: "! podunit volume exists cv && ! podunit volume exists cv2"},
	{name: "volume import", before: "podunit volume create cv", verb: "podunit volume import cv tree.tar", done: "podunit volume export cv | tar -xO new | grep new", undo: "podunit volume rm cv"},
	{name: "volume export", before: "podunit volume create cv; podunit volume import cv tree.tar", verb: "podunit volume export -o made/out cv", done: "tar -tf made/out | grep new", undo: "podunit volume rm cv; rm made/out"},
	{name: "network create", verb: "podunit network create cn", done: "podunit network inspect cn", undo: "podunit network rm cn"},
	{name: "network rm", before: "podunit network create cn", verb: "podunit network rm cn", done: "! podunit network exists cn"},
	{name: "network prune", before: "podunit network create cn", verb: "podunit network prune -f", done: "! podunit network exists cn"},
	{name: "network update", before: "podunit network create cn", verb: "podunit network update --dns-add 10.0.0.1 cn", keeps: "podunit network inspect cn", done: "podunit network inspect cn | grep 10.0.0.1", undo: "podunit network rm cn"},
	{name: "network connect", before: "podunit network create cn; podunit network create cn2; podunit run -d --stop-signal KILL --network cn --name xc " + image + " sleep 1000", verb: "podunit network connect cn2 xc", keeps: "podunit exec xc true", done: twice("podunit exec xc ip addr show eth1"), undo: endC + "; podunit network rm cn cn2"},
	{name: "network disconnect", before: "podunit network create cn; podunit network create cn2; podunit run -d --stop-signal KILL --network cn,cn2 --name xc " + image + " sleep 1000", verb: "podunit network disconnect cn2 xc", keeps: "podunit exec xc true", done: twice("! podunit exec xc ip addr show eth1"), undo: endC + "; podunit network rm cn cn2"},
	{name: "network reload", before: "podunit network create cn; podunit run -d --stop-signal KILL --network cn -p 8080:80 --name xc " + image + " sh -c 'echo hello >index.html; httpd; sleep 1000'", verb: "podunit network reload xc", keeps: "podunit exec xc true",
		done: twice("podunit exec xc nslookup xc && timeout 10 bash -c 'until [ \"$(curl -s localhost:8080)\" = hello ]; do sleep 0.1; done'"), undo: endC + "; podunit network rm cn"},
	{name: "tag", verb: "podunit tag " + image + " ct:1", done: "podunit image exists ct:1", undo: "podunit untag " + image + " ct:1"},
	{name: "untag", before: "podunit tag " + image + " ct:1", verb: "podunit untag " + image + " ct:1", done: "! podunit image exists ct:1", keeps: "podunit image exists " + image},
	{name: "load", verb: load, done: "podunit run --rm --network none " + its, undo: "podunit rmi " + its},
	{name: "pull", verb: "podunit pull -q " + its, done: "podunit run --rm --network none " + its, undo: "podunit rmi " + its},
	{name: "pull that goes on", before: halfPulled, verb: "podunit pull -q " + its, done: "podunit run --rm --network none " + its, undo: "podunit rmi " + its},
	{name: "save", before: load, verb: "podunit save -q -o made/out " + its, done: "tar -tf made/out manifest.json", undo: "rm made/out; podunit rmi " + its},
	{name: "save of a directory", before: load, verb: "podunit save -q --format oci-dir -o made/out " + its, done: "test -e made/out/index.json", undo: "rm -r made/out; podunit rmi " + its},
	{name: "rmi", before: load, verb: "podunit rmi " + its, done: "! podunit image exists " + its},
	{name: "image prune", before: load + "; podunit untag " + its, verb: "podunit image prune -f", done: "[ -z \"$(podunit images -q --filter dangling=true)\" ]", keeps: "podunit image exists " + image},
	{name: "import", verb: "podunit import -q tree.tar ci:1", done: "podunit image inspect ci:1", undo: "podunit rmi ci:1"},
	{name: "manifest create", verb: "podunit manifest create cl", done: "podunit manifest inspect cl", undo: "podunit manifest rm cl"},
	{name: "manifest add", before: "podunit manifest create cl", verb: "podunit manifest add --arch arm64 cl " + image, keeps: "podunit manifest inspect cl", done: "podunit manifest inspect cl | grep arm64", undo: "podunit manifest rm cl"},
	{name: "manifest remove", before: listOfOne, verb: "podunit manifest remove cl " + theOne, keeps: "podunit manifest inspect cl", done: "! podunit manifest inspect cl | grep arm64", undo: "podunit manifest rm cl"},
	{name: "manifest rm", before: listOfOne, verb: "podunit manifest rm cl", done: "! podunit manifest exists cl"},
	{name: "artifact add", verb: "podunit artifact add localhost/ca:1 new", done: "podunit artifact inspect localhost/ca:1", undo: "podunit artifact rm localhost/ca:1"},
	{name: "artifact rm", before: "podunit artifact add localhost/ca:1 new", verb: "podunit artifact rm localhost/ca:1", done: "! podunit artifact inspect localhost/ca:1"},
	{name: "artifact extract", before: "podunit artifact add localhost/ca:1 new", verb: "podunit artifact extract localhost/ca:1 made/out", done: "grep new made/out", undo: "podunit artifact rm localhost/ca:1; rm made/out"},
	{name: "login", before: "printf p >pass", verb: "podunit login -u u --password-stdin localhost:5000 <pass", done: "podunit login --get-login localhost:5000 | grep -x u", undo: "podunit logout localhost:5000"},
	{name: "logout", before: "podunit login -u u -p p localhost:5000; podunit login -u u -p p localhost:5000/other", verb: "podunit logout localhost:5000", done: "! podunit login --get-login localhost:5000",
		keeps: "podunit login --get-login localhost:5000/other | grep -x u", undo: "podunit logout localhost:5000/other"},
	{name: "create", before: "podunit volume create cv", verb: "podunit create --name xc -v cv:/data " + image + " sleep 1000", done: "podunit start xc && podunit exec xc true", undo: noC},
	{name: "rm", before: makeC, verb: "podunit rm xc", done: "! " + hasC, keeps: "podunit volume exists cv", undo: "podunit volume rm cv"},
	{name: "rm of one that runs", before: runC, verb: "podunit rm -f -t 0 xc", done: "! " + hasC},
	{name: "container prune", before: makeC, verb: "podunit container prune -f", done: "! " + hasC, keeps: "podunit volume exists cv", undo: "podunit volume rm cv"},
	{name: "run", verb: runC, done: "podunit start xc && podunit exec xc true", undo: endC},
	{name: "run in the foreground", verb: "podunit run --name xc --network none " + image + " true", done: "podunit start -a xc", undo: endC},
	{name: "run --rm", verb: "podunit run --rm --name xc --network none " + image + " true", done: "! " + hasC},
	{name: "stop", before: runC, verb: "podunit stop -t 0 xc", keeps: hasC, done: "[ \"$(podunit inspect -f '{{.State.Running}}' xc)\" = false ]", undo: endC},
	{name: "restart", before: runC, verb: "podunit restart -t 0 xc", keeps: hasC, done: "podunit exec xc true", undo: endC},
	{name: "kill", before: runC, verb: "podunit kill xc", keeps: hasC, done: "timeout 10 podunit wait xc", undo: endC},
	{name: "start", before: makeC, verb: "podunit start xc", keeps: hasC, done: "podunit exec xc true", undo: noC},
	{name: "rename", before: makeC, verb: "podunit rename xc xd", keeps: "podunit container exists xc || podunit container exists xd", done: "podunit container exists xd && ! " + hasC + " && podunit start xd && podunit exec xd true", undo: "podunit rm -f -t 0 xd; podunit volume rm cv"},
	{name: "rename of one that runs", before: runC, verb: "podunit rename xc xd", keeps: "podunit exec xc true || podunit exec xd true", done: "podunit container exists xd && ! " + hasC + " && podunit exec xd true && podunit restart -t 0 xd && podunit exec xd true", undo: "podunit rm -f -t 0 xd"},
	{name: "rename of one that is shared", before: runC + "; podunit run -d --name xp --stop-signal KILL --uts container:xc " + image + " sleep 1000", verb: "podunit rename xc xd",
		keeps: "podunit restart -t 0 xp && podunit exec xp true", done: "podunit container exists xd && ! " + hasC + " && podunit restart -t 0 xp && podunit exec xp true && podunit rm -f xd 2>&1 | grep 'used by xp'", undo: "podunit rm -f -t 0 xp; podunit rm -f -t 0 xd"},
	{name: "update", before: runC, verb: "podunit update --health-cmd true xc", keeps: "podunit exec xc true", done: "podunit healthcheck run xc", undo: endC},
	{name: "commit", before: makeC, verb: "podunit commit -q xc ci:1", keeps: hasC, done: "podunit run --rm --network none ci:1 true", undo: noC + "; podunit rmi ci:1"},
	{name: "cp into one", before: makeC, verb: "podunit cp new xc:/made", keeps: hasC, done: "podunit cp xc:/made - | tar -xO made | grep new", undo: noC},
	{name: "cp out of one", before: makeC, verb: "podunit cp xc:/etc/passwd made/out", done: "grep root made/out", undo: noC + "; rm made/out"},
	{name: "export", before: makeC, verb: "podunit export -o made/out xc", done: "tar -tf made/out etc/passwd", undo: noC + "; rm made/out"},
	{name: "exec", before: runC, verb: "podunit exec xc touch /made", done: "podunit exec xc test -e /made", undo: endC},
	{name: "pause", before: runC, verb: "podunit pause xc", done: "[ \"$(podunit inspect -f '{{.State.Status}}' xc)\" = paused ]", undo: endC},
	{name: "pod create", verb: "podunit pod create --name cp", done: "podunit pod inspect cp", undo: "podunit pod rm cp"},
	{name: "pod rm", before: "podunit pod create --name cp; podunit create --pod cp --name xc " + image, verb: "podunit pod rm -f -t 0 cp", done: "! podunit pod exists cp && ! " + hasC},
	{name: "quadlet install", verb: "podunit quadlet install q.container", done: "systemctl --user cat q.service", undo: "podunit quadlet rm q.container"},
	{name: "quadlet install --replace", before: "podunit quadlet install q.container; sed 's/1000/2000/' q.container >r/q.container", verb: "podunit quadlet install --replace r/q.container", keeps: "test -s ~/.config/containers/systemd/q.container", done: "grep 2000 ~/.config/containers/systemd/q.container && systemctl --user cat q.service | grep 2000", undo: "podunit quadlet rm q.container; rm r/q.container"},
	{name: "quadlet rm", before: "podunit quadlet install q.container", verb: "podunit quadlet rm q.container", done: "test ! -e ~/.config/containers/systemd/q.container && ! systemctl --user cat q.service"},
	{name: "generate quadlet --install", before: makeC, verb: "podunit generate quadlet --install xc", keeps: hasC, done: "systemctl --user cat xc.service", undo: "rm -f ~/.config/containers/systemd/xc.container; systemctl --user daemon-reload; " + noC},
	{name: "kube play", verb: "podunit kube play k.yaml", done: "podunit exec kp-c cat /f/a | grep alpha", undo: "podunit kube down k.yaml"},
	{name: "kube down", before: "podunit kube play k.yaml", verb: "podunit kube down k.yaml", done: "! podunit pod exists kp && [ ! -e ~/.local/share/containers/storage/podunit/kube/plays/*kp.json ]"},
	{name: "unpause", before: runC + "; podunit pause xc", verb: "podunit unpause xc", keeps: hasC, done: "podunit exec xc true", undo: endC},
	{name: "pod start", before: makeP, verb: "podunit pod start cp", keeps: hasP, done: "podunit exec xc true", undo: endP},
	{name: "pod stop", before: makeP + "; podunit pod start cp", verb: "podunit pod stop -t 0 cp", keeps: hasP, done: stateP + "Exited ]", undo: endP},
	{name: "pod restart", before: makeP + "; podunit pod start cp; " + began + " >made/at", verb: "podunit pod restart cp", keeps: hasP, done: "podunit exec xc true && [ $(" + began + ") != $(cat made/at) ]", undo: endP + "; rm made/at"},
	{name: "pod pause", before: makeP + "; podunit pod start cp", verb: "podunit pod pause cp", keeps: hasP, done: stateP + "Paused ]", undo: endP},
	{name: "pod unpause", before: makeP + "; podunit pod start cp; podunit pod pause cp", verb: "podunit pod unpause cp", keeps: hasP, done: "podunit exec xc true", undo: endP},
	{name: "pod kill", before: makeP + "; podunit pod start cp", verb: "podunit pod kill cp", keeps: hasP, done: "timeout 10 podunit wait xc", undo: endP},
	{name: "pod prune", before: makeP + "; podunit pod start cp; podunit pod stop -t 0 cp", verb: "podunit pod prune -f", done: "! podunit pod exists cp && ! " + hasC},
	{name: "kube play --replace", before: "podunit kube play k.yaml; sed 's/alpha/beta/; s/1000/2000/' k.yaml >r/k.yaml", verb: "podunit kube play --replace r/k.yaml",
		done: "podunit exec kp-c cat /f/a | grep beta && podunit exec kp-c grep 2000 /proc/1/cmdline", undo: "podunit kube down k.yaml; rm r/k.yaml"},
	{name: "kube generate", before: makeC, verb: "podunit kube generate -f made/out xc", keeps: hasC, done: "test -s made/out && podunit rm -i xc && podunit kube play --start=false made/out && podunit kube down made/out", undo: noC + "; rm made/out"},
	{name: "artifact pull", before: "podunit artifact add localhost:5000/ca:1 new; podunit artifact push -q localhost:5000/ca:1; podunit artifact rm localhost:5000/ca:1", verb: "podunit artifact pull -q localhost:5000/ca:1",
		done: "podunit artifact extract localhost:5000/ca:1 made/out && grep new made/out", undo: "podunit artifact rm localhost:5000/ca:1; rm made/out"},
	{name: "healthcheck run", before: "podunit run -d --name xc --stop-signal KILL --health-cmd 'touch /made' --health-interval disable " + image + " sleep 1000", verb: "podunit healthcheck run xc", keeps: "podunit exec xc true",
		done: "podunit exec xc test -e /made && [ \"$(podunit inspect -f '{{.State.Health.Status}}' xc)\" = healthy ]", undo: endC},
	{name: "system prune", before: makeC + "; podunit import -q tree.tar; podunit pod create --name cp; podunit pod start cp; podunit pod stop -t 0 cp", verb: "podunit system prune -f --volumes", keeps: "podunit image exists " + image,
		done: "! podunit volume exists cv && ! " + hasC + " && ! podunit pod exists cp && ! podunit images | grep '<none>'"},
	{name: "auto-update", before: updateC, verb: "podunit auto-update --wait", keeps: keepsUpdate,
		done: "podunit exec xc cat /etc/image-version && podunit exec xc ls /data/file",
		// The next update takes away what is left of a note that was half written.
		undo: "podunit auto-update --wait; " + noC + "; podunit rmi " + cu},
	{name: "run of a unit", before: "podunit network create cn; podunit volume create cv; podunit secret create cs new",
		verb: "podunit run --name xc --replace --rm --network cn -p 8080:80 -v cv:/data -v /anonymous --secret cs --health-cmd true --pidfile made/pid " + image + " touch /data/made",
		done: "podunit volume export cv | tar -t made && ! " + hasC, undo: "podunit rm -f -i -t 0 xc; podunit volume rm cv; podunit network rm cn; podunit secret rm cs; rm -f made/*"},
	{name: "run --replace", before: runC, verb: "podunit run -d --replace --name xc --stop-signal KILL " + image + " sleep 2000", done: "podunit start xc && podunit exec xc grep 2000 /proc/1/cmdline", undo: endC},
	{name: "create --replace", before: makeC, verb: "podunit create --replace --name xc -v cv:/data " + image + " sleep 2000", keeps: "podunit volume exists cv", done: "podunit start xc && podunit exec xc grep 2000 /proc/1/cmdline", undo: noC},
	{name: "rm -v", before: "podunit create --name xc -v /anonymous " + image, verb: "podunit rm -v xc", done: "! " + hasC + " && [ -z \"$(podunit volume ls -q)\" ]"},
	{name: "stop of one that goes then", before: "podunit run -d --rm --name xc --stop-signal KILL " + image + " sleep 1000", verb: "podunit stop -t 0 xc", done: "! " + hasC},
	{name: "exec -d", before: runC, verb: "podunit exec -d xc touch /made", done: "timeout 10 bash -c 'until podunit exec xc test -e /made; do :; done'", undo: endC},
	{name: "attach", before: "podunit run -d --name xc --network none " + image + " sleep 2", verb: "podunit attach xc", keeps: hasC, done: "podunit wait xc", undo: endC},
	{name: "cp into one that runs", before: runC, verb: "podunit cp new xc:/made", keeps: "podunit exec xc true", done: "podunit exec xc grep new /made", undo: endC},
	{name: "diff", before: runC + "; podunit exec xc touch /made", verb: "podunit diff xc", keeps: "podunit exec xc true", done: "podunit diff xc | grep /made", undo: endC},
	{name: "cleanup", before: makeC, verb: "podunit cleanup xc", keeps: hasC, done: "podunit start xc", undo: noC},
	{name: "pod create --replace", before: makeP + "; podunit pod start cp", verb: "podunit pod create --replace --name cp", done: "podunit pod exists cp && ! " + hasC, undo: endP},
	{name: "rmi -f", before: load + "; podunit create --name xc " + its, verb: "podunit rmi -f " + its, done: "! podunit image exists " + its + " && ! " + hasC},
	{name: "push", verb: pushC, done: pushC + " && skopeo inspect --tls-verify=false docker://localhost:5000/pushed:1"},
	{name: "build", before: "printf 'FROM " + image + "\nRUN touch /made\n' >r/Containerfile", verb: "podunit build -q -t cb:1 r", done: "podunit run --rm --network none cb:1 test -e /made", undo: "podunit rmi cb:1; rm r/Containerfile"},
	{name: "artifact ls", before: "podunit artifact add localhost/ca:1 new", verb: "podunit artifact ls", done: "podunit artifact inspect localhost/ca:1", undo: "podunit artifact rm localhost/ca:1"},
	{name: "artifact push", before: "podunit artifact add localhost:5000/ca:2 new", verb: pushA, done: pushA + " && skopeo inspect --raw --tls-verify=false docker://localhost:5000/ca:2", undo: "podunit artifact rm localhost:5000/ca:2"},
	{name: "manifest annotate", before: listOfOne, verb: "podunit manifest annotate --variant v8 cl " + theOne, keeps: "podunit manifest inspect cl", done: "podunit manifest inspect cl | grep v8", undo: "podunit manifest rm cl"},
	{name: "manifest push", before: listOfOne, verb: pushL, keeps: "podunit manifest inspect cl | grep arm64", done: pushL + " && skopeo inspect --raw --tls-verify=false docker://localhost:5000/list:1 | grep arm64", undo: "podunit manifest rm cl"},
	{name: "quadlet edit", before: "podunit quadlet install q.container", verb: "EDITOR='sed -i s/1000/2000/' podunit quadlet edit q.container", keeps: "test -s ~/.config/containers/systemd/q.container",
		done: "grep 2000 ~/.config/containers/systemd/q.container && systemctl --user cat q.service | grep 2000", undo: "podunit quadlet rm q.container"},
	{name: "generate systemd --files", before: makeC, verb: "cd made && podunit generate systemd --new --files --name xc", keeps: hasC, done: "grep ExecStop= made/container-xc.service", undo: "rm made/*; " + noC},
	{name: "auto-update --pin", before: runQ, verb: "podunit auto-update --pin q", keeps: "systemctl --user is-active q", done: "systemctl --user cat q | grep sha256", undo: "podunit auto-update --unpin q; " + endQ},
	{name: "auto-update --unpin", before: runQ + "; podunit auto-update --pin q", verb: "podunit auto-update --unpin q", keeps: "systemctl --user is-active q", done: "! systemctl --user cat q | grep sha256", undo: endQ},
	{name: "auto-update --dry-run", before: runC, verb: "podunit auto-update --dry-run", done: "podunit auto-update --dry-run", undo: endC},
	{name: "doctor", before: makeC, verb: "podunit doctor", done: "podunit start xc", undo: noC},
	{name: "system migrate", before: runC + "; podunit pod create --name cp; podunit pod start cp", verb: "podunit system migrate", keeps: hasP, done: "[ \"$(podunit inspect -f '{{.State.Running}}' xc)\" = false ] && " + stateP + "Exited ]", undo: endC + "; " + endP},
	{name: "system reset", before: runC + "; podunit volume create cv; podunit pod create --name cp; podunit pod start cp", verb: "podunit system reset -f", done: "! " + hasC + " && ! podunit pod exists cp && ! podunit volume exists cv && ! podunit image exists " + image, undo: "podunit pull -q " + image},
}

// reads are verbs that write nothing of their own. One that opens the storage notes that it is in the
// user namespace, and mounts the storage there: so do all that the cases kill.
var reads = []string{
	"check q.container k.yaml", "completion bash", "container exists xc", "container inspect xc", "container ls -a", "events --stream=false --since 1m", "generate quadlet xc",
	"generate systemd xc", "help", "help keys", "history " + image, "image diff " + image, "image exists " + image, "image inspect " + image, "image tree " + image, "images", "info", "inspect xc", "kube generate xc",
	"logs xc", "manifest exists cl", "manifest inspect cl", "network exists cn", "network inspect cn", "network ls", "pod exists cp", "pod inspect cp", "pod logs cp", "pod ps", "pod stats --no-stream cp",
	"pod top cp", "port xc", "ps -a", "quadlet list", "quadlet print q.container", "search --tls-verify=false localhost:5000/busybox", "secret exists cs", "secret inspect cs", "secret ls", "stats --no-stream", "system df",
	"system events --stream=false --since 1m", "system info", "top xc", "unshare true", "version", "volume exists cv", "volume export cv", "volume inspect cv", "volume ls", "volume mount cv", "volume reload",
	"volume unmount cv", "wait --condition running xc", "artifact inspect localhost/ca:1", "auto-update --history",
}

// cutUnit makes the unit file that the cases find, in their directory.
const cutUnit = `mkdir -p cuts/made cuts/r; cd cuts; printf '[Container]\nImage=` + image + `\nExec=sleep 1000\nStopSignal=KILL\n' >q.container`

// cutDirectory makes all that the cases find.
const cutDirectory = cutUnit + `; podunit pull -q ` + image + ` ` + its + `; echo new >new; tar -cf tree.tar new
podunit save -q -o layers.tar ` + its + `; podunit rmi ` + its + `
cat >k.yaml <<E
apiVersion: v1
kind: Pod
metadata: {name: kp}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: "` + image + `", command: [sleep, "1000"], volumeMounts: [{name: f, mountPath: /f}, {name: e, mountPath: /e}]}
  volumes: [{name: f, configMap: {name: f}}, {name: e, emptyDir: {}}]
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: f}, data: {a: alpha}}
E
podunit run -d --rm --name c --network none ` + image + ` sleep 1000; podunit rm -f -t 0 c; podunit quadlet install q.container; podunit quadlet rm q.container; podunit login -u u -p p localhost:5000; podunit logout localhost:5000
podunit artifact add localhost/ca:1 new; podunit artifact rm localhost/ca:1; ` + pushTheirs + `; podunit secret create cs new; podunit secret rm cs; podunit network create cn; podunit network rm cn; podunit kube play k.yaml; podunit kube down k.yaml; podunit pod create --name cp; podunit pod rm cp; podunit image prune -f
mkdir -p ~/.config/podunit; printf '[AutoUpdate]\nHealthWindow=1s\nKeep=0\n' >~/.config/podunit/podunit.conf`

// pushTheirs has the registry have its artifact.
const pushTheirs = "podunit artifact add " + theirs + " new; podunit artifact push -q " + theirs + "; podunit artifact rm " + theirs

// daveDirectory makes what the cases of dave's units find.
const daveDirectory = cutUnit + `; podunit pull -q ` + image + `; echo new >new; ` + pushTheirs

// cutShell is what root's script has before a round: the user has a script run as after a login.
var cutShell = map[string]string{
	"alice": `user() { bash -c 'echo $$ >/sys/fs/cgroup/user.slice/user-1000.slice/lab-alice.scope/cgroup.procs
exec setpriv --reuid=1000 --regid=1000 --init-groups -- env -i -C /home/alice/cuts HOME=/home/alice USER=alice LOGNAME=alice LANG=C.UTF-8 PATH="$PATH" S="systemctl --user" Q=/home/alice/.config/containers/systemd XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus bash -c "$1"' - "$1"; }
export -f user
`,
	// The manager is the system's.
	"dave": `podunit() { setpriv --reuid=1003 --regid=1003 --init-groups -- env -i -C /home/dave/cuts HOME=/home/dave USER=dave LOGNAME=dave LANG=C.UTF-8 PATH="$PATH" podunit "$@"; }
user() { HOME=/home/dave U=dave S=systemctl Q=/etc/containers/systemd bash -c 'cd; cd cuts; eval "$1"' - "$1"; }
export -f podunit user
`,
	"root": `user() { env -i -C /root/cuts HOME=/root USER=root LOGNAME=root LANG=C.UTF-8 PATH="$PATH" S=systemctl Q=/etc/containers/systemd bash -c "$1"; }
export -f user
`,
}

// cutJudge has the user look at everything, do the verb again where it is not done, and take it back.
// %s are what it keeps, what shows that it is done, the verb, how it is undone, the last prune, and
// where the runtime directory and the storage are.
const cutJudge = `say() { echo "$@"; code=1; }
code=0
for v in 'ps -a' 'pod ps' images 'volume ls' 'network ls' 'secret ls' 'artifact ls' 'quadlet list' 'system df'; do
	[ "$v" != 'quadlet list' ] || [ -z "$U" ] || continue # it asks the user's own manager
	podunit $v >/dev/null 2>said && [ ! -s said ] || say "podunit $v: $(cat said)"
done
# What is young may be somebody's who is writing it.
%[6]s
find $run/containers $storage/artifacts -type f -exec touch -d '2 days ago' {} +
(%[1]s) >said 2>&1 || say "it does not keep: $(cat said)"
if ! (%s) >said 2>&1; then
	(%s) >again 2>&1
	(%[2]s) >said 2>&1 || say "after it was done again: $(cat said; cat again)"
fi
(set -e; %[4]s) >said 2>&1 || say "undo: $(cat said)"
%[5]s >/dev/null 2>said && podunit system check >/dev/null 2>>said && [ ! -s said ] || say "prune and check: $(cat said)"
# The library makes one for each list of manifests, and removes none.
rm -f said again $run/containers/overlay-locks/*; find ~/cuts ~/.config -printf '%%p\n' | sed 's/^/file /'
exit $code`

// cutManagers has both managers, and so all units, ask podunit-lab about their calls: the first
// process executes itself once more, after a filter is there.
const cutManagers = `set -e
mkdir /root/cut; cp /usr/lib/systemd/systemd /root/cut; printf '#!/bin/sh\nexec podunit-lab cut-child /root/cut/systemd "$@"\n' >/root/cut/filtered; chmod 755 /root/cut/filtered
mount --bind /root/cut/filtered /usr/lib/systemd/systemd
setsid podunit-lab cut-managers /root/cut >/root/cut/said 2>&1 </dev/null &
systemctl daemon-reexec; umount /usr/lib/systemd/systemd; systemctl restart user@1000`

// cutVerb is how root has a user's verb killed before the call at.
func cutVerb(c cutCase, at int) string {
	if c.of == "" {
		return fmt.Sprintf(`podunit-lab cut --at %d --log /root/calls bash -c 'user "$1"' - %s 2>&1 | cat >/root/said; status=${PIPESTATUS[0]}`, at, quoted(c.verb))
	}
	// The round goes on when it is done, and nobody executes the words any more.
	return fmt.Sprintf(`execute() { for c in $(grep -lsx podunit /proc/[0-9]*/comm); do tr '\0' ' ' <${c%%/comm}/cmdline; done 2>/dev/null | grep -qe " $1 "; }
rm -f /root/cut/calls; echo %d %[2]s >/root/cut/at; begun=$SECONDS; user %[3]s >/root/said 2>&1
end=$((SECONDS + 200)); until user %[4]s >/dev/null 2>&1 && ! execute %[5]s || [ $SECONDS -ge $end ]; do sleep 0.1; done
took=$((SECONDS - begun)); : >/root/cut/at; mv /root/cut/calls /root/calls || { echo "no unit executes %[2]s"; cat /root/said; exit 4; }; status=0`, at, c.of, quoted(c.verb), quoted(c.done), quoted(c.of))
}

// A cutRound is what a round of a case has shown.
type cutRound struct {
	writes int    // how many calls there were
	call   string // the last one; if it is the number at, podunit was killed before it
	took   int    // seconds, in unitCases
	wrong  string
	files  []string
}

// cut does a round of the case.
func (l *Lab) cut(c cutCase, prune string, at int) (r cutRound) {
	l.t.Helper()
	or := func(s string) string {
		if s == "" {
			return "true"
		}
		return s
	}
	again := c.verb
	if c.of != "" {
		again = "true" // nobody helps
	}
	judge := fmt.Sprintf(cutJudge, or(c.keeps), or(c.done), again, or(c.undo), prune, places[l.user])
	script := cutShell[l.user] + fmt.Sprintf(`user %s >/root/said 2>&1 || { cat /root/said; exit 3; }
%s
n=$(wc -l </root/calls)
if [ $n != %d ] && [ $status != 0 ]; then cat /root/said; exit 4; fi
echo $n ${took:-0} $(tail -n 1 /root/calls)
user %s`, quoted("set -e; "+or(c.before)), cutVerb(c, at), at, quoted(judge))
	out, stderr, code := l.Command(machine.Command{User: "root", Args: []string{script}, Timeout: 10 * time.Minute})
	if code != 3 && code != 4 { // they have failed before
		var first string
		first, out, _ = strings.Cut(out, "\n")
		words := strings.SplitN(first+"  ", " ", 3)
		r.writes, _ = strconv.Atoi(words[0]) // 0 if the script has failed before it
		r.took, _ = strconv.Atoi(words[1])
		r.call = strings.TrimSpace(words[2])
	}
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(line, "file "); ok {
			r.files = append(r.files, name)
		} else {
			r.wrong += line
		}
	}
	if code != 0 {
		r.wrong += fmt.Sprintf("status %d\n%s", code, stderr)
	}
	if r.wrong != "" && c.of != "" {
		r.wrong += l.MustRun("root", "journalctl -n 60 -o short-precise | cut -d ' ' -f 3,5-")
	}
	slices.Sort(r.files)
	return r
}

// TestCuts kills each verb before each of its writes, whether people type it or units execute it:
// then all listings work, nothing is lost, the verb done again succeeds, of units without anybody,
// and nothing is left. The verbs are alice's, with PODUNIT_CUT_USER=root those of the system, and
// with PODUNIT_CUT_USER=dave those of the system's units that say User=dave. It takes long: make
// test-cuts. PODUNIT_CUT_FROM says before which write the first kill is, to go on where a run was
// broken off, and PODUNIT_CUT_EVERY=7 has each seventh write do, for a first look.
func TestCuts(t *testing.T) {
	l := boot(t, labtest.Options{})
	l.user = cmp.Or(os.Getenv("PODUNIT_CUT_USER"), l.user)
	l.MustRun("root", "mkdir /b; printf 'FROM "+image+"\nRUN touch /made\n' >/b/Containerfile")
	if l.user == "dave" {
		l.MustRun("root", "mkdir -p /etc/containers/systemd /run/podunit-user; install -d -o dave -g dave -m 700 /run/podunit-user/1003; loginctl disable-linger dave; until ! test -e /run/user/1003; do sleep 0.1; done; "+dave+"bash -c "+quoted(daveDirectory))
	} else {
		l.MustRun(l.user, cutDirectory)
	}
	managers := sync.OnceFunc(func() { l.MustRun("root", cutManagers) })
	cases := slices.Concat(cutCases, unitCases)
	if l.user == "dave" {
		cases = unitsOfUsers
	}
	for _, c := range cases {
		if c.only != "" && c.only != l.user {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if c.of != "" {
				managers()
			}
			l.on(t).cuts(t, c, "podunit system prune -f --volumes")
		})
	}
	if l.user == "dave" {
		return
	}
	t.Run("verbs that read", func(t *testing.T) { l.on(t).reading() })
}

// reading wants no write of any of reads.
func (l *Lab) reading() {
	l.t.Helper()
	const before = "podunit run -d --name xc -p 8080:80 --stop-signal KILL " + image + " sleep 1000; podunit pod create --name cp; podunit run -d --pod cp --stop-signal KILL " + image + " sleep 1000; podunit volume create cv; podunit network create cn; podunit secret create cs new; " +
		"podunit manifest create cl; podunit artifact add localhost/ca:1 new; podunit artifact ls; podunit quadlet install q.container"
	script := cutShell[l.user] + "user " + quoted(before) + " >said 2>&1 || { cat said; exit 3; }\nfor verb in"
	for _, verb := range reads {
		script += " " + quoted(verb)
	}
	script += `; do
	podunit-lab cut --log calls bash -c 'user "$1"' - "podunit $verb" 2>&1 | cat >said; status=${PIPESTATUS[0]}
	[ $status = 0 ] || { echo "podunit $verb: status $status"; cat said; }
	grep -v -e '/podunit/userns/[0-9]*$' -e '^fchmodat [^ ]*/libpod$' -e '^mount [^ ]*/storage/overlay$' calls | sed "s,^,podunit $verb: ,"
done`
	if out, stderr, code := l.Command(machine.Command{User: "root", Args: []string{script}, Timeout: 10 * time.Minute}); out != "" || code != 0 {
		l.t.Errorf("status %d: %s%s", code, out, stderr)
	}
	l.MustRun(l.user, "cd cuts; "+endC+" && "+endP+" && podunit volume rm cv && podunit network rm cn && podunit secret rm cs && podunit manifest rm cl && podunit artifact rm localhost/ca:1 && podunit quadlet rm q.container")
}

// cuts does all rounds of a case, each of which ends with the prune. Where a round has fewer writes
// than one without a kill, because less was to do, the next ones are done all the same. A case most
// of whose rounds are like that shows nothing, and fails.
func (l *Lab) cuts(t *testing.T, c cutCase, prune string) {
	if r := l.cut(c, prune, 0); r.wrong != "" {
		t.Fatalf("without a kill: %s", r.wrong)
	}
	whole := l.cut(c, prune, 0)
	before := l.settled()
	if whole.wrong != "" {
		t.Fatalf("without a kill: %s", whole.wrong)
	}
	from, err := strconv.Atoi(cmp.Or(os.Getenv("PODUNIT_CUT_FROM"), "1"))
	if err != nil {
		t.Fatal(err)
	}
	every, err := strconv.Atoi(cmp.Or(os.Getenv("PODUNIT_CUT_EVERY"), "1"))
	if err != nil {
		t.Fatal(err)
	}
	kills, lost, last := 0, 0, 0
	for at := from; ; at += every {
		r := l.cut(c, prune, at)
		if r.writes != at {
			if r.wrong != "" {
				t.Errorf("without a kill, after %d of them, with %d writes: %s", kills, r.writes, r.wrong)
			}
			if at <= whole.writes && r.writes > 0 {
				lost++
				continue
			}
			t.Logf("%d writes, killed before %d of them, the last one %d; %d rounds without a kill", whole.writes, kills, last, lost)
			if kills == 0 || kills < lost {
				t.Errorf("only %d of %d rounds had a kill", kills, kills+lost)
			}
			return
		}
		kills, last = kills+1, at
		if more := r.took - whole.took; c.within > 0 && more > c.within {
			r.wrong += fmt.Sprintf("it took %d seconds longer\n", more)
		}
		if r.wrong != "" || !slices.Equal(whole.files, r.files) {
			t.Errorf("killed before call %d, %s:\n%s%s", at, r.call, r.wrong, strings.Join(added(whole.files, r.files), ""))
		}
		if !l.same(t, before, fmt.Sprintf("killed before call %d, %s", at, r.call)) {
			before = l.settled()
		}
		if at > 1000 {
			t.Fatal("it never ends")
		}
	}
}
