// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podunit/podunit/runner/spec"
)

// generator writes one pod that was made by hand.
type generator struct {
	*writer
	made *Made
	out  *corev1.Pod
	ann  map[string]string
	// names are the containers' names in the document; orig what they are called, where that is
	// not POD-NAME.
	names []string
	orig  map[string]string
	// mountOptions are options that Kubernetes lacks, by container and path.
	mountOptions map[string]map[string]string
	volumeOf     map[string]string // volumes of the document by what they are
	ulimits      []string          // of each container
}

func (g *generator) pod() *corev1.Pod {
	g.out = &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}}
	g.ann, g.orig = map[string]string{}, map[string]string{}
	g.mountOptions, g.volumeOf = map[string]map[string]string{}, map[string]string{}
	g.naming()
	g.labels()
	g.namespaces()
	for i := range g.made.Containers {
		g.out.Spec.Containers = append(g.out.Spec.Containers, g.container(i))
	}
	g.ports()
	g.policy()
	g.groups()
	if n := len(g.ulimits); n > 0 && g.ulimits[0] != "" {
		if slices.ContainsFunc(g.ulimits, func(s string) bool { return s != g.ulimits[0] }) {
			g.note("the ulimits of the containers of %s differ, and are left out", g.out.Name)
		} else {
			g.ann[annUlimit] = g.ulimits[0]
		}
	}
	g.json(annContainers, g.orig, len(g.orig))
	g.json(annMounts, g.mountOptions, len(g.mountOptions))
	if len(g.ann) > 0 {
		g.out.Annotations = g.ann
	}
	return g.out
}

// json keeps a value in an annotation, unless it is empty.
func (g *generator) json(key string, v any, n int) {
	if n == 0 {
		return
	}
	data, err := json.Marshal(v) // maps are written in the order of their keys
	if err != nil {
		g.note("%s is left out: %v", key, err)
		return
	}
	g.ann[key] = string(data)
}

// naming finds names that Kubernetes accepts, and remembers the others.
func (g *generator) naming() {
	name := g.made.Containers[0].Spec.Name + "-pod"
	if g.made.Pod != nil {
		name = g.made.Pod.Name
	}
	g.out.Name = valid(name)
	if g.out.Name != name {
		g.ann[annName] = name
	}
	for _, c := range g.made.Containers {
		short := strings.TrimPrefix(c.Spec.Name, name+"-")
		word := valid(short)
		for i := 2; slices.Contains(g.names, word); i++ {
			word = valid(fmt.Sprintf("%s-%d", short, i))
		}
		g.names = append(g.names, word)
		if name+"-"+word != c.Spec.Name {
			g.orig[word] = c.Spec.Name
		}
	}
}

// labels of the pod, and those that its containers have in common; those of one container alone
// have no place.
func (g *generator) labels() {
	all := map[string]string{}
	add := func(m map[string]string, who string) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			v := m[k]
			switch {
			case k == "PODMAN_SYSTEMD_UNIT", strings.HasPrefix(k, annUpdate), strings.HasPrefix(k, "io.kubernetes."):
			case !labelKey(k) || !labelValue(v):
				g.note("the label %s of %s is left out: Kubernetes does not allow it", k, who)
			case all[k] != "" && all[k] != v:
				g.note("the label %s of %s is left out: another container has another value", k, who)
			default:
				all[k] = v
			}
		}
	}
	if g.made.Pod != nil {
		add(g.made.Pod.Labels, "pod "+g.made.Pod.Name)
	}
	for _, c := range g.made.Containers {
		own := maps.Clone(c.Spec.Labels)
		for k, v := range c.Image.Labels {
			if own[k] == v {
				delete(own, k)
			}
		}
		add(own, "container "+c.Spec.Name)
	}
	if all["app"] == "" {
		all["app"] = g.out.Name
	}
	g.out.Labels = all
}

// labelKey and labelValue are what Kubernetes allows.
func labelKey(s string) bool {
	prefix, name, found := strings.Cut(s, "/")
	if !found {
		prefix, name = "", s
	} else if prefix == "" || subdomain(prefix) != "" {
		return false
	}
	return name != "" && labelValue(name)
}

func labelValue(s string) bool {
	if len(s) > 63 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || i == len(s)-1 || (c != '-' && c != '_' && c != '.')) {
			return false
		}
	}
	return true
}

// networking is that of the pod, or of the first container without one.
func (g *generator) networking() (spec.Networking, spec.IDMapping) {
	if p := g.made.Pod; p != nil {
		return p.Networking, p.IDMapping
	}
	c := &g.made.Containers[0].Spec
	return c.Networking, c.IDMapping
}

func (g *generator) namespaces() {
	s := &g.out.Spec
	net, ids := g.networking()
	if host := len(net.Networks) == 1 && net.Networks[0].Mode == spec.NetHost; host {
		s.HostNetwork = true
	} else if len(net.Networks) > 0 {
		var words []string
		for _, n := range net.Networks {
			words = append(words, networkWord(n))
		}
		g.json(annNetworks, words, len(words))
	}
	if net.Hostname != "" && net.Hostname != g.out.Name {
		if dnsLabel(net.Hostname) == "" {
			s.Hostname = net.Hostname
		} else if len(net.Hostname) <= 64 && subdomain(net.Hostname) == "" && !s.HostNetwork {
			s.HostnameOverride = &net.Hostname
		} else {
			g.note("the host name %s is left out: Kubernetes does not allow it", net.Hostname)
		}
	}
	var dns corev1.PodDNSConfig
	if !slices.Contains(net.DNS, "none") {
		dns.Nameservers = net.DNS
	} else {
		g.note("--dns none is left out")
	}
	dns.Searches = net.DNSSearch
	for _, o := range net.DNSOptions {
		name, v, found := strings.Cut(o, ":")
		opt := corev1.PodDNSConfigOption{Name: name}
		if found {
			opt.Value = &v
		}
		dns.Options = append(dns.Options, opt)
	}
	if len(dns.Nameservers)+len(dns.Searches)+len(dns.Options) > 0 {
		s.DNSConfig = &dns
	}
	for _, h := range net.AddHosts {
		if h.Gateway {
			g.note("the host name %s is left out: Kubernetes has no word for the address of the machine", strings.Join(h.Names, ", "))
			continue
		}
		s.HostAliases = append(s.HostAliases, corev1.HostAlias{IP: h.IP.String(), Hostnames: h.Names})
	}
	if ids.UserNS.Mode != "" {
		g.ann[annUserNS] = userNSWord(ids.UserNS)
	}
	if len(ids.UIDMap)+len(ids.GIDMap) > 0 {
		g.note("the ID mapping of %s is left out", g.out.Name)
	}
	pid := g.made.Containers[0].Spec.PIDNS.Mode
	if p := g.made.Pod; p != nil {
		pid = p.PIDNS.Mode
		if slices.Contains(p.Share, "pid") {
			yes := true
			s.ShareProcessNamespace = &yes
		}
		for name, v := range p.Sysctls {
			g.sysctl(name, v)
		}
	}
	s.HostPID = pid == "host" && s.ShareProcessNamespace == nil
	s.HostIPC = slices.ContainsFunc(g.made.Containers, func(c MadeContainer) bool { return c.Spec.IPCNS.Mode == "host" })
}

func userNSWord(u spec.UserNS) string {
	var options []string
	if u.UID != nil {
		options = append(options, fmt.Sprintf("uid=%d", *u.UID))
	}
	if u.GID != nil {
		options = append(options, fmt.Sprintf("gid=%d", *u.GID))
	}
	if u.Size != 0 {
		options = append(options, fmt.Sprintf("size=%d", u.Size))
	}
	if len(options) > 0 {
		return u.Mode + ":" + strings.Join(options, ",")
	}
	return u.Mode
}

func (g *generator) podSecurity() *corev1.PodSecurityContext {
	if g.out.Spec.SecurityContext == nil {
		g.out.Spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	return g.out.Spec.SecurityContext
}

func (g *generator) sysctl(name, value string) {
	if g.out.Spec.HostNetwork && strings.HasPrefix(name, "net.") {
		g.note("the sysctl %s is left out: the network is the machine's", name)
		return
	}
	s := g.podSecurity()
	if !slices.ContainsFunc(s.Sysctls, func(c corev1.Sysctl) bool { return c.Name == name }) {
		s.Sysctls = append(s.Sysctls, corev1.Sysctl{Name: name, Value: value})
	}
	slices.SortFunc(s.Sysctls, func(a, b corev1.Sysctl) int { return cmp.Compare(a.Name, b.Name) })
}

// container writes one container.
func (g *generator) container(i int) corev1.Container {
	m := &g.made.Containers[i]
	s, name := &m.Spec, g.names[i]
	c := corev1.Container{Name: name, Image: s.Image, Stdin: s.Interactive, TTY: s.TTY}
	g.words(&c, m)
	if s.WorkDir != m.Image.WorkingDir {
		c.WorkingDir = s.WorkDir
	}
	image := map[string]string{}
	for _, kv := range m.Image.Env {
		k, v, _ := strings.Cut(kv, "=")
		image[k] = v
	}
	for _, k := range slices.Sorted(maps.Keys(s.Env)) {
		if v, same := image[k]; !same || v != s.Env[k] {
			c.Env = append(c.Env, corev1.EnvVar{Name: k, Value: literal(s.Env[k])})
		}
	}
	g.secrets(&c, s)
	g.mounts(&c, s)
	g.resources(&c, s)
	c.SecurityContext = g.security(s, name)
	g.probes(&c, s)
	if s.StopSignal != 0 && unix.SignalName(unix.Signal(s.StopSignal)) != "" {
		sig := corev1.Signal(unix.SignalName(unix.Signal(s.StopSignal)))
		c.Lifecycle = &corev1.Lifecycle{StopSignal: &sig}
		g.out.Spec.OS = &corev1.PodOS{Name: corev1.Linux}
	}
	switch s.Pull.Policy {
	case "always":
		c.ImagePullPolicy = corev1.PullAlways
	case "never":
		c.ImagePullPolicy = corev1.PullNever
	}
	for k, ann := range map[string]string{annUpdate: annUpdate, annUpdateAuth: annUpdateAuth} {
		if v := s.Labels[k]; v != "" && v != m.Image.Labels[k] {
			g.ann[ann+"/"+name] = v
		}
	}
	for ann, on := range map[string]bool{annInit: s.Init, annAutoremove: s.Remove} {
		if on {
			g.ann[ann+"/"+name] = "true"
		}
	}
	var limits []string
	for _, u := range s.Ulimits {
		limits = append(limits, fmt.Sprintf("%s=%d:%d", u.Name, u.Soft, u.Hard))
	}
	g.ulimits = append(g.ulimits, strings.Join(limits, ","))
	g.leave(s)
	return c
}

// literal keeps a text from being expanded.
func literal(s string) string {
	if !strings.Contains(s, "$") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		b.WriteByte(s[i])
		if s[i] == '$' && i+1 < len(s) && (s[i+1] == '$' || s[i+1] == '(') {
			b.WriteByte('$')
		}
	}
	return b.String()
}

func (g *generator) words(c *corev1.Container, m *MadeContainer) {
	all := func(words []string) []string {
		var out []string
		for _, w := range words {
			out = append(out, literal(w))
		}
		return out
	}
	s := &m.Spec
	switch {
	case s.Entrypoint != nil && len(s.Entrypoint) == 0:
		c.Command = all(s.Command)
	case s.Entrypoint != nil:
		c.Command, c.Args = all(s.Entrypoint), all(s.Command)
	case len(s.Command) > 0 && !slices.Equal(s.Command, m.Image.Cmd):
		c.Args = all(s.Command)
	}
}

// secrets refers to stored secrets: each has one value, which any key finds.
func (g *generator) secrets(c *corev1.Container, s *spec.Container) {
	for _, sec := range s.Secrets {
		key := valid(sec.Name)
		switch sec.Type {
		case spec.SecretEnv:
			ref := &corev1.SecretKeySelector{Key: key}
			ref.Name = sec.Name
			c.Env = append(c.Env, corev1.EnvVar{Name: sec.Target, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: ref}})
		case spec.SecretMount:
			g.note("the secret %s is a file of container %s; for a cluster, make a Secret of this name with the key %s", sec.Name, s.Name, sec.Name)
			volume := g.volume("secret "+sec.Name, sec.Name+"-secret", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: sec.Name}})
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: sec.Target, SubPath: sec.Name, ReadOnly: true})
		default:
			g.note("the credential %s of container %s is left out", sec.Name, s.Name)
		}
	}
}

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
		g.options(c.Name, m, &vm, s.Privileged)
		c.VolumeMounts = append(c.VolumeMounts, vm)
	}
	for i, d := range s.Devices {
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

func (g *generator) resources(c *corev1.Container, s *spec.Container) {
	limits, requests := corev1.ResourceList{}, corev1.ResourceList{}
	milli := int64(0)
	switch {
	case s.CPUs != nil:
		milli = int64(*s.CPUs*1000 + 0.5)
	case s.CPUQuota != nil && *s.CPUQuota > 0:
		period := uint64(100_000)
		if s.CPUPeriod != nil && *s.CPUPeriod > 0 {
			period = *s.CPUPeriod
		}
		milli = *s.CPUQuota * 1000 / int64(period)
	}
	if milli > 0 {
		limits[corev1.ResourceCPU] = *resource.NewMilliQuantity(milli, resource.DecimalSI)
	}
	if s.Memory != nil && *s.Memory > 0 {
		limits[corev1.ResourceMemory] = *resource.NewQuantity(*s.Memory, resource.BinarySI)
	}
	if s.MemoryReservation != nil && *s.MemoryReservation > 0 {
		requests[corev1.ResourceMemory] = *resource.NewQuantity(*s.MemoryReservation, resource.BinarySI)
	}
	if s.CPUShares != nil {
		share := int64(*s.CPUShares) * 1000 / 1024
		if milli > 0 {
			share = min(share, milli) // Kubernetes refuses to ask for more than the limit
		}
		requests[corev1.ResourceCPU] = *resource.NewMilliQuantity(max(share, 1), resource.DecimalSI)
	}
	if len(limits) > 0 {
		c.Resources.Limits = limits
	}
	if len(requests) > 0 {
		c.Resources.Requests = requests
	}
	if s.PidsLimit != nil && *s.PidsLimit > 0 {
		g.ann[annPidsLimit+"/"+c.Name] = strconv.FormatInt(*s.PidsLimit, 10)
	}
	if s.CpusetCPUs != "" {
		g.ann[annCpuset+"/"+c.Name] = s.CpusetCPUs
	}
	if s.CpusetMems != "" {
		g.ann[annMems+"/"+c.Name] = s.CpusetMems
	}
}

// security writes what differs from what every container has; nil if nothing does.
func (g *generator) security(s *spec.Container, name string) *corev1.SecurityContext {
	out := corev1.SecurityContext{}
	yes, no := true, false
	if s.Privileged {
		out.Privileged = &yes
	}
	if s.ReadOnly {
		out.ReadOnlyRootFilesystem = &yes
	}
	if admin := slices.ContainsFunc(s.CapAdd, func(c string) bool { return strings.HasSuffix(strings.ToUpper(c), "SYS_ADMIN") }); s.NoNewPrivileges && !admin && !s.Privileged {
		out.AllowPrivilegeEscalation = &no
	} else if s.NoNewPrivileges {
		g.note("--security-opt no-new-privileges of container %s is left out: Kubernetes does not allow it for a privileged one", s.Name)
	}
	if len(s.CapAdd)+len(s.CapDrop) > 0 {
		names := func(list []string) (out []corev1.Capability) {
			for _, c := range list {
				out = append(out, corev1.Capability(strings.TrimPrefix(strings.ToUpper(c), "CAP_")))
			}
			return out
		}
		out.Capabilities = &corev1.Capabilities{Add: names(s.CapAdd), Drop: names(s.CapDrop)}
	}
	g.user(s, &out)
	for _, word := range s.SELinux {
		kind, v, _ := strings.Cut(word, ":")
		if kind == "disable" || kind == "nested" || kind == "filetype" {
			g.ann[annLabel+"/"+name] = word
			continue
		}
		if out.SELinuxOptions == nil {
			out.SELinuxOptions = &corev1.SELinuxOptions{}
		}
		*map[string]*string{"user": &out.SELinuxOptions.User, "role": &out.SELinuxOptions.Role, "type": &out.SELinuxOptions.Type, "level": &out.SELinuxOptions.Level}[kind] = v
	}
	switch below, ok := strings.CutPrefix(s.Seccomp, DefaultSeccompRoot+"/"); {
	case s.Seccomp == "unconfined":
		out.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
	case ok:
		out.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: &below}
	case s.Seccomp != "":
		g.note("the seccomp profile of container %s is left out: it would have to be in %s", s.Name, DefaultSeccompRoot)
	}
	switch {
	case s.AppArmor == "unconfined":
		out.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	case s.AppArmor != "":
		out.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &s.AppArmor}
	}
	if slices.Contains(s.Unmask, "ALL") {
		g.note("the unmasked paths of container %s are left out: Kubernetes allows them in a user namespace only", s.Name)
	}
	for k, v := range s.Sysctls {
		g.sysctl(k, v)
	}
	if out == (corev1.SecurityContext{}) {
		return nil
	}
	return &out
}

func (g *generator) user(s *spec.Container, out *corev1.SecurityContext) {
	if s.User == "" {
		return
	}
	user, group, _ := strings.Cut(s.User, ":")
	for _, f := range []struct {
		word string
		to   **int64
	}{{user, &out.RunAsUser}, {group, &out.RunAsGroup}} {
		if f.word == "" {
			continue
		}
		n, err := strconv.ParseInt(f.word, 10, 32)
		if err != nil || n < 0 {
			g.note("the user %s of container %s is left out: Kubernetes takes numbers only", s.User, s.Name)
			continue
		}
		*f.to = &n
	}
}

// groups gathers the supplementary groups, which Kubernetes has for the pod as a whole.
func (g *generator) groups() {
	var all []int64
	for _, c := range g.made.Containers {
		for _, word := range c.Spec.Groups {
			n, err := strconv.ParseInt(word, 10, 32)
			if err != nil {
				g.note("the group %s of container %s is left out: Kubernetes takes numbers only", word, c.Spec.Name)
				continue
			}
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
		if c.Spec.KeepGroups {
			g.note("--group-add keep-groups of container %s is left out", c.Spec.Name)
		}
	}
	if len(all) > 0 {
		g.podSecurity().SupplementalGroups = all
	}
}

// probes makes probes of health checks. A check that only tells is a readiness probe: a liveness
// probe restarts.
func (g *generator) probes(c *corev1.Container, s *spec.Container) {
	if p := probeOf(s.Health); p != nil {
		if s.OnUnhealthy == "" || s.OnUnhealthy == "none" {
			c.ReadinessProbe = p
		} else {
			c.LivenessProbe = p
		}
	}
	if p := probeOf(s.StartupHealth); p != nil {
		c.StartupProbe = p
	}
}

func probeOf(h *spec.HealthCheck) *corev1.Probe {
	if h == nil || h.None() || len(h.Test) < 2 {
		return nil
	}
	p := &corev1.Probe{}
	p.Exec = &corev1.ExecAction{Command: h.Test[1:]}
	if h.Test[0] == spec.TestShell {
		p.Exec.Command = append([]string{"/bin/sh", "-c"}, h.Test[1:]...)
	}
	whole := func(d *time.Duration, def time.Duration) int32 {
		if d != nil && *d > 0 {
			def = *d
		}
		return int32((def + time.Second - 1) / time.Second)
	}
	p.PeriodSeconds, p.TimeoutSeconds = whole(h.Interval, spec.HealthInterval), whole(h.Timeout, spec.HealthTimeout)
	if h.StartPeriod != nil {
		p.InitialDelaySeconds = whole(h.StartPeriod, 0)
	}
	p.FailureThreshold = spec.HealthRetries
	if h.Retries != nil && *h.Retries > 0 {
		p.FailureThreshold = int32(*h.Retries)
	}
	return p
}

// ports publishes those of the pod in its first container, which is as good as any.
func (g *generator) ports() {
	net, _ := g.networking()
	ports := net.Publish
	for _, m := range g.made.Containers {
		if len(m.Ports) > 0 {
			ports = m.Ports
			break
		}
	}
	for _, m := range ports {
		foldPort(&g.out.Spec, m)
	}
	for i := range g.out.Spec.Containers[0].Ports {
		if cp := &g.out.Spec.Containers[0].Ports[i]; g.out.Spec.HostNetwork {
			cp.HostPort = cp.ContainerPort
		}
	}
}

// policy writes restart policies and the time to stop, which is the longest of all containers.
func (g *generator) policy() {
	policies := make([]corev1.RestartPolicy, len(g.made.Containers))
	for i, c := range g.made.Containers {
		policies[i] = corev1.RestartPolicyNever
		switch c.Spec.Restart.Policy {
		case "always", "unless-stopped":
			policies[i] = corev1.RestartPolicyAlways
		case "on-failure":
			policies[i] = corev1.RestartPolicyOnFailure
		}
		if t := c.Spec.StopTimeout; t != nil {
			n := int64((*t + time.Second - 1) / time.Second)
			if old := g.out.Spec.TerminationGracePeriodSeconds; old == nil || *old < n {
				g.out.Spec.TerminationGracePeriodSeconds = &n
			}
		}
	}
	g.out.Spec.RestartPolicy = policies[0]
	for i, policy := range policies {
		if policy != policies[0] {
			own := corev1.ContainerRestartPolicy(policy)
			g.out.Spec.Containers[i].RestartPolicy = &own
		}
	}
}

// left names what somebody asked for and no document can hold, by the flags of run.
type left struct {
	// field is the field of spec.Container, with that of an embedded struct.
	field string
	flag  string
}

// leftOut is the table of what is left out. Together with written it names every field of a
// container.
func leftOut() []left {
	return []left{
		{"Timezone", "--tz"}, {"Umask", "--umask"}, {"UnsetEnv", "--unsetenv"}, {"UnsetEnvAll", "--unsetenv-all"}, {"InitPath", "--init-path"},
		{"ImageVolumes", "--image-volume"}, {"Systemd", "--systemd"}, {"HealthLog", "--health-log-destination"}, {"CgroupNS", "--cgroupns"},
		{"Log", "--log-driver"}, {"Passwd", "--passwd"}, {"CIDFile", "--cidfile"}, {"PIDFile", "--pidfile"}, {"MainPIDFile", "--conmon-pidfile"},
		{"UTSNS", "--uts"}, {"ReadOnlyTmpfs", "--read-only-tmpfs"},
		{"Mask", "--security-opt mask"}, {"ProcOpts", "--security-opt proc-opts"},
		{"MemorySwap", "--memory-swap"}, {"MemorySwappiness", "--memory-swappiness"}, {"OOMKillDisable", "--oom-kill-disable"}, {"OOMScoreAdj", "--oom-score-adj"},
		{"CPURTRuntime", "--cpu-rt-runtime"}, {"CPURTPeriod", "--cpu-rt-period"}, {"BlkioWeight", "--blkio-weight"}, {"BlkioWeightDevice", "--blkio-weight-device"},
		{"DeviceReadBPS", "--device-read-bps"}, {"DeviceWriteBPS", "--device-write-bps"}, {"DeviceReadIOPS", "--device-read-iops"}, {"DeviceWriteIOPS", "--device-write-iops"},
		{"CgroupConf", "--cgroup-conf"}, {"ShmSize", "--shm-size"}, {"HostUlimits", "--ulimit host"},
		{"PublishAll", "--publish-all"}, {"Expose", "--expose"}, {"NoHosts", "--no-hosts"}, {"NoHostname", "--no-hostname"}, {"HostsFile", "--hosts-file"},
	}
}

// written are the fields of a container that a document holds, or that say nothing about what runs.
func written() []string {
	return []string{
		"Name", "Image", "Rootfs", "Command", "Entrypoint", "Env", "User", "Groups", "KeepGroups", "WorkDir", "StopSignal", "StopTimeout", "Labels", "Annotations",
		"ReadOnly", "Init", "Mounts", "Devices", "Secrets", "Health", "StartupHealth", "OnUnhealthy", "Interactive", "TTY", "Restart", "Pull", "Remove",
		"PIDNS", "IPCNS", "Privileged", "CapAdd", "CapDrop", "AppArmor", "Seccomp", "NoNewPrivileges", "SELinux", "Unmask", "Sysctls",
		"Memory", "MemoryReservation", "CPUs", "CPUShares", "CPUQuota", "CPUPeriod", "CpusetCPUs", "CpusetMems", "PidsLimit", "Ulimits",
		"Networks", "Publish", "Hostname", "AddHosts", "DNS", "DNSSearch", "DNSOptions", "UserNS", "UIDMap", "GIDMap",
		// how the command itself behaves
		"Replace", "Detach", "SigProxy", "Cgroups", "SdNotify", "Pod", "Warnings",
	}
}

// leave notes what is left out of a container.
func (g *generator) leave(s *spec.Container) {
	def := spec.Defaults()
	own, plain := reflect.ValueOf(s).Elem(), reflect.ValueOf(&def).Elem()
	var flags []string
	for _, l := range leftOut() {
		v, w := own.FieldByName(l.field), plain.FieldByName(l.field)
		if !reflect.DeepEqual(v.Interface(), w.Interface()) && !(v.Kind() == reflect.Slice && v.Len() == 0) && !(v.Kind() == reflect.Map && v.Len() == 0) {
			flags = append(flags, l.flag)
		}
	}
	if len(flags) > 0 {
		g.note("%s of container %s: Kubernetes has nothing like it, and it is left out", strings.Join(flags, ", "), s.Name)
	}
	for _, k := range slices.Sorted(maps.Keys(s.Annotations)) {
		if old, ok := g.ann[k]; (ok && old != s.Annotations[k]) || !labelKey(k) {
			g.note("the annotation %s of container %s is left out", k, s.Name)
			continue
		}
		g.ann[k] = s.Annotations[k]
	}
}
