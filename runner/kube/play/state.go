// SPDX-License-Identifier: Apache-2.0

package play

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/safe"
)

// State is what was played. It lies in the storage's directory, so that a stop finds all that was
// made whatever has become of the YAML, also after a power cut. Values of secrets are not in it.
type State struct {
	// Name is that of the play: its service, or the first of its pods.
	Name string
	// Unit is the service of a .kube file; empty for a play from a shell.
	Unit string `json:",omitempty"`
	// Of is the play that has the CronJob Cron which this play is a run of.
	Of      string `json:",omitempty"`
	Cron    string `json:",omitempty"`
	Created time.Time
	// Once says that nothing of it is started after a boot.
	Once bool `json:",omitempty"`
	// Slice is the one that all units of the play are in.
	Slice string `json:",omitempty"`
	Plan  *kube.Plan
	// Volumes are the named volumes that this play has made.
	Volumes []string `json:",omitempty"`
	// Exit is --service-exit-code-propagation: none, any or all.
	Exit string `json:",omitempty"`
	// Registry is how images are pulled, without passwords.
	Registry Registry
}

// Registry is how images are pulled.
type Registry struct {
	AuthFile, CertDir string `json:",omitempty"`
	Creds             string `json:"-"` // USER[:PASSWORD]
	TLSVerify         *bool  `json:",omitempty"`
}

// pod finds a pod of the play, nil if there is none of that name.
func (s *State) pod(name string) *kube.Pod {
	for _, p := range s.Plan.Pods {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// container finds a container of a pod by its name in the document.
func container(p *kube.Pod, name string) *kube.Container {
	for _, c := range p.Containers {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// store is where plays are remembered.
type store struct {
	disk string // survives a boot
	run  string // does not, and is in memory
	warn func(message string)
}

func (s store) path(name string) string { return filepath.Join(s.disk, "plays", name+".json") }

// dir is the runtime directory of a play.
func (s store) dir(name string) string { return filepath.Join(s.run, "plays", name) }

// podFiles has the files of a pod's volumes, in memory; podData its empty directories.
func (s store) podFiles(id string) string { return filepath.Join(s.run, "pods", id) }
func (s store) podData(id string) string  { return filepath.Join(s.disk, "pods", id) }

// ErrNotFound says that nothing of the name was played.
var ErrNotFound = errors.New("nothing of that name was played")

func (s store) load(name string) (*State, error) {
	data, err := os.ReadFile(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	out := &State{}
	if err := json.Unmarshal(data, out); err != nil || out.Plan == nil {
		return nil, fmt.Errorf("%s: what was played cannot be read: %w", s.path(name), errors.Join(err, fs.ErrInvalid))
	}
	return out, nil
}

func (s store) save(st *State) error {
	data, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return s.write(st.Name, data)
}

func (s store) write(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o700); err != nil {
		return err
	}
	return safe.Write(s.path(name), data, 0o600)
}

// all are the plays by name. A play that goes meanwhile is left out. One that cannot be read is
// left out with a warning, since most callers have nothing to do with it.
func (s store) all() ([]*State, error) {
	entries, err := os.ReadDir(filepath.Dir(s.path("x")))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []*State
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		switch st, err := s.load(name); {
		case err == nil:
			out = append(out, st)
		case !errors.Is(err, ErrNotFound) && s.warn != nil:
			s.warn(err.Error())
		}
	}
	return out, nil
}

// forget removes what is remembered of a play. The note goes last: with it, the next down removes
// the rest.
func (s store) forget(name string) error {
	if err := os.RemoveAll(s.dir(name)); err != nil {
		return err
	}
	return safe.Remove(s.path(name))
}

// halfPath is a file that is there while somebody makes a play, under the play's lock: who finds it
// and has that lock knows that the other one was killed. It lies in memory, so it is gone after a
// boot.
func (s store) halfPath(play string) string { return filepath.Join(s.dir(play), "half") }

func (s store) setHalf(play string) error { return safe.Replace(s.halfPath(play), nil, 0o600) }

func (s store) isHalf(play string) bool {
	_, err := os.Stat(s.halfPath(play))
	return err == nil
}

func (s store) setWhole(play string) error {
	err := os.Remove(s.halfPath(play))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// hidden are values of secrets, by secret and key.
type hidden map[string]map[string][]byte

// keepSecrets notes the values of the play's secrets in memory, for the starts of its containers.
// Those that were noted before stay.
func (s store) keepSecrets(name string, plan *kube.Plan) error {
	values, err := s.secrets(name)
	if err != nil {
		values = hidden{}
	}
	for _, secret := range plan.Secrets {
		values[secret.Name] = secret.Data
	}
	data, err := json.Marshal(values)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir(name), 0o700); err != nil {
		return err
	}
	return safe.Replace(s.secretsPath(name), data, 0o600)
}

func (s store) secretsPath(name string) string { return filepath.Join(s.dir(name), "secrets.json") }

func (s store) secrets(name string) (hidden, error) {
	data, err := os.ReadFile(s.secretsPath(name))
	if err != nil {
		return nil, err
	}
	values := hidden{}
	return values, json.Unmarshal(data, &values)
}

// restoreSecrets puts back what was noted of the secrets of a play; nil is nothing.
func (s store) restoreSecrets(name string, data []byte) error {
	if data != nil {
		return safe.Replace(s.secretsPath(name), data, 0o600)
	}
	err := os.Remove(s.secretsPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// end is how a container or a pod has ended for good.
type end struct {
	Code   int
	Broken bool   `json:",omitempty"` // not by its own exit
	Run    string `json:",omitempty"` // of a container: the invocation ID of its unit
}

func (s store) endPath(play string, words ...string) string {
	return filepath.Join(s.dir(play), "ended", strings.Join(words, "@"))
}

// ended notes that a container, or without a container a pod, has ended for good.
func (s store) ended(play string, e end, words ...string) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	path := s.endPath(play, words...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return safe.Replace(path, data, 0o600)
}

// endOf tells how it ended; false if it has not.
func (s store) endOf(play string, words ...string) (end, bool) {
	var e end
	data, err := os.ReadFile(s.endPath(play, words...))
	return e, err == nil && json.Unmarshal(data, &e) == nil
}

// lives forgets that it ended.
func (s store) lives(play string, words ...string) error {
	var errs []error
	for _, path := range []string{s.endPath(play, words...), s.handledPath(play, words...)} {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// handledPath is a file that has the invocation ID of the unit whose end Ended has handled. It has a
// directory of its own, since a container may have any name.
func (s store) handledPath(play string, words ...string) string {
	return filepath.Join(s.dir(play), "handled", strings.Join(words, "@"))
}

// setHandled notes that. A play that is gone gets no note any more.
func (s store) setHandled(play, run string, words ...string) error {
	_, err := os.Stat(s.path(play))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	path := s.handledPath(play, words...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return safe.Replace(path, []byte(run), 0o600)
}

func (s store) handled(play string, words ...string) string {
	data, err := os.ReadFile(s.handledPath(play, words...))
	if err != nil {
		return "" // not yet
	}
	return string(data)
}

// Owner finds the play that has a pod, nil if none has.
func Owner(all []*State, pod string) *State {
	i := slices.IndexFunc(all, func(s *State) bool { return s.pod(pod) != nil })
	if i < 0 {
		return nil
	}
	return all[i]
}
