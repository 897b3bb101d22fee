// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podunit/podunit/runner/spec"
)

// volume gives the name of the pod's volume for something, which is made once.
func (g *generator) volume(what, name string, source corev1.VolumeSource) string {
	if v := g.volumeOf[what]; v != "" {
		return v
	}
	word := valid(name)
	taken := func(s string) bool {
		return slices.ContainsFunc(g.out.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == s })
	}
	for i := 2; taken(word); i++ {
		word = valid(fmt.Sprintf("%s-%d", name, i))
	}
	g.volumeOf[what] = word
	g.out.Spec.Volumes = append(g.out.Spec.Volumes, corev1.Volume{Name: word, VolumeSource: source})
	return word
}

func (g *generator) mounts(c *corev1.Container, s *spec.Container) {
	all := s.Mounts
	if g.made.Pod != nil {
		all = slices.Concat(g.made.Pod.Mounts, s.Mounts)
	}
	for i, m := range all {
		vm := corev1.VolumeMount{MountPath: m.Destination, ReadOnly: m.ReadOnly()}
		switch m.Type {
		case spec.MountBind:
			kind := corev1.HostPathDirectoryOrCreate
			if g.PathType != nil {
				if is := g.PathType(m.Source); is != "" {
					kind = corev1.HostPathType(is)
				}
			}
			name := strings.Trim(m.Source, "/") + fmt.Sprintf("-host-%d", i)
			if m.Source == "/" {
				name = fmt.Sprintf("root-host-%d", i)
			}
			vm.Name = g.volume("bind "+m.Source, name, corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: m.Source, Type: &kind}})
		case spec.MountVolume:
			if m.Source == "" {
				vm.Name = g.volume(fmt.Sprintf("anonymous %s %d", c.Name, i), fmt.Sprintf("%s-anonymous-%d", c.Name, i), corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
				break
			}
			claim := g.claim(m.Source)
			vm.Name = g.volume("volume "+m.Source, m.Source+"-pvc", corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}})
		case spec.MountTmpfs:
			vm.Name = g.volume(fmt.Sprintf("tmpfs %s %d", c.Name, i), fmt.Sprintf("%s-tmp-%d", c.Name, i), corev1.VolumeSource{EmptyDir: g.tmpfs(m)})
		default:
			g.note("the mount of type %s at %s of container %s is left out", m.Type, m.Destination, s.Name)
			continue
		}
		vm.SubPath = strings.TrimPrefix(m.Subpath, "/")
		if m.IDMap {
			g.note("the mapping of the mount at %s of container %s is left out", m.Destination, s.Name)
		}
		if m.NoCreate {
			g.note("nocreate of the mount at %s of container %s is left out", m.Destination, s.Name)
		}
		if m.NoDereference {
			g.note("no-dereference of the mount at %s of container %s is left out", m.Destination, s.Name)
		}
		g.options(c.Name, m, &vm, s.Privileged)
		c.VolumeMounts = append(c.VolumeMounts, vm)
	}
	for i, d := range s.Devices {
		if d.CDI {
			g.note("device %s of container %s is left out", d.Host, s.Name)
			continue
		}
		kind := corev1.HostPathCharDev
		if g.PathType != nil {
			kind = corev1.HostPathType(cmp.Or(g.PathType(d.Host), string(kind)))
		}
		name := g.volume("bind "+d.Host, strings.Trim(d.Host, "/")+fmt.Sprintf("-device-%d", i), corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: d.Host, Type: &kind}})
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: d.Container})
	}
}

// tmpfs is an empty directory in memory. Its size goes with it.
func (g *generator) tmpfs(m spec.Mount) *corev1.EmptyDirVolumeSource {
	e := &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}
	for _, o := range m.Options {
		if size, ok := strings.CutPrefix(o, "size="); ok {
			if n, err := spec.ParseSize(size); err == nil {
				e.SizeLimit = resource.NewQuantity(n, resource.BinarySI)
			}
		}
	}
	return e
}

// options keeps those of podman's options that Kubernetes has no field for.
func (g *generator) options(ctr string, m spec.Mount, vm *corev1.VolumeMount, privileged bool) {
	words := []string{}
	for _, o := range m.Options {
		both, slave := corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer
		switch o {
		case "ro", "rw", "rbind", "rprivate", "private":
		case "rshared", "shared":
			if privileged {
				vm.MountPropagation = &both
			} else { // Kubernetes refuses it
				words = append(words, o)
			}
		case "rslave", "slave":
			vm.MountPropagation = &slave
		default:
			if m.Type != spec.MountTmpfs || !strings.Contains(o, "=") {
				words = append(words, o)
			}
		}
	}
	if m.Relabel != "" {
		words = append(words, m.Relabel)
	}
	for word, on := range map[string]bool{"U": m.Chown, "O": m.Overlay, "nocopy": m.NoCopy && m.Type == spec.MountVolume} {
		if on {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	if len(words) == 0 {
		return
	}
	if g.mountOptions[ctr] == nil {
		g.mountOptions[ctr] = map[string]string{}
	}
	g.mountOptions[ctr][m.Destination] = strings.Join(words, ",")
}

// claim writes the claim for a volume, once, and gives its name in the document.
func (g *generator) claim(volume string) string {
	name := valid(volume)
	for _, o := range g.claims {
		pvc := o.(*corev1.PersistentVolumeClaim)
		switch {
		case cmp.Or(pvc.Annotations[annName], pvc.Name) == volume:
			return pvc.Name
		case pvc.Name == name:
			sum := sha256.Sum256([]byte(volume))
			name = valid(fmt.Sprintf("%.50s-%s", volume, hex.EncodeToString(sum[:4])))
		}
	}
	pvc := &corev1.PersistentVolumeClaim{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"}, ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{}}}
	if name != volume {
		pvc.Annotations[annName] = volume
	}
	pvc.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	pvc.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	for _, c := range g.Claims {
		if c.Name != volume {
			continue
		}
		pvc.Labels = c.Labels
		for key, option := range map[string]string{"device": "device", "type": "type", "mount-options": "o", "uid": "uid", "gid": "gid", "image": "image"} {
			if v := c.Options[option]; v != "" {
				pvc.Annotations[annVolume+key] = v
			}
		}
		if c.Driver != "" && c.Driver != "local" {
			pvc.Annotations[annVolume+"driver"] = c.Driver
		}
	}
	g.claims = append(g.claims, pvc)
	return name
}
