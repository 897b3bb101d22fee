// SPDX-License-Identifier: Apache-2.0

package play

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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

// failures is how often a container of a job with rules has failed so that it counts, and the
// invocation ID of its unit at the last time.
func (s store) failures(play string, words ...string) (n int, run string) {
	data, err := os.ReadFile(s.failuresPath(play, words...))
	if err != nil {
		return 0, "" // not yet
	}
	_, _ = fmt.Sscan(string(data), &n, &run) // no run is of a unit that has none
	return n, run
}

func (s store) setFailures(play string, n int, run string, words ...string) error {
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
	return safe.Replace(path, fmt.Appendln(nil, n, run), 0o600)
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
	run, _ := p.Lookup("INVOCATION_ID")
	n, last := p.store.failures(st.Name, one.Name, c.Name)
	if run == "" || run != last { // else it is counted, by one that was killed then
		n++
	}
	return n > one.Job.BackoffLimit, p.store.setFailures(st.Name, n, run, one.Name, c.Name)
}
