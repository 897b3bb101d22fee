// SPDX-License-Identifier: Apache-2.0

package play

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/step"
	"go.yaml.in/yaml/v3"
)

const (
	// immutable is the label that podman gives a secret that a later play does not replace.
	immutable = "immutable"
	// ofPlay is the label with the play that has stored a secret and will remove it. It is written
	// to the store together with the secret, so that no crash comes in between.
	ofPlay = "podunit.play"
)

// secretDocument is a Secret of Kubernetes with the fields that matter here. Its JSON is, byte by
// byte, that of corev1.Secret, which each start of a container would have to load with all else
// that Kubernetes has.
type secretDocument struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Metadata   struct {
		Name   string            `json:"name,omitempty"`
		Labels map[string]string `json:"labels,omitempty"`
	} `json:"metadata"`
	Immutable  *bool             `json:"immutable,omitempty"`
	Data       map[string][]byte `json:"data,omitempty"`
	StringData map[string]string `json:"stringData,omitempty"`
	Type       string            `json:"type,omitempty"`
}

// document is a secret as the store keeps it: podman stores the whole document, and reads it back as
// YAML, which JSON is.
func document(s *kube.Secret) ([]byte, error) {
	out := secretDocument{Kind: "Secret", APIVersion: "v1", Type: s.Type, Data: s.Data}
	out.Metadata.Name, out.Metadata.Labels = s.Name, s.Labels
	if s.Immutable {
		out.Immutable = &s.Immutable
	}
	return json.Marshal(out)
}

// looseDocument is the part of a stored document that matters for its values. As Kubernetes' own
// reader does, it takes numbers and truth values, as they are written, for texts.
type looseDocument struct {
	Kind       string            `yaml:"kind"`
	Data       map[string]string `yaml:"data"`
	StringData map[string]string `yaml:"stringData"`
}

// values are those of a stored secret by their keys; one that is no document has one value, under the
// empty key.
func values(data []byte) map[string][]byte {
	var s secretDocument
	if json.Unmarshal(data, &s) != nil {
		s = secretDocument{}
		var document looseDocument
		if yaml.Unmarshal(data, &document) == nil && document.Kind == "Secret" {
			s = secretDocument{Kind: document.Kind, Data: map[string][]byte{}, StringData: document.StringData}
			for key, text := range document.Data {
				value, err := base64.StdEncoding.DecodeString(text)
				if err != nil {
					return map[string][]byte{"": data}
				}
				s.Data[key] = value
			}
		}
	}
	if s.Kind != "Secret" {
		return map[string][]byte{"": data}
	}
	out := map[string][]byte{}
	for key, v := range s.Data {
		out[key] = v
	}
	for key, v := range s.StringData {
		out[key] = []byte(v)
	}
	return out
}

// Stored looks up secrets that somebody has stored: documents that were played, or single values.
func Stored(x *service.Engine) func(name string) (map[string][]byte, bool) {
	once := lookUp(x)
	return func(name string) (map[string][]byte, bool) {
		s := once(name)
		return s.keys, s.err == nil
	}
}

// stored is a secret as it was found in the store.
type stored struct {
	data []byte
	keys map[string][]byte // of a document; see values
	err  error
}

// lookUp looks each stored secret up once, for one goroutine: a driver may start a program for it.
func lookUp(x *service.Engine) func(name string) stored {
	found := map[string]stored{}
	return func(name string) stored {
		s, ok := found[name]
		if !ok {
			if _, s.data, s.err = x.Containers.Secrets.Store.Value(name); s.err == nil {
				s.keys = values(s.data)
			}
			found[name] = s
		}
		return s
	}
}

// immutables refuses to replace secrets that were stored to stay.
func (w *work) immutables() error {
	var errs []error
	for i := range w.st.Plan.Secrets {
		s := &w.st.Plan.Secrets[i]
		old, data, err := w.Containers.Secrets.Store.Value(s.Name)
		if err != nil || old.Name != s.Name || old.Metadata[immutable] != "true" || old.Metadata[ofPlay] == w.st.Name && w.replacesOwn() {
			continue
		}
		if now, err := document(s); err != nil || !bytes.Equal(now, data) {
			errs = append(errs, errors.Join(err, hint.With(fmt.Errorf("secret %s is immutable, and the documents have another one", s.Name), "podunit secret rm %s, or give the new one another name", s.Name)))
		}
	}
	return errors.Join(errs...)
}

// keepSecrets stores the secrets of the documents, in place of those of the same names, and removes
// those that the last play had and this one has not. It comes last: a play that fails changes none.
func (w *work) keepSecrets() error {
	store := w.Containers.Secrets.Store
	for i := range w.st.Plan.Secrets {
		s := &w.st.Plan.Secrets[i]
		data, err := document(s)
		if err != nil {
			return err
		}
		if old, have, err := store.Value(s.Name); err == nil && old.Name == s.Name && bytes.Equal(have, data) && old.Metadata[ofPlay] == w.st.Name {
			continue
		}
		o := secret.Options{Driver: "file", Replace: true, Metadata: map[string]string{ofPlay: w.st.Name}}
		if s.Immutable {
			o.Metadata[immutable] = "true"
		}
		if _, err := store.Create(s.Name, data, o); err != nil {
			return fmt.Errorf("secret %s: %w", s.Name, err)
		}
	}
	step.Crash("secrets of a play stored")
	stays := func(name string) bool {
		return slices.ContainsFunc(w.st.Plan.Secrets, func(s kube.Secret) bool { return s.Name == name })
	}
	return w.dropSecrets(w.st, stays, &Gone{})
}

// dropSecrets removes the secrets that a play has stored, except those in stay. A secret that
// somebody has replaced since then is not the play's any more.
func (p *Player) dropSecrets(st *State, stays func(name string) bool, gone *Gone) error {
	all, err := p.Containers.Secrets.Store.List()
	errs := []error{err}
	for _, one := range all {
		if one.Metadata[ofPlay] != st.Name || stays != nil && stays(one.Name) {
			continue
		}
		_, err := p.Containers.Secrets.Store.Remove(one.ID)
		if errors.Is(err, secret.ErrNotFound) {
			continue
		}
		if err == nil {
			gone.add(&gone.Secrets, one.ID)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
