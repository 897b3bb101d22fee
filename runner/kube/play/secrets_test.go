// SPDX-License-Identifier: Apache-2.0

package play

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/service"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestSecretIsTheClusters: a stored document has the bytes that Kubernetes' own type gives, as
// those have that older versions of this program have stored.
func TestSecretIsTheClusters(t *testing.T) {
	yes := true
	for _, s := range []kube.Secret{
		{Name: "plain"},
		{Name: "full", Type: "kubernetes.io/tls", Labels: map[string]string{"b": "<>&", "a": "1"}, Immutable: true, Data: map[string][]byte{"z": {0, 255}, "a": []byte("x"), "": nil}},
	} {
		got, err := document(&s)
		want := corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Name: s.Name, Labels: s.Labels}, Type: corev1.SecretType(s.Type), Data: s.Data}
		if s.Immutable {
			want.Immutable = &yes
		}
		text, werr := json.Marshal(want)
		if err := errors.Join(err, werr); err != nil || string(got) != string(text) {
			t.Errorf("%s, %v, want\n%s", got, err, text)
		}
	}
}

// TestSecretDocuments: what is stored of a document reads back as its values, and so does what podman
// has stored, and a value that is no document.
func TestSecretDocuments(t *testing.T) {
	data, err := document(&kube.Secret{Name: "keys", Type: "Opaque", Immutable: true, Data: map[string][]byte{"pass": []byte("hunter2\n"), "none": {}}})
	if err != nil || !strings.Contains(string(data), `"immutable":true`) {
		t.Fatalf("%s, %v", data, err)
	}
	for in, want := range map[string]map[string]string{
		string(data): {"pass": "hunter2\n", "none": ""},
		"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: YQ==, b: YQ==}\nstringData: {b: plain}\n":   {"a": "a", "b": "plain"},
		"kind: Secret\nmetadata: {name: a, labels: {n: 1, 2: x}}\nstringData: {port: 8080, on: true, 7: seven}\n": {"port": "8080", "on": "true", "7": "seven"},
		"{\"kind\": \"Secret\", \"stringData\": {\"port\": 8080}}":                                                {"port": "8080"},
		"kind: Secret\ndata: {a: \"%\"}\n": {"": "kind: Secret\ndata: {a: \"%\"}\n"},
		"hunter3":                          {"": "hunter3"},
		"kind: ConfigMap\n":                {"": "kind: ConfigMap\n"},
		"\x00\x01: [\tbytes":               {"": "\x00\x01: [\tbytes"},
	} {
		got := map[string]string{}
		for k, v := range values([]byte(in)) {
			got[k] = string(v)
		}
		if !maps.Equal(got, want) {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// TestKeepSecrets: a play stores its secrets, replaces those of others but no immutable one, and
// takes away its own and no others.
func TestKeepSecrets(t *testing.T) {
	store := secret.New(t.TempDir())
	e := &service.Engine{Containers: &runner.Engine{Secrets: secret.Source{Store: store}}}
	play := func(name string, o Options, old *State, list ...kube.Secret) *work {
		return &work{Player: &Player{Engine: e}, Options: o, old: old, st: &State{Name: name, Plan: &kube.Plan{Secrets: list}}}
	}
	one := func(name, value string, immutable bool) kube.Secret {
		return kube.Secret{Name: name, Immutable: immutable, Data: map[string][]byte{"k": []byte(value)}}
	}
	names := func() string {
		all, err := store.List()
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, s := range all {
			out = append(out, s.Name)
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	keep := func(w *work) {
		t.Helper()
		if err := w.immutables(); err != nil {
			t.Error(err)
		}
		if err := w.keepSecrets(); err != nil {
			t.Error(err)
		}
	}
	if _, err := store.Create("mine", []byte("by hand"), secret.Options{}); err != nil {
		t.Fatal(err)
	}
	tv := play("tv.service", Options{Service: true}, nil, one("a", "1", false), one("fixed", "1", true))
	keep(tv)
	id := func(name string) string { s, _ := store.Lookup(name); return s.ID }
	a := id("a")
	keep(tv)
	if got := names(); got != "a fixed mine" || id("a") != a {
		t.Errorf("%s; what has not changed was stored anew: %t", got, id("a") != a)
	}
	if err := play("pod web", Options{Replace: true}, nil, one("fixed", "2", false)).immutables(); err == nil || !strings.Contains(err.Error(), "secret fixed is immutable") {
		t.Errorf("another play replaces it: %v", err)
	}
	if err := play("pod web", Options{}, nil, one("fixed", "1", true)).immutables(); err != nil {
		t.Errorf("the same again: %v", err)
	}
	// Another play takes one over, and this one changes: what it has no more goes.
	keep(play("pod web", Options{}, nil, one("a", "2", false)))
	keep(play("tv.service", Options{Service: true}, tv.st, one("b", "1", false)))
	if got := names(); got != "a b mine" {
		t.Error(got)
	}
	gone := &Gone{}
	if err := tv.dropSecrets(tv.st, nil, gone); err != nil || names() != "a mine" || len(gone.Secrets) != 1 {
		t.Errorf("%v, %s, %v", err, names(), gone.Secrets)
	}
	if stored, ok := Stored(e)("a"); !ok || string(stored["k"]) != "2" {
		t.Errorf("%q", stored)
	}
}

// TestSecretsLookedUpOnce: a start asks the store once for each secret, whatever it takes of it,
// with the same answer for all keys.
func TestSecretsLookedUpOnce(t *testing.T) {
	w := newWorld(t)
	asked := filepath.Join(t.TempDir(), "asked")
	document := "kind: Secret\nstringData: {a: one, b: two, .dockerconfigjson: '{\"auths\":{\"r\":{}}}'}\n"
	o := secret.Options{Driver: "shell", DriverOptions: map[string]string{
		"lookup": "echo >>" + asked + "; echo '" + strings.ReplaceAll(document, "'", `'\''`) + "'", "store": "cat >/dev/null", "delete": "true", "list": "true",
	}}
	if _, err := w.Containers.Secrets.Store.Create("keys", []byte("x"), o); err != nil {
		t.Fatal(err)
	}
	times := func() int {
		t.Helper()
		data, err := os.ReadFile(asked)
		if err != nil {
			t.Fatal(err)
		}
		return len(data)
	}
	one := &kube.Pod{Name: "web", PullSecrets: []string{"keys"}}
	f := w.facts(&State{Name: "pod web"}, pod.Record{ID: runner.NewID()}, one)
	for key, want := range map[string]string{"a": "one", "b": "two", "": document + "\n"} {
		if v, err := f.Secret("keys", key); err != nil || string(v) != want {
			t.Errorf("%q: %q, %v", key, v, err)
		}
	}
	if _, err := f.Secret("keys", "c"); err == nil {
		t.Error("there is no key c")
	}
	if n := times(); n != 1 {
		t.Errorf("looked up %d times for its keys", n)
	}
	if r, err := w.loginsOf(&State{Name: "pod web"}, one); err != nil || r.AuthFile == "" {
		t.Errorf("logins: %+v, %v", r, err)
	}
	if n := times(); n != 2 {
		t.Errorf("looked up %d times for logins", n-1)
	}
}
