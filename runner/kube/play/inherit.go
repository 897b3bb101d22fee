// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/spec"
)

// inherit adds to a container's own mounts those of other containers and of images that its
// annotations name. Mounts of containers of the same pod are taken from the document, so these
// containers need not run.
func (p *Player) inherit(ctx context.Context, r pod.Record, one *kube.Pod, c *kube.Container, facts kube.Facts, s *spec.Container) error {
	var err error
	if s.Mounts, err = p.inPod(ctx, r, one, c, facts, s.Mounts); err != nil {
		return err
	}
	for _, from := range c.VolumesFrom {
		if from.Outside {
			s.VolumesFrom = append(s.VolumesFrom, spec.VolumesFrom{Container: from.Container, Options: from.Options})
		}
	}
	images := map[string]spec.Mount{} // by destination: of several, the last wins
	for _, name := range c.ImageVolumesFrom {
		img, err := p.FindImage(ctx, localImage(name))
		if err != nil {
			return err
		}
		for dir := range img.Config.Volumes {
			dir = path.Join("/", dir)
			images[dir] = spec.Mount{Type: spec.MountImage, Source: name, Destination: dir, Subpath: dir, Options: []string{"ro"}}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(images)) {
		if !slices.ContainsFunc(s.Mounts, func(m spec.Mount) bool { return path.Clean(m.Destination) == dir }) {
			s.Mounts = append(s.Mounts, images[dir])
		}
	}
	return nil
}

// localImage asks for an image that is not pulled.
func localImage(name string) *spec.Container {
	c := &spec.Container{Image: name, Pull: spec.Defaults().Pull}
	c.Pull.Policy = "never"
	return c
}

// inPod adds to the mounts of a container those of earlier containers of the pod, which may have
// mounts of others themselves.
func (p *Player) inPod(ctx context.Context, r pod.Record, one *kube.Pod, c *kube.Container, facts kube.Facts, have []spec.Mount) ([]spec.Mount, error) {
	for _, from := range c.VolumesFrom {
		if from.Outside {
			continue
		}
		other := container(one, from.Container)
		if other == nil {
			return nil, fmt.Errorf("container %s: the pod has no container %s to take mounts from", c.Name, from.Container)
		}
		list, err := other.ResolveMounts(facts)
		if err != nil {
			return nil, err
		}
		theirs, err := p.volumeMounts(ctx, r, one, other, list)
		if err != nil {
			return nil, err
		}
		if theirs, err = p.inPod(ctx, r, one, other, facts, theirs); err != nil {
			return nil, err
		}
		have = append(have, spec.VolumesFrom{Container: from.Container, Options: from.Options}.Apply(theirs, have)...)
	}
	return have, nil
}
