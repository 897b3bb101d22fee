// SPDX-License-Identifier: Apache-2.0

package play

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/safe"
)

// The actions of podFailurePolicy. Source: kubernetes.io, Pod failure policy.
const (
	failJob    = "FailJob"
	ignoreFail = "Ignore"
	countFail  = "Count"
)

// failure is the action for an exit status of a job's container: that of the first rule that fits,
// else it counts as a failure.
func failure(j *kube.Job, name string, code int) string {
	for _, r := range j.Rules {
		if r.Container != "" && r.Container != name {
			continue
		}
		if slices.Contains(r.Codes, int32(code)) != r.Not {
			return r.Action
		}
	}
	return countFail
}

func (s store) failuresPath(play string, words ...string) string {
	return filepath.Join(s.dir(play), "failures", strings.Join(words, "@"))
}

// failures is how often a container of a job with rules has failed so that it counts.
func (s store) failures(play string, words ...string) int {
	data, err := os.ReadFile(s.failuresPath(play, words...))
	if err != nil {
		return 0 // not yet
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return n
}

func (s store) setFailures(play string, n int, words ...string) error {
	path := s.failuresPath(play, words...)
	if n == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return safe.Replace(path, strconv.AppendInt(nil, int64(n), 10), 0o600)
}

// judged tells whether the end of a container ends its job for good, by the rules that the job has.
func (p *Player) judged(st *State, one *kube.Pod, c *kube.Container, code int) (over bool, err error) {
	if one.Job == nil || len(one.Job.Rules) == 0 || c.Role != kube.Ordinary || code == 0 {
		return false, nil
	}
	switch failure(one.Job, c.Name, code) {
	case failJob:
		return true, nil
	case ignoreFail:
		return false, nil
	}
	n := p.store.failures(st.Name, one.Name, c.Name) + 1
	return n > one.Job.BackoffLimit, p.store.setFailures(st.Name, n, one.Name, c.Name)
}
