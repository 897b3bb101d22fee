// SPDX-License-Identifier: Apache-2.0

package play

import (
	"os"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/secret"
)

// TestLoginsOutliveTheFirstPull: the start of a container pulls with the logins of the play, also after a boot
// which has taken their file away, and with none where somebody has said how to pull.
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
