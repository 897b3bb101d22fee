// SPDX-License-Identifier: Apache-2.0

package play

import (
	"maps"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/kube"
)

// TestSecretDocuments: what is stored of a document reads back as its values, and so does what podman
// has stored, and a value that is no document.
func TestSecretDocuments(t *testing.T) {
	data, err := document(&kube.Secret{Name: "keys", Type: "Opaque", Immutable: true, Data: map[string][]byte{"pass": []byte("hunter2\n"), "none": {}}})
	if err != nil || !strings.Contains(string(data), `"immutable":true`) {
		t.Fatalf("%s, %v", data, err)
	}
	for in, want := range map[string]map[string]string{
		string(data): {"pass": "hunter2\n", "none": ""},
		"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: YQ==, b: YQ==}\nstringData: {b: plain}\n": {"a": "a", "b": "plain"},
		"hunter3":            {"": "hunter3"},
		"kind: ConfigMap\n":  {"": "kind: ConfigMap\n"},
		"\x00\x01: [\tbytes": {"": "\x00\x01: [\tbytes"},
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
