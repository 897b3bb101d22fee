// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/kube/yaml"
)

// accessVolume begins the names of the volumes that a cluster adds to each pod, with a token for its API server. Source:
// kubernetes.io, Managing Service Accounts, bound service account token volume.
const accessVolume = "kube-api-access-"

// dropAccess takes the volume with the token, and its mounts, out of a pod that a cluster has filled in, as the output of
// kubectl get has it. A volume of that kind which somebody has written himself, under another name, is refused: what
// needs it would not work.
func dropAccess(pod *yaml.Node) {
	spec := pod.Field("spec")
	added := func(item *yaml.Node) bool { return strings.HasPrefix(item.Field("name").Text(), accessVolume) }
	volumes := spec.Field("volumes")
	if volumes == nil || !slices.ContainsFunc(volumes.Items, added) {
		return
	}
	volumes.Items = slices.DeleteFunc(volumes.Items, added)
	for _, list := range []string{"initContainers", "containers"} {
		containers := spec.Field(list)
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
