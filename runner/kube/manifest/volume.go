// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podunit/podunit/generator/spelling"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/spec"
)

// volumes reads the volumes of a pod.
func (p *planner) volumes(d *draft) {
	seen := map[string]bool{}
	for i := range d.spec.Volumes {
		in, at := &d.spec.Volumes[i], d.at.in("volumes", i)
		switch {
		case in.Name == "":
			at.fault("kube-volume", "write name: NAME", "the volume has no name")
			continue
		case seen[in.Name]:
			at.in("name").fault("kube-volume", "rename one of them", "there are two volumes named %s", in.Name)
			continue
		}
		seen[in.Name] = true
		if wrong := dnsLabel(in.Name); wrong != "" {
			at.in("name").note("kube-name", "", "Kubernetes refuses the name %q: %s", in.Name, wrong)
		}
		v := &kube.Volume{Name: in.Name}
		p.source(d, v, &in.VolumeSource, at)
		d.Volumes = append(d.Volumes, v)
	}
}

func (p *planner) source(d *draft, v *kube.Volume, in *corev1.VolumeSource, at place) {
	given := 0
	is := func(b bool) bool {
		if b {
			given++
		}
		return b
	}
	if is(in.EmptyDir != nil) {
		p.emptyDir(v, in.EmptyDir, at.in("emptyDir"))
	}
	if is(in.HostPath != nil) {
		p.hostPath(v, in.HostPath, at.in("hostPath"))
	}
	if is(in.PersistentVolumeClaim != nil) {
		p.claim(v, in.PersistentVolumeClaim, at.in("persistentVolumeClaim"))
	}
	if is(in.Ephemeral != nil) {
		v.Kind, v.Claim, v.Ephemeral, v.FSGroup = kube.VolumeClaim, d.Name+"-"+v.Name, true, true
		if in.Ephemeral.VolumeClaimTemplate == nil {
			at.in("ephemeral").fault("kube-volume", "", "there is no volumeClaimTemplate")
		} else {
			t := in.Ephemeral.VolumeClaimTemplate
			p.claimSpec(&t.Spec, at.in("ephemeral", "volumeClaimTemplate", "spec"))
			c := p.newClaim(v.Claim, t.Labels, t.Annotations, at.in("ephemeral", "volumeClaimTemplate", "metadata", "annotations"))
			p.plan.Claims = append(p.plan.Claims, *c)
		}
	}
	if is(in.ConfigMap != nil) {
		v.Kind, v.FSGroup = kube.VolumeFiles, true
		c := in.ConfigMap
		v.Files = p.configMapFiles(c.Name, c.Items, mode(c.DefaultMode, at.in("configMap", "defaultMode")), isTrue(c.Optional), at.in("configMap"))
	}
	if is(in.Secret != nil) {
		v.Kind, v.FSGroup = kube.VolumeFiles, true
		s := in.Secret
		v.Files = p.secretFiles(s.SecretName, s.Items, mode(s.DefaultMode, at.in("secret", "defaultMode")), isTrue(s.Optional), at.in("secret"), "secretName")
	}
	if is(in.DownwardAPI != nil) {
		v.Kind, v.FSGroup = kube.VolumeFiles, true
		v.Files = p.downwardFiles(d, in.DownwardAPI.Items, mode(in.DownwardAPI.DefaultMode, at.in("downwardAPI", "defaultMode")), at.in("downwardAPI"))
	}
	if is(in.Projected != nil) {
		v.Kind, v.FSGroup = kube.VolumeFiles, true
		v.Files = p.projected(d, in.Projected, at.in("projected"))
	}
	if is(in.Image != nil) {
		one := at.in("image")
		v.Kind, v.Image = kube.VolumeImage, in.Image.Reference
		one.in("pullPolicy").oneOf(string(in.Image.PullPolicy), "Always", "IfNotPresent", "Never")
		if v.Image == "" {
			one.fault("kube-image", "write reference: REFERENCE", "there is no reference")
		} else {
			v.Pull = p.pull(v.Image, string(in.Image.PullPolicy), one.in("reference"))
		}
	}
	if is(in.NFS != nil) {
		p.nfs(d, v, in.NFS, at.in("nfs"))
	}
	switch {
	case given > 1:
		at.fault("kube-volume", "make two volumes of it", "the volume has %d sources", given)
	case given == 0 && v.Kind == "":
		v.Kind, v.FSGroup = kube.VolumeEmpty, true // as Kubernetes has it
		node, _ := at.o.doc.Root.At(at.path)
		for _, f := range node.Fields {
			if _, known := verdicts()["VolumeSource."+f.Name]; !known && f.Name != "name" {
				// An empty directory in place of somebody's data would be a bad surprise.
				at.fault("kube-volume", "", "%s is no source of a volume", f.Name)
			}
		}
		if len(node.Fields) == 1 {
			at.note("kube-volume", "write emptyDir: {}", "the volume has no source and is an empty directory")
		}
	}
}

// nfs makes a volume of the pod that stands for a directory of a server.
func (p *planner) nfs(d *draft, v *kube.Volume, in *corev1.NFSVolumeSource, at place) {
	v.Kind, v.Claim, v.Ephemeral, v.ReadOnly = kube.VolumeClaim, d.Name+"-"+v.Name, true, in.ReadOnly
	v.Options = map[string]string{"type": "nfs", "device": in.Server + ":" + in.Path}
	if in.ReadOnly {
		v.Options["o"] = "ro"
	}
	if p.Rootless {
		at.fault("kube-refused", "mount it on the machine, and use hostPath", "only root can mount NFS")
	}
	if in.Server == "" || !path.IsAbs(in.Path) {
		at.fault("kube-volume", "", "it needs a server and an absolute path")
	}
}

func (p *planner) emptyDir(v *kube.Volume, in *corev1.EmptyDirVolumeSource, at place) {
	v.Kind, v.FSGroup = kube.VolumeEmpty, true
	if in.SizeLimit != nil {
		if p.amount(*in.SizeLimit, at.in("sizeLimit")) {
			p.memory(*in.SizeLimit, at.in("sizeLimit"))
			v.Size = in.SizeLimit.Value()
		}
	}
	switch {
	case strings.HasPrefix(string(in.Medium), "HugePages"):
		at.in("medium").fault("kube-refused", "use Memory", "there are no volumes of huge pages here")
	case in.Medium == corev1.StorageMediumMemory:
		v.Kind = kube.VolumeMemory
	case in.Medium != "":
		at.in("medium").oneOf(string(in.Medium), "Memory", "HugePages")
	case v.Size > 0:
		at.in("sizeLimit").note("kube-volume", "use medium: Memory, or a claim with a quota", "nothing limits a directory on disk, unless the file system has project quotas")
	}
}

// hostCheck is what the type of a hostPath asks for.
func hostCheck(in *corev1.HostPathVolumeSource, at place) kube.HostCheck {
	kind := ""
	if in.Type != nil {
		kind = string(*in.Type)
	}
	if !at.in("type").oneOf(kind, "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice") || kind == "" {
		return kube.HostExists
	}
	return map[string]kube.HostCheck{
		"DirectoryOrCreate": kube.HostMakeDir, "Directory": kube.HostDir, "FileOrCreate": kube.HostMakeFile, "File": kube.HostFile,
		"Socket": kube.HostSocket, "CharDevice": kube.HostCharDevice, "BlockDevice": kube.HostBlockDev,
	}[kind]
}

func (p *planner) hostPath(v *kube.Volume, in *corev1.HostPathVolumeSource, at place) {
	v.Kind, v.Check = kube.VolumeHost, hostCheck(in, at)
	switch {
	case in.Path == "":
		at.fault("kube-volume", "write path: /DIRECTORY", "there is no path")
	case slices.Contains(strings.Split(in.Path, "/"), ".."):
		at.in("path").fault("kube-volume", "", "%q leads upwards", in.Path)
	case path.IsAbs(in.Path):
		v.Path = path.Clean(in.Path)
	case strings.Contains(in.Path, "/") || in.Path == ".":
		at.in("path").note("kube-volume", "", "Kubernetes refuses a relative path; this one starts from the working directory")
		v.Path = path.Join(cmp.Or(p.Dir, "/"), in.Path)
	default:
		// A word without any slash is the name of a volume, as with podman.
		if err := spec.CheckName(in.Path); err != nil {
			at.in("path").fault("kube-volume", "", "%q is no path and no name of a volume", in.Path)
			return
		}
		at.in("path").note("kube-volume", "write ./"+in.Path+" for a directory, or use persistentVolumeClaim", "a path without a slash is the name of a volume")
		v.Kind, v.Claim, v.Check, v.FSGroup = kube.VolumeClaim, in.Path, "", true
	}
}

// claim is a named volume, or the directory that a PersistentVolume binds it to.
func (p *planner) claim(v *kube.Volume, in *corev1.PersistentVolumeClaimVolumeSource, at place) {
	v.Kind, v.Claim, v.ReadOnly, v.FSGroup = kube.VolumeClaim, in.ClaimName, in.ReadOnly, true
	if err := spec.CheckName(in.ClaimName); err != nil {
		at.in("claimName").fault("kube-volume", "write claimName: NAME", "%q: %v", in.ClaimName, err)
		return
	}
	c := p.claims[in.ClaimName]
	switch {
	case c == nil && p.Partial:
	case c == nil:
		at.in("claimName").note("kube-claim", "", "there is no document for the claim %s; the volume of this name is used, and made if it is missing", in.ClaimName)
	default:
		v.Claim = c.Name
	}
	if c != nil && c.Host != "" {
		v.Kind, v.Path, v.Check, v.FSGroup = kube.VolumeHost, c.Host, cmp.Or(c.Check, kube.HostExists), false
	}
}

// mode is a file mode, 0644 by default.
func mode(m *int32, at place) uint32 {
	if m == nil {
		return 0o644
	}
	if *m < 0 || *m > 0o777 {
		hint := "from 0000 to 0777, with the zero in front; in JSON as a decimal number"
		if *m >= 400 {
			hint = "octal modes begin with a zero, such as 0644"
		}
		at.fault("kube-value", hint, "%d is no file mode", *m)
		return 0o644
	}
	return uint32(*m)
}

// keyed are contents by their keys.
type keyed map[string]kube.File

// items picks keys and places them; without a choice every key is a file.
func (p *planner) items(all keyed, items []corev1.KeyToPath, def uint32, optional bool, what string, at place) []kube.File {
	var files []kube.File
	if len(items) == 0 {
		for _, key := range slices.Sorted(maps.Keys(all)) {
			f := all[key]
			f.Path, f.Mode = key, def
			if key == "" || strings.Contains(key, "/") || key == ".." || key == "." {
				at.fault("kube-volume", "pick it with items, and give it a path", "the key %q is no name of a file", key)
				continue
			}
			files = append(files, f)
		}
		return files
	}
	for i, item := range items {
		one := at.in("items", i)
		f, ok := all[item.Key]
		if !ok {
			if !optional {
				one.in("key").fault("kube-missing", keysHint(slices.Sorted(maps.Keys(all))), "%s has no key %q", what, item.Key)
			}
			continue
		}
		if !kube.Below(item.Path) {
			one.in("path").fault("kube-volume", "", "%q is no path below the volume", item.Path)
			continue
		}
		f.Path, f.Mode = path.Clean(item.Path), def
		if item.Mode != nil {
			f.Mode = mode(item.Mode, one.in("mode"))
		}
		files = append(files, f)
	}
	return files
}

func (p *planner) configMapFiles(name string, items []corev1.KeyToPath, def uint32, optional bool, at place) []kube.File {
	m := p.configMaps[name]
	if m == nil {
		p.missing(optional, "ConfigMap", name, at.in("name"))
		return nil
	}
	all := keyed{}
	for k, v := range m.Data {
		all[k] = kube.File{Data: []byte(v)}
	}
	for k, v := range m.BinaryData {
		all[k] = kube.File{Data: v}
	}
	return p.items(all, items, def, optional, "ConfigMap "+name, at)
}

func (p *planner) secretFiles(name string, items []corev1.KeyToPath, def uint32, optional bool, at place, field string) []kube.File {
	s, stored := p.secret(name)
	if s == nil {
		p.missing(optional, "Secret", name, at.in(field))
		return nil
	}
	all := keyed{}
	for _, key := range s.Keys {
		file := cmp.Or(key, name)
		if key == "" {
			at.note("kube-secret", "", "the stored secret %s is one value, which becomes the file %s", name, name)
		}
		all[file] = kube.File{Value: kube.Value{Secret: &kube.KeyRef{Secret: name, Key: key, Stored: stored}}}
	}
	return p.items(all, items, def, optional, "Secret "+name, at)
}

func (p *planner) downwardFiles(d *draft, items []corev1.DownwardAPIVolumeFile, def uint32, at place) []kube.File {
	var files []kube.File
	for i := range items {
		item, one := &items[i], at.in("items", i)
		f := kube.File{Path: path.Clean(item.Path), Mode: def}
		if item.Mode != nil {
			f.Mode = mode(item.Mode, one.in("mode"))
		}
		if !kube.Below(item.Path) {
			one.in("path").fault("kube-volume", "", "%q is no path below the volume", item.Path)
			continue
		}
		ok := false
		switch {
		case item.FieldRef != nil && item.ResourceFieldRef == nil:
			f.Value, ok = p.fieldRef(d, item.FieldRef, one.in("fieldRef"), true)
		case item.ResourceFieldRef != nil && item.FieldRef == nil:
			f.Value, ok = p.resourceRef(d, nil, item.ResourceFieldRef, one.in("resourceFieldRef"))
		default:
			one.fault("kube-volume", "", "it has one of fieldRef and resourceFieldRef")
		}
		if ok {
			if f.Text != "" {
				f.Data, f.Text = []byte(f.Text), ""
			}
			files = append(files, f)
		}
	}
	return files
}

// projected puts several sources into one tree.
func (p *planner) projected(d *draft, in *corev1.ProjectedVolumeSource, at place) []kube.File {
	def := mode(in.DefaultMode, at.in("defaultMode"))
	var files []kube.File
	from := map[string]int{}
	for i := range in.Sources {
		s, one := &in.Sources[i], at.in("sources", i)
		var some []kube.File
		given := 0
		if s.ConfigMap != nil {
			given++
			some = p.configMapFiles(s.ConfigMap.Name, s.ConfigMap.Items, def, isTrue(s.ConfigMap.Optional), one.in("configMap"))
		}
		if s.Secret != nil {
			given++
			some = p.secretFiles(s.Secret.Name, s.Secret.Items, def, isTrue(s.Secret.Optional), one.in("secret"), "name")
		}
		if s.DownwardAPI != nil {
			given++
			some = p.downwardFiles(d, s.DownwardAPI.Items, def, one.in("downwardAPI"))
		}
		if refused := one.in("serviceAccountToken").has() || one.in("clusterTrustBundle").has() || one.in("podCertificate").has(); given != 1 && !refused {
			one.fault("kube-volume", "", "it has one of configMap, secret and downwardAPI")
		}
		for _, f := range some {
			if other, ok := from[f.Path]; ok {
				one.fault("kube-volume", "give it another path with items", "the file %s comes from sources[%d] already", f.Path, other)
				continue
			}
			from[f.Path] = i
			files = append(files, f)
		}
	}
	return files
}

// mounts reads the mounts of a container.
func (p *planner) mounts(d *draft, c *kube.Container, in *corev1.Container, at place) {
	names := make([]string, len(d.spec.Volumes))
	for i := range d.spec.Volumes {
		names[i] = d.spec.Volumes[i].Name
	}
	seen := map[string]bool{}
	for i := range in.VolumeMounts {
		m, one := &in.VolumeMounts[i], at.in("volumeMounts", i)
		if !slices.Contains(names, m.Name) {
			hint := "add it to the pod's volumes"
			if near := spelling.Nearest(m.Name, names); near != "" {
				hint = "did you mean " + near + "?"
			}
			one.in("name").fault("kube-volume", hint, "the pod has no volume %q", m.Name)
			continue
		}
		out, ok := p.mount(m, c.Spec.Privileged, one)
		if !ok {
			continue
		}
		if seen[out.Path] {
			one.in("mountPath").fault("kube-volume", "", "%s is mounted on twice", out.Path)
			continue
		}
		seen[out.Path] = true
		if v := d.volume(m.Name); v != nil && (v.ReadOnly || v.Kind == kube.VolumeFiles || v.Kind == kube.VolumeImage) {
			out.ReadOnly = true
		}
		c.Mounts = append(c.Mounts, out)
	}
}

func (d *draft) volume(name string) *kube.Volume {
	for _, v := range d.Volumes {
		if v.Name == name {
			return v
		}
	}
	return nil
}

// mount reads one mount. podman allows its options after the path, behind a colon, and people use
// :Z and :U.
func (p *planner) mount(in *corev1.VolumeMount, privileged bool, at place) (kube.Mount, bool) {
	out := kube.Mount{Volume: in.Name, ReadOnly: in.ReadOnly, SubPath: in.SubPath, Propagation: "rprivate"}
	dir, options, found := strings.Cut(in.MountPath, ":")
	if !path.IsAbs(dir) || path.Clean(dir) == "/" {
		at.in("mountPath").fault("kube-volume", "begin it with a slash", "%q is no absolute path in the container, other than / itself", in.MountPath)
		return out, false
	}
	out.Path = path.Clean(dir)
	if found {
		at.in("mountPath").note("kube-volume", "", "Kubernetes refuses options in mountPath; podman's are taken here")
		if !podman(&out, options) {
			at.in("mountPath").fault("kube-volume", "such as /data:Z", "%q are no options of a mount", options)
			return out, false
		}
	}
	if in.RecursiveReadOnly != nil && at.in("recursiveReadOnly").oneOf(string(*in.RecursiveReadOnly), "Disabled", "IfPossible", "Enabled") &&
		*in.RecursiveReadOnly != corev1.RecursiveReadOnlyDisabled {
		out.RecursiveReadOnly = string(*in.RecursiveReadOnly)
		if !in.ReadOnly {
			at.in("recursiveReadOnly").fault("kube-conflict", "add readOnly: true", "it needs readOnly")
		}
	}
	if in.MountPropagation != nil && at.in("mountPropagation").oneOf(string(*in.MountPropagation), "None", "HostToContainer", "Bidirectional") {
		switch *in.MountPropagation {
		case corev1.MountPropagationHostToContainer:
			out.Propagation = "rslave"
		case corev1.MountPropagationBidirectional:
			out.Propagation = "rshared"
			if !privileged {
				at.in("mountPropagation").note("kube-volume", "", "Kubernetes refuses Bidirectional for a container that is not privileged")
			}
		}
	}
	if in.SubPathExpr != "" {
		if in.SubPath != "" {
			at.in("subPathExpr").fault("kube-conflict", "leave out one of them", "it does not go together with subPath")
		}
		out.SubPath, out.Expand = in.SubPathExpr, true
	}
	if out.SubPath != "" && !kube.Below(out.SubPath) {
		field := "subPath"
		if out.Expand {
			field = "subPathExpr"
		}
		at.in(field).fault("kube-volume", "", "%q is no path below the volume", out.SubPath)
		return out, false
	}
	return out, true
}
