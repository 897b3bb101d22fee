// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"go.podman.io/common/pkg/capabilities"
	corev1 "k8s.io/api/core/v1"

	"github.com/podunit/podunit/runner/kube"
)

// podSecurity reads what the pod says for itself; what it says for its containers is read with
// each of them.
func (p *planner) podSecurity(d *draft) {
	s := d.spec.SecurityContext
	if s == nil {
		return
	}
	at := d.at.in("securityContext")
	if s.FSGroup != nil {
		p.id(*s.FSGroup, at.in("fsGroup"))
		d.FSGroup = s.FSGroup
	}
	if s.FSGroupChangePolicy != nil {
		at.in("fsGroupChangePolicy").oneOf(string(*s.FSGroupChangePolicy), "Always", "OnRootMismatch")
		d.FSGroupOnRootMismatch = *s.FSGroupChangePolicy == corev1.FSGroupChangeOnRootMismatch
	}
	if s.SupplementalGroupsPolicy != nil {
		at.in("supplementalGroupsPolicy").oneOf(string(*s.SupplementalGroupsPolicy), "Merge", "Strict")
	}
	for i, ctl := range s.Sysctls {
		one := at.in("sysctls", i)
		name := strings.ReplaceAll(ctl.Name, "/", ".")
		switch {
		case strings.HasPrefix(name, "net."):
			if d.hostNetwork {
				one.fault("kube-conflict", "set it on the machine, in /etc/sysctl.d", "%s belongs to the network, which is the machine's with hostNetwork", name)
			}
		case strings.HasPrefix(name, "kernel.shm"), strings.HasPrefix(name, "kernel.msg"), name == "kernel.sem", strings.HasPrefix(name, "fs.mqueue."):
			if d.spec.HostIPC {
				one.fault("kube-conflict", "set it on the machine, in /etc/sysctl.d", "%s belongs to the IPC namespace, which is the machine's with hostIPC", name)
			}
		default:
			one.in("name").fault("kube-sysctl", "set it on the machine, in /etc/sysctl.d", "%q belongs to the whole machine, not to a pod", ctl.Name)
		}
		if d.Spec.Sysctls == nil {
			d.Spec.Sysctls = map[string]string{}
		}
		d.Spec.Sysctls[name] = ctl.Value
	}
}

// id checks a user or group ID.
func (p *planner) id(n int64, at place) {
	if n < 0 || n >= 1<<31 {
		at.fault("kube-value", "", "%d is no user or group ID", n)
	}
}

// security settles what a container says against what its pod says: field by field, the container
// is stronger.
func (p *planner) security(d *draft, c *kube.Container, in *corev1.Container, at place) {
	pod, own := d.spec.SecurityContext, in.SecurityContext
	if pod == nil {
		pod = &corev1.PodSecurityContext{}
	}
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	above, here := d.at.in("securityContext"), at.in("securityContext")
	c.UserSet, c.GroupSet = or(own.RunAsUser, pod.RunAsUser), or(own.RunAsGroup, pod.RunAsGroup)
	for _, f := range []struct {
		field     string
		own, used *int64
	}{{"runAsUser", own.RunAsUser, c.UserSet}, {"runAsGroup", own.RunAsGroup, c.GroupSet}} {
		switch {
		case f.own != nil:
			p.id(*f.own, here.in(f.field))
		case f.used != nil:
			p.id(*f.used, above.in(f.field))
		}
	}
	if nonRoot := or(own.RunAsNonRoot, pod.RunAsNonRoot); nonRoot != nil && *nonRoot {
		c.NonRoot = true
		if c.UserSet != nil && *c.UserSet == 0 {
			here.in("runAsUser").fault("kube-conflict", "leave out one of them", "user 0 does not go together with runAsNonRoot")
		}
	}
	for i, g := range pod.SupplementalGroups {
		p.id(g, above.in("supplementalGroups", i))
		c.Spec.Groups = append(c.Spec.Groups, strconv.FormatInt(g, 10))
	}
	if d.FSGroup != nil {
		if g := strconv.FormatInt(*d.FSGroup, 10); !slices.Contains(c.Spec.Groups, g) {
			c.Spec.Groups = append(c.Spec.Groups, g)
		}
	}
	c.GroupsStrict = pod.SupplementalGroupsPolicy != nil && *pod.SupplementalGroupsPolicy == corev1.SupplementalGroupsPolicyStrict
	yes := func(b *bool) bool { return b != nil && *b }
	c.Spec.Privileged, c.Spec.ReadOnly = yes(own.Privileged), yes(own.ReadOnlyRootFilesystem)
	p.capabilities(c, own.Capabilities, here.in("capabilities"))
	if own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation {
		c.Spec.NoNewPrivileges = true
		if c.Spec.Privileged || slices.Contains(c.Spec.CapAdd, "CAP_SYS_ADMIN") {
			here.in("allowPrivilegeEscalation").fault("kube-conflict", "leave out one of them", "false does not go together with privileged or the capability SYS_ADMIN")
		}
	}
	if own.ProcMount != nil && here.in("procMount").oneOf(string(*own.ProcMount), "Default", "Unmasked") && *own.ProcMount == corev1.UnmaskedProcMount {
		c.Spec.Unmask = []string{"ALL"}
		if d.spec.HostUsers == nil || *d.spec.HostUsers {
			here.in("procMount").note("kube-security", "add hostUsers: false to the pod's spec", "Kubernetes refuses Unmasked without a user namespace")
		}
	}
	switch {
	case own.SELinuxOptions != nil:
		c.Spec.SELinux = selinux(own.SELinuxOptions)
	case pod.SELinuxOptions != nil:
		c.Spec.SELinux = selinux(pod.SELinuxOptions)
	}
	if own.SeccompProfile != nil {
		c.Spec.Seccomp = p.seccomp(own.SeccompProfile, here.in("seccompProfile"))
	} else if pod.SeccompProfile != nil {
		c.Spec.Seccomp = p.seccomp(pod.SeccompProfile, above.in("seccompProfile"))
	} else {
		p.oldSeccomp(d, c)
	}
	if own.AppArmorProfile != nil {
		c.Spec.AppArmor = p.appArmor(own.AppArmorProfile, here.in("appArmorProfile"))
	} else if pod.AppArmorProfile != nil {
		c.Spec.AppArmor = p.appArmor(pod.AppArmorProfile, above.in("appArmorProfile"))
	} else {
		p.oldAppArmor(d, c)
	}
}

// or is the first that is set.
func or[T any](own, above *T) *T {
	if own != nil {
		return own
	}
	return above
}

func (p *planner) capabilities(c *kube.Container, in *corev1.Capabilities, at place) {
	if in == nil {
		return
	}
	read := func(field string, list []corev1.Capability) []string {
		var out []string
		for i, word := range list {
			if strings.EqualFold(string(word), "all") {
				out = append(out, "all")
				continue
			}
			names, err := capabilities.NormalizeCapabilities([]string{string(word)})
			if err != nil {
				at.in(field, i).fault("kube-capability", "see capabilities(7); write it without CAP_", "%q is no capability", word)
				continue
			}
			if len(word) > 4 && strings.EqualFold(string(word[:4]), "CAP_") {
				at.in(field, i).note("kube-capability", "write "+string(word[4:]), "Kubernetes does not know capabilities that begin with CAP_")
			}
			out = append(out, names...)
		}
		return out
	}
	c.Spec.CapAdd, c.Spec.CapDrop = read("add", in.Add), read("drop", in.Drop)
}

func selinux(o *corev1.SELinuxOptions) []string {
	var out []string
	for _, f := range [][2]string{{"user", o.User}, {"role", o.Role}, {"type", o.Type}, {"level", o.Level}} {
		if f[1] != "" {
			out = append(out, f[0]+":"+f[1])
		}
	}
	return out
}

// seccomp gives the path of a profile, "unconfined", or "" for the default.
func (p *planner) seccomp(in *corev1.SeccompProfile, at place) string {
	at.in("type").oneOf(string(in.Type), "RuntimeDefault", "Unconfined", "Localhost")
	switch in.Type {
	case corev1.SeccompProfileTypeUnconfined:
		return "unconfined"
	case corev1.SeccompProfileTypeLocalhost:
		if in.LocalhostProfile == nil || !kube.Below(*in.LocalhostProfile) {
			at.in("localhostProfile").fault("kube-seccomp", "", "Localhost needs a path below %s, without .. in it", p.SeccompRoot)
			return ""
		}
		return path.Join(p.SeccompRoot, *in.LocalhostProfile)
	}
	if in.LocalhostProfile != nil {
		at.in("localhostProfile").fault("kube-seccomp", "write type: Localhost", "a profile goes with type Localhost only")
	}
	return ""
}

func (p *planner) appArmor(in *corev1.AppArmorProfile, at place) string {
	at.in("type").oneOf(string(in.Type), "RuntimeDefault", "Unconfined", "Localhost")
	switch in.Type {
	case corev1.AppArmorProfileTypeUnconfined:
		return "unconfined"
	case corev1.AppArmorProfileTypeLocalhost:
		if in.LocalhostProfile == nil || *in.LocalhostProfile == "" {
			at.in("localhostProfile").fault("kube-apparmor", "", "Localhost needs the name of a profile")
			return ""
		}
		return *in.LocalhostProfile
	}
	return ""
}
