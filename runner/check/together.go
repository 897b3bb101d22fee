// SPDX-License-Identifier: Apache-2.0

package check

import (
	"net/netip"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/podunit/podunit/generator/convert"
	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/link"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/specifier"
	"github.com/podunit/podunit/generator/spelling"
	"github.com/podunit/podunit/generator/unitfile"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/spec"
)

// together checks how units fit with each other and with the machine.
func (c *checker) together() {
	c.ports()
	c.names()
	c.members()
	c.timeouts()
	c.cycles()
	c.dependencies()
	c.shadows()
	c.accounts()
}

// published is a port together with who publishes it.
type published struct {
	spec.PortMapping
	unit *quadlet.Unit
	line *unitfile.Line
}

// ports finds host ports that two units publish, or one twice.
func (c *checker) ports() {
	byPort := map[string][]published{}
	budget := 1 << 18 // ports that are looked at; ranges make many of a few lines
	for _, u := range c.set.Units {
		if u.Template() {
			continue
		}
		for _, l := range u.Lines("PublishPort") {
			p, err := spec.ParsePort(l.Value)
			if err != nil || p.HostPort == 0 || open(l.Value) {
				continue
			}
			c.lowPort(u, l, p)
			count := min(int(p.Range), budget)
			budget -= count
			for i := range count {
				key := strconv.Itoa(int(p.HostPort)+i) + "/" + p.Protocol
				for _, o := range byPort[key] {
					if overlap(p.HostIP, o.HostIP) && !conflicting(u, o.unit) {
						c.fault(u, l, "port-twice", "host port "+key+" is published by "+o.unit.Base+" too ("+o.line.ValuePos(0).String()+")", "publish it on another host port, or on another address")
						goto next
					}
				}
			}
			for i := range count {
				key := strconv.Itoa(int(p.HostPort)+i) + "/" + p.Protocol
				byPort[key] = append(byPort[key], published{p, u, l})
			}
		next:
		}
	}
}

// lowPort warns about a port that only root may bind.
func (c *checker) lowPort(u *quadlet.Unit, l *unitfile.Line, p spec.PortMapping) {
	_, other := serviceUser(u, c.Convert)
	if !c.Convert.User && !other || int(p.HostPort) >= c.Host.LowPort {
		return
	}
	denied := network.PortDeniedError{Port: p.HostPort, Protocol: p.Protocol}
	c.warn(u, l, "low-port", "PublishPort="+l.Value+" cannot be bound on this machine: "+denied.Error(), denied.Hint())
}

func overlap(a, b netip.Addr) bool {
	return !a.IsValid() || !b.IsValid() || a == b ||
		a.IsUnspecified() && (a.Is6() || b.Is4()) || b.IsUnspecified() && (b.Is6() || a.Is4())
}

// conflicting tells whether one of two units has the other in Conflicts=, so that systemd never
// runs both.
func conflicting(a, b *quadlet.Unit) bool {
	says := func(a, b *quadlet.Unit) bool {
		for _, w := range a.UnitWords("Conflicts") {
			if w.Text == b.Base || w.Text == b.Service+".service" {
				return true
			}
		}
		return false
	}
	return says(a, b) || says(b, a)
}

// names finds containers and pods, volumes, and networks that two units call the same.
func (c *checker) names() {
	owners := map[string]*quadlet.Unit{}
	for _, u := range c.set.Units {
		var space string
		var names []string
		name := strings.ReplaceAll(u.Resource, "%N", u.Service)
		var key string
		switch u.Type.Name {
		case "Container":
			space, key, names = "container or pod", "ContainerName", []string{name}
		case "Pod":
			space, key, names = "container or pod", "PodName", []string{name, name + "-infra"}
		case "Volume":
			space, key, names = "volume", "VolumeName", []string{name}
		case "Network":
			space, key, names = "network", "NetworkName", []string{name}
		default:
			continue
		}
		if u.Str(key) == "" {
			c.defaultName(u, key)
		}
		for _, n := range names {
			if n == "" || strings.ContainsRune(n, '%') {
				continue
			}
			first, taken := owners[space+" "+n]
			if !taken {
				owners[space+" "+n] = u
				continue
			}
			if first.Service == u.Service || first == u {
				continue // a clash of services, which the generator has told
			}
			message, hint := "the "+space+" name "+n+" is used by "+first.Base+" too", "set "+key+"= to something else"
			severity := report.Error
			if space == "volume" || space == "network" {
				severity = report.Warning // sharing one on purpose works, if the two say the same of it
			}
			if l := u.Last(key); l != nil {
				c.add(severity, u, l, 0, len(l.Value), "name-twice", message, hint)
				continue
			}
			c.more = append(c.more, report.Diagnostic{
				Severity: severity, Code: "name-twice", Unit: u.Base, Pos: report.Position{File: u.Path, Line: 1, Col: 1}, Message: message, Hint: hint,
			})
		}
	}
}

// resource is the name of what a unit makes, as far as it is known before the start.
func (c *checker) resource(u *quadlet.Unit) string {
	name := strings.ReplaceAll(u.Resource, "%N", u.Service)
	if u.At {
		name = strings.NewReplacer("%p", u.Prefix, "%i", u.Instance).Replace(name)
	}
	return name
}

// defaultName reports a default name, made from the name of the file, that the runner would refuse.
func (c *checker) defaultName(u *quadlet.Unit, key string) {
	name := c.resource(u)
	if validName(name) {
		return
	}
	stem, instance := u.Prefix, ""
	if u.Template() {
		instance = "-%i"
	}
	stem = regexp.MustCompile(`[^a-zA-Z0-9_.-]+`).ReplaceAllString(stem, "-")
	c.more = append(c.more, report.Diagnostic{
		Code: "value", Unit: u.Base, Pos: report.Position{File: u.Path, Line: 1, Col: 1},
		Message: "the " + strings.ToLower(u.Type.Name) + " would be called " + name + ", which is not a valid name", Hint: nameHint + "; set " + key + "=" + stem + instance,
	})
}

// members checks keys that a container in a pod, or on the host's network, cannot have.
func (c *checker) members() {
	for _, u := range c.set.Units {
		if u.Type.Name == "Container" && u.Str("Pod") != "" {
			for _, key := range []string{"PublishPort", "Network", "IP", "IP6", "NetworkAlias", "DNS", "DNSOption", "DNSSearch", "AddHost", "UserNS", "UIDMap", "GIDMap"} {
				if l := u.Last(key); l != nil && l.Value != "" {
					c.fault(u, l, "pod-member", key+"= belongs to the pod, not to a container in it", "move it to "+u.Str("Pod"))
				}
			}
		}
		host := false
		for _, v := range u.List("Network") {
			host = host || v.Text == "host"
		}
		if l := u.Last("PublishPort"); host && l != nil && l.Value != "" {
			c.warn(u, l, "host-network", "PublishPort= has no effect with Network=host", "remove one of the two")
		}
	}
}

func unquoted(v string) string { return strings.Trim(v, `"`) }

// timeouts warns when systemd would kill the service before the container's StopTimeout= is over.
func (c *checker) timeouts() {
	for _, u := range c.set.Units {
		l := u.Last("StopTimeout")
		if l == nil {
			continue
		}
		grace, err := strconv.Atoi(unquoted(l.Value))
		if err != nil {
			continue
		}
		t, ok := u.ServiceKey("TimeoutStopSec")
		if !ok {
			continue // it follows StopTimeout=
		}
		limit, err := strconv.Atoi(strings.TrimSuffix(t.Value, "s"))
		if err != nil || limit == 0 {
			continue
		}
		if grace >= limit {
			c.warn(u, l, "stop-timeout", "StopTimeout="+strconv.Itoa(grace)+" is not below the "+strconv.Itoa(limit)+" s after which systemd kills the service",
				"set TimeoutStopSec="+strconv.Itoa(grace+30)+" in [Service]")
		}
	}
}

// dependencies finds words in [Unit] that name neither a unit nor a unit file. systemd ignores them.
func (c *checker) dependencies() {
	for _, u := range c.set.Units {
		for _, key := range convert.Translated() {
			for _, w := range u.UnitWords(key) {
				if specifier.Typed(w.Text) || link.IsUnit(w.Text) || open(w.Text) {
					continue
				}
				hint := "names of units end in their type, as .service or .container"
				if stem, ext, ok := cutLast(w.Text, "."); ok {
					var names []string
					for _, s := range keys.Sections() {
						names = append(names, strings.TrimPrefix(s.Ext, "."))
					}
					if near := spelling.Nearest(ext, append(names, "service", "target", "timer", "socket", "mount")); near != "" {
						hint = "did you mean " + stem + "." + near + "?"
					}
				}
				c.add(report.Warning, u, w.Line, w.Off, w.End-w.Off, "unit-name", key+"="+w.Text+" has no effect, it is not the name of a unit", hint)
			}
		}
	}
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// cycles finds services that wait for each other, from the units that the generator writes.
func (c *checker) cycles() {
	index := map[string]int{}
	for i, u := range c.set.Units {
		if c.services[i].Text != nil {
			index[u.Service+".service"] = i
		}
	}
	after := make([][]int, len(c.set.Units))
	for i := range c.set.Units {
		if c.services[i].Text == nil {
			continue
		}
		f, _ := unitfile.Parse("", c.services[i].Text)
		for _, l := range f.Group("Unit").All("After") {
			for name := range strings.FieldsSeq(l.Value) {
				if j, ok := index[name]; ok {
					after[i] = append(after[i], j)
				}
			}
		}
		for _, l := range f.Group("Unit").All("Before") {
			for name := range strings.FieldsSeq(l.Value) {
				if j, ok := index[name]; ok {
					after[j] = append(after[j], i)
				}
			}
		}
	}
	for _, group := range components(after) {
		names := make([]string, len(group))
		for i, n := range group {
			names[i] = c.set.Units[n].Base
		}
		sort.Strings(names)
		u := c.set.Units[group[0]]
		for _, n := range group {
			if c.set.Units[n].Base == names[0] {
				u = c.set.Units[n]
			}
		}
		if len(names) > 8 {
			names = append(names[:8], "others")
		}
		message := "units wait for each other: " + strings.Join(names, ", ")
		if len(group) == 1 {
			message = "the unit waits for itself"
		}
		pos := report.Position{File: u.Path, Line: 1, Col: 1}
		excerpt, width := "", 0
		inGroup := map[string]bool{}
		for _, n := range group {
			inGroup[c.set.Units[n].Base], inGroup[c.set.Units[n].Service+".service"] = true, true
		}
		for _, r := range c.set.Refs(u) {
			if inGroup[r.To.Base] {
				pos = r.Line.ValuePos(r.Off)
				excerpt, width = r.Line.Excerpt(pos), len(r.To.Base)
				break
			}
		}
		if width == 0 { // the service may be named instead of the file
			for _, w := range append(u.UnitWords("After"), u.UnitWords("Before")...) {
				if inGroup[w.Text] {
					pos = w.Line.ValuePos(w.Off)
					excerpt, width = w.Line.Excerpt(pos), w.End-w.Off
					break
				}
			}
		}
		c.more = append(c.more, report.Diagnostic{
			Code: "cycle", Unit: u.Base, Pos: pos, Excerpt: excerpt, Width: width, Message: message,
			Hint: "systemd would start one of them without waiting; remove one of the dependencies",
		})
	}
}

// components finds the sets of nodes that can reach each other, and nodes with an edge to
// themselves (Tarjan 1972).
func components(edges [][]int) [][]int {
	n := len(edges)
	order, low := make([]int, n), make([]int, n)
	onStack := make([]bool, n)
	var stack []int
	var out [][]int
	next := 1
	type frame struct{ node, edge int }
	for root := range n {
		if order[root] != 0 {
			continue
		}
		frames := []frame{{root, 0}}
		for len(frames) > 0 {
			f := &frames[len(frames)-1]
			v := f.node
			if f.edge == 0 {
				order[v], low[v] = next, next
				next++
				stack = append(stack, v)
				onStack[v] = true
			}
			if f.edge < len(edges[v]) {
				w := edges[v][f.edge]
				f.edge++
				if order[w] == 0 {
					frames = append(frames, frame{w, 0})
				} else if onStack[w] {
					low[v] = min(low[v], order[w])
				}
				continue
			}
			if low[v] == order[v] {
				var group []int
				for {
					w := stack[len(stack)-1]
					stack = stack[:len(stack)-1]
					onStack[w] = false
					group = append(group, w)
					if w == v {
						break
					}
				}
				self := false
				for _, w := range edges[v] {
					self = self || w == v
				}
				if len(group) > 1 || self {
					out = append(out, group)
				}
			}
			frames = frames[:len(frames)-1]
			if len(frames) > 0 {
				p := frames[len(frames)-1].node
				low[p] = min(low[p], low[v])
			}
		}
	}
	return out
}
