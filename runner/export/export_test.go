// SPDX-License-Identifier: Apache-2.0

package export

import (
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/generator/convert"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/unitfile"
)

var shell = Container{Name: "web", StopTimeout: 10, Args: strings.Fields(
	`/usr/bin/podunit run -d --name web -p 8080:80 -v data:/data:Z --restart=on-failure:3 --label io.containers.autoupdate=registry --env A=50% --privileged quay.io/x/web:1 serve $HOME`)}

var media = Pod{
	Name: "media", Args: strings.Fields("podunit pod create -p 8989:8989 --name media"),
	Containers: []Container{{Name: "tv", StopTimeout: 10, Args: strings.Fields("podunit run -d --pod media --name tv --restart=unless-stopped --timeout=60 --init quay.io/x/tv:1")}},
}

// has looks for lines of a file.
func has(t *testing.T, f File, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+f.Text, "\n"+line+"\n") {
			t.Errorf("%s has no line %q:\n%s", f.Name, line, f.Text)
		}
	}
}

// TestQuadlet: a command line becomes keys, and what has no key a word for the runner; the generator
// takes what is written.
func TestQuadlet(t *testing.T) {
	out, err := Quadlet([]Container{shell}, []Pod{media}, []Play{{Name: "shop", YAML: []byte("kind: Pod\n")}})
	if err != nil || len(out) != 5 {
		t.Fatal(out, err)
	}
	files := map[string]File{}
	var in []quadlet.Input
	for _, f := range out {
		files[f.Name] = f
		if strings.HasSuffix(f.Name, ".yaml") {
			continue
		}
		one := quadlet.Input{Path: "/q/" + f.Name, Dir: "/q"}
		if one.File, _ = unitfile.Parse(one.Path, []byte(f.Text)); one.File == nil {
			t.Fatalf("%s cannot be parsed:\n%s", f.Name, f.Text)
		}
		in = append(in, one)
	}
	has(t, files["web.container"], "Image=quay.io/x/web:1", "ContainerName=web", "PublishPort=8080:80", "Volume=data:/data:Z", "AutoUpdate=registry",
		"Environment=A=50%%", "PodmanArgs=--privileged", "Exec=serve $$HOME", "Restart=on-failure", "StartLimitBurst=3", "WantedBy=default.target")
	has(t, files["media.pod"], "PodName=media", "PublishPort=8989:8989")
	has(t, files["tv.container"], "Pod=media.pod", "Restart=always", "RuntimeMaxSec=60", "RunInit=true")
	if text := files["tv.container"].Text; strings.Contains(text, "PodmanArgs") {
		t.Errorf("what the unit says itself is a word for the runner:\n%s", text)
	}
	has(t, files["shop.kube"], "Yaml=shop.yaml")
	if files["shop.yaml"].Mode != 0o600 {
		t.Error("YAML may hold secrets")
	}
	made, list := convert.Generate(in, convert.Options{})
	if list.Errors() > 0 || len(made.Units) != 4 {
		t.Errorf("the generator says %v", list)
	}
}

// TestSystemd: file names and settings are those that people know.
func TestSystemd(t *testing.T) {
	o := Systemd{Program: "/usr/bin/podunit", ContainerPrefix: "container", PodPrefix: "pod", Separator: "-", RestartSec: -1, StartTimeout: -1, StopTimeout: -1, User: true}
	web, err := o.Container(shell)
	if err != nil || web.Name != "container-web.service" {
		t.Fatal(web.Name, err)
	}
	has(t, web, "Restart=on-failure", "KillMode=control-group", "StartLimitBurst=3", "TimeoutStopSec=70", "ExecStop=/usr/bin/podunit stop --ignore -t 10 --cidfile=%t/%n.ctr-id",
		"ExecStart=/usr/bin/podunit run --cidfile=%t/%n.ctr-id --cgroups=split --rm --sdnotify=conmon -d --replace --name=web --publish=8080:80 --volume=data:/data:Z --label=io.containers.autoupdate=registry --env=A=50%% --privileged quay.io/x/web:1 serve $$HOME")
	out, err := o.Pod(media)
	if err != nil || len(out) != 2 || out[0].Name != "pod-media.service" || out[1].Name != "container-tv.service" {
		t.Fatal(out, err)
	}
	has(t, out[0], "Wants=container-tv.service", "Before=container-tv.service", "PIDFile=%t/pod-media.pid", "Type=forking",
		"ExecStartPre=/usr/bin/podunit pod create --infra-conmon-pidfile=%t/pod-media.pid --exit-policy=stop --replace --publish=8989:8989 media",
		"ExecStop=/usr/bin/podunit pod rm --ignore -f -t 10 media", "ExecStopPost=/usr/bin/podunit pod rm --ignore -f media")
	has(t, out[1], "BindsTo=pod-media.service", "After=pod-media.service", "Restart=always", "KillMode=control-group")
	limited := media
	limited.Args = append(slices.Clone(media.Args), "--memory=1g")
	with, err := o.Pod(limited)
	if err != nil || len(with) != 2 || strings.Contains(out[0].Text+out[1].Text, "Slice=") {
		t.Fatal(with, err)
	}
	has(t, with[0], "Slice=app-pods-media.slice")
	has(t, with[1], "Slice=app-pods-media.slice")
	played := o.Play(Play{Name: "shop", YAML: []byte("kind: Pod\n")})
	has(t, played[0], "ExecStart=/usr/bin/podunit kube play --replace --service-container=true %E/systemd/user/shop.yaml", "Type=notify", "KillMode=mixed")
	if played[1].Name != "shop.yaml" || played[1].Mode != 0o600 {
		t.Errorf("%+v", played[1])
	}
	o.RestartPolicy, o.StopTimeout, o.ContainerPrefix = "no", 5, ""
	if web, _ = o.Container(shell); web.Name != "web.service" {
		t.Errorf("without a prefix it is %s", web.Name)
	}
	has(t, web, "Restart=no", "TimeoutStopSec=65")
	existing := o
	existing.Existing, existing.PodPrefix, existing.ContainerPrefix, existing.StopTimeout = true, "pod", "container", -1
	if web, err = existing.Container(shell); err != nil {
		t.Fatal(err)
	}
	has(t, web, "ExecStart=/usr/bin/podunit start web", "ExecStop=/usr/bin/podunit stop --ignore -t 10 web", "ExecStopPost=/usr/bin/podunit cleanup web", "Type=notify")
	there := media
	there.PIDFile = "/run/user/1000/podunit/pods/1%2.pid"
	if out, err = existing.Pod(there); err != nil || strings.Contains(out[0].Text, "ExecStartPre") || strings.Contains(out[0].Text, "ExecStopPost") {
		t.Fatal(out, err)
	}
	has(t, out[0], "ExecStart=/usr/bin/podunit pod start media", "PIDFile=/run/user/1000/podunit/pods/1%%2.pid")
	has(t, out[1], "ExecStart=/usr/bin/podunit start tv", "BindsTo=pod-media.service")
	brief := shell
	brief.Args = strings.Fields("podunit run --rm --name web quay.io/x/web:1")
	if _, err := existing.Container(brief); err == nil || !strings.Contains(err.Error(), "--rm") {
		t.Errorf("one that is removed at its end: %v", err)
	}
	moved := shell
	moved.Args = strings.Fields("podunit run -v ./data:/data quay.io/x/web:1")
	if _, err := o.Container(moved); err == nil || !strings.Contains(err.Error(), "relative") {
		t.Errorf("a path that nobody knows any more: %v", err)
	}
	lost := shell
	lost.Args = strings.Fields("podunit run --creds=******* quay.io/x/web:1")
	if _, err := o.Container(lost); err == nil || !strings.Contains(err.Error(), "--creds was a secret") {
		t.Errorf("a secret that is not kept: %v", err)
	}
}
