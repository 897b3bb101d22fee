// SPDX-License-Identifier: Apache-2.0

// Package dump writes what there is as Kubernetes YAML: the documents of what was played, and
// documents of what somebody has made by hand.
package dump

import (
	"errors"
	"fmt"
	"os"
	"slices"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/kube/manifest"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/volume"
)

// Generate writes containers, pods and volumes as Kubernetes YAML. Pods that were played give their
// own documents back.
func Generate(p *play.Player, names []string, o manifest.GenerateOptions) ([]byte, error) {
	all, err := p.Noted()
	if err != nil {
		return nil, err
	}
	o.PathType = pathType
	var alone []manifest.MadeContainer
	var made []manifest.Made
	played := map[*play.State][]string{}
	for _, name := range names {
		_, verr := volumes(p).Get(name)
		if st, _ := cronJob(all, name); st == nil && verr != nil {
			if name, err = p.NameOf(name); err != nil { // the name of a service comes last
				return nil, err
			}
		}
		r, err := p.Containers.Lookup(name)
		if err == nil {
			if r.PodID != "" {
				return nil, hint.With(fmt.Errorf("container %s belongs to the pod %s", r.Name, r.Spec.Pod), "podunit kube generate %s", r.Spec.Pod)
			}
			alone = append(alone, madeContainer(p, r))
			continue
		}
		if !errors.Is(err, runner.ErrNotFound) {
			return nil, err
		}
		one, err := p.Pods.Lookup(name)
		if err == nil {
			if st, name := documented(all, one.Name); st != nil {
				played[st] = append(played[st], name)
				continue
			}
			m, err := madePod(p, one)
			if err != nil {
				return nil, err
			}
			made = append(made, m)
			continue
		}
		if !errors.Is(err, pod.ErrNotFound) {
			return nil, err
		}
		if st, name := cronJob(all, name); st != nil {
			played[st] = append(played[st], name)
			continue
		}
		v, err := volumes(p).Get(name)
		if err != nil {
			return nil, fmt.Errorf("there is no container, pod or volume %s", name)
		}
		o.Claims = append(o.Claims, claimOf(v))
	}
	if len(alone) > 0 {
		made = append(made, manifest.Made{Containers: alone})
	}
	o.Claims = append(o.Claims, claimsOf(p, made, o.Claims)...)
	return write(p, all, played, made, o)
}

func volumes(p *play.Player) *volume.Volumes { return volume.New(p.Containers.Store.GraphRoot()) }

// documented finds the play that has the document of a pod, and the pod's name there: that of a run
// of a CronJob is the CronJob's.
func documented(all []*play.State, name string) (*play.State, string) {
	st := play.Owner(all, name)
	if st == nil || st.Of == "" {
		return st, name
	}
	for _, of := range all {
		if of.Name != st.Of {
			continue
		}
		for _, one := range of.Plan.Pods {
			if one.Cron != nil && one.Cron.Name == st.Cron {
				return of, one.Name
			}
		}
	}
	return nil, ""
}

// cronJob finds the play that has a CronJob, and the name of its pod there.
func cronJob(all []*play.State, name string) (*play.State, string) {
	for _, st := range all {
		for _, one := range st.Plan.Pods {
			if one.Cron != nil && (one.Cron.Name == name || one.Name == name) {
				return st, one.Name
			}
		}
	}
	return nil, ""
}

// write writes what was played and what was made.
func write(p *play.Player, all []*play.State, played map[*play.State][]string, made []manifest.Made, o manifest.GenerateOptions) ([]byte, error) {
	var out []byte
	for _, st := range all {
		if len(played[st]) == 0 {
			continue
		}
		text, err := manifest.Rewrite(st.Plan.Objects, played[st], o, secretsOf(p, st))
		if err != nil {
			return nil, err
		}
		out = join(out, text)
	}
	if len(made) > 0 || len(out) == 0 {
		text, err := manifest.Generate(made, o)
		if err != nil {
			return nil, err
		}
		out = join(out, text)
	}
	return out, nil
}

func join(a, b []byte) []byte {
	if len(a) == 0 {
		return b
	}
	return slices.Concat(a, []byte("---\n"), b)
}

// secretsOf finds the values of a play's secrets: in memory, else those that are stored.
func secretsOf(p *play.Player, st *play.State) func(string) (map[string][]byte, bool) {
	own := p.Secrets(st.Name)
	return func(name string) (map[string][]byte, bool) {
		if v, ok := own[name]; ok {
			return v, true
		}
		v, ok := play.Stored(p.Engine)(name)
		if _, single := v[""]; single {
			return nil, false // somebody has put another one in its place
		}
		return v, ok
	}
}

func madePod(p *play.Player, r pod.Record) (manifest.Made, error) {
	members, err := p.Pods.Members(r)
	if err != nil {
		return manifest.Made{}, err
	}
	if len(members) == 0 {
		return manifest.Made{}, fmt.Errorf("pod %s has no containers", r.Name)
	}
	s := r.Spec
	s.Name = r.Name
	m := manifest.Made{Pod: &s}
	for _, c := range members {
		m.Containers = append(m.Containers, madeContainer(p, c))
	}
	return m, nil
}

func madeContainer(p *play.Player, r runner.Record) manifest.MadeContainer {
	s := r.Spec
	s.Name = r.Name
	s.Mounts = slices.Clone(s.Mounts)
	for i, m := range s.Mounts {
		if slices.Contains(r.AnonymousVolumes, m.Source) {
			s.Mounts[i].Source = "" // its name is nobody's wish
		}
	}
	out := manifest.MadeContainer{Spec: s, Image: r.Config}
	if now, err := p.Containers.Status(r.ID); err == nil {
		out.Ports = now.Ports
	}
	return out
}

// claimsOf describes the named volumes that containers use.
func claimsOf(p *play.Player, made []manifest.Made, have []kube.Claim) []kube.Claim {
	var out []kube.Claim
	for _, m := range made {
		for _, c := range m.Containers {
			for _, mount := range c.Spec.Mounts {
				known := func(k kube.Claim) bool { return k.Name == mount.Source }
				if mount.Type != spec.MountVolume || mount.Source == "" || slices.ContainsFunc(have, known) || slices.ContainsFunc(out, known) {
					continue
				}
				if v, err := volumes(p).Get(mount.Source); err == nil {
					out = append(out, claimOf(v))
				}
			}
		}
	}
	return out
}

func claimOf(v *volume.Volume) kube.Claim {
	return kube.Claim{Name: v.Name, Labels: v.Labels, Options: v.Options}
}

// pathType is what Kubernetes calls what is at a path.
func pathType(path string) string {
	st, err := os.Stat(path)
	if err != nil {
		return ""
	}
	switch mode := st.Mode(); {
	case mode.IsDir():
		return "Directory"
	case mode.IsRegular():
		return "File"
	case mode&os.ModeSocket != 0:
		return "Socket"
	case mode&os.ModeCharDevice != 0:
		return "CharDevice"
	case mode&os.ModeDevice != 0:
		return "BlockDevice"
	}
	return ""
}

// YAML gives the documents of a pod that was played, as they were played; false if it was not.
func YAML(p *play.Player, podName string) (text []byte, played bool, err error) {
	all, err := p.Noted()
	if err != nil {
		return nil, false, err
	}
	st, podName := documented(all, podName)
	if st == nil {
		return nil, false, nil
	}
	text, err = manifest.Rewrite(st.Plan.Objects, []string{podName}, manifest.GenerateOptions{}, secretsOf(p, st))
	return text, true, err
}
