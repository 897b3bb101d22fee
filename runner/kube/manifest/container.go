// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.podman.io/image/v5/docker/reference"
	corev1 "k8s.io/api/core/v1"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/spec"
)

// containers makes the containers of a pod: init containers and sidecars as written, then the
// ordinary ones.
func (p *planner) containers(d *draft) {
	s := d.spec
	if len(s.Containers) == 0 && d.at.has() {
		d.at.in("containers").note("kube-spec", "", "the pod has no containers")
	}
	first := map[string]place{}
	last := "" // what the next one starts after
	for i := range s.InitContainers {
		c := &s.InitContainers[i]
		role := kube.Init
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			role = kube.Sidecar
		}
		made := p.container(d, c, d.at.in("initContainers", i), role, first)
		if last != "" {
			made.After = []string{last}
		}
		last = c.Name
	}
	before := ""
	for i := range s.Containers {
		c := &s.Containers[i]
		made := p.container(d, c, d.at.in("containers", i), kube.Ordinary, first)
		for _, name := range []string{last, before} {
			if name != "" {
				made.After = append(made.After, name)
			}
		}
		before = c.Name
	}
	for _, c := range d.Containers {
		p.annotateContainer(d, c)
		if name := c.Name; name != "" && !d.hostNetwork && !slices.Contains(d.Network.Aliases, name) {
			d.Network.Aliases = append(d.Network.Aliases, name)
		}
	}
}

func (p *planner) container(d *draft, in *corev1.Container, at place, role kube.Role, first map[string]place) *kube.Container {
	c := &kube.Container{Name: in.Name, Role: role, Spec: spec.Defaults(), Grace: d.Grace}
	d.Containers = append(d.Containers, c)
	p.containerName(d, c, at, first)
	c.Spec.Pod = d.Name
	c.Spec.SdNotify = "ignore"
	c.Spec.Log = p.Log
	c.Spec.Detach = true
	c.Spec.Replace = true
	// Kubernetes knows nothing of a check that an image brings, and the unit has probes of its own.
	c.Spec.Health = &spec.HealthCheck{Test: []string{spec.TestNone}}
	p.image(c, in, at)
	c.Process = kube.Process{Command: in.Command, Args: in.Args}
	if in.WorkingDir != "" {
		if !path.IsAbs(in.WorkingDir) {
			at.in("workingDir").fault("kube-value", "begin it with a slash", "%q is not an absolute path in the container", in.WorkingDir)
		}
		c.Spec.WorkDir = path.Clean(in.WorkingDir)
	}
	c.Spec.Interactive, c.Spec.TTY = in.Stdin, in.TTY
	maps.Copy(c.Spec.Labels, d.Spec.Labels)
	for k, v := range map[string]string{labelPod: d.Name, labelNamespace: d.Namespace, labelContainer: in.Name} {
		c.Spec.Labels[k] = v
	}
	if len(d.annotations) > 0 {
		c.Spec.Annotations = maps.Clone(d.annotations)
	}
	if d.spec.HostIPC {
		c.Spec.IPCNS = spec.Namespace{Mode: "host"}
	}
	p.restart(d, c, in, at)
	p.lifecycle(d, c, in, at)
	p.probes(d, c, in, at)
	p.ports(d, c, in, at)
	c.Resources = p.resources(in.Resources, at.in("resources"), c)
	p.security(d, c, in, at)
	p.env(d, c, in, at)
	p.mounts(d, c, in, at)
	c.MessagePath = cmp.Or(in.TerminationMessagePath, "/dev/termination-log")
	if !path.IsAbs(c.MessagePath) {
		at.in("terminationMessagePath").fault("kube-value", "begin it with a slash", "%q is not an absolute path in the container", c.MessagePath)
	}
	at.in("terminationMessagePolicy").oneOf(string(in.TerminationMessagePolicy), "File", "FallbackToLogsOnError")
	c.MessageLogs = in.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError
	return c
}

// The labels by which a container is found again.
const (
	labelPod       = "io.kubernetes.pod.name"
	labelNamespace = "io.kubernetes.pod.namespace"
	labelContainer = "io.kubernetes.container.name"
)

func (p *planner) containerName(d *draft, c *kube.Container, at place, first map[string]place) {
	name := at.in("name")
	switch other, double := first[c.Name]; {
	case c.Name == "":
		name.fault("kube-name", "write name: NAME", "the container has no name")
	case double:
		node, _ := other.o.doc.Root.At(other.path.With("name"))
		name.fault("kube-name", "rename one of them", "there are two containers named %s in pod %s, the other is in line %d", c.Name, d.Name, node.Line)
	default:
		first[c.Name] = at
		if err := spec.CheckName(c.Name); err != nil {
			name.fault("kube-name", "", "%q: %v", c.Name, err)
		} else if wrong := dnsLabel(c.Name); wrong != "" {
			name.note("kube-name", "", "Kubernetes refuses the name %q: %s", c.Name, wrong)
		}
	}
	c.Spec.Name = c.Name
	if !p.NoPodPrefix {
		c.Spec.Name = d.Name + "-" + c.Name
	}
	if own := d.containerNames[c.Name]; own != "" {
		c.Spec.Name = own
	}
	c.Unit = c.Spec.Name + ".service"
}

var imageID = regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`)

// image decides what to run and when to pull it.
func (p *planner) image(c *kube.Container, in *corev1.Container, at place) {
	c.Spec.Image = in.Image
	at.in("imagePullPolicy").oneOf(string(in.ImagePullPolicy), "Always", "IfNotPresent", "Never", "missing", "newer", "always", "never", "ifnotpresent", "Missing", "Newer")
	if in.Image == "" {
		at.in("image").fault("kube-image", "write image: REFERENCE", "the container has no image")
		return
	}
	c.Spec.Pull.Policy = p.pull(in.Image, string(in.ImagePullPolicy), at.in("image"))
}

// pull is the pull policy of an image: as written, or what its tag suggests.
func (p *planner) pull(image, written string, at place) string {
	switch strings.ToLower(written) {
	case "always", "never", "newer", "missing":
		written = strings.ToLower(written)
	case "ifnotpresent":
		written = "missing"
	default:
		written = ""
	}
	if strings.HasPrefix(image, "localhost/") && (written == "" || written == "missing" || written == "newer") {
		return "never" // nobody serves localhost/
	}
	if written != "" || imageID.MatchString(image) || strings.Contains(image, ":/") {
		return cmp.Or(written, "missing")
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		at.fault("kube-image", "such as docker.io/library/nginx:1.27", "%q is no image reference: %v", image, err)
		return "missing"
	}
	if _, digested := named.(reference.Digested); digested {
		return "missing"
	}
	if tagged, ok := named.(reference.Tagged); ok && tagged.Tag() != "latest" {
		return "missing"
	}
	return "newer"
}

// The delays between restarts: at once to five minutes, and from the beginning after ten minutes
// of life.
const (
	restartFirst = time.Second
	restartMax   = 300 * time.Second
	restartCalm  = 10 * time.Minute
	restartSteps = 8
)

// restart is what follows the end of a container.
func (p *planner) restart(d *draft, c *kube.Container, in *corev1.Container, at place) {
	policy := d.Restart
	switch c.Role {
	case kube.Init:
		// A failed init container is tried again, a successful one is done.
		if policy == "Always" {
			policy = "OnFailure"
		}
	case kube.Sidecar:
		policy = "Always"
	}
	if in.RestartPolicy != nil {
		at.in("restartPolicy").oneOf(string(*in.RestartPolicy), "Always", "OnFailure", "Never")
		policy = string(*in.RestartPolicy)
	}
	r := kube.Restart{Policy: "no", First: restartFirst, Max: restartMax, Calm: restartCalm, Steps: restartSteps}
	switch policy {
	case "Always":
		r.Policy = "always"
	case "OnFailure":
		// The manager calls the death by one of these signals a success, Kubernetes does not.
		r.Policy, r.Force = "on-failure", []string{"SIGHUP", "SIGINT", "SIGTERM", "SIGPIPE"}
	}
	rules := at.in("restartPolicyRules")
	if len(in.RestartPolicyRules) > 0 && in.RestartPolicy == nil {
		rules.fault("kube-restart", "write restartPolicy: beside it", "rules need a restartPolicy of the container")
	}
	if n := len(in.RestartPolicyRules); n > 20 {
		rules.fault("kube-restart", "", "there are %d rules, and may be 20", n)
	}
	decided := map[int32]bool{}
	for i, rule := range in.RestartPolicyRules {
		rules.in(i, "action").oneOf(string(rule.Action), "Restart", "RestartAllContainers")
		if rule.ExitCodes == nil {
			rules.in(i).fault("kube-restart", "write exitCodes: {operator: In, values: [CODE]}", "the rule has no exitCodes")
			continue
		}
		rules.in(i, "exitCodes", "operator").oneOf(string(rule.ExitCodes.Operator), "In", "NotIn")
		if len(rule.ExitCodes.Values) > 255 {
			rules.in(i, "exitCodes", "values").fault("kube-restart", "", "there are %d values, and may be 255", len(rule.ExitCodes.Values))
		}
		not := rule.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpNotIn
		if c.Role == kube.Init && !not && slices.Contains(rule.ExitCodes.Values, 0) {
			rules.in(i, "exitCodes", "values").fault("kube-restart", "take 0 out", "an init container that succeeds would run for ever")
		}
		for _, code := range codes(not, rule.ExitCodes.Values) {
			if decided[code] || code == 0 && c.Role == kube.Init {
				continue // an earlier rule has decided, or it has succeeded
			}
			decided[code] = true
			word := strconv.Itoa(int(code))
			if rule.Action == corev1.ContainerRestartRuleActionRestart {
				r.Force = append(r.Force, word)
			} else {
				r.PodOn = append(r.PodOn, word)
			}
		}
	}
	c.Restart = r
}

// codes lists exit statuses; with not, all the others.
func codes(not bool, values []int32) []int32 {
	if !not {
		return values
	}
	var out []int32
	for code := range int32(256) {
		if !slices.Contains(values, code) {
			out = append(out, code)
		}
	}
	return out
}

// port is a port on the machine that somebody wants.
type port struct {
	spec.PortMapping
	at  place
	pod string
}

// ports gathers what a container publishes.
func (p *planner) ports(d *draft, c *kube.Container, in *corev1.Container, at place) {
	at = at.in("ports")
	names := map[string]bool{}
	for i, cp := range in.Ports {
		one := at.in(i)
		if cp.Name != "" {
			if names[cp.Name] {
				one.in("name").fault("kube-port", "", "there are two ports named %s", cp.Name)
			}
			names[cp.Name] = true
			if wrong := dnsLabel(cp.Name); wrong != "" || len(cp.Name) > 15 || strings.Trim(cp.Name, "0123456789-") == "" {
				one.in("name").note("kube-name", "", "Kubernetes refuses the port name %q: it has up to 15 small letters, digits and -, at least one letter", cp.Name)
			}
		}
		if cp.ContainerPort == 0 {
			cp.ContainerPort = cp.HostPort
		}
		if !inRange(one.in("containerPort"), cp.ContainerPort, 1) || !inRange(one.in("hostPort"), cp.HostPort, 0) {
			continue
		}
		cp.Protocol = corev1.Protocol(one.in("protocol").spelled(string(cp.Protocol), "TCP", "UDP", "SCTP"))
		in.Ports[i].Protocol = cp.Protocol
		if cp.Protocol == corev1.ProtocolSCTP && (cp.HostPort > 0 || p.PublishAll) {
			one.in("protocol").fault("kube-port", "only TCP and UDP are forwarded", "SCTP cannot be published here")
			continue
		}
		if c.Role == kube.Init && cp.HostPort > 0 {
			one.in("hostPort").note("kube-init", "", "an init container is gone when the pod serves, and its port is not published")
		}
		if c.Role == kube.Init {
			continue
		}
		if cp.HostPort == 0 && p.PublishAll {
			cp.HostPort = cp.ContainerPort
		}
		m := spec.PortMapping{
			ContainerPort: uint16(cp.ContainerPort), HostPort: uint16(cp.HostPort), Range: 1,
			Protocol: strings.ToLower(cmp.Or(string(cp.Protocol), "tcp")),
		}
		if cp.HostIP != "" {
			parsed, err := spec.ParsePort("[" + cp.HostIP + "]::1")
			if err != nil {
				one.in("hostIP").fault("kube-value", "", "%q is no IP address", cp.HostIP)
				continue
			}
			m.HostIP = parsed.HostIP
		}
		p.hostPorts[d.Name] = append(p.hostPorts[d.Name], port{m, one, d.Name})
		if d.hostNetwork && cp.HostPort > 0 && cp.HostPort != cp.ContainerPort {
			one.in("hostPort").note("kube-port", "write the same number, or leave hostPort out", "with hostNetwork the port is %d, nothing maps it to %d", cp.ContainerPort, cp.HostPort)
		}
	}
}

func inRange(at place, port, least int32) bool {
	if port < least || port > 65535 {
		at.fault("kube-port", "", "%d is no port from 1 to 65535", port)
		return false
	}
	return true
}

// publish settles the published ports of all pods: those of the command line first, then those of
// the documents that they do not displace, and no port of the machine twice.
func (p *planner) publish() {
	given := make([]bool, len(p.Publish))
	var taken []port
	for _, d := range p.pods {
		var displaced []spec.PortMapping
		for i, m := range p.Publish {
			has := len(p.pods) == 1 || slices.ContainsFunc(p.hostPorts[d.Name], func(o port) bool { return o.Protocol == m.Protocol && within(m, o.ContainerPort) })
			if !has {
				continue
			}
			if given[i] {
				d.at.fault("kube-port", "write hostPort in the document instead", "--publish %s: more than one pod has this container port", m)
				continue
			}
			given[i] = true
			displaced = append(displaced, m)
			if !d.hostNetwork {
				d.Spec.Publish = append(d.Spec.Publish, m)
			}
		}
		for _, o := range p.hostPorts[d.Name] {
			if o.HostPort == 0 || slices.ContainsFunc(displaced, func(m spec.PortMapping) bool { return m.Protocol == o.Protocol && within(m, o.ContainerPort) }) {
				continue
			}
			if clash := slices.IndexFunc(taken, func(t port) bool { return collide(t.PortMapping, o.PortMapping) }); clash >= 0 {
				node, _ := taken[clash].at.o.doc.Root.At(taken[clash].at.path)
				o.at.in("hostPort").fault("kube-port", "give one of them another hostPort", "port %d/%s of the machine is taken by pod %s, at %s",
					o.HostPort, o.Protocol, taken[clash].pod, node.Pos())
				continue
			}
			taken = append(taken, o)
			if !d.hostNetwork {
				d.Spec.Publish = append(d.Spec.Publish, o.PortMapping)
			}
		}
	}
	for i, m := range p.Publish {
		if !given[i] && len(p.pods) > 1 {
			p.pods[0].at.fault("kube-port", "add the port to the container that has it", "--publish %s: no pod has this container port", m)
		}
	}
}

func within(m spec.PortMapping, port uint16) bool {
	return port >= m.ContainerPort && int(port) < int(m.ContainerPort)+int(max(m.Range, 1))
}

// collide tells whether two mappings want the same port of the machine.
func collide(a, b spec.PortMapping) bool {
	anywhere := !a.HostIP.IsValid() || a.HostIP.IsUnspecified() || !b.HostIP.IsValid() || b.HostIP.IsUnspecified()
	return a.Protocol == b.Protocol && a.HostPort == b.HostPort && (anywhere || a.HostIP == b.HostIP)
}
