// SPDX-License-Identifier: Apache-2.0

// Package kubeyaml checks Kubernetes YAML: its syntax, duplicate and unknown fields, each with its line. It knows the
// kinds that `podunit kube play` runs, from the Kubernetes API reference v1; what a field means is not its concern.
package kubeyaml

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/spelling"
)

// Limits of one file. A file of a few lines can stand for billions of nodes through aliases.
const (
	maxNodes  = 200_000
	maxFaults = 50
	maxDepth  = 100
)

// checker carries one file.
type checker struct {
	path   string
	lines  []string
	nodes  int
	list   report.List
	broken bool // the budget is spent
}

// Check reports on the documents of a YAML file.
func Check(path string, data []byte) report.List {
	c := &checker{path: path, lines: strings.Split(string(data), "\n")}
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			c.syntax(err)
			break
		}
		if len(doc.Content) > 0 && !c.broken {
			c.document(doc.Content[0], 0)
		}
	}
	return c.list
}

var lineNumber = regexp.MustCompile(`line (\d+): `)

func (c *checker) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := lineNumber.FindStringSubmatchIndex(text); m != nil {
		line, _ = strconv.Atoi(text[m[2]:m[3]])
		text = text[:m[0]] + text[m[1]:]
	}
	c.say(report.Error, line, 1, 0, "yaml-syntax", "YAML: "+text, "")
}

func (c *checker) say(s report.Severity, line, col, width int, code, message, hint string) {
	if len(c.list) >= maxFaults {
		return
	}
	d := report.Diagnostic{Severity: s, Code: code, Message: message, Hint: hint, Width: width, Pos: report.Position{File: c.path, Line: line, Col: col}}
	if line > 0 && line <= len(c.lines) && len(c.lines[line-1]) < 4096 {
		d.Excerpt = strings.TrimSuffix(c.lines[line-1], "\r")
	}
	c.list = append(c.list, d)
}

func (c *checker) at(s report.Severity, n *yaml.Node, code, message, hint string) {
	c.say(s, n.Line, n.Column, len(n.Value), code, message, hint)
}

// document checks one object, or a list of them.
func (c *checker) document(n *yaml.Node, depth int) {
	place := n
	if c.spent(place, depth) {
		return
	}
	if n = resolve(n); n == nil {
		c.at(report.Error, place, "kube-object", "the document is not an object", "begin with apiVersion: and kind:")
		return
	}
	if n.Kind != yaml.MappingNode {
		if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
			return
		}
		c.at(report.Error, n, "kube-object", "the document is not an object", "begin with apiVersion: and kind:")
		return
	}
	kind := field(n, "kind")
	if kind == nil || kind.Value == "" {
		c.at(report.Error, n, "kube-kind", "the object has no kind", "known are "+strings.Join(kinds(), ", "))
		return
	}
	if field(n, "apiVersion") == nil {
		c.at(report.Error, n, "kube-version", "the object has no apiVersion", "")
	}
	if kind.Value == "List" {
		if items := field(n, "items"); items != nil && items.Kind == yaml.SequenceNode {
			for _, item := range items.Content {
				c.document(item, depth+1)
			}
		}
		return
	}
	found := false
	for _, k := range kinds() {
		found = found || k == kind.Value
	}
	if !found {
		hint := "known are " + strings.Join(kinds(), ", ")
		severity := report.Warning
		if near := spelling.Nearest(kind.Value, kinds()); near != "" {
			severity, hint = report.Error, "did you mean "+near+"?"
		}
		c.at(severity, kind, "kube-kind", "kind "+kind.Value+" is not run by kube play", hint)
		return
	}
	c.walk(n, kind.Value, 0)
	c.required(n, kind.Value)
}

// required checks what no object can do without.
func (c *checker) required(n *yaml.Node, kind string) {
	meta := field(n, "metadata")
	if meta == nil || field(meta, "name") == nil || field(meta, "name").Value == "" {
		c.at(report.Error, n, "kube-name", kind+" has no metadata.name", "")
	}
	spec := field(n, "spec")
	switch kind {
	case "Deployment", "DaemonSet", "Job":
		if template := field(spec, "template"); template != nil {
			spec = field(template, "spec")
		} else {
			c.at(report.Error, n, "kube-spec", kind+" has no spec.template", "")
			return
		}
	case "Pod":
	default:
		return
	}
	containers := field(spec, "containers")
	if containers == nil || containers.Kind != yaml.SequenceNode || len(containers.Content) == 0 {
		c.at(report.Error, n, "kube-spec", kind+" has no containers", "")
		return
	}
	seen := map[string]bool{}
	for _, list := range []*yaml.Node{field(spec, "initContainers"), containers} {
		if list == nil {
			continue
		}
		for _, container := range list.Content {
			name := field(container, "name")
			switch {
			case name == nil || name.Value == "":
				c.at(report.Error, container, "kube-spec", "the container has no name", "")
			case seen[name.Value]:
				c.at(report.Error, name, "kube-spec", "there are two containers named "+name.Value, "")
			default:
				seen[name.Value] = true
			}
			if field(container, "image") == nil {
				c.at(report.Error, container, "kube-spec", "the container has no image", "")
			}
		}
	}
}

// field finds the value of a field, following an alias; nil if there is none.
func field(n *yaml.Node, name string) *yaml.Node { return merged(n, name, 0) }

// merged is field that also looks into what "<<" merges. Aliases can nest that as deep as they like.
func merged(n *yaml.Node, name string, depth int) *yaml.Node {
	n = resolve(n)
	if n == nil || n.Kind != yaml.MappingNode || depth > 3 {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return resolve(n.Content[i+1])
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "<<" {
			continue
		}
		from := []*yaml.Node{n.Content[i+1]}
		if list := resolve(from[0]); list != nil && list.Kind == yaml.SequenceNode {
			from = list.Content[:min(len(list.Content), 10)]
		}
		for _, m := range from {
			if v := merged(m, name, depth+1); v != nil {
				return v
			}
		}
	}
	return nil
}

func resolve(n *yaml.Node) *yaml.Node {
	for range 10 {
		if n == nil || n.Kind != yaml.AliasNode {
			return n
		}
		n = n.Alias
	}
	return nil
}

// spent counts a node, and tells whether there are too many of them to go on.
func (c *checker) spent(n *yaml.Node, depth int) bool {
	if c.nodes++; (c.nodes > maxNodes || depth > maxDepth) && !c.broken {
		c.broken = true
		c.at(report.Error, n, "yaml-size", "the file stands for more than "+strconv.Itoa(maxNodes)+" values, or nests too deep", "look for aliases of aliases")
	}
	return c.broken
}

// walk checks a node against a type of the schema: a name, "[]" and the type of elements, "{}" and that of values;
// "" is anything.
func (c *checker) walk(n *yaml.Node, kind string, depth int) {
	if c.spent(n, depth) {
		return
	}
	if n = resolve(n); n == nil {
		return
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	switch {
	case strings.HasPrefix(kind, "[]"):
		if n.Kind != yaml.SequenceNode {
			c.at(report.Error, n, "kube-type", "a list is needed here", "begin each element with a dash")
			return
		}
		for _, e := range n.Content {
			c.walk(e, kind[2:], depth+1)
		}
		return
	case kind == "" || kind == "{}":
		c.anything(n, depth)
		return
	case kind == "text":
		if n.Kind != yaml.ScalarNode {
			c.at(report.Error, n, "kube-type", "a single value is needed here", "")
		}
		return
	}
	if n.Kind != yaml.MappingNode {
		c.at(report.Error, n, "kube-type", "an object is needed here", "its fields are "+strings.Join(fieldNames(kind), ", "))
		return
	}
	c.duplicates(n)
	values := strings.HasPrefix(kind, "{}")
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if values {
			c.walk(value, kind[2:], depth+1)
			continue
		}
		if name.Value == "<<" {
			c.walk(value, "", depth+1)
			continue
		}
		t, ok := fieldType(kind, name.Value)
		if !ok {
			hint := kind + " has " + strings.Join(fieldNames(kind), ", ")
			if near := spelling.Nearest(name.Value, fieldNames(kind)); near != "" {
				hint = "did you mean " + near + "?"
			}
			c.at(report.Error, name, "kube-field", "unknown field "+name.Value+" in "+kind, hint)
			continue
		}
		c.walk(value, t, depth+1)
	}
}

// anything looks for duplicate fields where every field is allowed.
func (c *checker) anything(n *yaml.Node, depth int) {
	switch n.Kind {
	case yaml.MappingNode:
		c.duplicates(n)
		for i := 1; i < len(n.Content); i += 2 {
			c.walk(n.Content[i], "", depth+1)
		}
	case yaml.SequenceNode:
		for _, e := range n.Content {
			c.walk(e, "", depth+1)
		}
	}
}

func (c *checker) duplicates(n *yaml.Node) {
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i]
		if line, ok := seen[name.Value]; ok && name.Value != "<<" {
			c.at(report.Error, name, "yaml-duplicate", "field "+name.Value+" is there twice, first in line "+strconv.Itoa(line), "")
			continue
		}
		seen[name.Value] = name.Line
	}
}
