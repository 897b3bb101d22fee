// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"path/filepath"
	"strings"

	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/specifier"
)

// kube writes the service of a .kube file. The order of everything is the reference's, section 6.3.
func (c *converter) kube() {
	var yaml []quadlet.WordOf // words of the commands
	var dirs []string         // where the files are
	for _, w := range c.Words("Yaml") {
		if w.Text != "" {
			yaml = append(yaml, w.Saying(c.abs(w.Text, specifier.EscapeExec)))
			dirs = append(dirs, filepath.Dir(c.abs(w.Text, specifier.Escape)))
		}
	}
	if len(yaml) == 0 {
		c.FaultAt(c.Last("Yaml"), "no-yaml", "no Yaml key specified", "set Yaml= in [Kube]")
	}
	c.killMode("mixed")
	c.service.Append("Environment", "PODMAN_SYSTEMD_UNIT=%n")
	if !c.serviceType() {
		c.service.Set("Type", "notify")
		c.service.Set("NotifyAccess", "all")
	}
	c.service.Default("SyslogIdentifier", "%N")

	play := c.runner("kube", "play", "--replace", "--service-container=true")
	c.flags(play, "ExitCodePropagation", "LogDriver", "LogOpt")
	c.idMappings(play)
	c.networks(play)
	for _, w := range c.Words("AutoUpdate") {
		if name, policy, ok := strings.Cut(w.Text, "/"); ok {
			play.from(w, "--annotation=io.containers.autoupdate/"+name+"="+policy)
		} else {
			play.from(w, "--annotation=io.containers.autoupdate="+w.Text)
		}
	}
	for _, w := range c.Words("ConfigMap") {
		play.from(w, "--configmap", c.abs(w.Text, specifier.EscapeExec))
	}
	c.flags(play, "PublishPort")
	c.podmanArgs(play, yaml...)
	c.line("ExecStart", "", play)

	down := c.runner("kube", "down", "--service-container=true")
	if force, ok := c.BoolOK("KubeDownForce"); ok {
		text := "--force"
		if !force {
			text = "--force=false"
		}
		down.from(c.value("KubeDownForce"), text)
	}
	down.words(yaml)
	// The second completes what the first has left, if that was killed.
	c.line("ExecStopPost", "-", down)
	c.line("ExecStopPost", "", down)
	c.kubeDirectory(dirs)
}

// kubeDirectory handles SetWorkingDirectory=, given the directories of the YAML files; a directory
// in [Service] is left alone.
func (c *converter) kubeDirectory(dirs []string) {
	mode := c.Str("SetWorkingDirectory")
	if mode == "" {
		return
	}
	l := c.Last("SetWorkingDirectory")
	dir := ""
	switch strings.ToLower(mode) {
	case "yaml":
		if len(dirs) > 1 {
			c.FaultAt(l, "working-directory", "SetWorkingDirectory=yaml is only supported when a single Yaml key is provided", "use SetWorkingDirectory=unit, or WorkingDirectory= in [Service]")
			return
		}
		if len(dirs) == 1 {
			dir = dirs[0]
		}
	case "unit":
		dir = specifier.Escape(c.Dir)
	default:
		c.FaultAt(l, "working-directory", "unsupported value for SetWorkingDirectory: '"+mode+"'", "SetWorkingDirectory= is yaml or unit in [Kube]")
		return
	}
	if own, ok := c.ServiceKey("WorkingDirectory"); ok && own.Value != "" {
		return
	}
	c.service.Append("WorkingDirectory", dir)
}
