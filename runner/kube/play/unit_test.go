// SPDX-License-Identifier: Apache-2.0

package play

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/kube/manifest"
	"github.com/podunit/podunit/runner/kube/yaml"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/unit"
)

// planned reads documents that are without fault.
func planned(t *testing.T, text string) *kube.Plan {
	t.Helper()
	plan, list := manifest.Read([]yaml.Source{{Name: "f.yaml", Data: []byte(text)}}, manifest.Options{Dir: "/", Validate: manifest.ValidateIgnore})
	if plan == nil {
		t.Fatal(list)
	}
	return plan
}

const whole = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  restartPolicy: OnFailure
  terminationGracePeriodSeconds: 7
  initContainers:
  - {name: first, image: quay.io/x/a:1}
  - {name: side, image: quay.io/x/a:1, restartPolicy: Always}
  containers:
  - name: a
    image: quay.io/x/a:1
    resources: {requests: {cpu: 500m}}
    volumeMounts: [{name: v, mountPath: /v}]
  - name: b
    image: quay.io/x/b:1
    lifecycle: {preStop: {sleep: {seconds: 1}}}
    livenessProbe: {tcpSocket: {port: 80}}
  volumes: [{name: v, persistentVolumeClaim: {claimName: kept}}]
`

// TestContainerUnit: a container's service starts, stops and restarts as its YAML says.
func TestContainerUnit(t *testing.T) {
	plan := planned(t, whole)
	p := &Player{Engine: &service.Engine{Config: service.Config{Program: "/bin/podunit", Modules: []string{"m"}}}}
	st := &State{Name: "tv.service", Plan: plan}
	pod := plan.Pods[0]
	unitOf := func(name string) (out struct {
		start, stop, post, restart, kind string
		after                            []string
		timeout                          time.Duration
		settings                         map[string]any
	}) {
		s := p.containerUnit(st, pod, container(pod, name))
		out.start, out.stop, out.post = strings.Join(s.Start, " "), strings.Join(s.Stop, " "), strings.Join(s.StopPost, " ")
		out.restart, out.kind, out.after, out.timeout, out.settings = s.Restart, s.Type, s.After, s.StopTimeout, s.Settings
		if !slices.Equal(s.BindsTo, []string{"web-pod.service"}) {
			t.Errorf("%s is bound to %q", name, s.BindsTo)
		}
		return out
	}
	a := unitOf("a")
	if want := "/bin/podunit --module=m kube start-container tv.service web a"; a.start != want {
		t.Errorf("a starts with %q", a.start)
	}
	if want := "/bin/podunit --module=m rm -v -f -i -t 7 web-a"; a.stop != want {
		t.Errorf("a stops with %q", a.stop)
	}
	if a.restart != "on-failure" || a.settings["CPUWeight"] != uint64(50) || a.settings["RestartSteps"] != uint32(8) {
		t.Errorf("a: %s, %v", a.restart, a.settings)
	}
	if want := (exitStatuses{[]int32{}, []int32{1, 2, 15, 13}}); !reflect.DeepEqual(a.settings["RestartForceExitStatus"], want) {
		t.Errorf("a starts again after %v", a.settings["RestartForceExitStatus"])
	}
	if a.timeout != 7*time.Second+stopMargin {
		t.Errorf("a has %s to stop", a.timeout)
	}
	// A stop takes the ordinary ones first, together, then the sidecar.
	if b := unitOf("b"); !slices.Equal(a.after, []string{"web-pod.service", "web-side.service"}) || !slices.Equal(b.after, a.after) {
		t.Errorf("a comes after %q, b after %q", a.after, b.after)
	} else if !strings.Contains(b.stop, "kube stop-container tv.service web b") {
		t.Errorf("b stops with %q", b.stop)
	}
	u := unit.Service{Stop: []string{"/bin/podunit", "pod", "stop", "1"}}
	p.podUnit(&u, st, pod)
	if u.Stop != nil { // its end does all
		t.Errorf("the pod is stopped by %q", u.Stop)
	}
	if want := "/bin/podunit --module=m kube ended tv.service web --volume=kept:"; strings.Join(u.StopPost, " ") != want {
		t.Errorf("the pod ends with %q", u.StopPost)
	}
	if first := unitOf("first"); first.kind != "oneshot" || first.restart != "" {
		t.Errorf("first: %+v", first)
	}
	if side := unitOf("side"); side.restart != "always" {
		t.Errorf("side: %+v", side)
	}
}

// TestWhoEndsTwice: where the manager does not start a container again after each end, only its end
// can end the pod, and is completed if it is killed.
func TestWhoEndsTwice(t *testing.T) {
	plan := planned(t, `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  initContainers:
  - {name: first, image: quay.io/x/a:1}
  - {name: ruled, image: quay.io/x/a:1, restartPolicy: Never, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [3]}}]}
  - {name: side, image: quay.io/x/a:1, restartPolicy: Always}
  containers:
  - {name: always, image: quay.io/x/a:1}
  - {name: never, image: quay.io/x/a:1, restartPolicy: Never}
  - {name: failure, image: quay.io/x/a:1, restartPolicy: OnFailure}
  - {name: all, image: quay.io/x/a:1, restartPolicy: Always, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [3]}}]}
`)
	p, pod := &Player{Engine: &service.Engine{}}, plan.Pods[0]
	for name, want := range map[string]bool{"first": false, "ruled": true, "side": false, "always": false, "never": true, "failure": true, "all": true} {
		if s := p.containerUnit(&State{Name: "tv.service", Plan: plan}, pod, container(pod, name)); s.Twice != want {
			t.Errorf("%s ends twice: %t", name, s.Twice)
		}
	}
	// The first process of any pod may be killed.
	one, u := kube.Pod{Name: "web", Containers: []*kube.Container{container(pod, "always")}}, unit.Service{}
	if p.podUnit(&u, &State{}, &one); !u.Twice {
		t.Error("a pod ends once, all of whose containers are started again")
	}
}

// TestExitStatuses: what rules say of an exit status is in the unit of a container that is never
// restarted otherwise, and its end knows it.
func TestExitStatuses(t *testing.T) {
	plan := planned(t, `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - {name: a, image: quay.io/x/a:1, restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]}
  - {name: b, image: quay.io/x/a:1, restartPolicy: OnFailure}
`)
	p := &Player{Engine: &service.Engine{Config: service.Config{Program: "/bin/podunit"}}}
	pod := plan.Pods[0]
	a, b := container(pod, "a"), container(pod, "b")
	s := p.containerUnit(&State{Name: "tv.service", Plan: plan}, pod, a)
	if want := (exitStatuses{[]int32{42}, []int32{}}); s.Restart != "no" || !reflect.DeepEqual(s.Settings["RestartForceExitStatus"], want) || s.Settings["RestartUSec"] == nil {
		t.Errorf("a starts again: %s, %v", s.Restart, s.Settings)
	}
	for _, c := range []struct {
		r            kube.Restart
		code, status string
		again, said  bool
	}{
		{a.Restart, "exited", "42", true, true},
		{a.Restart, "exited", "41", false, false},
		{a.Restart, "killed", "KILL", false, false},
		{b.Restart, "killed", "TERM", true, true},
		{b.Restart, "exited", "15", false, false},
		{kube.Restart{Force: []string{"3"}, Prevent: []string{"3"}}, "exited", "3", false, true},
	} {
		if again, said := byStatus(c.r, c.code, c.status); again != c.again || said != c.said {
			t.Errorf("%v after %s %s: %v, %v", c.r, c.code, c.status, again, said)
		}
	}
}
