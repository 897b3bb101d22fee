// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podunit/podunit/generator/spelling"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/spec"
)

// lifecycle reads the hooks of a container and its stop signal.
func (p *planner) lifecycle(d *draft, c *kube.Container, in *corev1.Container, at place) {
	c.Spec.StopTimeout = &c.Grace
	if in.Lifecycle == nil {
		return
	}
	at = at.in("lifecycle")
	if c.Role == kube.Init && (in.Lifecycle.PostStart != nil || in.Lifecycle.PreStop != nil) {
		at.fault("kube-init", "leave it out, or make it a sidecar with restartPolicy: Always", "an init container has no hooks")
		return
	}
	c.PostStart = p.hook(in.Lifecycle.PostStart, in, at.in("postStart"))
	c.PreStop = p.hook(in.Lifecycle.PreStop, in, at.in("preStop"))
	if s := in.Lifecycle.StopSignal; s != nil {
		sig, err := spec.ParseSignal(string(*s))
		if err != nil {
			at.in("stopSignal").fault("kube-value", "such as SIGTERM", "%q is no signal", string(*s))
		}
		c.Spec.StopSignal = sig
		if d.spec.OS == nil {
			at.in("stopSignal").note("kube-signal", "add os: {name: linux} to the pod's spec", "Kubernetes refuses a stopSignal without os.name")
		}
	}
}

func (p *planner) hook(in *corev1.LifecycleHandler, c *corev1.Container, at place) *kube.Handler {
	if in == nil {
		return nil
	}
	var h kube.Handler
	kinds := 0
	if in.Exec != nil {
		h.Exec = p.command(in.Exec, at)
		kinds++
	}
	if in.HTTPGet != nil {
		h.HTTP = p.http(in.HTTPGet, c, at.in("httpGet"))
		kinds++
	}
	if in.Sleep != nil {
		if h.Sleep = time.Duration(in.Sleep.Seconds) * time.Second; in.Sleep.Seconds < 0 {
			at.in("sleep", "seconds").fault("kube-value", "", "%d is no time to sleep", in.Sleep.Seconds)
		}
		kinds++
	}
	if kinds != 1 && !at.in("tcpSocket").has() {
		at.fault("kube-hook", "", "a hook has one of exec, httpGet and sleep")
		return nil
	}
	return &h
}

func (p *planner) command(in *corev1.ExecAction, at place) []string {
	if len(in.Command) == 0 {
		at.in("exec").fault("kube-hook", "write command: [WORD, ...]", "there is no command")
	}
	return in.Command
}

func (p *planner) http(in *corev1.HTTPGetAction, c *corev1.Container, at place) *kube.HTTP {
	out := &kube.HTTP{Scheme: "http", Host: in.Host, Path: in.Path}
	if at.in("scheme").oneOf(string(in.Scheme), "HTTP", "HTTPS") && in.Scheme != "" {
		out.Scheme = strings.ToLower(string(in.Scheme))
	}
	if !strings.HasPrefix(out.Path, "/") {
		out.Path = "/" + out.Path
	}
	out.Port = p.port(in.Port, c, at.in("port"))
	for i, header := range in.HTTPHeaders {
		if header.Name == "" || strings.ContainsAny(header.Name, " :\r\n\t") || strings.ContainsAny(header.Value, "\r\n") {
			at.in("httpHeaders", i).fault("kube-value", "", "%q is no header", header.Name)
		}
		out.Headers = append(out.Headers, kube.Header{Name: header.Name, Value: header.Value})
	}
	return out
}

// port finds the number of a port that may be a name.
func (p *planner) port(in intstr.IntOrString, c *corev1.Container, at place) uint16 {
	n := in.IntVal
	if in.Type == intstr.String {
		var names []string
		for _, cp := range c.Ports {
			if cp.Name == in.StrVal && cp.Name != "" {
				n = max(cp.ContainerPort, 0)
				if n == 0 {
					n = cp.HostPort
				}
			}
			names = append(names, cp.Name)
		}
		if n == 0 {
			hint := "give one of the container's ports this name, or write its number"
			if near := spelling.Nearest(in.StrVal, names); near != "" {
				hint = "did you mean " + near + "?"
			}
			at.fault("kube-port", hint, "the container has no port named %q", in.StrVal)
			return 0
		}
	}
	if n < 1 || n > 65535 {
		at.fault("kube-port", "", "%d is no port from 1 to 65535", n)
		return 0
	}
	return uint16(n)
}

// probes reads the three probes of a container.
func (p *planner) probes(d *draft, c *kube.Container, in *corev1.Container, at place) {
	for _, one := range []struct {
		field string
		in    *corev1.Probe
		to    **kube.Probe
	}{{"startupProbe", in.StartupProbe, &c.Startup}, {"livenessProbe", in.LivenessProbe, &c.Liveness}, {"readinessProbe", in.ReadinessProbe, &c.Readiness}} {
		if one.in == nil {
			continue
		}
		if c.Role == kube.Init {
			at.in(one.field).fault("kube-init", "leave it out, or make it a sidecar with restartPolicy: Always", "an init container has no probes")
			continue
		}
		*one.to = p.probe(one.in, in, at.in(one.field), one.field == "readinessProbe")
	}
	for _, probe := range []*kube.Probe{c.Startup, c.Readiness} {
		if probe != nil {
			c.StartTimeout += probe.Delay + probe.Period*time.Duration(max(probe.Failure, probe.Success)) + probe.Timeout
		}
	}
}

func (p *planner) probe(in *corev1.Probe, c *corev1.Container, at place, readiness bool) *kube.Probe {
	out := &kube.Probe{}
	kinds := 0
	if in.Exec != nil {
		out.Exec = p.command(in.Exec, at)
		kinds++
	}
	if in.HTTPGet != nil {
		out.HTTP = p.http(in.HTTPGet, c, at.in("httpGet"))
		kinds++
	}
	if in.TCPSocket != nil {
		out.TCP = &kube.TCP{Host: in.TCPSocket.Host, Port: p.port(in.TCPSocket.Port, c, at.in("tcpSocket", "port"))}
		kinds++
	}
	if in.GRPC != nil {
		out.GRPC = &kube.GRPC{Port: p.port(intstr.FromInt32(in.GRPC.Port), c, at.in("grpc", "port"))}
		if in.GRPC.Service != nil {
			out.GRPC.Service = *in.GRPC.Service
		}
		kinds++
	}
	if kinds != 1 {
		at.fault("kube-probe", "", "a probe has one of exec, httpGet, tcpSocket and grpc; this one has %d", kinds)
	}
	number := func(field string, n int32, def int) int {
		switch {
		case n < 0:
			at.in(field).fault("kube-value", "", "%d is less than 0", n)
		case n > 0:
			return int(n)
		case def > 0 && at.in(field).has():
			at.in(field).note("kube-probe", "", "0 is taken as %d", def)
		}
		return def
	}
	out.Delay = time.Duration(number("initialDelaySeconds", in.InitialDelaySeconds, 0)) * time.Second
	out.Period = time.Duration(number("periodSeconds", in.PeriodSeconds, 10)) * time.Second
	out.Timeout = time.Duration(number("timeoutSeconds", in.TimeoutSeconds, 1)) * time.Second
	out.Success, out.Failure = number("successThreshold", in.SuccessThreshold, 1), number("failureThreshold", in.FailureThreshold, 3)
	if !readiness && out.Success != 1 {
		at.in("successThreshold").fault("kube-probe", "leave it out", "it is always 1 here")
	}
	if in.TerminationGracePeriodSeconds != nil {
		if readiness {
			at.in("terminationGracePeriodSeconds").fault("kube-probe", "leave it out", "a readiness probe stops nothing")
		}
		grace := seconds(at.in("terminationGracePeriodSeconds"), in.TerminationGracePeriodSeconds, 0, 1)
		out.Grace = &grace
	}
	return out
}
