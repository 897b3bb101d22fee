// SPDX-License-Identifier: Apache-2.0

package update

import (
	"fmt"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
)

func TestTargets(t *testing.T) {
	command := func(service, user, line string) unit.Command {
		return unit.Command{Unit: service, User: user, Exec: [][]string{strings.Fields(line)}}
	}
	commands := []unit.Command{
		command("web.service", "", "/usr/bin/podunit run --name systemd-web --replace --rm --cgroups=split --sdnotify=conmon -d --label io.containers.autoupdate=registry --env-file /nowhere/env docker.io/library/nginx:latest nginx -g x"),
		command("global.service", "", "podunit --log-level debug --module=x run --name g --label io.containers.autoupdate=local localhost/g"),
		command("dave.service", "dave", "podunit run --name d --label io.containers.autoupdate=registry quay.io/d"),
		command("plain.service", "", "podunit run --name p quay.io/p"),
		command("off.service", "", "podunit run --name o --label io.containers.autoupdate=disabled quay.io/o"),
		command("pull.service", "", "podunit image pull quay.io/o"),
		command("short.service", "", "podunit run --name s --label io.containers.autoupdate=image nginx"),
		command("archive.service", "", "podunit run --name a --label io.containers.autoupdate=registry docker-archive:/x.tar"),
		command("odd.service", "", "podunit run --name odd --label io.containers.autoupdate=sometimes quay.io/odd"),
		command("auth.service", "", "podman run --name auth --label io.containers.autoupdate=registry --label io.containers.autoupdate.authfile=/a.json quay.io/auth"),
	}
	record := func(name, image, policy string) container.Record {
		r := container.Record{ID: strings.Repeat(name[:1], 64), Name: name, ImageID: "id-" + name}
		r.Spec = spec.Container{Image: image, Labels: map[string]string{Label: policy}}
		return r
	}
	records := []container.Record{
		record("systemd-web", "docker.io/library/nginx:older", "registry"),
		record("hand", "docker.io/library/redis", "registry"),
		record("nobody", "docker.io/library/redis", "registry"),
		record("quiet", "docker.io/library/redis", ""),
		record("ended", "docker.io/library/redis", "registry"),
	}
	units := map[string]string{"systemd-web": "web.service", "hand": "hand.service"}
	var got []string
	for _, x := range Targets(commands, records, func(r container.Record) (string, bool) { return units[r.Name], r.Name != "ended" }) {
		got = append(got, fmt.Sprintf("%s %s %s %s runs=%s auth=%s %v", x.Unit, x.Container, x.Image, x.Policy, x.Runs, x.AuthFile, x.Problem))
	}
	want := `web.service systemd-web docker.io/library/nginx:latest registry runs=id-systemd-web auth= <nil>
global.service g localhost/g local runs= auth= <nil>
short.service s nginx registry runs= auth= short name: auto updates require fully-qualified image reference: "nginx"
archive.service a docker-archive:/x.tar registry runs= auth= auto updates require the docker image transport but image is of transport "docker-archive"
odd.service odd quay.io/odd  runs= auth= invalid auto-update policy "sometimes": valid policies are disabled, image, registry, local, check and pull
auth.service auth quay.io/auth registry runs= auth=/a.json <nil>
hand.service hand docker.io/library/redis registry runs=id-hand auth= <nil>
 nobody docker.io/library/redis registry runs=id-nobody auth= no unit starts the container`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
}
