// SPDX-License-Identifier: Apache-2.0

package play

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/safe"
)

// The keys of secrets with logins. Source: kubernetes.io, Pull an Image from a Private Registry.
const (
	dockerConfig    = ".dockerconfigjson"
	dockerConfigOld = ".dockercfg"
)

// logins is how the images of a pod are pulled: with the secrets that it names, in a file in memory.
// A secret that is missing is only a warning.
func (w *work) logins(p *kube.Pod) (Registry, error) {
	r := w.Options.Registry
	if r.AuthFile != "" || r.Creds != "" || len(p.PullSecrets) == 0 {
		return r, nil
	}
	auths := map[string]json.RawMessage{}
	for _, name := range p.PullSecrets {
		found := false
		if data, ok := w.value(name, dockerConfig); ok {
			var file struct {
				Auths map[string]json.RawMessage `json:"auths"`
			}
			if err := json.Unmarshal(data, &file); err != nil {
				return r, fmt.Errorf("pod %s: the secret %s is no list of logins", p.Name, name)
			}
			maps.Copy(auths, file.Auths)
			found = true
		}
		if data, ok := w.value(name, dockerConfigOld); ok {
			var old map[string]json.RawMessage
			if err := json.Unmarshal(data, &old); err != nil {
				return r, fmt.Errorf("pod %s: the secret %s is no list of logins", p.Name, name)
			}
			maps.Copy(auths, old)
			found = true
		}
		if !found {
			w.Warn(fmt.Sprintf("pod %s: there is no secret %s with logins for registries", p.Name, name))
		}
	}
	if len(auths) == 0 {
		return r, nil
	}
	data, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		return r, err
	}
	if err := os.MkdirAll(w.store.dir(w.st.Name), 0o700); err != nil {
		return r, err
	}
	r.AuthFile = filepath.Join(w.store.dir(w.st.Name), "logins-"+p.Name+".json")
	return r, safe.Replace(r.AuthFile, data, 0o600)
}
