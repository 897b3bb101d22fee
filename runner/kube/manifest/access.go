// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/kube/yaml"
)

// accessVolume begins the names of the volumes that a cluster adds to each pod, with a token for
// its API server. Source: kubernetes.io, Managing Service Accounts, bound service account token
// volume.
const accessVolume = "kube-api-access-"

// dropAccess takes the volume with the token, and its mounts, out of a pod that a cluster has
// filled in, as the output of kubectl get has it, and notes that. A volume of that kind which
// somebody has written himself, under another name, is refused: what needs it would not work. Any
// other volume stays, whatever its name is.
func dropAccess(o *object) {
	pod := o.doc.Root.Field("spec")
	volumes := pod.Field("volumes")
	if volumes == nil {
		return
	}
	gone := map[string]bool{}
	for i, v := range volumes.Items {
		if hasToken(v) {
			gone[v.Field("name").Text()] = true
			o.at("spec", "volumes", i).note("kube-no-effect", "remove it, unless the file goes back to a cluster",
				"left out, with its mounts: the token of a cluster, for an API server that is not there")
		}
	}
	added := func(item *yaml.Node) bool { return gone[item.Field("name").Text()] }
	volumes.Items = slices.DeleteFunc(volumes.Items, added)
	for _, list := range []string{"initContainers", "containers"} {
		containers := pod.Field(list)
		if containers == nil {
			continue
		}
		for _, c := range containers.Items {
			if mounts := c.Field("volumeMounts"); mounts != nil {
				mounts.Items = slices.DeleteFunc(mounts.Items, added)
			}
		}
	}
}

// hasToken tells whether it is the volume that a cluster adds.
func hasToken(volume *yaml.Node) bool {
	if !strings.HasPrefix(volume.Field("name").Text(), accessVolume) {
		return false
	}
	sources := volume.Field("projected").Field("sources")
	return sources != nil && slices.ContainsFunc(sources.Items, func(s *yaml.Node) bool { return s.Field("serviceAccountToken") != nil })
}
