// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
)

// Binding is one host port in inspect's PortBindings.
type Binding struct {
	HostIp, HostPort string //nolint:revive,staticcheck // docker's and podman's spelling
}

// bindings are published ports by container port and protocol, as inspect shows them.
func bindings(published []spec.PortMapping) map[string][]Binding {
	out := map[string][]Binding{}
	for _, m := range published {
		ip := "0.0.0.0"
		if m.HostIP.IsValid() {
			ip = strings.TrimPrefix(m.HostIP.String(), "::ffff:")
		}
		for i := range m.Range {
			key := strconv.Itoa(int(m.ContainerPort+i)) + "/" + m.Protocol
			out[key] = append(out[key], Binding{ip, strconv.Itoa(int(m.HostPort + i))})
		}
	}
	return out
}

// publishedPorts is a published port as ps has it in JSON.
func publishedPorts(m spec.PortMapping) PublishedPorts {
	out := PublishedPorts{ContainerPort: m.ContainerPort, HostPort: m.HostPort, Range: max(m.Range, 1), Protocol: m.Protocol}
	if m.HostIP.IsValid() {
		out.HostIP = m.HostIP.String()
	}
	return out
}

// arrow draws a published port as ps has it: 0.0.0.0:8080->80/tcp.
func arrow(m spec.PortMapping) string {
	ip := "0.0.0.0"
	if m.HostIP.IsValid() {
		ip = m.HostIP.String()
		if m.HostIP.Is6() {
			ip = "[" + ip + "]"
		}
	}
	ports := func(first uint16) string {
		if m.Range > 1 {
			return fmt.Sprintf("%d-%d", first, first+m.Range-1)
		}
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%s:%s->%s/%s", ip, ports(m.HostPort), ports(m.ContainerPort), m.Protocol)
}

// Published are the ports of a container as podunit port shows them, in order: 80/tcp, and
// 0.0.0.0:8080 on the host. A container in a pod has those of the pod.
func Published(x *service.Engine, r container.Record) ([][2]string, error) {
	s, err := x.Containers.Status(r.ID)
	if err != nil {
		return nil, err
	}
	ports := s.Ports
	if p := podOf(x, r); p.ID != "" {
		ports = x.Pods.Status(p).Ports
	}
	return published(ports), nil
}

func published(ports []spec.PortMapping) [][2]string {
	var out [][2]string
	for _, m := range ports {
		ip := "0.0.0.0"
		if m.HostIP.IsValid() {
			ip = m.HostIP.Unmap().String()
		}
		for i := range max(m.Range, 1) {
			out = append(out, [2]string{
				fmt.Sprintf("%d/%s", m.ContainerPort+i, m.Protocol),
				net.JoinHostPort(ip, strconv.Itoa(int(m.HostPort+i))),
			})
		}
	}
	return out
}
