// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/secret"
	"go.podman.io/common/pkg/config"
)

// TestLoginsOutliveTheFirstPull: the start of a container pulls with the logins of the play, also
// after a boot which has taken their file away, and with none where somebody has said how to pull.
func TestLoginsOutliveTheFirstPull(t *testing.T) {
	w := newWorld(t)
	asked := &pulls{}
	w.Images = asked
	const logins = `{"auths":{"registry.example":{"auth":"dTpw"}}}`
	data, err := document(&kube.Secret{Name: "login", Type: "kubernetes.io/dockerconfigjson", Data: map[string][]byte{dockerConfig: []byte(logins)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Containers.Secrets.Store.Create("login", data, secret.Options{Driver: "file"}); err != nil {
		t.Fatal(err)
	}
	st := w.playing(t, strings.Replace(twoContainers, "spec:\n", "spec:\n  imagePullSecrets: [{name: login}, {name: none}]\n", 1))
	file := w.Player.store.loginsPath(st.Name, "web")
	for _, boot := range []bool{true, false} {
		if _, err := w.StartContainer(t.Context(), st.Name, "web", "a"); err == nil {
			t.Fatal("there is no image")
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != logins || asked.o.AuthFile != file {
			t.Errorf("after a boot: %v: pulled with %q, which has %s, %v", boot, asked.o.AuthFile, text, err)
		}
	}
	if len(w.warnings) != 0 {
		t.Errorf("%q", w.warnings)
	}
	// A login that somebody has replaced is used from now on, by updates too.
	const rotated = `{"auths":{"registry.example":{"auth":"dTp4"}}}`
	if data, err = document(&kube.Secret{Name: "login", Type: "kubernetes.io/dockerconfigjson", Data: map[string][]byte{dockerConfig: []byte(rotated)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Containers.Secrets.Store.Create("login", data, secret.Options{Driver: "file", Replace: true}); err != nil {
		t.Fatal(err)
	}
	st.pod("web").PullSecrets = []string{"login"}
	if err := w.Player.store.save(st); err != nil {
		t.Fatal(err)
	}
	all, err := w.Declared()
	if text, ferr := os.ReadFile(file); err != nil || len(all) != 2 || all[0].Unit != "web-a.service" || all[0].Spec.Pull.AuthFile != file || ferr != nil || string(text) != rotated {
		t.Errorf("%+v, %v: the logins are %s, %v", all, err, text, ferr)
	}
	st.Registry.AuthFile = "/mine.json"
	if err := w.Player.store.save(st); err != nil {
		t.Fatal(err)
	}
	if _, err := w.StartContainer(t.Context(), st.Name, "web", "a"); err == nil || asked.o.AuthFile != "/mine.json" {
		t.Errorf("pulled with %q, %v", asked.o.AuthFile, err)
	}
}

// TestWaiting: for a .kube unit that is stopped the update has the logins of its document's own
// secrets, and leaves no file.
func TestWaiting(t *testing.T) {
	w := newWorld(t)
	plan := planned(t, strings.Replace(twoContainers, "spec:\n", "spec:\n  imagePullSecrets: [{name: login}]\n", 1))
	const logins = `{"auths":{"registry.example":{"auth":"dTpw"}}}`
	plan.Secrets = []kube.Secret{{Name: "login", Type: "kubernetes.io/dockerconfigjson", Data: map[string][]byte{dockerConfig: []byte(logins)}}}
	all := w.Waiting("tv.service", plan, Registry{})
	if len(all) != 2 || all[1].Unit != "tv.service" || all[1].Spec.Name != "web-b" || !all[1].Ends {
		t.Fatalf("%+v", all)
	}
	if text, err := os.ReadFile(all[0].Spec.Pull.AuthFile); err != nil || string(text) != logins {
		t.Errorf("%s, %v", text, err)
	}
	if err := w.ForgetWaiting("tv.service"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(all[0].Spec.Pull.AuthFile); !os.IsNotExist(err) {
		t.Errorf("the logins stay: %v", err)
	}
	if own := w.Waiting("tv.service", plan, Registry{AuthFile: "/mine.json"}); own[0].Spec.Pull.AuthFile != "/mine.json" {
		t.Errorf("%+v", own[0].Spec.Pull)
	}
}

// slowPulls has an image only when it has been pulled, which takes a moment.
type slowPulls struct{ done atomic.Bool }

func (p *slowPulls) Pull(_ context.Context, name string, o image.PullOptions) (*image.Image, error) {
	if o.Policy == config.PullPolicyNever && !p.done.Load() {
		return nil, fmt.Errorf("%s: %w", name, image.ErrUnknown)
	}
	time.Sleep(20 * time.Millisecond)
	p.done.Store(true)
	return &image.Image{Names: []string{name}}, nil
}

// TestPullBeforeLook: an image whose volumes a container gets is not pulled for that, but it may be
// that of a container.
func TestPullBeforeLook(t *testing.T) {
	w := newWorld(t)
	w.Images = &slowPulls{}
	plan := planned(t, strings.Replace(twoContainers, "{name: web}", "{name: web, annotations: {io.podman.annotations.kube.image.volumes.mount/a: \"quay.io/x/b:1\"}}", 1))
	if names := plan.Pods[0].Containers[0].ImageVolumesFrom; len(names) != 1 {
		t.Fatalf("%q", names)
	}
	if err := (&work{Player: w.Player, st: &State{Name: "pod web", Plan: plan}, plan: plan}).pull(t.Context()); err != nil {
		t.Error(err)
	}
}
