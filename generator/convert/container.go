// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"strings"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/specifier"
)

// container writes the service of a .container file. The order of everything is the reference's,
// section 6.1.
func (c *converter) container() {
	image, rootfs := c.Str("Image"), c.Str("Rootfs")
	switch {
	case image == "" && rootfs == "":
		c.FaultAt(c.Last("Image"), "no-image", "no Image or Rootfs key specified", "set Image= in [Container]")
	case image != "" && rootfs != "":
		c.FaultKey(c.Last("Rootfs"), "no-image", "the Image and Rootfs keys conflict and cannot be specified together", "remove one of them")
	}
	c.warnShortName("Image", image)
	image = c.imageOperand("Image", image)

	c.service.Append("Environment", "PODMAN_SYSTEMD_UNIT=%n")
	c.killMode(c.containerKillMode())
	remove := c.runner("rm", "-v", "-f", "-i")
	remove.words([]quadlet.WordOf{c.named()})
	c.line("ExecStop", "", remove)
	// systemd skips ExecStop= when the main process has died, but always runs ExecStopPost=.
	c.line("ExecStopPost", "-", remove)
	c.reload()
	c.service.Append("Delegate", "yes")
	oneshot := c.serviceType()
	if !oneshot {
		c.service.Set("Type", "notify")
		c.service.Set("NotifyAccess", "all")
	}
	c.service.Default("SyslogIdentifier", "%N")
	c.stopLimit()
	c.run(image, oneshot)
}

// containerKillMode is KillMode= of a container's unit. Podman writes mixed, and its own tests ask
// for that: when the container fails, systemd skips ExecStop= and kills what is left of the unit at
// once, the log copier with lines in its hands. With control-group the copier hears SIGTERM, and
// ends when it has handed them over. A oneshot has no copier, and its command none to outlive it.
func (c *converter) containerKillMode() string {
	if l, ok := c.ServiceKey("Type"); c.opt.Lax || ok && l.Value == "oneshot" {
		return "mixed"
	}
	return "control-group"
}

// run writes the command that makes the container and starts it.
func (c *converter) run(image string, oneshot bool) {
	run := c.runner("run")
	run.flag("--name", c.named())
	run.add("--replace", "--rm")
	c.flags(run, "LogDriver", "LogOpt")
	c.identifier(run)
	if mode := c.value("CgroupsMode"); mode.Text != "" {
		run.flag("--cgroups", mode)
	} else {
		run.add("--cgroups=split")
	}
	c.flags(run, "Entrypoint",
		"Timezone", "PidsLimit", "ShmSize", "WorkingDir", "IP", "IP6", "HostName", "StopSignal", "StopTimeout", "Pull", "Memory", "Retry", "RetryDelay",
		"NetworkAlias", "Ulimit", "DNS", "DNSOption", "DNSSearch", "GroupAdd", "AddHost", "Tmpfs",
		"RunInit", "EnvironmentHost", "HttpProxy", "ReadOnlyTmpfs")
	c.networks(run)
	if !oneshot {
		run.from(c.value("Notify"), "--sdnotify="+c.sdnotify())
		run.add("-d")
	}
	c.security(run)
	c.devices(run)
	if profile := c.value("SeccompProfile"); profile.Line != nil {
		run.from(profile, "--security-opt", "seccomp="+profile.Text)
	}
	c.capabilities(run, "DropCapability")
	c.capabilities(run, "AddCapability")
	c.flags(run, "Sysctl", "ReadOnly")
	if readOnly, _ := c.BoolOK("ReadOnly"); c.Switch("VolatileTmp") && !readOnly {
		run.from(c.value("VolatileTmp"), "--tmpfs", "/tmp:rw,size=512M,mode=1777")
	}
	c.user(run)
	c.idMappings(run)
	c.volumes(run)
	if policy := c.value("AutoUpdate"); policy.Text != "" {
		run.from(policy, "--label", "io.containers.autoupdate="+policy.Text)
	}
	c.expose(run)
	c.flags(run, "PublishPort", "Environment", "Label", "Annotation")
	for _, w := range c.Args("Mask") {
		run.from(w, "--security-opt", "mask="+w.Text)
	}
	for _, w := range c.Args("Unmask") {
		run.from(w, "--security-opt", "unmask="+w.Text)
	}
	for _, w := range c.Args("EnvironmentFile") {
		run.from(w, "--env-file", c.abs(w.Text, specifier.EscapeExec))
	}
	c.flags(run, "Secret")
	c.mounts(run)
	c.flags(run, "HealthCmd", "HealthInterval", "HealthOnFailure", "HealthLogDestination", "HealthMaxLogCount", "HealthMaxLogSize",
		"HealthRetries", "HealthStartPeriod", "HealthTimeout", "HealthStartupCmd", "HealthStartupInterval", "HealthStartupRetries",
		"HealthStartupSuccess", "HealthStartupTimeout")
	c.joinPod(run)
	c.podmanArgs(run)
	if rootfs := c.value("Rootfs"); rootfs.Text != "" {
		run.flag("--rootfs", rootfs)
	} else {
		run.from(c.value("Image"), image)
	}
	words, _ := c.Command("Exec")
	run.words(words)
	c.line("ExecStart", "", run)
}

func (c *converter) reload() {
	words, ok := c.Command("ReloadCmd")
	signal := c.Str("ReloadSignal")
	switch {
	case ok && len(words) > 0 && signal != "":
		c.FaultKey(c.Last("ReloadSignal"), "reload", "ReloadCmd and ReloadSignal are mutually exclusive but both are set", "remove one of them")
	case ok && len(words) > 0:
		cmd := c.runner("exec")
		cmd.words(append([]quadlet.WordOf{c.named()}, words...))
		c.line("ExecReload", "", cmd)
	case signal != "":
		cmd := c.runner("kill")
		cmd.flag("--signal", c.value("ReloadSignal"))
		cmd.words([]quadlet.WordOf{c.named()})
		c.line("ExecReload", "", cmd)
	}
}

func (c *converter) sdnotify() string {
	v := c.Str("Notify")
	on, _ := c.BoolOK("Notify")
	switch {
	case strings.EqualFold(v, "healthy"):
		return "healthy"
	case on:
		return "container"
	}
	return "conmon"
}

// identifier gives the container's lines, which the runner writes to the journal itself, the name
// that SyslogIdentifier= gives those of the service. A tag of LogOpt= is stronger.
func (c *converter) identifier(run *Command) {
	l, ok := c.ServiceKey("SyslogIdentifier")
	driver := c.value("LogDriver").Text
	if !ok || l.Value == "" || driver == "none" || strings.HasPrefix(driver, "passthrough") || c.opt.Lax {
		return
	}
	for _, w := range c.Words("LogOpt") {
		if strings.HasPrefix(w.Text, "tag=") {
			return
		}
	}
	run.from(quadlet.Whole(l, l.Value), "--log-opt", "tag="+strings.ReplaceAll(l.Value, "$", "$$"))
}

func (c *converter) security(run *Command) {
	if c.Switch("NoNewPrivileges") {
		run.from(c.value("NoNewPrivileges"), "--security-opt=no-new-privileges")
	}
	option := func(key, prefix string) {
		if k := c.Type.Key(key); k.Kind == keys.Switch {
			if c.Switch(key) {
				run.from(c.value(key), "--security-opt", prefix)
			}
		} else if v := c.value(key); v.Text != "" {
			run.from(v, "--security-opt", prefix+v.Text)
		}
	}
	option("SecurityLabelDisable", "label=disable")
	option("SecurityLabelNested", "label=nested")
	option("SecurityLabelType", "label=type:")
	option("SecurityLabelFileType", "label=filetype:")
	option("SecurityLabelLevel", "label=level:")
	option("AppArmor", "apparmor=")
}

// devices emits AddDevice=; a leading dash leaves out a device that is not there.
func (c *converter) devices(run *Command) {
	for _, w := range c.Words("AddDevice") {
		device, optional := strings.CutPrefix(w.Text, "-")
		if optional {
			host, _, _ := strings.Cut(device, ":")
			if c.opt.Exists == nil || !c.opt.Exists(host) {
				continue
			}
		}
		run.from(w, "--device", device)
	}
}

func (c *converter) capabilities(run *Command, key string) {
	for _, w := range c.Words(key) {
		run.flag(c.Type.Key(key).Flag, w.Saying(strings.ToLower(w.Text)))
	}
}

func (c *converter) user(run *Command) {
	user, group := c.Str("User"), c.Str("Group")
	switch {
	case user == "" && group != "":
		c.FaultKey(c.Last("Group"), "group", "invalid Group set without User", "set User= too")
	case group != "":
		run.from(c.value("User"), "--user", user+":"+group)
	case user != "":
		run.from(c.value("User"), "--user", user)
	}
}

// expose emits ExposeHostPort=. It checks the end of the value only, as Podman does.
func (c *converter) expose(run *Command) {
	for _, l := range c.Lines("ExposeHostPort") {
		v := strings.TrimSpace(l.Value)
		end := strings.TrimSuffix(v, "/tcp")
		if end == v {
			end = strings.TrimSuffix(v, "/udp")
		}
		if end == "" || end[len(end)-1] < '0' || end[len(end)-1] > '9' {
			c.FaultAt(l, "port", "invalid port format '"+v+"'", "write PORT, PORT-PORT, PORT/tcp or PORT/udp")
			continue
		}
		run.from(quadlet.Whole(l, v), "--expose", v)
	}
}

// joinPod emits Pod= and binds the service to that of the pod.
func (c *converter) joinPod(run *Command) {
	name := c.PodFile()
	if name == "" {
		return
	}
	l := c.Last("Pod")
	if !strings.HasSuffix(name, ".pod") {
		c.FaultAt(l, "pod", "pod "+name+" is not Quadlet based", "Pod= takes the name of a .pod file")
		return
	}
	u := c.set.Find(name)
	if u == nil {
		c.FaultAt(l, "missing-unit", "quadlet pod unit "+name+" does not exist", c.missing(name))
		return
	}
	c.set.Mention(c.Unit, u, l, true)
	c.unit.Append("BindsTo", u.Service+".service")
	c.unit.Append("After", u.Service+".service")
	c.limitMember(u)
	run.from(quadlet.Whole(l, name), "--pod", u.Resource)
}
