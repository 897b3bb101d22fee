// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podunit/podunit/runner/spec"
)

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

// amounts are the limits that a document has words for.
func amounts(s *spec.Limits) (out corev1.ResourceRequirements) {
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
		out.Limits = limits
	}
	if len(requests) > 0 {
		out.Requests = requests
	}
	return out
}

func (g *generator) resources(c *corev1.Container, s *spec.Container) {
	c.Resources = amounts(&s.Limits)
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
