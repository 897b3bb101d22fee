// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/volume"
	"github.com/podunit/podunit/runner/volume/claim"
)

// going are the pods and services that are removed together with a volume: that they name the
// volume does not keep it.
type going struct {
	pods  []*kube.Pod
	units []string // services of .kube files
	// claims reads all unit files once, when the first of the volumes is to go.
	claims func() (claim.Units, error)
}

// going collects the pods and services of .kube files that are removed together with their volumes.
func (p *Player) going(pods []*kube.Pod, units ...string) going {
	return going{pods, units, sync.OnceValues(p.VolumeClaims)}
}

// has tells whether a pod is among them; names of pods are unique.
func (g going) has(one *kube.Pod) bool {
	return slices.ContainsFunc(g.pods, func(q *kube.Pod) bool { return q.Name == one.Name })
}

// runs tells whether a unit is among them.
func (g going) runs(unit string) bool {
	return slices.Contains(g.units, unit) || slices.ContainsFunc(g.pods, func(one *kube.Pod) bool {
		return one.Unit == unit || slices.ContainsFunc(one.Containers, func(c *kube.Container) bool { return c.Unit == unit })
	})
}

// usedError says which container, pod or unit still needs a volume.
type usedError struct{ by string }

func (e usedError) Error() string { return "it is in use by " + e.by }

// dropVolume removes a named volume. One that another container, play or unit has stays, and so does
// one that is not podunit's: a warning says so.
func (p *Player) dropVolume(ctx context.Context, name string, g going, gone *Gone) error {
	v, err := p.volumes.Get(name)
	if errors.Is(err, volume.ErrNotFound) || gone.has(&gone.kept, name) {
		return nil
	}
	if err == nil {
		if v.Foreign {
			err = usedError{"another tool, which has made it"}
		} else if v.Damaged != nil {
			err = usedError{"nobody knows whom: " + v.Damaged.Error()}
		}
	}
	if err == nil {
		err = p.volumes.Remove(ctx, name, func() error { return p.unused(name, g) })
	}
	if errors.As(err, new(usedError)) {
		gone.add(&gone.kept, name)
		p.Warn(fmt.Sprintf("volume %s stays: %v; to remove it nonetheless: podunit volume rm %s", name, err, name))
		return nil
	}
	if err != nil {
		return fmt.Errorf("volume %s: %w", name, err)
	}
	gone.add(&gone.Volume, name)
	return nil
}

// unused returns a usedError if a container, pod or unit needs a volume that is not removed with
// it. A pod in a note counts whether it runs or not, for it may be a CronJob's.
func (p *Player) unused(name string, g going) error {
	users, err := p.VolumeUsers()
	if err != nil {
		return err
	}
	for _, u := range users {
		if slices.Contains(u.Volumes, name) {
			return usedError{"container " + u.Name}
		}
	}
	all, err := p.store.all()
	if err != nil {
		return err
	}
	for _, st := range all {
		for _, one := range st.Plan.Pods {
			if !g.has(one) && claims(one, name) {
				return usedError{"pod " + one.Name}
			}
		}
	}
	units, err := g.claims()
	if err != nil {
		return err
	}
	for _, unit := range units.Of(name) {
		if !g.runs(unit) {
			return usedError{unit}
		}
	}
	return nil
}

// claims tells whether a pod has a named volume.
func claims(one *kube.Pod, name string) bool {
	return slices.ContainsFunc(one.Volumes, func(v *kube.Volume) bool { return v.Kind == kube.VolumeClaim && v.Claim == name })
}
