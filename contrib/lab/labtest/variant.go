// SPDX-License-Identifier: Apache-2.0

package labtest

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

// Variant is a program of Python: variant.py SOURCE TARGET JSON pushes a copy of an image with other
// values in its configuration. The JSON may come from stdin, as -.
//
//go:embed variant.py
var Variant string

// PushVersion pushes a version of an image to the lab's registry: busybox that executes script in a
// shell, with the label version. name is REPOSITORY:TAG.
func (l *Lab) PushVersion(name, version, script string) {
	l.t.Helper()
	config, err := json.Marshal(map[string]any{
		"Cmd": []string{"sh", "-c", script}, "Entrypoint": nil, "Labels": map[string]string{"version": version},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.WriteFile("alice", "variant.json", string(config))
	l.WriteFile("alice", "variant.py", Variant)
	l.MustRun("alice", fmt.Sprintf("python3 variant.py localhost:5000/busybox localhost:5000/%s \"$(cat variant.json)\"", name))
}
