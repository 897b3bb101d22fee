// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/kube"
)

// digest gives each pod and container the sum of what makes it what it is. A pod's leaves out what
// belongs to one container, so that a change of one image does not touch the other containers. A
// container's holds the content of its volumes and secrets, the latter as sums of sums.
func (p *planner) digest() {
	for _, pod := range p.plan.Pods {
		outer := *pod
		outer.Containers, outer.Volumes, outer.Annotations, outer.Digest = nil, nil, nil, ""
		pod.Digest = sum(outer)
		for _, c := range pod.Containers {
			inner := *c
			inner.Digest, inner.After = "", nil
			inner.Spec.Annotations = maps.Clone(c.Spec.Annotations)
			maps.DeleteFunc(inner.Spec.Annotations, func(key, _ string) bool {
				base, name, _ := strings.Cut(key, "/")
				return p.perContainer(base) && name != c.Name // it is for another one
			})
			if len(inner.Spec.Annotations) == 0 {
				inner.Spec.Annotations = nil
			}
			parts := []any{inner}
			mounts := c.Mounts
			for _, other := range pod.Givers(c) {
				parts = append(parts, other.Mounts, other.VolumesFrom, other.Spec.Mounts)
				mounts = slices.Concat(mounts, other.Mounts)
			}
			for _, v := range pod.Volumes {
				if !slices.ContainsFunc(mounts, func(m kube.Mount) bool { return m.Volume == v.Name }) {
					continue
				}
				parts = append(parts, v)
				for _, f := range v.Files {
					parts = append(parts, p.secretSum(f.Secret))
				}
			}
			for _, v := range c.Process.Env {
				parts = append(parts, p.secretSum(v.Secret))
			}
			c.Digest = sum(parts...)
		}
	}
}

// secretSum is the sum of one value of a secret. It is salted with the secret's name and key, and
// enters another sum, so that equal values do not show.
func (p *planner) secretSum(ref *kube.KeyRef) string {
	if ref == nil {
		return ""
	}
	s, _ := p.secret(ref.Secret)
	if s == nil {
		return "missing"
	}
	return sum(ref, s.Data[ref.Key])
}

func sum(parts ...any) string {
	h := sha256.New()
	e := json.NewEncoder(h)
	for _, part := range parts {
		if err := e.Encode(part); err != nil {
			// Only a type that JSON cannot write would come here, which the tests of the round
			// trip would show.
			_, _ = io.WriteString(h, err.Error()) // a hash takes everything
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}
