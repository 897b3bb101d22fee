// SPDX-License-Identifier: Apache-2.0

//go:build lab

package kubelet

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/cache"
	"github.com/podunit/podunit/contrib/lab/labtest"
	"github.com/podunit/podunit/contrib/lab/machine"
)

// media is the pod that people play.
const media = `apiVersion: v1
kind: Pod
metadata:
  name: media
  annotations: {io.containers.autoupdate: registry}
spec:
  terminationGracePeriodSeconds: 5
  containers:
  - name: qbittorrent
    image: localhost:5000/qbittorrent:1
    ports: [{containerPort: 8988, hostPort: 8988}]
    readinessProbe: {httpGet: {port: 8988}, periodSeconds: 1}
    volumeMounts: [{name: downloads, mountPath: /downloads}]
  - name: transmission
    image: localhost:5000/transmission:1
    ports: [{containerPort: 7878, hostPort: 7878}]
    livenessProbe: {tcpSocket: {port: 7878}}
    volumeMounts: [{name: downloads, mountPath: /downloads}]
  - name: lighttpd
    image: localhost:5000/lighttpd:1
    ports: [{containerPort: 8989, hostPort: 8989}]
    volumeMounts: [{name: downloads, mountPath: /downloads}]
  volumes: [{name: downloads, hostPath: {path: /srv/downloads, type: DirectoryOrCreate}}]
`

// Answers of the three, and no answer of any.
const (
	answer   = `for port in 8988 7878 8989; do curl -sSL -m 10 -o /dev/null -w '%{http_code} ' http://127.0.0.1:$port/ || exit 1; done`
	answers  = "200 200 200 "
	silence  = `for port in 8988 7878 8989; do ! curl -s -m 10 http://127.0.0.1:$port/ || exit 1; done`
	podIsOff = `[ -z "$(ctr -n k8s.io tasks ls -q)" ]`
)

// TestKubelet: the media pod answers on its ports when podunit plays it, when a kubelet has the
// same file, and when it has what podunit kube generate writes of it.
func TestKubelet(t *testing.T) {
	program := os.Getenv("PODUNIT_KUBELET")
	if program == "" {
		t.Skip("PODUNIT_KUBELET does not say where a kubelet is: make test-kubernetes builds one")
	}
	l := labtest.Boot(t, labtest.Options{})
	l.WriteFile("root", "/srv/media.yaml", media)
	l.MustRun("root", "mkdir /srv/downloads && chmod 777 /srv/downloads")
	l.MustRun("alice", "podunit kube play /srv/media.yaml")
	if got := l.Eventually("alice", answer, time.Minute); got != answers {
		t.Errorf("podunit: %s", got)
	}
	l.MustRun("alice", "podunit kube generate media >again.yaml && podunit kube down /srv/media.yaml && "+silence)

	install(t, l, program)
	for _, file := range []string{"/srv/media.yaml", "/home/alice/again.yaml"} {
		l.MustRun("root", "cp "+file+" /etc/kubernetes/manifests/media.yaml")
		if got := l.Eventually("alice", answer, 5*time.Minute); got != answers {
			t.Errorf("the kubelet with %s: %s", file, got)
		}
		if got := l.MustRun("root", "ctr -n k8s.io tasks ls -q | wc -l"); got != "4" {
			t.Errorf("the pod has %s processes, not three and its pause", got)
		}
		l.MustRun("root", "rm /etc/kubernetes/manifests/media.yaml")
		l.Eventually("root", podIsOff, 2*time.Minute)
		l.MustRun("alice", silence)
	}
}

// install makes the lab a node.
func install(t *testing.T, l *labtest.Lab, program string) {
	t.Helper()
	c, err := cache.Open()
	if err != nil {
		t.Fatal(err)
	}
	made, err := Make(t.Context(), c, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := WriteFiles(dir); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"programs": {"-C", made, "."}, "settings": {"-C", dir, "."}, "kubelet": {"-C", filepath.Dir(program), "--transform", "s|.*|usr/bin/kubelet|", filepath.Base(program)},
	} {
		tar := exec.Command("tar", append([]string{"-c"}, args...)...)
		out, err := tar.StdoutPipe()
		if err == nil {
			err = tar.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		l.MustCommand(machine.Command{User: "root", Stdin: out, Args: []string{"tar -C / --no-same-owner --no-overwrite-dir -x"}})
		if err := tar.Wait(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	l.MustRun("root", `ldconfig; mkdir -p /etc/kubernetes/manifests
		c=$(buildah from -q --tls-verify=false localhost:5000/busybox:1) && buildah config --entrypoint '["sleep", "infinity"]' $c &&
		buildah commit -q --tls-verify=false $c docker://localhost:5000/pause:1
		systemctl daemon-reload && systemctl start kubelet`)
}
