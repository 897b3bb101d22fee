// SPDX-License-Identifier: Apache-2.0

package play

import (
	"fmt"
	"strconv"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/spec"
)

// leastIDs is how many IDs a pod gets at least.
const leastIDs = 1024

// idsNeeded is how many IDs a pod needs so that it has all that its document names.
func idsNeeded(one *kube.Pod) uint32 {
	most := int64(leastIDs - 1)
	if one.FSGroup != nil {
		most = max(most, *one.FSGroup)
	}
	for _, c := range one.Containers {
		if c.UserSet != nil {
			most = max(most, *c.UserSet)
		}
		if c.GroupSet != nil {
			most = max(most, *c.GroupSet)
		}
		for _, g := range c.Spec.Groups {
			if id, err := strconv.ParseUint(g, 10, 31); err == nil {
				most = max(most, int64(id))
			}
		}
	}
	return uint32(most + 1)
}

// ownIDs tells whether a pod has a user namespace of the size that its document needs.
func ownIDs(one *kube.Pod) bool { return one.UserNSAuto && one.Spec.UserNS.Mode == "" } // else with options

// ids translates users and groups of a pod to our own user namespace.
type ids struct{ uids, gids []spec.IDRange }

// idsOf returns the translation for a pod with a user namespace of its own (hostUsers: false). For
// any other pod the numbers stay the same.
func (p *Player) idsOf(r pod.Record, one *kube.Pod) (ids, error) {
	if !one.UserNSAuto {
		return ids{}, nil
	}
	m, err := p.Pods.IDMapping(r)
	if err != nil {
		return ids{}, fmt.Errorf("user namespace of pod %s: %w", one.Name, err)
	}
	var out ids
	for _, one := range m.UIDMap {
		out.uids = append(out.uids, one.IDRange)
	}
	for _, one := range m.GIDMap {
		out.gids = append(out.gids, one.IDRange)
	}
	return out, nil
}

// outside is an ID of the pod in our own user namespace; -1 if the pod has no such ID.
func outside(ranges []spec.IDRange, id int) int {
	if out, mapped := spec.Outside(ranges, uint32(id)); mapped {
		return out
	}
	return -1
}

// root is the owner of files that are made for the pod; -1, which chown(2) leaves as it is, where
// the pod's root is us.
func (m ids) root() (uid, gid int) {
	if len(m.uids) == 0 {
		return -1, -1
	}
	return outside(m.uids, 0), outside(m.gids, 0)
}

// group is the fsGroup of a pod in our own user namespace.
func (m ids) group(one *kube.Pod) (int, error) {
	gid := outside(m.gids, int(*one.FSGroup))
	if gid < 0 {
		return gid, hint.With(fmt.Errorf("pod %s has no group %d, which is its fsGroup", one.Name, *one.FSGroup), "--userns auto:size=%d, or a lower fsGroup", *one.FSGroup+1)
	}
	return gid, nil
}
