// SPDX-License-Identifier: Apache-2.0

package update

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
)

// The registry is asked as the start of the container or its .image unit would.
func TestAccess(t *testing.T) {
	commands := []unit.Command{
		{Unit: "own.service", Exec: [][]string{strings.Fields("podunit run --name own --authfile /own.json --tls-verify=false --label io.containers.autoupdate=registry quay.io/own")}},
		{Unit: "web.service", Exec: [][]string{strings.Fields("podunit run --name web --label io.containers.autoupdate=registry quay.io/web")}},
		{Unit: "web-image.service", Exec: [][]string{strings.Fields("podunit image pull --retry 3 --authfile=/image.json --cert-dir /certs --creds u:p quay.io/web")}},
		{Unit: "noname.service", Exec: [][]string{strings.Fields("podunit run --label io.containers.autoupdate=registry quay.io/n:${TAG}")}},
	}
	r := container.Record{ID: "1", Name: "podunit-1", Unit: "noname.service", ImageID: "id"}
	r.Spec = spec.Container{Image: "quay.io/n:2", Labels: map[string]string{Label: "registry"}}
	var got []string
	for _, x := range Targets(commands, nil, []container.Record{r}, func(r container.Record) (string, bool) { return r.Unit, true }) {
		got = append(got, fmt.Sprintf("%s %s %s %+v", x.Unit, x.Container, x.Image, x.Access))
	}
	want := `own.service own quay.io/own {AuthFile:/own.json CertDir: Creds: TLSVerify:false}
web.service web quay.io/web {AuthFile:/image.json CertDir:/certs Creds:u:p TLSVerify:}
noname.service podunit-1 quay.io/n:2 {AuthFile: CertDir: Creds: TLSVerify:}`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
}

// What plays declare is looked after whether it runs or not, with the logins that the play has.
func TestTargetsOfPlays(t *testing.T) {
	declared := func(name, policy string, ends bool) Declared {
		s := spec.Container{Name: name, Image: "quay.io/" + name, Labels: map[string]string{Label: policy}}
		s.Pull.AuthFile = "/run/logins-tv.json"
		return Declared{Unit: name + ".service", Spec: s, Ends: ends}
	}
	short := declared("tv-helper", "registry", true)
	short.Spec.Image = "busybox" // which nobody means to be renewed
	r := container.Record{ID: "1", Name: "tv-up", Unit: "tv-up.service", ImageID: "id"}
	r.Spec = spec.Container{Image: "quay.io/tv-up", Labels: map[string]string{Label: "registry"}}
	r.Spec.Pull.AuthFile = "/run/old.json"
	all := Targets(nil, []Declared{
		short, declared("tv-up", "registry", false), declared("tv-crashing", "registry", false), declared("tv-init", "registry", true), declared("tv-off", "", false),
	}, []container.Record{r}, func(r container.Record) (string, bool) { return r.Unit, true })
	var got []string
	for _, x := range all {
		got = append(got, fmt.Sprintf("%s %s %s runs=%s auth=%s ends=%v", x.Unit, x.Container, x.Image, x.Runs, x.AuthFile, x.Ends))
	}
	want := `tv-up.service tv-up quay.io/tv-up runs=id auth=/run/logins-tv.json ends=false
tv-crashing.service tv-crashing quay.io/tv-crashing runs= auth=/run/logins-tv.json ends=false
tv-init.service tv-init quay.io/tv-init runs= auth=/run/logins-tv.json ends=true`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
}

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
	for _, x := range Targets(commands, nil, records, func(r container.Record) (string, bool) { return units[r.Name], r.Name != "ended" }) {
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

// TestLabelsByALink: labels that a start does not read, since a link leads to them, are none here,
// too.
func TestLabelsByALink(t *testing.T) {
	file := filepath.Join(t.TempDir(), "labels")
	if err := errors.Join(os.WriteFile(file, []byte("a=b\n"), 0o600), os.Symlink(file, file+".link")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{file: "a=b\n", file + ".link": "", file + ".none": ""} {
		if got, err := readIfThere(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
}
