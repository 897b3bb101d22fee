// SPDX-License-Identifier: Apache-2.0

//go:build lab

package vm

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// TestVMBookworm has Debian 12 for the whole machine: kernel 6.1, systemd 252, runc 1.1.5, passt of
// 2023, netavark 1.4.
func TestVMBookworm(t *testing.T) {
	l := boot(t, labtest.Options{VM: "bookworm"}, "alice", "root")
	t.Log(l.MustRun("root", "uname -r; systemctl --version | head -n 1; runc --version | head -n 1; dpkg-query -W passt netavark aardvark-dns"))
	files, err := filepath.Glob("../../../testdata/media/*")
	if err != nil || len(files) != 4 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		l.WriteFile("alice", ".config/containers/systemd/"+filepath.Base(name), string(text))
	}
	const answers = "for port in 8988 7878 8989; do curl --retry 300 --retry-delay 1 --retry-all-errors -sL -o /dev/null -w '%{http_code}\\n' http://localhost:$port/ 2>/dev/null; done; "
	play(t, l, []step{
		{name: "the media pod", user: "alice", script: "mkdir -p ~/media/downloads ~/media/config/qbittorrent ~/media/config/transmission; podunit check; $S daemon-reload; $S start media-pod; " + answers +
			"$S is-active media-pod qbittorrent transmission lighttpd; podunit pod ps --format '{{.Name}} {{.Status}} {{.NumberOfContainers}}'",
			want: "0 errors, 0 warnings in 4 unit files\n200\n200\n200\nactive\nactive\nactive\nactive\nmedia Running 3"},
	})
	l.Reboot()
	// The emulated processor starts six programs at once.
	l.Active("alice", "media-pod", "qbittorrent", "transmission", "lighttpd")
	play(t, l, append([]step{
		{name: "after a boot", user: "alice", script: answers + "$S stop media-pod; podunit ps -aq; rm -r $D; $S daemon-reload", want: "200\n200\n200"},
	}, oldSteps...))
	for _, user := range []string{"alice", "root"} {
		l.NothingLeft(user, time.Minute)
	}
}

// oldSteps are what people use most, with the oldest programs, and what those lack.
var oldSteps = []step{
	{name: "names of a network", script: "podunit network create net >/dev/null; podunit run -d --network net --name db $I sh -c 'echo hello >/index.html; httpd -f -p 80 -h /' >/dev/null; " +
		"podunit run --rm --network net $I wget -q -O - http://db/; podunit rm -f -t 0 db; podunit network rm net",
		want: "hello\ndb\nnet"},
	{name: "a port of a network", script: "podunit network create net >/dev/null; podunit run -d --network net -p 18080:80 --name web $I sh -c 'echo hello >/index.html; httpd -f -p 80 -h /' >/dev/null; " +
		"curl --retry 60 --retry-delay 1 --retry-all-errors -s http://localhost:18080/; podunit rm -f -t 0 web; podunit network rm net",
		want: "hello\nweb\nnet"},
	{name: "what netavark 1.4 lacks", script: "podunit network create --opt vlan=7 net; echo $?",
		want: "podunit: error: --opt vlan needs netavark 1.14, and 1.4 is installed\n  hint: leave it out, or install a newer netavark\n125"},
	{name: "a health check", script: rund + "well --health-cmd 'test -e /well' --health-interval 2s --health-retries 1 $I sleep 999 >/dev/null; " +
		"until [ $(podunit inspect -f '{{.State.Health.Status}}' well) = unhealthy ]; do sleep 0.5; done; podunit exec well touch /well; podunit wait --condition=healthy well; " +
		"podunit inspect -f '{{.State.Health.Status}}' well; podunit rm -f -t 0 well",
		want: "~healthy\nwell"},
	{name: "ready when healthy", script: unit + "unit late 'Notify=healthy\\nHealthCmd=test -e /ready\\nHealthInterval=1s\\nHealthRetries=300\\nExec=sh -c \"sleep 5; touch /ready; exec sleep 999\"\\nStopTimeout=1' ''; " +
		"until $S is-active -q late; do $S is-failed -q late && break; sleep 0.5; done; podunit exec systemd-late ls /ready; gone late",
		want: "/ready"},
	{name: "the user's own ID", user: "alice", script: run + "--userns keep-id $I id -u", want: "1000"},
	{name: "an own file in the pod's user namespace", user: "alice", script: "mkdir -p v; podunit run --rm --network none --userns keep-id:uid=7,gid=7 -v ./v:/v $I sh -c 'id -u; touch /v/x'; stat -c %U v/x; rm -r v",
		want: "7\nalice"},
	{name: "limits", script: limit + rund + "lim --memory 64m --pids-limit 20 --cpus 0.5 $I sleep 999 >/dev/null; cat $(cg lim)/memory.max $(cg lim)/pids.max $(cg lim)/cpu.max; podunit rm -f -t 0 lim",
		want: "67108864\n20\n50000 100000\nlim"},
	{name: "out of memory", script: "podunit run --network none --name oom --memory 48m --memory-swap 48m $I tail /dev/zero; echo $?; podunit inspect -f '{{.State.OOMKilled}}' oom; podunit rm oom",
		want: "137\ntrue\noom"},
	{name: "the limits of a pod", script: inPod + "--memory 64m --memory-swap 64m >/dev/null; podunit run -d --pod pm --name stays $I sleep 999 >/dev/null; limit $P-pm.slice memory.max; podunit pod rm -f -t 0 pm >/dev/null",
		want: "67108864"},
	{name: "a YAML", script: `printf '%s' '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"y"},"spec":{"terminationGracePeriodSeconds":1,"containers":[{"name":"a","image":"localhost:5000/busybox","command":["sleep","999"],"readinessProbe":{"exec":{"command":["true"]},"periodSeconds":1}},{"name":"b","image":"localhost:5000/busybox","command":["sleep","999"]}]}}' >y.yaml
podunit kube play y.yaml >/dev/null; $S is-active y-a y-b; podunit exec y-a echo inside; podunit kube down y.yaml >/dev/null 2>&1; podunit ps -aq; rm y.yaml`,
		want: "active\nactive\ninside"},
	{name: "a secret", script: "printf word | podunit secret create sec - >/dev/null; " + run + "--secret sec $I cat /run/secrets/sec; echo; podunit secret rm sec >/dev/null", want: "word"},
	{name: "a credential", user: "root", script: unit + "unit cred 'Secret=c,type=credential\\nExec=sh -c \"cat $$CREDENTIALS_DIRECTORY/c; echo; exec sleep 999\"\\nStopTimeout=1' 'SetCredential=c:given'; journal cred given; gone cred", want: "given"},
}
