// SPDX-License-Identifier: Apache-2.0

package yaml

import (
	"fmt"
	"strconv"
	"strings"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/podunit/podunit/generator/report"
)

// Kind is what a node is.
type Kind uint8

// The kinds of nodes.
const (
	Null Kind = iota
	Scalar
	List
	Map
)

// Node is a value with its place. Aliases are followed and merges done: what an anchor stands for
// may be reached on several ways, as the same node.
type Node struct {
	Kind Kind
	// Value is the text of a scalar without quotes.
	Value string
	// Tag is the type of a scalar by YAML 1.2: !!str, !!int, !!float, !!bool, !!timestamp.
	Tag string
	// Plain tells that a scalar has no quotes.
	Plain bool
	// Items are those of a list.
	Items []*Node
	// Fields are those of a map, in the order they were written, merged ones last.
	Fields []Field
	// File, Line and Col say where it was written; Line and Col start at 1.
	File      *File
	Line, Col int
}

// Field is one field of a map.
type Field struct {
	Name  string
	Key   *Node
	Value *Node
}

// Field finds the value of a field; nil if there is none or n is no map.
func (n *Node) Field(name string) *Node {
	if n == nil {
		return nil
	}
	for i := range n.Fields {
		if n.Fields[i].Name == name {
			return n.Fields[i].Value
		}
	}
	return nil
}

// Text is the value of a scalar, or "".
func (n *Node) Text() string {
	if n == nil || n.Kind != Scalar {
		return ""
	}
	return n.Value
}

// Pos is the place as reports have it.
func (n *Node) Pos() report.Position {
	return report.Position{File: n.File.Name, Line: n.Line, Col: n.Col}
}

// Path leads from a document to a node: names of fields and, as int, indices of lists.
type Path []any

// With is the path with one more part. It never shares memory with another path made from p.
func (p Path) With(parts ...any) Path {
	return append(p[:len(p):len(p)], parts...)
}

// String is the path as Kubernetes writes it: spec.containers[0].image.
func (p Path) String() string {
	var b strings.Builder
	for i, part := range p {
		switch v := part.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", v)
		case string:
			switch {
			case strings.ContainsAny(v, "./[] ") || v == "":
				fmt.Fprintf(&b, "[%s]", v)
			case i > 0:
				b.WriteString("." + v)
			default:
				b.WriteString(v)
			}
		}
	}
	return b.String()
}

// At follows a path as far as it goes: the node it leads to, or the last one on the way. For a
// field that is there, key is the field's name as written; a report on the field as such shows
// that place.
func (n *Node) At(path Path) (node, key *Node) {
	node = n
	for _, part := range path {
		var next, nextKey *Node
		switch v := part.(type) {
		case int:
			if node.Kind == List && v >= 0 && v < len(node.Items) {
				next = node.Items[v]
			}
		case string:
			for i := range node.Fields {
				if node.Fields[i].Name == v {
					next, nextKey = node.Fields[i].Value, node.Fields[i].Key
					break
				}
			}
		}
		if next == nil {
			return node, key
		}
		node, key = next, nextKey
	}
	return node, key
}

// builder turns the parser's nodes into ours.
type builder struct {
	file   *File
	offset int // lines before the part that was parsed
	report *Report
	nodes  int
	broken bool
	built  map[*goyaml.Node]*sized
}

// sized is a node and how many it stands for; node is nil while it is being built.
type sized struct {
	node *Node
	size int
}

func (b *builder) fault(n *goyaml.Node, code, message, hint string) {
	b.broken = true
	line := n.Line + b.offset
	b.report.Add(report.Diagnostic{
		Code: code, Pos: report.Position{File: b.file.Name, Line: line, Col: n.Column}, Width: len(n.Value),
		Excerpt: b.file.line(line), Message: message, Hint: hint,
	})
}

// spend counts nodes against the limits.
func (b *builder) spend(n *goyaml.Node, size, depth int) bool {
	if b.nodes > maxNodes || depth > maxDepth+1 {
		return false // said before
	}
	b.nodes += size
	if b.nodes > maxNodes || depth > maxDepth {
		b.nodes = maxNodes + 1
		b.fault(n, "yaml-size", "the document stands for more than "+strconv.Itoa(maxNodes)+" values, or nests too deep",
			"look for aliases of aliases")
		return false
	}
	return true
}

func (b *builder) build(n *goyaml.Node, depth int) *Node {
	if n.Kind == goyaml.AliasNode {
		return b.alias(n, depth)
	}
	if !b.spend(n, 1, depth) {
		return nil
	}
	before := b.nodes
	out := &Node{File: b.file, Line: n.Line + b.offset, Col: n.Column}
	mark := &sized{}
	if n.Anchor != "" {
		b.built[n] = mark
	}
	switch n.Kind {
	case goyaml.ScalarNode:
		out.Kind, out.Value, out.Tag = Scalar, n.Value, n.ShortTag()
		out.Plain = n.Style&(goyaml.SingleQuotedStyle|goyaml.DoubleQuotedStyle|goyaml.LiteralStyle|goyaml.FoldedStyle) == 0
		if out.Tag == "!!null" {
			out.Kind = Null
		}
	case goyaml.SequenceNode:
		out.Kind = List
		for _, c := range n.Content {
			if item := b.build(c, depth+1); item != nil {
				out.Items = append(out.Items, item)
			}
		}
	case goyaml.MappingNode:
		out.Kind = Map
		b.fields(out, n, depth)
	}
	mark.node, mark.size = out, b.nodes-before+1
	return out
}

func (b *builder) alias(n *goyaml.Node, depth int) *Node {
	if n.Alias == nil {
		return nil
	}
	known := b.built[n.Alias]
	switch {
	case known == nil:
		return b.build(n.Alias, depth)
	case known.node == nil:
		if b.nodes <= maxNodes {
			b.nodes = maxNodes + 1
			b.fault(n, "yaml-size", "*"+n.Value+" stands inside of what it stands for, and nests too deep", "look for aliases of aliases")
		}
		return nil
	}
	if !b.spend(n, known.size, depth) {
		return nil
	}
	return known.node
}

// fields builds the fields of a map: its own first, then those of its merges that it does not have
// itself.
func (b *builder) fields(out *Node, n *goyaml.Node, depth int) {
	seen := make(map[string]*Node, len(n.Content)/2)
	var merges []*Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == goyaml.AliasNode && k.Alias != nil {
			k = k.Alias
		}
		if k.Kind != goyaml.ScalarNode {
			b.fault(k, "yaml-key", "the name of a field is no single value", "quote it if it holds braces or brackets, such as a template that was not filled in")
			continue
		}
		if k.ShortTag() == "!!merge" {
			if m := b.build(v, depth+1); m != nil && m.Kind == List {
				merges = append(merges, m.Items...)
			} else if m != nil {
				merges = append(merges, m)
			}
			continue
		}
		key := &Node{Kind: Scalar, Value: k.Value, Tag: k.ShortTag(), Plain: k.Style == 0, File: b.file, Line: k.Line + b.offset, Col: k.Column}
		if first := seen[k.Value]; first != nil {
			b.fault(k, "yaml-duplicate", fmt.Sprintf("field %s is there twice, first in line %d", k.Value, first.Line), "remove one of them")
			continue
		}
		seen[k.Value] = key
		if value := b.build(v, depth+1); value != nil {
			out.Fields = append(out.Fields, Field{k.Value, key, value})
		}
	}
	for _, m := range merges {
		if m.Kind != Map {
			b.fault(n, "yaml-merge", "<< merges something that is no map", "")
			continue
		}
		for _, f := range m.Fields {
			if seen[f.Name] == nil {
				seen[f.Name] = f.Key
				out.Fields = append(out.Fields, f)
			}
		}
	}
}
