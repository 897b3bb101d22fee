// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/generator/spelling"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/spec"
)

// The annotations of podman that have an effect.
const (
	annUpdate       = "io.containers.autoupdate"
	annUpdateAuth   = "io.containers.autoupdate.authfile"
	annSdNotify     = "io.containers.sdnotify"
	annPrefix       = "io.podman.annotations."
	annUserNS       = annPrefix + "userns"
	annUlimit       = annPrefix + "ulimit"
	annInitType     = annPrefix + "init.container.type"
	annInfraName    = annPrefix + "infra.name"
	annVolumesFrom  = annPrefix + "volumes-from"
	annPidsLimit    = annPrefix + "pids-limit"
	annCpuset       = annPrefix + "cpuset"
	annMems         = annPrefix + "memory-nodes"
	annAutoremove   = annPrefix + "autoremove"
	annInit         = annPrefix + "init"
	annLabel        = annPrefix + "label"
	annCIDFile      = annPrefix + "cid-file"
	annImageVolumes = annPrefix + "kube.image.volumes.mount"
	annAutomount    = annPrefix + "kube.image.automount"
	annBindOptions  = "bind-mount-options"
	annSeccompPod   = "seccomp.security.alpha.kubernetes.io/pod"
	annSeccompCtr   = "container.seccomp.security.alpha.kubernetes.io"
	annAppArmor     = "container.apparmor.security.beta.kubernetes.io"
)

// Annotation is a row of the table of annotations.
type Annotation struct {
	// Key is the annotation; /CTR stands for the name of a container, in brackets where it may be
	// left out.
	Key string
	// On is Pod, or PersistentVolumeClaim.
	On  string
	Doc string
}

// Annotations is the table of the annotations that have an effect, for the documents.
func Annotations() []Annotation {
	return []Annotation{
		{annUpdate + "[/CTR]", "Pod", "registry (or image), local, disabled: whether podunit auto-update looks for a new image; the form with /CTR is stronger"},
		{annUpdateAuth + "[/CTR]", "Pod", "file with logins for the look-up"},
		{annSdNotify + "[/CTR]", "Pod", "ignore, conmon, container, healthy: container waits for READY=1 from inside; the others change nothing, probes decide readiness"},
		{annUserNS + "[/POD]", "Pod", "as --userns: host, auto, keep-id; private is auto"},
		{annUlimit, "Pod", "NAME=SOFT[:HARD],...: limits of all containers"},
		{annInitType, "Pod", "once, always: accepted; init containers run at every start of the pod, as in Kubernetes"},
		{annInfraName, "Pod", "name of the infra process"},
		{annVolumesFrom + "/CTR", "Pod", "CONTAINER[:OPTIONS][;...]: the mounts of an earlier container of the pod, or of another container"},
		{annPidsLimit + "/CTR", "Pod", "TasksMax="},
		{annCpuset + "/CTR", "Pod", "AllowedCPUs="},
		{annMems + "/CTR", "Pod", "AllowedMemoryNodes="},
		{annAutoremove + "/CTR", "Pod", "true: as run --rm"},
		{annInit + "/CTR", "Pod", "true: as run --init"},
		{annLabel + "/CTR", "Pod", "an SELinux option: level:L, type:T, filetype:T, disable, nested"},
		{annImageVolumes + "/CTR", "Pod", "IMAGE[;IMAGE]: the VOLUME directories of images, read-only; " + annAutomount + "/CTR is the same"},
		{annBindOptions, "Pod", "HOSTPATH:z or HOSTPATH:Z: label the directory"},
		{annSeccompPod, "Pod", "old form of seccompProfile: runtime/default, unconfined, localhost/FILE"},
		{annSeccompCtr + "/CTR", "Pod", "old form of a container's seccompProfile"},
		{annAppArmor + "/CTR", "Pod", "old form of a container's appArmorProfile: runtime/default, unconfined, localhost/NAME"},
		{annName, "Pod, PersistentVolumeClaim", "name of the pod or volume, where Kubernetes does not allow it; kube generate writes it, like the next three"},
		{annContainers, "Pod", "names of containers, as JSON: {\"CTR\": \"NAME\"}"},
		{annNetworks, "Pod", "networks, as JSON: a list of what --network takes"},
		{annMounts, "Pod", "options of mounts, as JSON: {\"CTR\": {\"PATH\": \"OPTIONS\"}}, with the options of --volume"},
		{annVolume + "driver", "PersistentVolumeClaim", "driver of the volume"},
		{annVolume + "device", "PersistentVolumeClaim", "option device of the volume"},
		{annVolume + "type", "PersistentVolumeClaim", "option type of the volume"},
		{annVolume + "mount-options", "PersistentVolumeClaim", "option o of the volume"},
		{annVolume + "uid", "PersistentVolumeClaim", "owner of the volume"},
		{annVolume + "gid", "PersistentVolumeClaim", "group of the volume"},
		{annVolume + "image", "PersistentVolumeClaim", "image of the volume, with driver image"},
		{annVolume + "import-source", "PersistentVolumeClaim", "archive that is unpacked into the volume when it has just been made"},
	}
}

// annotation is the place of an annotation of a pod: its template's, else its controller's. One
// from the command line has none, and the object stands for it.
func (p *planner) annotation(d *draft, key string) place {
	if template := d.at.path[:len(d.at.path)-1].With("metadata", "annotations", key); d.o.at(template...).has() {
		return place{d.o, template}
	}
	return d.o.at("metadata", "annotations", key)
}

// podAnnotations honours those of the whole pod, and notes what names no container.
func (p *planner) podAnnotations(d *draft) {
	if v, ok := d.annotations[annInitType]; ok && v != "once" && v != "always" {
		p.annotation(d, annInitType).fault("kube-annotation", "write once or always", "%q is not known", v)
	}
	if v, ok := d.annotations[annInfraName]; ok {
		if err := spec.CheckName(v); err != nil {
			p.annotation(d, annInfraName).fault("kube-annotation", "", "%q: %v", v, err)
		}
	}
	p.annotationKeys(d)
	var names []string
	for _, c := range d.Containers {
		names = append(names, c.Name)
	}
	forPod := []string{annUserNS}
	for _, key := range slices.Sorted(maps.Keys(d.annotations)) {
		base, ctr, found := strings.Cut(key, "/")
		switch {
		case base == annVolumesFrom && !found:
			p.annotation(d, key).fault("kube-annotation", "write "+annVolumesFrom+"/CONTAINER", "it is for one container")
		case base == annCIDFile:
			p.annotation(d, key).note("kube-annotation", "", "it has no effect here; podman deletes the file")
		case !found || !p.perContainer(base) || slices.Contains(names, ctr) || (slices.Contains(forPod, base) && ctr == d.Name):
		default:
			hint := "the containers are " + strings.Join(names, ", ")
			if near := spelling.Nearest(ctr, names); near != "" {
				hint = "did you mean " + base + "/" + near + "?"
			}
			p.annotation(d, key).note("kube-annotation", hint, "the pod has no container %q", ctr)
		}
	}
	p.bindOptions(d)
}

// maxAnnotations is what Kubernetes allows for all annotations of an object together, in bytes.
const maxAnnotations = 256 << 10

// annotationKeys judges the keys: what Kubernetes refuses, and what is nearly one that has an effect.
func (p *planner) annotationKeys(d *draft) {
	var known []string
	for _, a := range Annotations() {
		base, _, _ := strings.Cut(strings.ReplaceAll(a.Key, "[", ""), "/")
		known = append(known, base)
	}
	size := 0
	for _, key := range slices.Sorted(maps.Keys(d.annotations)) {
		size += len(key) + len(d.annotations[key])
		if !labelKey(strings.ToLower(key)) {
			p.annotation(d, key).note("kube-annotation", "a prefix, one slash, and up to 63 letters, digits, -, _ and .", "Kubernetes refuses the key")
			continue
		}
		if base, _, _ := strings.Cut(key, "/"); !slices.Contains(known, base) {
			if near := nearKey(base, known); near != "" {
				p.annotation(d, key).note("kube-annotation", "did you mean "+near+"?", "it has no effect")
			}
		}
	}
	if size > maxAnnotations {
		d.o.at("metadata", "annotations").fault("kube-size", "", "the annotations have %d bytes, and may have %d", size, maxAnnotations)
	}
}

// nearKey finds the key that a misspelt one was meant to be. The long common beginnings are
// compared first, so that they do not make everything near.
func nearKey(base string, known []string) string {
	for _, prefix := range []string{annPrefix, "io.containers."} {
		dots := strings.Count(prefix, ".")
		parts := strings.SplitAfterN(base, ".", dots+1)
		if len(parts) <= dots {
			continue
		}
		head, tail := strings.Join(parts[:dots], ""), parts[dots]
		if head != prefix && spelling.Nearest(head, []string{prefix}) == "" {
			continue
		}
		var tails []string
		for _, k := range known {
			if t, ok := strings.CutPrefix(k, prefix); ok {
				tails = append(tails, t)
			}
		}
		if slices.Contains(tails, tail) {
			return prefix + tail
		}
		if near := spelling.Nearest(tail, tails); near != "" {
			return prefix + near
		}
	}
	return ""
}

func (p *planner) perContainer(base string) bool {
	return slices.ContainsFunc(Annotations(), func(a Annotation) bool {
		key := strings.ReplaceAll(a.Key, "[", "")
		key = strings.ReplaceAll(key, "]", "")
		return key == base+"/CTR" || key == base+"/POD"
	})
}

// bindOptions labels a directory: HOSTPATH:z.
func (p *planner) bindOptions(d *draft) {
	v, ok := d.annotations[annBindOptions]
	if !ok {
		return
	}
	i := strings.LastIndexByte(v, ':')
	if i < 0 || (v[i+1:] != "z" && v[i+1:] != "Z") {
		p.annotation(d, annBindOptions).fault("kube-annotation", "write HOSTPATH:z or HOSTPATH:Z", "%q is not known", v)
		return
	}
	for _, c := range d.Containers {
		for k := range c.Mounts {
			if vol := d.volume(c.Mounts[k].Volume); vol != nil && vol.Kind == kube.VolumeHost && vol.Path == path.Clean(v[:i]) {
				c.Mounts[k].Relabel = v[i+1:]
			}
		}
	}
}

// annotateContainer honours the annotations of one container.
func (p *planner) annotateContainer(d *draft, c *kube.Container) {
	// get finds KEY/CTR, else KEY where that is for all.
	get := func(key string, all bool) (string, place, bool) {
		if v, ok := d.annotations[key+"/"+c.Name]; ok {
			return v, p.annotation(d, key+"/"+c.Name), true
		}
		if v, ok := d.annotations[key]; ok && all {
			return v, p.annotation(d, key), true
		}
		return "", place{}, false
	}
	if v, at, ok := get(annUpdate, true); ok {
		if at.oneOf(v, "registry", "image", "local", "disabled") {
			if v == "image" {
				v = "registry"
			}
			c.Spec.Labels[annUpdate] = v
		}
	}
	if v, _, ok := get(annUpdateAuth, true); ok {
		c.Spec.Labels[annUpdateAuth] = v
	}
	if v, at, ok := get(annSdNotify, true); ok && at.oneOf(v, "ignore", "conmon", "container", "healthy") && v == "container" {
		c.Spec.SdNotify = v
	}
	if v, at, ok := get(annUlimit, true); ok {
		for word := range strings.SplitSeq(v, ",") {
			u, err := spec.ParseUlimit(word)
			if err != nil {
				at.fault("kube-annotation", "such as nofile=1024:2048", "%v", err)
			}
			c.Spec.Ulimits = append(c.Spec.Ulimits, u)
		}
	}
	if v, at, ok := get(annPidsLimit, false); ok {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			at.fault("kube-annotation", "", "%q is no number", v)
		}
		c.Resources.TasksMax, c.Spec.PidsLimit = max(n, 0), &n
	}
	for _, f := range []struct {
		key      string
		set, too *string
	}{{annCpuset, &c.Resources.CPUs, &c.Spec.CpusetCPUs}, {annMems, &c.Resources.Mems, &c.Spec.CpusetMems}} {
		if v, at, ok := get(f.key, false); ok {
			if strings.Trim(v, "0123456789,-") != "" || v == "" {
				at.fault("kube-annotation", "such as 0-3,6", "%q is no list of numbers", v)
			}
			*f.set, *f.too = v, v
		}
	}
	for _, f := range []struct {
		key string
		set *bool
	}{{annAutoremove, &c.Spec.Remove}, {annInit, &c.Spec.Init}} {
		if v, at, ok := get(f.key, false); ok {
			b, err := strconv.ParseBool(v)
			if err != nil {
				at.fault("kube-annotation", "write true or false", "%q is not known", v)
			}
			*f.set = b
		}
	}
	if v, at, ok := get(annLabel, false); ok {
		word, _, _ := strings.Cut(v, ":")
		if at.oneOf(word, "disable", "nested", "user", "role", "type", "level", "filetype") {
			c.Spec.SELinux = append(c.Spec.SELinux, v)
		}
	}
	for _, key := range []string{annImageVolumes, annAutomount} {
		if v, _, ok := get(key, false); ok {
			c.ImageVolumesFrom = append(c.ImageVolumesFrom, strings.Split(v, ";")...)
		}
	}
	if v, at, ok := get(annVolumesFrom, false); ok {
		p.volumesFrom(d, c, v, at)
	}
}

func (p *planner) volumesFrom(d *draft, c *kube.Container, v string, at place) {
	for word := range strings.SplitSeq(v, ";") {
		name, options, _ := strings.Cut(word, ":")
		if name == "" || name == c.Name {
			at.fault("kube-annotation", "name an earlier container of the pod", "%q is no other container", name)
			continue
		}
		from := kube.VolumesFrom{Container: name, Outside: true}
		if options != "" {
			asked, err := spec.ParseVolumesFrom(word)
			if err != nil {
				at.fault("kube-annotation", "known are ro, rw, z and Z", "%v", err)
				continue
			}
			from.Options = asked.Options
		}
		own := slices.IndexFunc(d.Containers, func(o *kube.Container) bool { return o.Name == name })
		switch {
		case own > slices.Index(d.Containers, c):
			at.fault("kube-annotation", "put it first", "container %s starts later", name)
		case own >= 0:
			from.Outside = false
		}
		c.VolumesFrom = append(c.VolumesFrom, from)
	}
}

// oldSeccomp reads the annotations that came before the field seccompProfile.
func (p *planner) oldSeccomp(d *draft, c *kube.Container) {
	key := annSeccompCtr + "/" + c.Name
	v, ok := d.annotations[key]
	if !ok {
		key = annSeccompPod
		v, ok = d.annotations[key]
	}
	file, local := strings.CutPrefix(v, "localhost/")
	switch {
	case !ok || v == "runtime/default" || v == "docker/default":
	case v == "unconfined":
		c.Spec.Seccomp = v
	case local && kube.Below(file):
		c.Spec.Seccomp = path.Join(p.SeccompRoot, file)
	default:
		p.annotation(d, key).fault("kube-annotation", "runtime/default, unconfined and localhost/FILE are", "%q is no profile", v)
	}
}

func (p *planner) oldAppArmor(d *draft, c *kube.Container) {
	key := annAppArmor + "/" + c.Name
	v, ok := d.annotations[key]
	name, local := strings.CutPrefix(v, "localhost/")
	switch {
	case !ok || v == "runtime/default":
	case v == "unconfined":
		c.Spec.AppArmor = v
	case local && name != "":
		c.Spec.AppArmor = name
	default:
		p.annotation(d, key).fault("kube-annotation", "runtime/default, unconfined and localhost/NAME are", "%q is no profile", v)
	}
}

// annVolume begins the annotations of claims.
const annVolume = "volume.podman.io/"

// newClaim makes a volume of a claim's labels and annotations.
func (p *planner) newClaim(name string, labels, annotations map[string]string, at place) *kube.Claim {
	c := &kube.Claim{Name: name, Labels: labels}
	option := func(name, v string) {
		if c.Options == nil {
			c.Options = map[string]string{}
		}
		c.Options[name] = v
	}
	known := []string{"driver", "device", "type", "mount-options", "uid", "gid", "image", "import-source"}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		word, ok := strings.CutPrefix(key, annVolume)
		v := annotations[key]
		one := place{at.o, at.path.With(key)}
		switch {
		case !ok:
		case word == "driver":
			c.Driver = v
		case word == "mount-options":
			option("o", v)
		case word == "uid", word == "gid":
			if _, err := strconv.ParseUint(v, 10, 32); err != nil {
				one.fault("kube-annotation", "", "%q is no user or group ID", v)
			}
			option(word, v)
		case word == "device", word == "type", word == "image":
			option(word, v)
		case word == "import-source":
			c.Import = v
			if !path.IsAbs(v) && p.Dir != "" {
				c.Import = path.Join(p.Dir, v)
			}
		default:
			hint := "known are " + strings.Join(known, ", ")
			if near := spelling.Nearest(word, known); near != "" {
				hint = "did you mean " + annVolume + near + "?"
			}
			one.fault("kube-annotation", hint, "it is not known")
		}
	}
	if c.Driver == "image" && c.Options["image"] == "" {
		at.fault("kube-annotation", "add "+annVolume+"image", "the driver image needs an image")
	}
	return c
}
