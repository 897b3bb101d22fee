// SPDX-License-Identifier: Apache-2.0

package convert

import "github.com/podunit/podunit/generator/quadlet"

// pod writes the service of a .pod file. The order of everything is the reference's, section 6.2.
func (c *converter) pod() {
	for _, m := range c.set.Members(c.Unit) {
		if !startsWithPod(m) {
			continue
		}
		c.unit.Append("Wants", m.Service+".service")
		c.unit.Append("Before", m.Service+".service")
	}
	name := []quadlet.WordOf{c.named()}
	pidFile := "%t/%N.pid"
	if c.runsAs() != "" {
		// The runtime directory of the system manager is root's. systemd makes one in it for the
		// user of the unit.
		dir := "%N"
		if l, ok := c.ServiceKey("RuntimeDirectory"); ok && l.Value != "" {
			dir = firstWord(l.Value)
		} else {
			c.service.Set("RuntimeDirectory", dir)
		}
		pidFile = "%t/" + dir + "/%N.pid"
	}
	timeout, ok := c.StrOK("StopTimeout")
	if !ok {
		timeout = "10"
	}
	c.service.Default("SyslogIdentifier", "%N")
	c.stopLimit()
	c.limitPod()
	start := c.runner("pod", "start")
	start.words(name)
	c.line("ExecStart", "", start)
	// Podman writes pod stop, and its own tests ask for that. Here ExecStop= removes the pod already:
	// where it is killed, ExecStopPost= completes that, and nothing comes after ExecStopPost=.
	stop := c.runner("pod", "rm", "--ignore", "--force")
	if c.opt.Lax {
		stop = c.runner("pod", "stop", "--ignore")
	}
	stop.from(c.value("StopTimeout"), "--time="+timeout)
	stop.words(name)
	c.line("ExecStop", "", stop)
	remove := c.runner("pod", "rm", "--ignore", "--force")
	remove.words(name)
	c.line("ExecStopPost", "", remove)

	policy, ok := c.StrOK("ExitPolicy")
	if !ok {
		policy = "stop"
	}
	create := c.runner("pod", "create", "--infra-conmon-pidfile="+pidFile, "--replace")
	create.from(c.value("ExitPolicy"), "--exit-policy", policy)
	c.idMappings(create)
	c.flags(create, "PublishPort", "Label")
	c.networks(create)
	c.flags(create, "IP", "IP6", "ShmSize", "NetworkAlias", "DNS", "DNSOption", "DNSSearch", "AddHost", "HostName")
	c.volumes(create)
	create.from(c.named(), "--infra-name", c.Resource+"-infra", "--name", c.Resource)
	c.podmanArgs(create)
	c.line("ExecStartPre", "", create)

	c.service.Append("Environment", "PODMAN_SYSTEMD_UNIT=%n")
	c.service.Set("Type", "forking")
	c.service.Set("PIDFile", pidFile)
	c.service.Default("Restart", "on-failure")
}

// startsWithPod tells whether the pod's service pulls a member in. A template cannot be: it has no
// instance to start.
func startsWithPod(m *quadlet.Unit) bool {
	if m.Template() {
		return false
	}
	on, ok := m.BoolOK("StartWithPod")
	return on || !ok
}

func firstWord(s string) string {
	for i := range s {
		if s[i] == ' ' || s[i] == '\t' || s[i] == ':' {
			return s[:i]
		}
	}
	return s
}
