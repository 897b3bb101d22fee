// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/generator/convert"
	"github.com/podunit/podunit/generator/specifier"
	"github.com/podunit/podunit/generator/unitfile"
	"github.com/podunit/podunit/runner/service"
)

// Systemd is how plain services are written: the flags of generate systemd.
type Systemd struct {
	// Program is the path of podunit, Version its version.
	Program, Version string
	// Existing writes services that start and stop what there is, in place of making and removing it.
	// Of a play from YAML both are the same.
	Existing bool
	// Header writes a comment at the top.
	Header bool
	// ContainerPrefix, PodPrefix and Separator make names: container-web.service.
	ContainerPrefix, PodPrefix, Separator string
	// RestartPolicy is systemd's word; empty takes the container's own.
	RestartPolicy string
	// RestartSec, StartTimeout and StopTimeout are in seconds; negative means not given.
	RestartSec, StartTimeout, StopTimeout int
	After, Wants, Requires, Environment   []string
	// User says that they are units of a user's manager.
	User bool
}

// name is the unit's, without its suffix.
func (o Systemd) name(prefix, what string) string {
	if prefix == "" {
		return base(what)
	}
	return prefix + o.Separator + base(what)
}

// Container writes the service of a container that is made and removed with it.
func (o Systemd) Container(c Container) (File, error) { return o.container(c, "", "", "") }

// Pod writes the services of a pod and its containers.
func (o Systemd) Pod(p Pod) ([]File, error) {
	l, err := readPod(p)
	if err != nil {
		return nil, err
	}
	policy, _ := l.last("restart")
	l = l.without("name", "replace", "infra-conmon-pidfile", "pod-id-file", "exit-policy", "restart")
	unit := o.name(o.PodPrefix, p.Name)
	slice := ""
	if slices.ContainsFunc(l.flags, func(s said) bool { return slices.Contains(convert.PodLimits, "--"+s.name) }) {
		slice = service.PodSlice(p.Name, o.User)
	}
	var members []string
	var out []File
	for _, c := range p.Containers {
		f, err := o.container(c, unit, p.Name, slice)
		if err != nil {
			return nil, err
		}
		members = append(members, f.Name)
		out = append(out, f)
	}
	pid := "%t/" + unit + ".pid"
	if o.Existing {
		pid = specifier.Escape(p.PIDFile)
	}
	create := append([]string{"pod", "create", "--infra-conmon-pidfile=" + pid, "--exit-policy=stop", "--replace"}, plain(l)...)
	w := o.begin(unit, policy, "mixed")
	if len(members) > 0 {
		w.unit("Wants=" + strings.Join(members, " "))
		w.unit("Before=" + strings.Join(members, " "))
	}
	w.slice(slice)
	w.line("Type=forking")
	w.line("PIDFile=" + pid)
	if !o.Existing {
		w.line("ExecStartPre=" + o.words(append(create, specifier.EscapeExec(p.Name)))) // escaped by plain
	}
	w.line("ExecStart=" + o.words([]string{"pod", "start", specifier.EscapeExec(p.Name)}))
	stop := []string{"pod", "stop", "--ignore"}
	if !o.Existing {
		stop = []string{"pod", "rm", "--ignore", "-f"}
	}
	w.line("ExecStop=" + o.words(append(stop, "-t", strconv.Itoa(o.stop(10)), specifier.EscapeExec(p.Name))))
	if !o.Existing {
		// It completes an ExecStop= that was killed, and is alone where the pod has failed.
		w.line("ExecStopPost=" + o.words([]string{"pod", "rm", "--ignore", "-f", specifier.EscapeExec(p.Name)}))
	}
	return append([]File{{unit + ".service", w.end(o.stop(10)), 0o644}}, out...), nil
}

// Play writes the service that plays YAML, and the YAML, which belongs beside it.
func (o Systemd) Play(p Play) []File {
	unit, yaml := o.name(o.PodPrefix, p.Name), base(p.Name)+".yaml"
	place := "/etc/systemd/system/"
	if o.User {
		place = "%E/systemd/user/"
	}
	place += specifier.Escape(yaml)
	w := o.begin(unit, "", "mixed")
	w.line("Type=notify")
	w.line("NotifyAccess=all")
	w.line("ExecStart=" + o.words([]string{"kube", "play", "--replace", "--service-container=true", place}))
	down := o.words([]string{"kube", "down", "--service-container=true", place})
	w.line("ExecStopPost=-" + down)
	w.line("ExecStopPost=" + down)
	return []File{{unit + ".service", w.end(o.stop(30)), 0o644}, {yaml, string(p.YAML), 0o600}}
}

func (o Systemd) container(c Container, podUnit, pod, slice string) (File, error) {
	l, err := readContainer(c)
	if err != nil {
		return File{}, err
	}
	policy, _ := l.last("restart")
	notify, _ := l.last("sdnotify")
	if notify == "" || notify == "ignore" {
		notify = "conmon"
	}
	_, removed := l.last("rm")
	_, image := l.last("rmi")
	if (removed || image) && o.Existing {
		return File{}, fmt.Errorf("container %s: it is removed at its end (--rm), and there would be nothing to start", c.Name)
	}
	longest, _ := l.last("timeout")
	l = l.without("detach", "rm", "rmi", "replace", "name", "restart", "timeout", "cgroups", "cidfile", "pod", "pod-id-file", "sdnotify")
	unit := o.name(o.ContainerPrefix, c.Name)
	run := []string{"run", "--cidfile=%t/%n.ctr-id", "--cgroups=split", "--rm", "--sdnotify=" + notify, "-d", "--replace", "--name=" + specifier.EscapeExec(c.Name)}
	if pod != "" {
		run = append(run, "--pod="+specifier.EscapeExec(pod))
	}
	run = append(append(run, plain(l)...), words(l.rest)...)
	seconds := o.stop(int(c.StopTimeout))
	// As of a .container, and for the same reason: podunit.unit(5).
	w := o.begin(unit, policy, "control-group")
	if podUnit != "" {
		w.unit("BindsTo=" + podUnit + ".service")
		w.unit("After=" + podUnit + ".service")
	}
	w.slice(slice)
	w.line("Type=notify")
	w.line("NotifyAccess=all")
	if longest != "" && longest != "0" {
		w.line("RuntimeMaxSec=" + longest)
	}
	if o.Existing {
		name := specifier.EscapeExec(c.Name)
		w.line("ExecStart=" + o.words([]string{"start", name}))
		w.line("ExecStop=" + o.words([]string{"stop", "--ignore", "-t", strconv.Itoa(seconds), name}))
		w.line("ExecStopPost=" + o.words([]string{"cleanup", name}))
		return File{unit + ".service", w.end(seconds), 0o644}, nil
	}
	w.line("ExecStart=" + o.words(run))
	w.line("ExecStop=" + o.words([]string{"stop", "--ignore", "-t", strconv.Itoa(seconds), "--cidfile=%t/%n.ctr-id"}))
	w.line("ExecStopPost=" + o.words([]string{"rm", "-v", "-f", "--ignore", "-t", strconv.Itoa(seconds), "--cidfile=%t/%n.ctr-id"}))
	return File{unit + ".service", w.end(seconds), 0o644}, nil
}

// stop is the time to stop, unless another was asked for.
func (o Systemd) stop(own int) int {
	if o.StopTimeout >= 0 {
		return o.StopTimeout
	}
	return own
}

// plain are flags as words, escaped for a command of a unit.
func plain(l line) []string {
	var out []string
	for _, s := range l.flags {
		out = append(out, specifier.EscapeExec(s.word()))
	}
	return out
}

func words(list []string) []string {
	var out []string
	for _, w := range list {
		out = append(out, specifier.EscapeExec(w))
	}
	return out
}

// words is a command of podunit, quoted; specifiers are escaped already.
func (o Systemd) words(list []string) string {
	out := []string{unitfile.Quote(o.Program)}
	for _, w := range list {
		out = append(out, unitfile.Quote(w))
	}
	return strings.Join(out, " ")
}

// text is a service being written: its two sections.
type text struct {
	head, body strings.Builder
	o          Systemd
}

func (w *text) unit(l string) { w.head.WriteString(l + "\n") }
func (w *text) line(l string) { w.body.WriteString(l + "\n") }

// slice writes the slice of a pod with limits; empty is none.
func (w *text) slice(name string) {
	if name != "" {
		w.line("Slice=" + name)
	}
}

// begin writes what all services have.
func (o Systemd) begin(unit, policy, killMode string) *text {
	w := &text{o: o}
	if o.Header {
		w.unit("# " + unit + ".service")
		w.unit("# written by podunit " + o.Version + "; podunit generate quadlet writes what is easier to change")
		w.unit("")
	}
	w.unit("[Unit]")
	w.unit("Description=Podunit " + unit + ".service")
	w.unit("Wants=network-online.target")
	w.unit("After=network-online.target")
	w.unit("RequiresMountsFor=%t")
	for _, d := range []struct {
		key  string
		list []string
	}{{"After", o.After}, {"Wants", o.Wants}, {"Requires", o.Requires}} {
		if len(d.list) > 0 {
			w.unit(d.key + "=" + strings.Join(d.list, " "))
		}
	}
	word, tries := restart(policy)
	if o.RestartPolicy != "" {
		word, tries = o.RestartPolicy, ""
	} else if policy == "" {
		word = "on-failure"
	}
	if tries != "" {
		w.unit("StartLimitBurst=" + tries)
	}
	w.line("")
	w.line("[Service]")
	w.line("Environment=PODMAN_SYSTEMD_UNIT=%n")
	for _, e := range o.Environment {
		w.line("Environment=" + unitfile.Quote(specifier.Escape(e)))
	}
	w.line("Delegate=yes")
	w.line("KillMode=" + killMode)
	w.line("SyslogIdentifier=%N")
	w.line("Restart=" + word)
	if o.RestartSec >= 0 {
		w.line(fmt.Sprintf("RestartSec=%d", o.RestartSec))
	}
	if o.StartTimeout >= 0 {
		w.line(fmt.Sprintf("TimeoutStartSec=%d", o.StartTimeout))
	}
	return w
}

// end completes it; seconds is what a container has to stop.
func (w *text) end(seconds int) string {
	w.line(fmt.Sprintf("TimeoutStopSec=%d", seconds+60))
	w.line("\n[Install]\nWantedBy=default.target")
	return w.head.String() + w.body.String()
}
