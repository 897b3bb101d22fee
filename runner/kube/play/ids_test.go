// SPDX-License-Identifier: Apache-2.0

package play

import (
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/spec"
)

// TestIDsOfAPod: a pod with hostUsers: false has as many IDs as its document names, and those of
// the pod are others out here.
func TestIDsOfAPod(t *testing.T) {
	const head = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  hostUsers: false\n"
	for text, want := range map[string]uint32{
		"  containers: [{name: a, image: quay.io/x/a:1}]\n":                                                                 1024,
		"  containers: [{name: a, image: quay.io/x/a:1, securityContext: {runAsUser: 65534}}]\n":                            65535,
		"  containers: [{name: a, image: quay.io/x/a:1, securityContext: {runAsUser: 7, runAsGroup: 3000}}]\n":              3001,
		"  securityContext: {fsGroup: 5000, supplementalGroups: [7000]}\n  containers: [{name: a, image: quay.io/x/a:1}]\n": 7001,
	} {
		plan := planned(t, head+text)
		if got := idsNeeded(plan.Pods[0]); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
	m := ids{uids: []spec.IDRange{{Container: 0, Host: 1, Size: 1024}}, gids: []spec.IDRange{{Container: 0, Host: 5, Size: 10}, {Container: 10, Host: 100, Size: 5}}}
	if uid, gid := m.root(); uid != 1 || gid != 5 {
		t.Errorf("root is %d:%d", uid, gid)
	}
	for id, want := range map[int]int{0: 5, 9: 14, 12: 102, 15: -1} {
		if got := outside(m.gids, id); got != want {
			t.Errorf("group %d is %d, want %d", id, got, want)
		}
	}
	for id, want := range map[int64]int{12: 102, 15: -1} {
		if gid, err := m.group(&kube.Pod{FSGroup: &id}); gid != want || (err != nil) != (want < 0) {
			t.Errorf("fsGroup %d is %d, %v", id, gid, err)
		}
	}
	if uid, gid := (ids{}).root(); uid != -1 || gid != -1 || outside(nil, 7) != 7 {
		t.Errorf("without a user namespace root is %d:%d", uid, gid)
	}
}

// TestPodWithTooFewIDs: a pod that runs is made anew where its document names a user that it has
// not got.
func TestPodWithTooFewIDs(t *testing.T) {
	const text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  hostUsers: false\n  containers: [{name: a, image: quay.io/x/a:1, securityContext: {runAsUser: 2000}}]\n"
	world := newWorld(t)
	st := world.playing(t, text)
	for user, want := range map[string]bool{"2000": true, "7": true, "2001": false} {
		w := world.replacing(t, st, strings.Replace(text, "2000", user, 1))
		if _, keep := w.kept(t.Context(), st.Plan.Pods[0], w.plan.Pods[0]); keep != want {
			t.Errorf("with user %s it goes on: %v", user, keep)
		}
	}
}
