// SPDX-License-Identifier: Apache-2.0

package play

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/safe"
)

// The keys of secrets with logins. Source: kubernetes.io, Pull an Image from a Private Registry.
const (
	dockerConfig    = ".dockerconfigjson"
	dockerConfigOld = ".dockercfg"
)

// logins returns how a play pulls the images of a pod: with the logins in the secrets that the pod
// names. A missing secret is only a warning.
func (w *work) logins(p *kube.Pod) (Registry, error) {
	return w.writeLogins(w.st.Name, p, w.Options.Registry, w.secretOf(w.st.Plan), w.Warn)
}

// secretOf finds a value of a secret: of the plan's, or of one that is stored.
func (p *Player) secretOf(plan *kube.Plan) func(name, key string) ([]byte, bool) {
	stored := Stored(p.Engine)
	return func(name, key string) ([]byte, bool) {
		if v, ok := plan.Secret(name, key); ok {
			return v, true
		}
		all, _ := stored(name)
		v, ok := all[key]
		return v, ok
	}
}

// loginsOf returns how an image of a pod is pulled after its play: with the logins of its secrets
// as they are stored now, since one may have been replaced. If one of the secrets is missing, the
// logins that the play has written are used.
func (p *Player) loginsOf(st *State, one *kube.Pod) (Registry, error) {
	r := st.Registry
	if r.AuthFile != "" || r.Creds != "" {
		return r, nil
	}
	stored := Stored(p.Engine)
	missing := slices.ContainsFunc(one.PullSecrets, func(name string) bool {
		all, _ := stored(name)
		return all[dockerConfig] == nil && all[dockerConfigOld] == nil
	})
	if path := p.store.loginsPath(st.Name, one.Name); missing {
		if _, err := os.Stat(path); err == nil {
			r.AuthFile = path
			return r, nil
		}
	}
	return p.writeLogins(st.Name, one, r, func(name, key string) ([]byte, bool) {
		all, _ := stored(name)
		v, ok := all[key]
		return v, ok
	}, func(string) {}) // the play has warned
}

func (s store) loginsPath(play, pod string) string {
	return filepath.Join(s.dir(play), "logins-"+pod+".json")
}

// writeLogins writes the logins that a pod's secrets have into a file in memory.
func (p *Player) writeLogins(play string, one *kube.Pod, r Registry, value func(name, key string) ([]byte, bool), warn func(string)) (Registry, error) {
	if r.AuthFile != "" || r.Creds != "" || len(one.PullSecrets) == 0 {
		return r, nil
	}
	auths := map[string]json.RawMessage{}
	for _, name := range one.PullSecrets {
		found := false
		if data, ok := value(name, dockerConfig); ok {
			var file struct {
				Auths map[string]json.RawMessage `json:"auths"`
			}
			if err := json.Unmarshal(data, &file); err != nil {
				return r, fmt.Errorf("pod %s: the secret %s is no list of logins", one.Name, name)
			}
			maps.Copy(auths, file.Auths)
			found = true
		}
		if data, ok := value(name, dockerConfigOld); ok {
			var old map[string]json.RawMessage
			if err := json.Unmarshal(data, &old); err != nil {
				return r, fmt.Errorf("pod %s: the secret %s is no list of logins", one.Name, name)
			}
			maps.Copy(auths, old)
			found = true
		}
		if !found {
			warn(fmt.Sprintf("pod %s: there is no secret %s with logins for registries", one.Name, name))
		}
	}
	if len(auths) == 0 {
		return r, nil
	}
	data, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		return r, err
	}
	path := p.store.loginsPath(play, one.Name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return r, err
	}
	r.AuthFile = path
	return r, safe.Replace(path, data, 0o600)
}
